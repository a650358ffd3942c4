"""Key pairs: the public half, and what identifies it. The private half never comes here."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx

key_pairs = sa.Table(
    "key_pairs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("key_type", sa.String(16), nullable=False),
    sa.Column("fingerprint", sa.String(128), nullable=False),
    sa.Column("public_key", sa.Text, nullable=False),
    created_column(),
    sa.UniqueConstraint("account", "name"),
)

FILTERS: dict[str, filters.Filter] = {
    "key-pair-id": filters.text(key_pairs.c.id),
    "key-name": filters.text(key_pairs.c.name),
    "fingerprint": filters.text(key_pairs.c.fingerprint),
    **tag_filters(key_pairs.c.id),
}


async def insert(
    tx: Tx, *, account: str, name: str, key_type: str, fingerprint: str, public_key: str, now: float
) -> Row:
    """`key_type` is `rsa` or `ed25519`; `public_key` one OpenSSH line. The name must be free: check with `by_name`."""
    key_id = ids.new("key")
    await tx.run(
        sa.insert(key_pairs).values(
            id=key_id,
            account=account,
            name=name,
            key_type=key_type,
            fingerprint=fingerprint,
            public_key=public_key,
            created_at=now,
        )
    )
    row = await tx.first(sa.select(key_pairs).where(key_pairs.c.id == key_id))
    assert row is not None
    return row


async def by_name(tx: Tx, account: str, name: str) -> Row | None:
    return await tx.first(sa.select(key_pairs).where(key_pairs.c.account == account, key_pairs.c.name == name))


async def by_id(tx: Tx, account: str, key_id: str) -> Row | None:
    return await tx.first(sa.select(key_pairs).where(key_pairs.c.account == account, key_pairs.c.id == key_id))


async def find(tx: Tx, account: str, conditions: Sequence[filters.Condition]) -> list[Row]:
    """Those of the account that meet all conditions, by name."""
    return list(
        await tx.all(sa.select(key_pairs).where(key_pairs.c.account == account, *conditions).order_by(key_pairs.c.name))
    )


async def remove(tx: Tx, key_id: str) -> None:
    await tx.run(sa.delete(key_pairs).where(key_pairs.c.id == key_id))
