"""What a user has beside access keys: SSH public keys (`APKA…`) and passwords for single services (`ACCA…`)."""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.database import Row, Tx

ssh_keys = sa.Table(
    "ssh_public_keys",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("user_id", sa.String(32), sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    created_column(),
)

service_credentials = sa.Table(
    "service_credentials",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("user_id", sa.String(32), sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("service", sa.String(128), nullable=False),
    sa.Column("service_user", sa.String(200), nullable=False, unique=True),
    sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("expires_at", sa.Float),
    created_column(),
)


async def of(tx: Tx, table: sa.Table, user_id: str) -> list[Row]:
    """A user's, of either table, the oldest first."""
    return list(await tx.all(sa.select(table).where(table.c.user_id == user_id).order_by(table.c.created_at)))


async def by_id(tx: Tx, table: sa.Table, user_id: str, wanted: str) -> Row | None:
    return await tx.first(sa.select(table).where(table.c.user_id == user_id, table.c.id == wanted))


async def insert(tx: Tx, table: sa.Table, **values: object) -> None:
    await tx.run(sa.insert(table).values(**values))


async def update(tx: Tx, table: sa.Table, wanted: str, **values: object) -> None:
    await tx.run(sa.update(table).where(table.c.id == wanted).values(**values))


async def remove(tx: Tx, table: sa.Table, wanted: str) -> None:
    await tx.run(sa.delete(table).where(table.c.id == wanted))
