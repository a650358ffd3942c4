"""Accounts, their users and the users' access keys.

A secret key is sealed before it comes here. Each account has a root user: a row among the users whose id is the account's,
which no list of users shows and no name finds. What a user may do: `powers.py`.
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa

from eucapy.clc.store import iam_names
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.database import Row, Tx

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.String(12), primary_key=True),
    sa.Column("name", sa.String(63), nullable=False, unique=True),
    sa.Column("canonical_id", sa.String(64), nullable=False, unique=True),
    created_column(),
)

aliases = sa.Table(
    "account_aliases",
    metadata,
    sa.Column("account", sa.String(12), sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("alias", sa.String(63), nullable=False, unique=True),
)

users = sa.Table(
    "users",
    metadata,
    *iam_names.columns(64),
    sa.UniqueConstraint("account", "name"),
    sa.Column("root", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("boundary", sa.String(2048)),
    sa.Column("password_used_at", sa.Float),
)
"""`boundary` is a policy's ARN. The root user's id is its account's, its name empty."""

access_keys = sa.Table(
    "access_keys",
    metadata,
    sa.Column("id", sa.String(128), primary_key=True),
    account_column(),
    sa.Column("user_id", sa.String(32), sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("last_used_at", sa.Float),
    sa.Column("last_used_service", sa.String(32)),
    sa.Column("last_used_region", sa.String(32)),
    created_column(),
)


async def insert(tx: Tx, name: str, now: float, account_id: str | None = None) -> Row:
    """A new account with its root user; its id is random unless given (twelve digits, the first not zero)."""
    account_id = account_id or f"{secrets.randbelow(9 * 10**11) + 10**11}"
    await tx.run(
        sa.insert(accounts).values(id=account_id, name=name, canonical_id=secrets.token_hex(32), created_at=now)
    )
    await tx.run(
        sa.insert(users).values(id=account_id, account=account_id, name="", folded="", root=True, created_at=now)
    )
    row = await by_id(tx, account_id)
    assert row is not None
    return row


async def by_id(tx: Tx, account_id: str) -> Row | None:
    return await tx.first(sa.select(accounts).where(accounts.c.id == account_id))


async def by_name(tx: Tx, name: str) -> Row | None:
    return await tx.first(sa.select(accounts).where(accounts.c.name == name))


async def every(tx: Tx) -> list[Row]:
    return list(await tx.all(sa.select(accounts).order_by(accounts.c.created_at)))


async def alias_of(tx: Tx, account_id: str) -> str | None:
    row = await tx.first(sa.select(aliases.c.alias).where(aliases.c.account == account_id))
    return str(row.alias) if row is not None else None


async def alias_holder(tx: Tx, alias: str) -> str | None:
    """The account that has the alias."""
    row = await tx.first(sa.select(aliases.c.account).where(aliases.c.alias == alias))
    return str(row.account) if row is not None else None


async def set_alias(tx: Tx, account_id: str, alias: str | None) -> None:
    """The account's only alias, or none. It must be free: check with `alias_holder`."""
    await tx.run(sa.delete(aliases).where(aliases.c.account == account_id))
    if alias is not None:
        await tx.run(sa.insert(aliases).values(account=account_id, alias=alias))


async def insert_user(
    tx: Tx, account_id: str, name: str, now: float, path: str = "/", boundary: str | None = None
) -> Row:
    """A user that may do nothing yet. The name must be free: check with `iam_names.holder`."""
    return await iam_names.insert(tx, users, "AIDA", account_id, name, path, now, boundary=boundary)


async def user(tx: Tx, account_id: str, name: str) -> Row | None:
    """By its exact name; the root user has none."""
    return await iam_names.by_name(tx, users, account_id, name) if name else None


async def user_by_id(tx: Tx, user_id: str) -> Row | None:
    """By `AIDA…`, or an account's id for its root user."""
    return await iam_names.by_id(tx, users, user_id)


async def users_of(tx: Tx, account_id: str | None = None) -> list[Row]:
    """Of an account or of all, root users aside."""
    statement = sa.select(users).where(users.c.root.is_(False)).order_by(users.c.account, users.c.folded)
    if account_id is not None:
        statement = statement.where(users.c.account == account_id)
    return list(await tx.all(statement))


async def insert_key(tx: Tx, account_id: str, user_id: str, key_id: str, sealed_secret: bytes, now: float) -> None:
    await tx.run(
        sa.insert(access_keys).values(
            id=key_id, account=account_id, user_id=user_id, sealed_secret=sealed_secret, active=True, created_at=now
        )
    )


async def key(tx: Tx, key_id: str) -> Row | None:
    """The key with its user and account: id, sealed_secret, active, last_used_…, user_id, user_name, path, root, account,
    account_name, canonical_id."""
    return await tx.first(
        sa.select(
            access_keys.c.id,
            access_keys.c.sealed_secret,
            access_keys.c.active,
            access_keys.c.last_used_at,
            access_keys.c.last_used_service,
            access_keys.c.last_used_region,
            access_keys.c.account,
            access_keys.c.user_id,
            users.c.name.label("user_name"),
            users.c.path,
            users.c.root,
            accounts.c.name.label("account_name"),
            accounts.c.canonical_id,
        )
        .join(users, users.c.id == access_keys.c.user_id)
        .join(accounts, accounts.c.id == access_keys.c.account)
        .where(access_keys.c.id == key_id)
    )


async def keys_of(tx: Tx, user_id: str) -> list[Row]:
    """A user's keys, the oldest first."""
    return list(
        await tx.all(sa.select(access_keys).where(access_keys.c.user_id == user_id).order_by(access_keys.c.created_at))
    )


async def set_active(tx: Tx, key_id: str, active: bool) -> None:
    await tx.run(sa.update(access_keys).where(access_keys.c.id == key_id).values(active=active))


async def note_use(tx: Tx, key_id: str, service: str, region: str, at: float) -> None:
    """That the key was used; an earlier use than the one known changes nothing."""
    known = access_keys.c.last_used_at
    await tx.run(
        sa.update(access_keys)
        .where(access_keys.c.id == key_id, sa.or_(known.is_(None), known < at))
        .values(last_used_at=at, last_used_service=service, last_used_region=region)
    )


async def remove_key(tx: Tx, key_id: str) -> None:
    await tx.run(sa.delete(access_keys).where(access_keys.c.id == key_id))


async def remove_user(tx: Tx, user_id: str) -> None:
    """The user must have no keys left."""
    await tx.run(sa.delete(users).where(users.c.id == user_id))
