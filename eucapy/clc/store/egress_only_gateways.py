"""Egress-only internet gateways: each of one VPC from its making to its end."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx

egress_only_gateways = sa.Table(
    "egress_only_gateways",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("vpc_id", sa.String(32), sa.ForeignKey("vpcs.id"), nullable=False, index=True),
    created_column(),
)

FILTERS: dict[str, filters.Filter] = {**tag_filters(egress_only_gateways.c.id)}


async def insert(tx: Tx, *, account: str, vpc_id: str, now: float) -> Row:
    gateway_id = ids.new("eigw")
    await tx.run(sa.insert(egress_only_gateways).values(id=gateway_id, account=account, vpc_id=vpc_id, created_at=now))
    row = await by_id(tx, account, gateway_id)
    assert row is not None
    return row


async def by_id(tx: Tx, account: str, gateway_id: str) -> Row | None:
    return await tx.first(
        sa.select(egress_only_gateways).where(
            egress_only_gateways.c.account == account, egress_only_gateways.c.id == gateway_id
        )
    )


async def of_vpc(tx: Tx, vpc_id: str) -> list[Row]:
    return list(await tx.all(sa.select(egress_only_gateways).where(egress_only_gateways.c.vpc_id == vpc_id)))


async def count(tx: Tx, account: str) -> int:
    held = sa.select(sa.func.count()).select_from(egress_only_gateways).where(egress_only_gateways.c.account == account)
    return int(await tx.scalar(held))


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(egress_only_gateways).where(
        egress_only_gateways.c.account == account, egress_only_gateways.c.id > after, *conditions
    )
    return list(await tx.all(statement.order_by(egress_only_gateways.c.id).limit(limit)))


async def remove(tx: Tx, gateway_id: str) -> None:
    await tx.run(sa.delete(egress_only_gateways).where(egress_only_gateways.c.id == gateway_id))
