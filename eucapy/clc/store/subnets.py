"""Subnets, and how many of their addresses are free. The addresses given out: `private_ips.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters, network_acls
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.private_ips import RESERVED, private_ips
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx

subnets = sa.Table(
    "subnets",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("vpc_id", sa.String(32), sa.ForeignKey("vpcs.id"), nullable=False, index=True),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("cidr", sa.String(18), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("map_public_ip", sa.Boolean, nullable=False),
    sa.Column("hostname_type", sa.String(16), nullable=False, server_default="ip-name"),
    sa.Column("cidr6", sa.String(43), nullable=False, server_default=""),
    sa.Column("cidr6_association", sa.String(48), nullable=False, server_default="", index=True),
    sa.Column("assign_ipv6", sa.Boolean, nullable=False, server_default=sa.false()),
    created_column(),
)
"""`size` is the number of addresses of `cidr`. `is_default`: the zone's default subnet of the default VPC.
`map_public_ip`: an interface that an instance is launched with here gets a public address. `cidr6` is the IPv6 block and
`cidr6_association` the id by which it has it, both "" where it has none; `assign_ipv6`: a new interface gets an address of
it."""

_USED = (
    sa.select(sa.func.count()).select_from(private_ips).where(private_ips.c.subnet_id == subnets.c.id).scalar_subquery()
)
_FREE = (subnets.c.size - RESERVED - _USED).label("free")

FILTERS: dict[str, filters.Filter] = {
    "subnet-id": filters.text(subnets.c.id),
    "subnet-arn": lambda values: filters.matches(subnets.c.id, [value.rpartition(":subnet/")[2] for value in values]),
    "vpc-id": filters.text(subnets.c.vpc_id),
    "availability-zone": filters.text(subnets.c.zone),
    "availabilityZone": filters.text(subnets.c.zone),
    "cidr": filters.text(subnets.c.cidr),
    "cidr-block": filters.text(subnets.c.cidr),
    "cidrBlock": filters.text(subnets.c.cidr),
    "available-ip-address-count": filters.number(_FREE),
    "default-for-az": filters.boolean(subnets.c.is_default),
    "defaultForAz": filters.boolean(subnets.c.is_default),
    "map-public-ip-on-launch": filters.boolean(subnets.c.map_public_ip),
    "map-customer-owned-ip-on-launch": filters.constant("false"),
    "enable-dns64": filters.constant("false"),
    "enable-lni-at-device-index": filters.never,
    "ipv6-native": filters.constant("false"),
    "ipv6-cidr-block-association.ipv6-cidr-block": filters.text(sa.func.nullif(subnets.c.cidr6, "")),
    "ipv6-cidr-block-association.association-id": filters.text(sa.func.nullif(subnets.c.cidr6_association, "")),
    "ipv6-cidr-block-association.state": filters.text(sa.case((subnets.c.cidr6 != "", "associated"), else_=None)),
    "customer-owned-ipv4-pool": filters.never,
    "outpost-arn": filters.never,
    "private-dns-name-options-on-launch.hostname-type": filters.text(subnets.c.hostname_type),
    "private-dns-name-options-on-launch.enable-resource-name-dns-a-record": filters.constant("false"),
    "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": filters.constant("false"),
    "owner-id": filters.text(subnets.c.account),
    "state": filters.constant("available"),
    **tag_filters(subnets.c.id),
}


async def insert(
    tx: Tx,
    *,
    account: str,
    vpc_id: str,
    zone: str,
    cidr: str,
    now: float,
    is_default: bool = False,
    map_public_ip: bool = False,
    cidr6: str = "",
) -> Row:
    """`cidr` and `cidr6` are canonical and checked: inside the VPC, of no other subnet."""
    subnet_id = ids.new("subnet")
    await tx.run(
        sa.insert(subnets).values(
            id=subnet_id,
            account=account,
            vpc_id=vpc_id,
            zone=zone,
            cidr=cidr,
            size=1 << (32 - int(cidr.rpartition("/")[2])),
            is_default=is_default,
            map_public_ip=map_public_ip,
            cidr6=cidr6,
            cidr6_association=ids.new("subnet-cidr-assoc") if cidr6 else "",
            created_at=now,
        )
    )
    await network_acls.associate_default(tx, vpc_id, subnet_id)
    row = await by_id(tx, account, subnet_id)
    assert row is not None
    return row


async def by_id(tx: Tx, account: str, subnet_id: str) -> Row | None:
    return await tx.first(sa.select(subnets).where(subnets.c.account == account, subnets.c.id == subnet_id))


async def by_association(tx: Tx, account: str, association_id: str) -> Row | None:
    """The subnet whose IPv6 block has the association."""
    return await tx.first(
        sa.select(subnets).where(subnets.c.account == account, subnets.c.cidr6_association == association_id)
    )


async def default_for(tx: Tx, account: str, zone: str) -> Row | None:
    """The zone's default subnet of the account's default VPC."""
    return await tx.first(
        sa.select(subnets).where(subnets.c.account == account, subnets.c.zone == zone, subnets.c.is_default.is_(True))
    )


async def of_vpc(tx: Tx, vpc_id: str) -> list[Row]:
    return list(await tx.all(sa.select(subnets).where(subnets.c.vpc_id == vpc_id).order_by(subnets.c.id)))


async def of_vpcs(tx: Tx, vpc_ids: Sequence[str]) -> list[Row]:
    """The subnets of several VPCs, by VPC and id."""
    return list(
        await tx.all(sa.select(subnets).where(subnets.c.vpc_id.in_(vpc_ids)).order_by(subnets.c.vpc_id, subnets.c.id))
    )


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id; with `free`, the number of
    addresses that are left."""
    statement = sa.select(subnets, _FREE).where(subnets.c.account == account, subnets.c.id > after, *conditions)
    return list(await tx.all(statement.order_by(subnets.c.id).limit(limit)))


async def update(tx: Tx, subnet_id: str, **columns: Any) -> None:
    await tx.run(sa.update(subnets).where(subnets.c.id == subnet_id).values(**columns))


async def remove(tx: Tx, subnet_id: str) -> None:
    await network_acls.disassociate(tx, subnet_id)
    await tx.run(sa.delete(subnets).where(subnets.c.id == subnet_id))
