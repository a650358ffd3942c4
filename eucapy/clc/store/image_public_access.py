"""Accounts that let none of their images become public: a row an account."""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store.base import metadata
from eucapy.database import Tx

table = sa.Table("image_public_access", metadata, sa.Column("account", sa.String(12), primary_key=True))


async def is_blocked(tx: Tx, account: str) -> bool:
    return await tx.first(sa.select(table).where(table.c.account == account)) is not None


async def block(tx: Tx, account: str) -> None:
    """A second time is harmless."""
    await unblock(tx, account)
    await tx.run(sa.insert(table).values(account=account))


async def unblock(tx: Tx, account: str) -> None:
    await tx.run(sa.delete(table).where(table.c.account == account))
