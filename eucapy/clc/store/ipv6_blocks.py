"""IPv6 blocks of VPCs, cut from the region's pool: one row an association, each block of one VPC alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store.base import created_column, metadata
from eucapy.clc.store.free_numbers import pick
from eucapy.database import Row, Tx

LENGTH = 56
"""Of every block that a VPC gets, as Amazon's are."""

ipv6_blocks = sa.Table(
    "ipv6_blocks",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("vpc_id", sa.String(32), sa.ForeignKey("vpcs.id"), nullable=False, index=True),
    sa.Column("cidr", sa.String(43), nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False, unique=True),
    created_column(),
)
"""`number` is what the block's addresses begin with: their first 56 bits, as a number."""


def pool(text: str) -> str:
    """The pool as the operator writes it, canonical. Raises ValueError where it is no block, or has no room for one VPC."""
    network = ipaddress.IPv6Network(text)
    if network.prefixlen > LENGTH or network.is_link_local or network.is_multicast or network.is_loopback:
        raise ValueError(f"ipv6_pool is {text!r}: it must be a block of unicast addresses of /{LENGTH} or more")
    return str(network)


async def insert(tx: Tx, vpc_id: str, pool: str, now: float) -> Row | None:
    """A block of the pool that no VPC has; None when all are taken."""
    network = ipaddress.IPv6Network(pool)
    first = int(network.network_address) >> 128 - LENGTH
    number = await pick([(first, first + (1 << LENGTH - network.prefixlen) - 1)], *_taken(tx))
    if number is None:
        return None
    association_id = ids.new("vpc-cidr-assoc")
    cidr = str(ipaddress.IPv6Network((number << 128 - LENGTH, LENGTH)))
    await tx.run(
        sa.insert(ipv6_blocks).values(id=association_id, vpc_id=vpc_id, cidr=cidr, number=number, created_at=now)
    )
    return await by_id(tx, association_id)


def _taken(tx: Tx) -> tuple[Any, Any]:
    async def taken(number: int) -> bool:
        return await tx.first(sa.select(ipv6_blocks.c.id).where(ipv6_blocks.c.number == number)) is not None

    async def taken_between(first: int, last: int) -> Iterable[int]:
        found = sa.select(ipv6_blocks.c.number).where(ipv6_blocks.c.number.between(first, last))
        return [row.number for row in await tx.all(found)]

    return taken, taken_between


async def by_id(tx: Tx, association_id: str) -> Row | None:
    """An association of whichever account's VPC."""
    return await tx.first(sa.select(ipv6_blocks).where(ipv6_blocks.c.id == association_id))


async def of_vpcs(tx: Tx, vpc_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The blocks of VPCs, by VPC, in the order of their making."""
    found: dict[str, list[Row]] = {}
    rows = await tx.all(
        sa.select(ipv6_blocks)
        .where(ipv6_blocks.c.vpc_id.in_(vpc_ids))
        .order_by(ipv6_blocks.c.created_at, ipv6_blocks.c.id)
    )
    for row in rows:
        found.setdefault(row.vpc_id, []).append(row)
    return found


async def of_vpc(tx: Tx, vpc_id: str) -> list[Row]:
    return (await of_vpcs(tx, [vpc_id])).get(vpc_id, [])


async def remove(tx: Tx, association_id: str) -> None:
    await tx.run(sa.delete(ipv6_blocks).where(ipv6_blocks.c.id == association_id))


async def remove_of(tx: Tx, vpc_id: str) -> None:
    await tx.run(sa.delete(ipv6_blocks).where(ipv6_blocks.c.vpc_id == vpc_id))
