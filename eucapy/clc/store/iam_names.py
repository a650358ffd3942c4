"""What users, groups, roles, instance profiles, policies and server certificates share: a name, a path, a unique id.

A name is the account's own whatever its case ("Admin" and "admin" cannot both be), and is found by its exact letters.
Lists are in the order of the names, letters' case aside. Source: "IAM and STS quotas", IAM name requirements.
"""

from __future__ import annotations

import secrets
import string

import sqlalchemy as sa

from eucapy.clc.store.base import account_column, created_column
from eucapy.database import Row, Tx

_ID_ALPHABET = string.ascii_uppercase + "234567"


def principal_id(prefix: str) -> str:
    """An IAM unique id: four letters (`AIDA` user, `AKIA` access key), then 17 of A-Z and 2-7; 16 for access keys."""
    length = 16 if prefix in ("AKIA", "ASIA") else 17
    return prefix + "".join(secrets.choice(_ID_ALPHABET) for _ in range(length))


def columns(longest: int) -> list[sa.schema.SchemaItem]:
    """Of every table of named things: id, account, name, folded, path, created_at."""
    return [
        sa.Column("id", sa.String(32), primary_key=True),
        account_column(),
        sa.Column("name", sa.String(longest), nullable=False),
        sa.Column("folded", sa.String(longest), nullable=False, server_default=""),
        sa.Column("path", sa.String(512), nullable=False, server_default="/"),
        created_column(),
        sa.Index(None, "account", "folded", unique=True),
    ]


async def by_name(tx: Tx, table: sa.Table, account: str, name: str) -> Row | None:
    return await tx.first(sa.select(table).where(table.c.account == account, table.c.name == name))


async def by_id(tx: Tx, table: sa.Table, wanted: str) -> Row | None:
    return await tx.first(sa.select(table).where(table.c.id == wanted))


async def holder(tx: Tx, table: sa.Table, account: str, name: str) -> str | None:
    """The id of what has the name, in whatever case."""
    row = await tx.first(sa.select(table.c.id).where(table.c.account == account, table.c.folded == name.lower()))
    return str(row.id) if row is not None else None


async def page(
    tx: Tx, table: sa.Table, account: str, prefix: str = "", after: str = "", limit: int | None = None
) -> list[Row]:
    """Those whose path begins with `prefix`, in the order of their names, from behind the folded name `after`."""
    statement = sa.select(table).where(table.c.account == account, table.c.folded > after).order_by(table.c.folded)
    if prefix not in ("", "/"):
        statement = statement.where(table.c.path.startswith(prefix, autoescape=True))
    return list(await tx.all(statement.limit(limit)))


async def count(tx: Tx, table: sa.Table, account: str) -> int:
    return int(await tx.scalar(sa.select(sa.func.count()).select_from(table).where(table.c.account == account)))


async def insert(
    tx: Tx, table: sa.Table, prefix: str, account: str, name: str, path: str, now: float, **more: object
) -> Row:
    """A new row with an id of its own; the name must be free (`holder`)."""
    new = principal_id(prefix)
    values = {"id": new, "account": account, "name": name, "folded": name.lower(), "path": path, "created_at": now}
    await tx.run(sa.insert(table).values(**values, **more))
    row = await by_id(tx, table, new)
    assert row is not None
    return row


async def update(tx: Tx, table: sa.Table, wanted: str, **values: object) -> None:
    """Change columns; a new name takes its folded form along."""
    if "name" in values:
        values["folded"] = str(values["name"]).lower()
    if values:
        await tx.run(sa.update(table).where(table.c.id == wanted).values(**values))


async def remove(tx: Tx, table: sa.Table, wanted: str) -> None:
    await tx.run(sa.delete(table).where(table.c.id == wanted))
