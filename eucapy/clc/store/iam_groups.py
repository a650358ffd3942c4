"""Groups of users, and who is in them."""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store import iam_names
from eucapy.clc.store.accounts import users
from eucapy.clc.store.base import metadata
from eucapy.database import Row, Tx

groups = sa.Table("iam_groups", metadata, *iam_names.columns(128))

members = sa.Table(
    "iam_group_members",
    metadata,
    sa.Column("group_id", sa.String(32), sa.ForeignKey("iam_groups.id"), primary_key=True),
    sa.Column("user_id", sa.String(32), sa.ForeignKey("users.id"), primary_key=True, index=True),
)


def arn(row: Row) -> str:
    return f"arn:aws:iam::{row.account}:group{row.path}{row.name}"


async def by_name(tx: Tx, account: str, name: str) -> Row | None:
    return await iam_names.by_name(tx, groups, account, name)


async def insert(tx: Tx, account: str, name: str, path: str, now: float) -> Row:
    return await iam_names.insert(tx, groups, "AGPA", account, name, path, now)


async def users_in(tx: Tx, group_id: str, after: str = "", limit: int | None = None) -> list[Row]:
    return list(
        await tx.all(
            sa.select(users)
            .join(members, members.c.user_id == users.c.id)
            .where(members.c.group_id == group_id, users.c.folded > after)
            .order_by(users.c.folded)
            .limit(limit)
        )
    )


async def groups_of(tx: Tx, user_id: str, after: str = "", limit: int | None = None) -> list[Row]:
    return list(
        await tx.all(
            sa.select(groups)
            .join(members, members.c.group_id == groups.c.id)
            .where(members.c.user_id == user_id, groups.c.folded > after)
            .order_by(groups.c.folded)
            .limit(limit)
        )
    )


async def is_member(tx: Tx, group_id: str, user_id: str) -> bool:
    row = await tx.first(
        sa.select(members.c.user_id).where(members.c.group_id == group_id, members.c.user_id == user_id)
    )
    return row is not None


async def add(tx: Tx, group_id: str, user_id: str) -> None:
    """Nothing happens when the user is in the group already."""
    if not await is_member(tx, group_id, user_id):
        await tx.run(sa.insert(members).values(group_id=group_id, user_id=user_id))


async def take_out(tx: Tx, group_id: str, user_id: str) -> bool:
    """False: the user was not in the group."""
    return bool(await tx.run(sa.delete(members).where(members.c.group_id == group_id, members.c.user_id == user_id)))
