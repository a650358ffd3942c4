"""Console passwords (login profiles), the account's rules for them, and the hashes that may not come again.

Hashes are `clc/iam/passwords.py`'s; this knows no password.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from eucapy.clc.store.base import Json, created_column, metadata
from eucapy.database import Row, Tx

login_profiles = sa.Table(
    "login_profiles",
    metadata,
    sa.Column("user_id", sa.String(32), sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("hashed", sa.String(256), nullable=False),
    sa.Column("must_change", sa.Boolean, nullable=False),
    sa.Column("changed_at", sa.Float, nullable=False),
    created_column(),
)

former_passwords = sa.Table(
    "former_passwords",
    metadata,
    sa.Column("user_id", sa.String(32), sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("hashed", sa.String(256), nullable=False),
)

password_policies = sa.Table(
    "password_policies",
    metadata,
    sa.Column("account", sa.String(12), sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("rules", Json, nullable=False),
)

REMEMBERED = 24
"""AWS remembers at most so many former passwords."""


async def profile(tx: Tx, user_id: str) -> Row | None:
    return await tx.first(sa.select(login_profiles).where(login_profiles.c.user_id == user_id))


async def insert(tx: Tx, user_id: str, hashed: str, must_change: bool, now: float) -> None:
    values = {"hashed": hashed, "must_change": must_change, "changed_at": now, "created_at": now}
    await tx.run(sa.insert(login_profiles).values(user_id=user_id, **values))
    await _remember(tx, user_id, hashed)


async def set_password(tx: Tx, user_id: str, hashed: str, must_change: bool, now: float) -> None:
    await tx.run(
        sa.update(login_profiles)
        .where(login_profiles.c.user_id == user_id)
        .values(hashed=hashed, must_change=must_change, changed_at=now)
    )
    await _remember(tx, user_id, hashed)


async def set_must_change(tx: Tx, user_id: str, must_change: bool) -> None:
    await tx.run(sa.update(login_profiles).where(login_profiles.c.user_id == user_id).values(must_change=must_change))


async def remove(tx: Tx, user_id: str) -> None:
    """The password and the memory of the former ones."""
    await tx.run(sa.delete(login_profiles).where(login_profiles.c.user_id == user_id))
    await tx.run(sa.delete(former_passwords).where(former_passwords.c.user_id == user_id))


async def former(tx: Tx, user_id: str, most: int) -> list[str]:
    """The hashes of the last `most` passwords, the present one among them."""
    statement = (
        sa.select(former_passwords.c.hashed)
        .where(former_passwords.c.user_id == user_id)
        .order_by(former_passwords.c.number.desc())
        .limit(most)
    )
    return [str(row.hashed) for row in await tx.all(statement)]


async def _remember(tx: Tx, user_id: str, hashed: str) -> None:
    mine = former_passwords.c.user_id == user_id
    last = await tx.scalar(sa.select(sa.func.max(former_passwords.c.number)).where(mine))
    number = int(last or 0) + 1
    await tx.run(sa.insert(former_passwords).values(user_id=user_id, number=number, hashed=hashed))
    await tx.run(sa.delete(former_passwords).where(mine, former_passwords.c.number <= number - REMEMBERED))


async def rules(tx: Tx, account: str) -> dict[str, Any] | None:
    """The account's password policy under IAM's member names, None when it has none."""
    row = await tx.first(sa.select(password_policies.c.rules).where(password_policies.c.account == account))
    return dict(row.rules) if row is not None else None


async def set_rules(tx: Tx, account: str, wanted: dict[str, Any] | None) -> None:
    await tx.run(sa.delete(password_policies).where(password_policies.c.account == account))
    if wanted is not None:
        await tx.run(sa.insert(password_policies).values(account=account, rules=wanted))
