"""What a zone's network is compiled from: the interfaces of instances that placement put on nodes, and all that they touch.

For `specs/network.py`. The VPCs are those with a port or a translating node in the zone, and their peers; the interfaces are
all of these VPCs', in whatever zone, since each node must know where its neighbours are. Reading comes in three parts, so that
a caller who keeps what he read of an instance under its revision (`revisions.py`) reads only what changed: `placed`,
`interfaces_of`, `around`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from eucapy.clc.store import (
    flow_logs,
    ipv6_blocks,
    nat_gateways,
    network_acl_entries,
    network_acls,
    prefix_lists,
    route_tables,
    security_group_rules,
    security_groups,
    subnets,
    vpc_cidrs,
    vpc_peerings,
    vpcs,
)
from eucapy.clc.store.base import as_list, listed
from eucapy.clc.store.dhcp_options import dhcp_options
from eucapy.clc.store.instances import table as instances
from eucapy.clc.store.network_interfaces import network_interfaces
from eucapy.clc.store.public_ips import public_ips
from eucapy.clc.store.tags import chunks
from eucapy.database import Row, Tx


class Interface(NamedTuple):
    """An interface of an instance. Its lists are JSON still, since most interfaces were seen before and nobody will look;
    `resource_name`: the instance's id is a name of its address; `public` are the public addresses that stand for private
    ones."""

    id: str
    instance_id: str
    vpc_id: str
    subnet_id: str
    tap: str
    mac: str
    private_ip: str
    secondary_ips: str
    groups: str
    source_dest_check: bool
    ipv6s: str = "[]"
    resource_name: bool = False
    public: tuple[tuple[str, str], ...] = ()


_PORT = (
    network_interfaces.c.id,
    network_interfaces.c.instance_id,
    network_interfaces.c.vpc_id,
    network_interfaces.c.subnet_id,
    network_interfaces.c.tap,
    network_interfaces.c.mac,
    network_interfaces.c.private_ip,
    sa.type_coerce(network_interfaces.c.secondary_ips, sa.Text).label("secondary_ips"),
    sa.type_coerce(network_interfaces.c.groups, sa.Text).label("groups"),
    network_interfaces.c.source_dest_check,
    sa.type_coerce(network_interfaces.c.ipv6s, sa.Text).label("ipv6s"),
    sa.and_(instances.c.name_a_record, network_interfaces.c.device_index == 0).label("resource_name"),
)

_HERE = sa.union(
    sa.select(instances.c.vpc_id).where(
        instances.c.node != "", instances.c.state != "terminated", instances.c.zone == sa.bindparam("in_zone")
    ),
    sa.select(nat_gateways.nat_gateways.c.vpc_id).where(
        nat_gateways.nat_gateways.c.node != "", nat_gateways.nat_gateways.c.zone == sa.bindparam("in_zone")
    ),
)
_PLACED = (
    sa.select(instances.c.id, instances.c.revision, instances.c.node, instances.c.zone)
    .where(instances.c.node != "", instances.c.state != "terminated")
    .where(
        sa.or_(
            instances.c.zone == sa.bindparam("in_zone"),
            instances.c.vpc_id.in_(_HERE),
            instances.c.vpc_id.in_(vpc_peerings.peers_of(_HERE)),
        )
    )
)
_INTERFACES = {
    dialect: sa.select(*_PORT)
    .join_from(network_interfaces, instances, instances.c.id == network_interfaces.c.instance_id)
    .where(network_interfaces.c.instance_id.in_(listed(dialect)))
    .order_by(network_interfaces.c.id)
    for dialect in ("sqlite", "postgresql")
}
_PUBLIC = {
    dialect: sa.select(public_ips.c.interface_id, public_ips.c.private_ip, public_ips.c.ip)
    .join(network_interfaces, network_interfaces.c.id == public_ips.c.interface_id)
    .where(network_interfaces.c.instance_id.in_(listed(dialect)))
    .order_by(public_ips.c.interface_id, public_ips.c.private_ip)
    for dialect in ("sqlite", "postgresql")
}


@dataclass(frozen=True)
class Around:
    """What interfaces lie in: `cidrs` are further blocks by VPC, `cidrs6` those of IPv6, `ways6` what becomes of each subnet's
    IPv6 outside, `options` DHCP options by id, `rules` the groups' rules by
    group, `lists` the blocks of the prefix lists that these name, `public_subnets` those that lead to the internet,
    `guards` the ACL of each subnet, `acl_entries` what ACLs say, `behind_nat` the NAT gateway of each subnet that has
    one, `peerings` the active ones, `to_peers` the routes to any."""

    vpcs: Sequence[Row]
    cidrs: Mapping[str, Sequence[Row]]
    cidrs6: Mapping[str, Sequence[Row]]
    subnets: Sequence[Row]
    options: Mapping[str, Row]
    groups: Sequence[Row]
    rules: Mapping[str, Sequence[Row]]
    lists: Mapping[str, Sequence[str]]
    public_subnets: set[str]
    ways6: Mapping[str, str]
    guards: Mapping[str, str]
    acl_entries: Mapping[str, Sequence[Row]]
    nat_gateways: Sequence[Row]
    behind_nat: Mapping[str, str]
    peerings: Sequence[Row]
    to_peers: Sequence[route_tables.Way]
    flow_logs: Mapping[str, tuple[str, ...]]
    """What flow logs are about, by VPC."""


async def placed(tx: Tx, zone: str) -> Sequence[Any]:
    """The instances on nodes of the zone that have not ended, and those elsewhere in the same VPCs: id, revision, node and
    zone of each."""
    return await tx.all(_PLACED, {"in_zone": zone})


async def interfaces_of(tx: Tx, instance_ids: Sequence[str]) -> dict[str, list[Interface]]:
    """The interfaces of instances, by instance."""
    found: dict[str, list[Interface]] = {}
    for chunk in chunks(instance_ids, 500):
        wanted = {"wanted": as_list(chunk)}
        public: dict[str, list[tuple[str, str]]] = {}
        outside: Sequence[Any] = await tx.all(_PUBLIC[tx.dialect], wanted)
        for interface_id, private_ip, ip in outside:
            public.setdefault(interface_id, []).append((private_ip, ip))
        inside: Sequence[Any] = await tx.all(_INTERFACES[tx.dialect], wanted)
        for row in inside:
            found.setdefault(row[1], []).append(Interface._make((*row, tuple(public.get(row[0], ())))))
    return found


async def around(tx: Tx, vpc_ids: Iterable[str]) -> Around:
    """What these VPCs are made of, rows in the order of their ids."""
    wanted = sorted(vpc_ids)
    found = await vpcs.by_ids(tx, wanted)
    options = await tx.all(sa.select(dhcp_options).where(dhcp_options.c.id.in_([row.dhcp_options_id for row in found])))
    groups = await security_groups.of_vpcs(tx, wanted)
    rules = await security_group_rules.of_groups(tx, [row.id for row in groups])
    named = {rule.referenced_group for held in rules.values() for rule in held if security_group_rules.is_list(rule)}
    guards = await network_acls.guards(tx, wanted)
    return Around(
        vpcs=found,
        cidrs=await vpc_cidrs.of_vpcs(tx, wanted),
        cidrs6=await ipv6_blocks.of_vpcs(tx, wanted),
        subnets=await subnets.of_vpcs(tx, wanted),
        options={row.id: row for row in options},
        groups=groups,
        rules=rules,
        lists=await prefix_lists.blocks(tx, named),
        public_subnets=await route_tables.public_subnets(tx, wanted),
        ways6=await route_tables.ways6(tx, wanted),
        guards=guards,
        nat_gateways=await nat_gateways.translating(tx, wanted),
        behind_nat=await route_tables.behind_nat(tx, wanted),
        peerings=await vpc_peerings.active_of(tx, wanted),
        flow_logs=await flow_logs.logged(tx, wanted),
        to_peers=await route_tables.to_peers(tx, wanted),
        acl_entries=await network_acl_entries.of_acls(tx, sorted(set(guards.values()))),
    )
