"""Imports: tasks of ImportSnapshot and ImportImage, from the request to a week after their end.

`disks` lists what is imported, in the order of the request:

    {"format", "bucket", "key", "url", "description", "device"}       what was asked for; `url` is sealed, "" for a bucket's
    {"etag", "size_bytes", "start", "length_bytes"}                    what was found; the part of the object that is the disk
    {"snapshot_id", "given"}                                           what it became, or (`given`) was all along

`role` is the id of the role that reads for it. `begun`: the disks were looked at and their snapshots are being made. For
images, `options` are the columns that the image gets. States: `eucapy/lifecycle/import_task.py`; moved on by
`reconcilers/imports.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store.advance import advance, lifecycle_table
from eucapy.clc.store.base import Json, account_column, created_column, metadata
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx
from eucapy.lifecycle import import_task as life

SNAPSHOT, IMAGE = "import-snap", "import-ami"
"""The kinds of tasks, by the prefix of their ids."""

table = sa.Table(
    "import_tasks",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    created_column(),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("description", sa.String(255), nullable=False, server_default=""),
    sa.Column("role", sa.String(32), nullable=False),
    sa.Column("disks", Json, nullable=False),
    sa.Column("options", Json, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("state_at", sa.Float, nullable=False),
    sa.Column("begun", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("progress", sa.Integer, nullable=False, server_default="0"),
    sa.Column("message", sa.Text, nullable=False, server_default=""),
    sa.Column("image_id", sa.String(32), nullable=False, server_default=""),
)

lifecycle_table(life.IMPORT_TASK, table)

FILTERS: dict[str, filters.Filter] = {"task-state": filters.text(table.c.state), **tag_filters(table.c.id)}


async def insert(
    tx: Tx,
    *,
    account: str,
    kind: str,
    description: str,
    role: str,
    disks: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
    message: str,
    now: float,
    tags: Mapping[str, str],
) -> Row:
    """A new task, `active`. The caller wakes `imports`."""
    task_id = ids.new(kind)
    row = await tx.first(
        sa.insert(table).returning(table),
        {
            "id": task_id,
            "account": account,
            "created_at": now,
            "kind": kind,
            "description": description,
            "role": role,
            "disks": list(disks),
            "options": dict(options),
            "state": life.IMPORT_TASK.start,
            "state_at": now,
            "message": message,
        },
    )
    assert row is not None
    await tag_rows.put(tx, account, ids.KINDS[kind].resource_type, task_id, tags)
    return row


async def by_id(tx: Tx, account: str, task_id: str) -> Row | None:
    return await tx.first(sa.select(table).where(table.c.id == task_id, table.c.account == account))


async def page(
    tx: Tx, account: str, conditions: Iterable[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """The account's by id, from behind `after`."""
    statement = sa.select(table).where(table.c.account == account, table.c.id > after, *conditions).order_by(table.c.id)
    return list(await tx.all(statement if limit is None else statement.limit(limit)))


async def in_motion(tx: Tx) -> list[Row]:
    """Those that are not over, oldest first."""
    statement = sa.select(table).where(table.c.state.in_(life.IN_MOTION)).order_by(table.c.created_at, table.c.id)
    return list(await tx.all(statement))


async def set_values(tx: Tx, task_id: str, **columns: Any) -> None:
    """Write how far it is. State is not among them: `move`."""
    await tx.run(sa.update(table).where(table.c.id == task_id).values(**columns))


async def move(tx: Tx, task: Row, event: str, now: float, **columns: Any) -> bool:
    """Along the edge of `event`; False when somebody else moved it first."""
    return await advance(tx, life.IMPORT_TASK, task, event, state_at=now, **columns) is not None


async def forget(tx: Tx, before: float) -> int:
    """Remove tasks that ended earlier; returns how many."""
    ended = sa.and_(table.c.state.not_in(life.IN_MOTION), table.c.state_at < before)
    rows = await tx.all(sa.select(table.c.id).where(ended))
    for row in rows:
        await tag_rows.remove(tx, row.id)
    return await tx.run(sa.delete(table).where(ended)) if rows else 0
