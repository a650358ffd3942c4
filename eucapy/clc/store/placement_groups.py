"""Placement groups: names of an account that say how their instances lie on the hosts. What they mean: `clc/placement.py`.

An instance keeps id, name and strategy of its group in its own row, so that placement needs no second look.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx

table = sa.Table(
    "placement_groups",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("strategy", sa.String(16), nullable=False),
    sa.Column("partitions", sa.Integer, nullable=False, server_default="0"),
    created_column(),
    sa.UniqueConstraint("account", "name"),
)
"""`partitions` is 0 but in a partition group."""

_LEVEL = sa.case((table.c.strategy == "spread", "rack"), else_=None)

FILTERS: dict[str, filters.Filter] = {
    "group-name": filters.text(table.c.name),
    "group-arn": lambda values: filters.matches(
        table.c.name, [value.rpartition(":placement-group/")[2] for value in values]
    ),
    "spread-level": filters.text(_LEVEL),
    "state": filters.constant("available"),
    "strategy": filters.text(table.c.strategy),
    **tag_filters(table.c.id),
}


async def insert(tx: Tx, *, account: str, name: str, strategy: str, partitions: int, now: float) -> Row:
    """The name must be free: check with `by_name`."""
    group_id = ids.new("pg")
    await tx.run(
        sa.insert(table).values(
            id=group_id, account=account, name=name, strategy=strategy, partitions=partitions, created_at=now
        )
    )
    row = await by_id(tx, account, group_id)
    assert row is not None
    return row


async def by_id(tx: Tx, account: str, group_id: str) -> Row | None:
    return await tx.first(sa.select(table).where(table.c.account == account, table.c.id == group_id))


async def by_name(tx: Tx, account: str, name: str) -> Row | None:
    return await tx.first(sa.select(table).where(table.c.account == account, table.c.name == name))


async def count(tx: Tx, account: str) -> int:
    return int(await tx.scalar(sa.select(sa.func.count()).select_from(table).where(table.c.account == account)))


async def find(tx: Tx, account: str, conditions: Sequence[filters.Condition]) -> list[Row]:
    """Those of the account that meet all conditions, by name."""
    return list(await tx.all(sa.select(table).where(table.c.account == account, *conditions).order_by(table.c.name)))


async def remove(tx: Tx, group_id: str) -> None:
    await tx.run(sa.delete(table).where(table.c.id == group_id))
