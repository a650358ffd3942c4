"""The beginning and the end of an account: what it begins with, whether anything holds it, and all its rows gone."""

from __future__ import annotations

import re
from collections.abc import Sequence

import sqlalchemy as sa

from eucapy.clc.store import (
    accounts,
    iam_groups,
    iam_policies,
    images,
    instances,
    network_interfaces,
    public_ips,
    roles,
    snapshots,
    volumes,
    vpcs,
)
from eucapy.clc.store.base import metadata
from eucapy.database import Row, Tx
from eucapy.lifecycle import image as image_life
from eucapy.lifecycle import instance as life
from eucapy.lifecycle import snapshot as snapshot_life
from eucapy.lifecycle import volume as volume_life

ADMIN, CLOUD = "admin", "eucalyptus"
"""The user that every account begins with, and the cloud's own account."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

_HOLDING = (
    ("instances", instances.table, instances.table.c.state != life.TERMINATED),
    ("volumes", volumes.table, volumes.table.c.state != volume_life.DELETED),
    ("snapshots", snapshots.table, snapshots.table.c.state != snapshot_life.DELETED),
    ("images", images.table, images.table.c.state != image_life.DEREGISTERED),
    ("addresses", public_ips.public_ips, sa.true()),
    ("network interfaces", network_interfaces.network_interfaces, sa.true()),
    ("VPCs", vpcs.vpcs, vpcs.vpcs.c.is_default.is_(False)),
)
_OF_PEOPLE = (
    ("users", accounts.users, sa.and_(accounts.users.c.root.is_(False), accounts.users.c.name != ADMIN)),
    ("groups", iam_groups.groups, sa.true()),
    ("roles", roles.roles, sa.true()),
    ("policies", iam_policies.policies, sa.true()),
)


def is_name(name: str) -> bool:
    """Lower-case letters, digits and hyphens, 63 at most."""
    return _NAME.fullmatch(name) is not None


async def create(
    tx: Tx, name: str, region: str, zones: Sequence[str], now: float, account_id: str | None = None
) -> Row:
    """An account with its root user, its default VPC, and its user `admin`, who may do everything. The name must be free."""
    account = await accounts.insert(tx, name, now, account_id)
    await vpcs.ensure_default(tx, account.id, region, zones, now)
    user = await accounts.insert_user(tx, account.id, ADMIN, now)
    await iam_policies.attach(tx, account.id, user.id, iam_policies.ADMINISTRATOR_ACCESS)
    return account


async def what_holds(tx: Tx, account: str, *, recursive: bool) -> str:
    """What the account still has that keeps it from being deleted; "" for nothing. `recursive`: its people do not."""
    for what, table, held in _HOLDING if recursive else (*_HOLDING, *_OF_PEOPLE):
        if await tx.first(sa.select(sa.literal(1)).select_from(table).where(table.c.account == account, held)):
            return what
    return ""


async def remove(tx: Tx, account: str) -> None:
    """Every row of the account's, and every row that belongs to one of these; nothing may hold it (`what_holds`)."""
    people = sa.union(
        *(sa.select(table.c.id).where(table.c.account == account) for _, table, _ in _OF_PEOPLE[:3])
    ).subquery()
    inline = metadata.tables["inline_policies"]
    await tx.run(sa.delete(inline).where(inline.c.principal_id.in_(sa.select(people.c.id))))
    for table in reversed(metadata.sorted_tables):
        mine = _mine(table, account)
        if mine is not None:
            await tx.run(sa.delete(table).where(mine))


def _mine(table: sa.Table, account: str) -> sa.ColumnElement[bool] | None:
    """Which rows are the account's: by their column `account`, else by that of what they refer to."""
    if table is accounts.accounts:
        return table.c.id == account
    if "account" in table.c:
        return table.c.account == account
    belongs = [
        key.parent.in_(sa.select(key.column).where(key.column.table.c.account == account))
        for key in table.foreign_keys
        if "account" in key.column.table.c
    ]
    return sa.or_(*belongs) if belongs else None
