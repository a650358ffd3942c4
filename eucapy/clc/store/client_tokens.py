"""Client tokens: what a request answered, so that its repetition gets the same answer and does nothing."""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store.base import created_column, metadata
from eucapy.database import Row, Tx

client_tokens = sa.Table(
    "client_tokens",
    metadata,
    sa.Column("account", sa.String(12), primary_key=True),
    sa.Column("action", sa.String(64), primary_key=True),
    sa.Column("token", sa.String(64), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    created_column(),
)


async def find(tx: Tx, account: str, action: str, token: str) -> Row | None:
    return await tx.first(
        sa.select(client_tokens).where(
            client_tokens.c.account == account, client_tokens.c.action == action, client_tokens.c.token == token
        )
    )


async def insert(tx: Tx, account: str, action: str, token: str, digest: str, answer: bytes, now: float) -> None:
    await tx.run(
        sa.insert(client_tokens).values(
            account=account, action=action, token=token, digest=digest, answer=answer, created_at=now
        )
    )


async def forget(tx: Tx, before: float) -> int:
    """Tokens live for a while only; returns how many were dropped."""
    return await tx.run(sa.delete(client_tokens).where(client_tokens.c.created_at < before))
