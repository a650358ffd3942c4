"""Route tables, their routes, and which subnets they serve.

A subnet without an association of its own is served by the VPC's main table. A route's state is not stored: it is a
`blackhole` while its internet gateway is not attached to the table's VPC, its NAT gateway or its egress-only internet gateway
is none any more, or its peering connection is not active.

A route to a prefix list stands for one to each block that the list holds now: `spread`.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters, prefix_lists
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.egress_only_gateways import egress_only_gateways
from eucapy.clc.store.internet_gateways import internet_gateways
from eucapy.clc.store.nat_gateways import nat_gateways
from eucapy.clc.store.subnets import subnets
from eucapy.clc.store.tags import tag_filters
from eucapy.clc.store.vpc_peerings import vpc_peerings
from eucapy.database import Row, Tx
from eucapy.lifecycle.nat_gateway import HELD
from eucapy.lifecycle.vpc_peering_connection import ACTIVE

route_tables = sa.Table(
    "route_tables",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("vpc_id", sa.String(32), sa.ForeignKey("vpcs.id"), nullable=False, index=True),
    created_column(),
)

routes = sa.Table(
    "routes",
    metadata,
    sa.Column("route_table_id", sa.String(32), sa.ForeignKey("route_tables.id"), primary_key=True),
    sa.Column("destination", sa.String(43), primary_key=True),
    sa.Column("gateway_id", sa.String(32), nullable=False),
    sa.Column("origin", sa.String(32), nullable=False),
)
"""`destination` is a block of IPv4 or IPv6, or a prefix list; `gateway_id` is `local`, an internet gateway, an egress-only one,
a NAT gateway or a peering connection; `origin` CreateRouteTable or CreateRoute."""

associations = sa.Table(
    "route_table_associations",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("route_table_id", sa.String(32), sa.ForeignKey("route_tables.id"), nullable=False, index=True),
    sa.Column("vpc_id", sa.String(32), nullable=False, index=True),
    sa.Column("subnet_id", sa.String(32), sa.ForeignKey("subnets.id"), nullable=True, unique=True),
)
"""`subnet_id` is null for the association that makes a table its VPC's main one."""

_ACTIVE = sa.or_(
    routes.c.gateway_id == "local",
    sa.select(internet_gateways.c.id)
    .where(internet_gateways.c.id == routes.c.gateway_id, internet_gateways.c.vpc_id == route_tables.c.vpc_id)
    .correlate(routes, route_tables)
    .exists(),
    sa.select(nat_gateways.c.id)
    .where(nat_gateways.c.id == routes.c.gateway_id, nat_gateways.c.state.in_(HELD))
    .correlate(routes)
    .exists(),
    sa.select(egress_only_gateways.c.id)
    .where(egress_only_gateways.c.id == routes.c.gateway_id)
    .correlate(routes)
    .exists(),
    sa.select(vpc_peerings.c.id)
    .where(vpc_peerings.c.id == routes.c.gateway_id, vpc_peerings.c.state == ACTIVE)
    .correlate(routes)
    .exists(),
)
_TO_NAT = routes.c.gateway_id.startswith("nat-")
_TO_PEER = routes.c.gateway_id.startswith("pcx-")
_TO_EGRESS_ONLY = routes.c.gateway_id.startswith("eigw-")
_OF_IPV6 = routes.c.destination.contains(":")
_TO_LIST = routes.c.destination.startswith("pl-")
EVERYWHERE, EVERYWHERE6 = "0.0.0.0/0", "::/0"
_RESERVED = tuple(map(ipaddress.ip_network, ("169.254.0.0/16", "fd00:ec2::/32")))
"""Where the metadata, the resolver and the clock of a VPC answer: no entry of a list leads away from them."""


class Way(NamedTuple):
    """Where a subnet's route table leads: `id` is the subnet's, `destination` a block."""

    id: str
    gateway_id: str
    destination: str


def _route(column: sa.ColumnElement[str]) -> filters.Filter:
    return filters.exists(
        lambda values: sa.select(routes.c.destination).where(
            routes.c.route_table_id == route_tables.c.id, filters.matches(column, values)
        )
    )


