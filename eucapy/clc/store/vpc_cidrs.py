"""Further IPv4 blocks of VPCs, beside the first one, which is the VPC's own column: one row an association."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store.base import created_column, metadata
from eucapy.database import Row, Tx

vpc_cidrs = sa.Table(
    "vpc_cidrs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("vpc_id", sa.String(32), sa.ForeignKey("vpcs.id"), nullable=False, index=True),
    sa.Column("cidr", sa.String(18), nullable=False),
    created_column(),
    sa.UniqueConstraint("vpc_id", "cidr"),
)


async def insert(tx: Tx, vpc_id: str, cidr: str, now: float) -> Row:
    """`cidr` is canonical, of an allowed size, and touches no other block of the VPC."""
    association_id = ids.new("vpc-cidr-assoc")
    await tx.run(sa.insert(vpc_cidrs).values(id=association_id, vpc_id=vpc_id, cidr=cidr, created_at=now))
    row = await tx.first(sa.select(vpc_cidrs).where(vpc_cidrs.c.id == association_id))
    assert row is not None
    return row


async def by_id(tx: Tx, association_id: str) -> Row | None:
    """An association of whichever account's VPC."""
    return await tx.first(sa.select(vpc_cidrs).where(vpc_cidrs.c.id == association_id))


async def of_vpcs(tx: Tx, vpc_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The further blocks of VPCs, by VPC, in the order of their making."""
    found: dict[str, list[Row]] = {}
    rows = await tx.all(
        sa.select(vpc_cidrs).where(vpc_cidrs.c.vpc_id.in_(vpc_ids)).order_by(vpc_cidrs.c.created_at, vpc_cidrs.c.id)
    )
    for row in rows:
        found.setdefault(row.vpc_id, []).append(row)
    return found


async def blocks_of(tx: Tx, vpc: Row) -> list[str]:
    """All blocks of the VPC, its first one first."""
    return [vpc.cidr, *(row.cidr for row in (await of_vpcs(tx, [vpc.id])).get(vpc.id, []))]


async def remove(tx: Tx, association_id: str) -> None:
    await tx.run(sa.delete(vpc_cidrs).where(vpc_cidrs.c.id == association_id))


async def remove_of(tx: Tx, vpc_id: str) -> None:
    await tx.run(sa.delete(vpc_cidrs).where(vpc_cidrs.c.vpc_id == vpc_id))
