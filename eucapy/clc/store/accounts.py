"""Accounts, their users and the users' access keys.

A secret key is sealed before it comes here. Until identities get their full depth a user may do all or nothing
(`rights`).
"""

from __future__ import annotations

import secrets
import string

import sqlalchemy as sa

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
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("path", sa.String(512), nullable=False, server_default="/"),
    sa.Column("rights", sa.String(8), nullable=False),
    created_column(),
    sa.UniqueConstraint("account", "name"),
)

access_keys = sa.Table(
    "access_keys",
    metadata,
    sa.Column("id", sa.String(128), primary_key=True),
    account_column(),
    sa.Column("user_id", sa.String(32), sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    created_column(),
)

_ID_ALPHABET = string.ascii_uppercase + "234567"


def principal_id(prefix: str) -> str:
    """An IAM unique id: four letters (`AIDA` user, `AKIA` access key), then 17 of A-Z and 2-7; 16 for access keys."""
    length = 16 if prefix == "AKIA" else 17
    return prefix + "".join(secrets.choice(_ID_ALPHABET) for _ in range(length))


async def insert(tx: Tx, name: str, now: float, account_id: str | None = None) -> Row:
    """A new account; its id is random unless given (twelve digits, the first not zero)."""
    account_id = account_id or f"{secrets.randbelow(9 * 10**11) + 10**11}"
    await tx.run(
        sa.insert(accounts).values(id=account_id, name=name, canonical_id=secrets.token_hex(32), created_at=now)
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


async def insert_user(tx: Tx, account_id: str, name: str, rights: str, now: float, path: str = "/") -> Row:
    """`rights` is `all` or `none`."""
    user_id = principal_id("AIDA")
    await tx.run(
        sa.insert(users).values(id=user_id, account=account_id, name=name, path=path, rights=rights, created_at=now)
    )
    row = await tx.first(sa.select(users).where(users.c.id == user_id))
    assert row is not None
    return row


async def user(tx: Tx, account_id: str, name: str) -> Row | None:
    return await tx.first(sa.select(users).where(users.c.account == account_id, users.c.name == name))


async def user_by_id(tx: Tx, user_id: str) -> Row | None:
    return await tx.first(sa.select(users).where(users.c.id == user_id))


async def users_of(tx: Tx, account_id: str | None = None) -> list[Row]:
    statement = sa.select(users).order_by(users.c.account, users.c.name)
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
    """The key with its user and account: id, sealed_secret, active, user_id, user_name, path, rights, account,
    account_name, canonical_id."""
    return await tx.first(
        sa.select(
            access_keys.c.id,
            access_keys.c.sealed_secret,
            access_keys.c.active,
            access_keys.c.account,
            access_keys.c.user_id,
            users.c.name.label("user_name"),
            users.c.path,
            users.c.rights,
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


async def remove_key(tx: Tx, key_id: str) -> None:
    await tx.run(sa.delete(access_keys).where(access_keys.c.id == key_id))


async def remove_user(tx: Tx, user_id: str) -> None:
    """The user must have no keys left."""
    await tx.run(sa.delete(users).where(users.c.id == user_id))
