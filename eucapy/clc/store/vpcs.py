"""VPCs, and what each is born with: a main route table, the default network ACL and the security group `default`.

`ensure_default` makes the default VPC of an account, as AWS does when an account is opened. `vni` is the VPC's VXLAN
network identifier, unique in the region.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc import host_names
from eucapy.clc.store import (
    dhcp_options,
    filters,
    internet_gateways,
    ipv6_blocks,
    network_acls,
    route_tables,
    security_groups,
    subnets,
    vpc_cidrs,
)
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.free_numbers import pick
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx

vpcs = sa.Table(
    "vpcs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("cidr", sa.String(18), nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("dhcp_options_id", sa.String(32), nullable=False),
    sa.Column("tenancy", sa.String(16), nullable=False, server_default="default"),
    sa.Column("dns_support", sa.Boolean, nullable=False),
    sa.Column("dns_hostnames", sa.Boolean, nullable=False),
    sa.Column("vni", sa.Integer, nullable=False, unique=True),
    created_column(),
)
"""`dhcp_options_id` may be `default`: no DHCP options set."""

VNIS = (4096, (1 << 24) - 2)
DEFAULT_CIDR = "172.31.0.0/16"
NO_OPTIONS = "default"


def cidr_association_id(vpc_id: str) -> str:
    """The id of the association of the VPC's first CIDR: made from the VPC's, since there is exactly one."""
    return f"vpc-cidr-assoc-{vpc_id.removeprefix('vpc-')}"


def vpc_of_association(association_id: str) -> str:
    """The VPC whose first CIDR's association has the id, if there is one."""
    return f"vpc-{association_id.removeprefix('vpc-cidr-assoc-')}"


def _block(first: sa.ColumnElement[str], further: sa.ColumnElement[str]) -> filters.Filter:
    """A filter that any block of the VPC may meet."""
    others = vpc_cidrs.vpc_cidrs.c.vpc_id
    return lambda values: sa.or_(
        filters.matches(first, values),
        vpcs.c.id.in_(sa.select(others).where(filters.matches(further, values))),
    )


def _block6(build: filters.Filter) -> filters.Filter:
    """A filter that any IPv6 block of the VPC may meet."""
    return lambda values: vpcs.c.id.in_(sa.select(ipv6_blocks.ipv6_blocks.c.vpc_id).where(build(values)))


FILTERS: dict[str, filters.Filter] = {
    "vpc-id": filters.text(vpcs.c.id),
    "cidr": filters.text(vpcs.c.cidr),
    "cidr-block": filters.text(vpcs.c.cidr),
    "cidrBlock": filters.text(vpcs.c.cidr),
    "cidr-block-association.cidr-block": _block(vpcs.c.cidr, vpc_cidrs.vpc_cidrs.c.cidr),
    "cidr-block-association.association-id": _block(
        sa.func.replace(vpcs.c.id, "vpc-", "vpc-cidr-assoc-"), vpc_cidrs.vpc_cidrs.c.id
    ),
    "cidr-block-association.state": filters.constant("associated"),
    "dhcp-options-id": filters.text(vpcs.c.dhcp_options_id),
    "dhcpOptionsId": filters.text(vpcs.c.dhcp_options_id),
    "ipv6-cidr-block-association.ipv6-cidr-block": _block6(filters.text(ipv6_blocks.ipv6_blocks.c.cidr)),
    "ipv6-cidr-block-association.ipv6-pool": _block6(filters.constant("Amazon")),
    "ipv6-cidr-block-association.association-id": _block6(filters.text(ipv6_blocks.ipv6_blocks.c.id)),
    "ipv6-cidr-block-association.state": _block6(filters.constant("associated")),
    "is-default": filters.boolean(vpcs.c.is_default),
    "isDefault": filters.boolean(vpcs.c.is_default),
    "owner-id": filters.text(vpcs.c.account),
    "state": filters.constant("available"),
    **tag_filters(vpcs.c.id),
}


async def insert(
    tx: Tx,
    *,
    account: str,
    cidr: str,
    now: float,
    is_default: bool = False,
    dhcp_options_id: str = NO_OPTIONS,
    tenancy: str = "default",
) -> Row:
    """A VPC with its main route table, network ACL and security group. `cidr` is canonical and of an allowed size."""
    vpc_id = ids.new("vpc")
    await tx.run(
        sa.insert(vpcs).values(
            id=vpc_id,
            account=account,
            cidr=cidr,
            is_default=is_default,
            dhcp_options_id=dhcp_options_id,
            tenancy=tenancy,
            dns_support=True,
            dns_hostnames=is_default,
            vni=await _free_vni(tx),
            created_at=now,
        )
    )
    await route_tables.insert(tx, account=account, vpc_id=vpc_id, vpc_cidr=cidr, now=now, main=True)
    await network_acls.insert(tx, account=account, vpc_id=vpc_id, now=now, is_default=True)
    await security_groups.insert_default(tx, account=account, vpc_id=vpc_id, now=now)
    row = await by_id(tx, account, vpc_id)
    assert row is not None
    return row