def _association(column: sa.ColumnElement[str]) -> filters.Filter:
    return filters.exists(
        lambda values: sa.select(associations.c.id).where(
            associations.c.route_table_id == route_tables.c.id, filters.matches(column, values)
        )
    )


FILTERS: dict[str, filters.Filter] = {
    "route-table-id": filters.text(route_tables.c.id),
    "vpc-id": filters.text(route_tables.c.vpc_id),
    "owner-id": filters.text(route_tables.c.account),
    "association.route-table-association-id": _association(associations.c.id),
    "association.route-table-id": _association(associations.c.route_table_id),
    "association.subnet-id": _association(associations.c.subnet_id),
    "association.gateway-id": filters.never,
    "association.main": _association(sa.case((associations.c.subnet_id.is_(None), "true"), else_="false")),
    "route.destination-cidr-block": _route(sa.case((sa.or_(_OF_IPV6, _TO_LIST), None), else_=routes.c.destination)),
    "route.destination-ipv6-cidr-block": _route(sa.case((_OF_IPV6, routes.c.destination), else_=None)),
    "route.destination-prefix-list-id": _route(sa.case((_TO_LIST, routes.c.destination), else_=None)),
    "route.egress-only-internet-gateway-id": _route(sa.case((_TO_EGRESS_ONLY, routes.c.gateway_id), else_=None)),
    "route.gateway-id": _route(sa.case((sa.or_(_TO_NAT, _TO_PEER, _TO_EGRESS_ONLY), None), else_=routes.c.gateway_id)),
    "route.instance-id": filters.never,
    "route.nat-gateway-id": _route(sa.case((_TO_NAT, routes.c.gateway_id), else_=None)),
    "route.transit-gateway-id": filters.never,
    "route.vpc-peering-connection-id": _route(sa.case((_TO_PEER, routes.c.gateway_id), else_=None)),
    "route.origin": _route(routes.c.origin),
    "route.state": _route(sa.case((_ACTIVE, "active"), else_="blackhole")),
    **tag_filters(route_tables.c.id),
}


async def insert(tx: Tx, *, account: str, vpc_id: str, vpc_cidr: str, now: float, main: bool = False) -> Row:
    """A table with the local route; `main`: the new VPC's main one."""
    table_id = ids.new("rtb")
    await tx.run(sa.insert(route_tables).values(id=table_id, account=account, vpc_id=vpc_id, created_at=now))
    await insert_route(tx, table_id, vpc_cidr, "local", "CreateRouteTable")
    if main:
        await associate(tx, table_id, vpc_id, None)
    row = await by_id(tx, account, table_id)
    assert row is not None
    return row


async def by_id(tx: Tx, account: str, table_id: str) -> Row | None:
    return await tx.first(
        sa.select(route_tables).where(route_tables.c.account == account, route_tables.c.id == table_id)
    )


async def main_of(tx: Tx, vpc_id: str) -> Row | None:
    """The VPC's main association: `id`, `route_table_id`."""
    return await tx.first(
        sa.select(associations).where(associations.c.vpc_id == vpc_id, associations.c.subnet_id.is_(None))
    )


async def of_vpc(tx: Tx, vpc_id: str) -> list[Row]:
    return list(await tx.all(sa.select(route_tables).where(route_tables.c.vpc_id == vpc_id)))


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(route_tables).where(route_tables.c.account == account, route_tables.c.id > after, *conditions)
    return list(await tx.all(statement.order_by(route_tables.c.id).limit(limit)))


