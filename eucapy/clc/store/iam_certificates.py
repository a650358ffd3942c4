"""Server certificates (for balancers) and users' signing certificates. Private keys are sealed before they come here."""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store import iam_names
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.database import Row, Tx

server_certificates = sa.Table(
    "server_certificates",
    metadata,
    *iam_names.columns(128),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("chain", sa.Text),
    sa.Column("sealed_key", sa.LargeBinary, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)

signing_certificates = sa.Table(
    "signing_certificates",
    metadata,
    sa.Column("id", sa.String(128), primary_key=True),
    account_column(),
    sa.Column("user_id", sa.String(32), sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    created_column(),
)


def arn(row: Row) -> str:
    """Of a server certificate."""
    return f"arn:aws:iam::{row.account}:server-certificate{row.path}{row.name}"


async def by_arn(tx: Tx, certificate_arn: str) -> Row | None:
    """The server certificate with exactly this ARN."""
    head, _, resource = certificate_arn.partition(":server-certificate/")
    account, name = head.rpartition(":")[2], resource.rpartition("/")[2]
    found = await iam_names.by_name(tx, server_certificates, account, name)
    return found if found is not None and arn(found) == certificate_arn else None


async def signing_of(tx: Tx, user_id: str) -> list[Row]:
    """A user's signing certificates, the oldest first."""
    table = signing_certificates
    return list(await tx.all(sa.select(table).where(table.c.user_id == user_id).order_by(table.c.created_at)))


async def insert_signing(tx: Tx, account: str, user_id: str, new_id: str, body: str, now: float) -> None:
    values = {"id": new_id, "account": account, "user_id": user_id, "body": body, "active": True, "created_at": now}
    await tx.run(sa.insert(signing_certificates).values(values))


async def set_signing_active(tx: Tx, wanted: str, active: bool) -> None:
    table = signing_certificates
    await tx.run(sa.update(table).where(table.c.id == wanted).values(active=active))


async def remove_signing(tx: Tx, wanted: str) -> None:
    await tx.run(sa.delete(signing_certificates).where(signing_certificates.c.id == wanted))
