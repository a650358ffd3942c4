"""Inline policies: a user's, a group's or a role's own, by name. A principal is its unique id."""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store.base import metadata
from eucapy.database import Row, Tx

inline_policies = sa.Table(
    "inline_policies",
    metadata,
    sa.Column("principal_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)


async def put(tx: Tx, principal_id: str, name: str, document: str) -> None:
    """Adds it, or takes the place of the one of that name."""
    values = {"document": document}
    mine = inline_policies.c.principal_id == principal_id, inline_policies.c.name == name
    if not await tx.run(sa.update(inline_policies).where(*mine).values(values)):
        await tx.run(sa.insert(inline_policies).values(principal_id=principal_id, name=name, **values))


async def of(tx: Tx, principal_id: str) -> list[Row]:
    """In the order of their names."""
    statement = sa.select(inline_policies).where(inline_policies.c.principal_id == principal_id)
    return sorted(await tx.all(statement), key=lambda row: str(row.name))


async def remove(tx: Tx, principal_id: str, name: str) -> bool:
    """False: there was none."""
    statement = sa.delete(inline_policies).where(
        inline_policies.c.principal_id == principal_id, inline_policies.c.name == name
    )
    return bool(await tx.run(statement))