async def ensure_default(tx: Tx, account: str, region: str, zones: Sequence[str], now: float) -> Row:
    """The account's default VPC, made when it has none: 172.31.0.0/16 with a /20 a zone that gives public addresses,
    and an internet gateway that the main route table leads to."""
    existing = await default_of(tx, account)
    if existing is not None:
        return existing
    options = await ensure_options(tx, account, region, now)
    vpc = await insert(tx, account=account, cidr=DEFAULT_CIDR, now=now, is_default=True, dhcp_options_id=options.id)
    gateway = await internet_gateways.insert(tx, account=account, vpc_id=vpc.id, now=now)
    main = await route_tables.main_of(tx, vpc.id)
    assert main is not None
    await route_tables.insert_route(tx, main.route_table_id, "0.0.0.0/0", gateway.id)
    for zone in zones:
        await ensure_default_subnet(tx, vpc, zone, now)
    return vpc


async def ensure_default_subnet(tx: Tx, vpc: Row, zone: str, now: float) -> Row | None:
    """The zone's default subnet in the default VPC, made when there is none: the first /20 that no subnet touches. None
    when no such block is left."""
    existing = await subnets.default_for(tx, vpc.account, zone)
    if existing is not None:
        return existing
    used = [ipaddress.IPv4Network(row.cidr) for row in await subnets.of_vpc(tx, vpc.id)]
    for block in ipaddress.IPv4Network(vpc.cidr).subnets(new_prefix=20):
        if not any(block.overlaps(other) for other in used):
            return await subnets.insert(
                tx,
                account=vpc.account,
                vpc_id=vpc.id,
                zone=zone,
                cidr=str(block),
                now=now,
                is_default=True,
                map_public_ip=True,
            )
    return None


async def ensure_options(tx: Tx, account: str, region: str, now: float) -> Row:
    """The DHCP options that AWS gives every account: its own resolver, and the region's domain."""
    existing = await dhcp_options.default_of(tx, account)
    if existing is not None:
        return existing
    values = {"domain-name": [host_names.domain(region)], "domain-name-servers": ["AmazonProvidedDNS"]}
    return await dhcp_options.insert(tx, account=account, configurations=values, now=now, is_default=True)


async def _free_vni(tx: Tx) -> int:
    async def taken(number: int) -> bool:
        return await tx.first(sa.select(vpcs.c.id).where(vpcs.c.vni == number)) is not None

    async def taken_between(first: int, last: int) -> Iterable[int]:
        return [row.vni for row in await tx.all(sa.select(vpcs.c.vni).where(vpcs.c.vni.between(first, last)))]

    number = await pick([VNIS], taken, taken_between)
    if number is None:
        raise RuntimeError("every VXLAN network identifier is taken")
    return number


async def by_id(tx: Tx, account: str, vpc_id: str) -> Row | None:
    return await tx.first(sa.select(vpcs).where(vpcs.c.account == account, vpcs.c.id == vpc_id))


async def by_ids(tx: Tx, vpc_ids: Sequence[str]) -> list[Row]:
    """VPCs of any account, by id; for the loops."""
    return list(await tx.all(sa.select(vpcs).where(vpcs.c.id.in_(vpc_ids)).order_by(vpcs.c.id)))


async def default_of(tx: Tx, account: str) -> Row | None:
    return await tx.first(sa.select(vpcs).where(vpcs.c.account == account, vpcs.c.is_default.is_(True)))


async def count(tx: Tx, account: str) -> int:
    return int(await tx.scalar(sa.select(sa.func.count()).select_from(vpcs).where(vpcs.c.account == account)))


async def uses_options(tx: Tx, options_id: str) -> bool:
    return await tx.first(sa.select(vpcs.c.id).where(vpcs.c.dhcp_options_id == options_id).limit(1)) is not None


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(vpcs).where(vpcs.c.account == account, vpcs.c.id > after, *conditions)
    return list(await tx.all(statement.order_by(vpcs.c.id).limit(limit)))


async def update(tx: Tx, vpc_id: str, **columns: Any) -> None:
    await tx.run(sa.update(vpcs).where(vpcs.c.id == vpc_id).values(**columns))


async def remove(tx: Tx, vpc_id: str) -> None:
    """The VPC and what it was born with; nothing else may be in it any more."""
    for table in await route_tables.of_vpc(tx, vpc_id):
        await route_tables.remove(tx, table.id)
    for acl in await network_acls.of_vpc(tx, vpc_id):
        await network_acls.remove(tx, acl.id)
    for group in await security_groups.of_vpcs(tx, [vpc_id]):
        await security_groups.remove(tx, group.id)
    await vpc_cidrs.remove_of(tx, vpc_id)
    await ipv6_blocks.remove_of(tx, vpc_id)
    await tx.run(sa.delete(vpcs).where(vpcs.c.id == vpc_id))
