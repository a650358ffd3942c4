"""Virtual MFA devices, named by their serial number (an ARN). The seed is sealed before it comes here.

A device has a user once it is enabled. `last_step` is the time step of the newest code that it was used with: no code
counts twice.
"""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.database import Row, Tx

mfa_devices = sa.Table(
    "mfa_devices",
    metadata,
    sa.Column("serial", sa.String(512), primary_key=True),
    account_column(),
    sa.Column("sealed_seed", sa.LargeBinary, nullable=False),
    sa.Column("user_id", sa.String(32), sa.ForeignKey("users.id"), index=True),
    sa.Column("enabled_at", sa.Float),
    sa.Column("last_step", sa.Integer, nullable=False, server_default="0"),
    sa.Column("offset_steps", sa.Integer, nullable=False, server_default="0"),
    created_column(),
)


async def by_serial(tx: Tx, serial: str) -> Row | None:
    return await tx.first(sa.select(mfa_devices).where(mfa_devices.c.serial == serial))


async def of_account(tx: Tx, account: str) -> list[Row]:
    statement = sa.select(mfa_devices).where(mfa_devices.c.account == account).order_by(mfa_devices.c.serial)
    return list(await tx.all(statement))


async def of_user(tx: Tx, user_id: str) -> list[Row]:
    statement = sa.select(mfa_devices).where(mfa_devices.c.user_id == user_id).order_by(mfa_devices.c.serial)
    return list(await tx.all(statement))


async def insert(tx: Tx, account: str, serial: str, sealed_seed: bytes, now: float) -> None:
    values = {"serial": serial, "account": account, "sealed_seed": sealed_seed, "created_at": now}
    await tx.run(sa.insert(mfa_devices).values(values))


async def update(tx: Tx, serial: str, **values: object) -> None:
    await tx.run(sa.update(mfa_devices).where(mfa_devices.c.serial == serial).values(**values))


async def use_step(tx: Tx, serial: str, step: int) -> bool:
    """Takes the time step's code as used; False: it, or a later one, was used before."""
    statement = sa.update(mfa_devices).where(mfa_devices.c.serial == serial, mfa_devices.c.last_step < step)
    return bool(await tx.run(statement.values(last_step=step)))


async def remove(tx: Tx, serial: str) -> None:
    await tx.run(sa.delete(mfa_devices).where(mfa_devices.c.serial == serial))