async def routes_of(tx: Tx, table_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The routes of tables: destination, gateway_id, origin, and `active`."""
    found: dict[str, list[Row]] = {}
    rows = await tx.all(
        sa.select(routes, _ACTIVE.label("active"))
        .join(route_tables, route_tables.c.id == routes.c.route_table_id)
        .where(routes.c.route_table_id.in_(table_ids))
        .order_by(routes.c.route_table_id, routes.c.origin.desc(), routes.c.destination)
    )
    for row in rows:
        found.setdefault(row.route_table_id, []).append(row)
    return found


async def associations_of(tx: Tx, table_ids: Sequence[str]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    rows = await tx.all(
        sa.select(associations).where(associations.c.route_table_id.in_(table_ids)).order_by(associations.c.id)
    )
    for row in rows:
        found.setdefault(row.route_table_id, []).append(row)
    return found


async def insert_route(tx: Tx, table_id: str, destination: str, gateway_id: str, origin: str = "CreateRoute") -> None:
    await tx.run(
        sa.insert(routes).values(route_table_id=table_id, destination=destination, gateway_id=gateway_id, origin=origin)
    )


async def route(tx: Tx, table_id: str, destination: str) -> Row | None:
    return await tx.first(
        sa.select(routes).where(routes.c.route_table_id == table_id, routes.c.destination == destination)
    )


async def replace_route(tx: Tx, table_id: str, destination: str, gateway_id: str) -> None:
    await tx.run(
        sa.update(routes)
        .where(routes.c.route_table_id == table_id, routes.c.destination == destination)
        .values(gateway_id=gateway_id)
    )


async def remove_route(tx: Tx, table_id: str, destination: str) -> None:
    await tx.run(sa.delete(routes).where(routes.c.route_table_id == table_id, routes.c.destination == destination))


async def associate(tx: Tx, table_id: str, vpc_id: str, subnet_id: str | None) -> str:
    """The id of a new association; `subnet_id` None makes the table the VPC's main one."""
    association_id = ids.new("rtbassoc")
    await tx.run(
        sa.insert(associations).values(id=association_id, route_table_id=table_id, vpc_id=vpc_id, subnet_id=subnet_id)
    )
    return association_id


async def association(tx: Tx, account: str, association_id: str) -> Row | None:
    """An association of the account's: id, route_table_id, vpc_id, subnet_id."""
    return await tx.first(
        sa.select(associations)
        .join(route_tables, route_tables.c.id == associations.c.route_table_id)
        .where(route_tables.c.account == account, associations.c.id == association_id)
    )


async def association_of_subnet(tx: Tx, subnet_id: str) -> Row | None:
    return await tx.first(sa.select(associations).where(associations.c.subnet_id == subnet_id))


async def disassociate(tx: Tx, association_id: str) -> None:
    await tx.run(sa.delete(associations).where(associations.c.id == association_id))


async def remove(tx: Tx, table_id: str) -> None:
    """The table with its routes and associations."""
    await tx.run(sa.delete(associations).where(associations.c.route_table_id == table_id))
    await tx.run(sa.delete(routes).where(routes.c.route_table_id == table_id))
    await tx.run(sa.delete(route_tables).where(route_tables.c.id == table_id))


async def public_subnets(tx: Tx, vpc_ids: Sequence[str]) -> set[str]:
    """The subnets of these VPCs whose route table sends 0.0.0.0/0 to an internet gateway attached to the VPC."""
    rows = await tx.all(
        _defaults(vpc_ids, EVERYWHERE)
        .join(internet_gateways, internet_gateways.c.id == routes.c.gateway_id)
        .where(internet_gateways.c.vpc_id == subnets.c.vpc_id)
    )
    return {row.id for row in rows}


async def behind_nat(tx: Tx, vpc_ids: Sequence[str]) -> dict[str, str]:
    """The NAT gateway of each subnet of these VPCs whose route table sends 0.0.0.0/0 to one, in whatever state it is."""
    return {row.id: row.gateway_id for row in await tx.all(_defaults(vpc_ids, EVERYWHERE).where(_TO_NAT))}


async def ways6(tx: Tx, vpc_ids: Sequence[str]) -> dict[str, str]:
    """What becomes of IPv6 to outside in each subnet of these VPCs whose route table sends ::/0 somewhere that is there:
    `internet` or `egress-only`."""
    defaults = _defaults(vpc_ids, EVERYWHERE6)
    open_ = defaults.join(internet_gateways, internet_gateways.c.id == routes.c.gateway_id)
    outgoing = defaults.join(egress_only_gateways, egress_only_gateways.c.id == routes.c.gateway_id)
    found = {row.id: "egress-only" for row in await tx.all(outgoing)}
    for row in await tx.all(open_.where(internet_gateways.c.vpc_id == subnets.c.vpc_id)):
        found[row.id] = "internet"
    return found


async def to_peers(tx: Tx, vpc_ids: Sequence[str]) -> list[Way]:
    """What subnets of these VPCs send to peers, in whatever state the connection is, in the order of subnets and blocks."""
    rows = await tx.all(_ways(vpc_ids).where(_TO_PEER).order_by(subnets.c.id, routes.c.destination))
    ways = [Way(row.id, row.gateway_id, row.destination) for row in rows]
    named = {way.destination for way in ways if is_list(way.destination)}
    if not named:
        return ways
    blocks = await prefix_lists.blocks(tx, named)
    held: dict[str, list[tuple[str, str]]] = {}
    for row in await tx.all(_ways(vpc_ids).where(_having_lists())):
        held.setdefault(row.id, []).append((row.destination, row.gateway_id))
    found = [way for way in ways if way.id not in held]
    for subnet_id, leads in held.items():
        found += [Way(subnet_id, to, block) for block, to in spread(leads, blocks) if to.startswith("pcx-")]
    return sorted(found, key=lambda way: (way.id, way.destination))


def is_list(destination: str) -> bool:
    """Whether a route's destination is a prefix list."""
    return destination.startswith("pl-")


def spread(leads: Iterable[tuple[str, str]], lists: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """One table's routes, (destination, target), with those to lists as routes to the blocks of these.

    A route to a block goes before a list's to the same; of two lists with the same block the one of the lower id has it, as
    long as both are there. Entries within a block of the VPC are passed over. Source: "How route priority works", VPC guide,
    which leaves the choice between lists to chance and holds on to it.
    """
    given = sorted(leads)
    found = {destination: target for destination, target in given if not is_list(destination)}
    own = [ipaddress.ip_network(destination) for destination, target in found.items() if target == "local"]
    for destination, target in given:
        for block in lists.get(destination, ()):
            if block not in found and not _within(block, (*own, *_RESERVED)):
                found[block] = target
    return list(found.items())


def _within(block: str, others: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    net = ipaddress.ip_network(block)
    return any(
        net.version == other.version and net.network_address in other and net.prefixlen >= other.prefixlen
        for other in others
    )


async def that_lead_to_list(tx: Tx, list_id: str) -> list[str]:
    """The tables that have a route to this prefix list."""
    rows = await tx.all(
        sa.select(routes.c.route_table_id).where(routes.c.destination == list_id).order_by(routes.c.route_table_id)
    )
    return [row.route_table_id for row in rows]


async def list_sizes(tx: Tx, destinations: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Of the prefix lists among destinations: the family of each, and how many entries it may have."""
    lists = await prefix_lists.by_ids(tx, (destination for destination in destinations if is_list(destination)))
    return {row.id: (row.family, row.max_entries) for row in lists.values()}


def weights(destinations: Iterable[str], sizes: Mapping[str, tuple[str, int]]) -> Mapping[str, int]:
    """What routes count for under a table's limit, by family: one to a prefix list as many as the list may have entries."""
    found: Counter[str] = Counter()
    for destination in destinations:
        family, size = sizes.get(destination) or ("IPv6" if ":" in destination else "IPv4", 1)
        found[family] += size
    return found


def _having_lists() -> sa.ColumnElement[bool]:
    """For `_ways`: of the tables with a route to a prefix list."""
    other = routes.alias("other")
    return routes.c.route_table_id.in_(sa.select(other.c.route_table_id).where(other.c.destination.startswith("pl-")))


def _defaults(vpc_ids: Sequence[str], everywhere: str) -> sa.Select[tuple[str, str, str]]:
    """The subnets of these VPCs, and where the route to `everywhere` of each one's table leads."""
    return _ways(vpc_ids).where(routes.c.destination == everywhere)


def _ways(vpc_ids: Sequence[str]) -> sa.Select[tuple[str, str, str]]:
    """The subnets of these VPCs with the routes of each one's table."""
    own = associations.alias("own")
    main = associations.alias("main")
    return (
        sa.select(subnets.c.id, routes.c.gateway_id, routes.c.destination)
        .join(main, sa.and_(main.c.vpc_id == subnets.c.vpc_id, main.c.subnet_id.is_(None)))
        .outerjoin(own, own.c.subnet_id == subnets.c.id)
        .join(routes, routes.c.route_table_id == sa.func.coalesce(own.c.route_table_id, main.c.route_table_id))
        .where(subnets.c.vpc_id.in_(vpc_ids))
    )
