"""What an account wants its instances' metadata service to be where a launch does not say: a row an account, NULL for no
preference."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from eucapy.clc.store.base import metadata
from eucapy.database import Row, Tx

table = sa.Table(
    "metadata_defaults",
    metadata,
    sa.Column("account", sa.String(12), primary_key=True),
    sa.Column("tokens", sa.String(16)),
    sa.Column("hops", sa.Integer),
    sa.Column("enabled", sa.Boolean),
    sa.Column("tags", sa.Boolean),
)

_OF = sa.select(table).where(table.c.account == sa.bindparam("account"))


async def of(tx: Tx, account: str) -> Row | None:
    return await tx.first(_OF, {"account": account})


async def put(tx: Tx, account: str, **columns: Any) -> None:
    """All four, in the place of what was there."""
    await tx.run(sa.delete(table).where(table.c.account == account))
    await tx.run(sa.insert(table).values(account=account, **columns))
