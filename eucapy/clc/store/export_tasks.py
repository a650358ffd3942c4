"""Exports: tasks that put disks into a bucket, from the request to a week after their end.

`disks` lists the objects that are made, the root disk first:

    {"snapshot_id", "zone", "size_gib", "format", "key"}     what becomes an object, by which zone's storage, and where
    {"own"}                                                  the snapshot was taken for the task, and goes with it
    {"description", "disk_name"}                             of the archive that the object is
    {"padded", "most_parts"}                                 the object has more than this disk in it
    {"upload_id"}                                            the multipart upload, once it was begun
    {"parts", "size_bytes", "progress", "stage", "fault"}    what the storage says of it; with parts, they are all there
    {"done", "cleared"}                                      the object is there; the storage has forgotten the upload

`actor` is in whose name the bucket is written (`actors.py`). `begun`: every upload was begun. `sealing`:
the objects are being put together, and nothing calls that off. `settled`: over, and every disk cleared. States:
`eucapy/lifecycle/export_task.py`; moved on by `reconcilers/exports.py` and `reconcilers/upload_reports.py`.
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
from eucapy.lifecycle import export_task as life

IMAGE, INSTANCE, STORED = "export-ami", "export-i", "store-ami"
"""The kinds of tasks, by the prefix of their ids."""

table = sa.Table(
    "export_tasks",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    created_column(),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("source_id", sa.String(32), nullable=False, index=True),
    sa.Column("description", sa.String(255), nullable=False, server_default=""),
    sa.Column("actor", Json, nullable=False),
    sa.Column("bucket", sa.String(255), nullable=False),
    sa.Column("disks", Json, nullable=False),
    sa.Column("options", Json, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("state_at", sa.Float, nullable=False),
    sa.Column("begun", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("sealing", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("settled", sa.Boolean, nullable=False, server_default=sa.false(), index=True),
    sa.Column("progress", sa.Integer, nullable=False, server_default="0"),
    sa.Column("message", sa.Text, nullable=False, server_default=""),
)

lifecycle_table(life.EXPORT_TASK, table)

STORE_STATES = {life.ACTIVE: "InProgress", life.COMPLETED: "Completed", life.DELETING: "Failed", life.DELETED: "Failed"}
"""What CreateStoreImageTask's tasks call them."""


def _store_state(values: Sequence[str]) -> filters.Condition:
    return filters.matches(sa.case(STORE_STATES, value=table.c.state), values)


STORED_FILTERS: dict[str, filters.Filter] = {"task-state": _store_state, "bucket": filters.text(table.c.bucket)}
FILTERS: dict[str, filters.Filter] = {"task-state": filters.text(table.c.state), **tag_filters(table.c.id)}


async def insert(
    tx: Tx,
    *,
    task_id: str,
    account: str,
    kind: str,
    source_id: str,
    description: str,
    actor: Mapping[str, Any],
    bucket: str,
    disks: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
    message: str,
    now: float,
    tags: Mapping[str, str],
) -> Row:
    """A new task, `active`. The caller wakes `exports`."""
    row = await tx.first(
        sa.insert(table).returning(table),
        {
            "id": task_id,
            "account": account,
            "created_at": now,
            "kind": kind,
            "source_id": source_id,
            "description": description,
            "actor": dict(actor),
            "bucket": bucket,
            "disks": list(disks),
            "options": dict(options),
            "state": life.EXPORT_TASK.start,
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


_IN_MOTION = sa.select(table).where(table.c.state.in_(life.IN_MOTION)).order_by(table.c.created_at, table.c.id)
_UNSETTLED = sa.select(table).where(table.c.settled.is_(False)).order_by(table.c.id)


async def in_motion(tx: Tx) -> list[Row]:
    """Those that are not over, oldest first."""
    return list(await tx.all(_IN_MOTION))


async def unsettled(tx: Tx) -> list[Row]:
    """Those of which the zones' storage has to know, by id."""
    return list(await tx.all(_UNSETTLED))


def upload_name(task: Row, number: int) -> str:
    """What the storage calls the upload of a task's disk."""
    return f"{task.id}.{number}" if number else str(task.id)


def needed(tasks: Iterable[Row]) -> set[str]:
    """The snapshots that are still to be uploaded."""
    return {
        disk["snapshot_id"]
        for task in tasks
        if task.state == life.ACTIVE
        for disk in task.disks
        if disk.get("parts") is None
    }


def told(tasks: Iterable[Row], zone: str) -> list[tuple[str, Row, dict[str, Any]]]:
    """The uploads that the zone's storage knows, or shall know: what each is called there, its task and its disk. Disks of
    one object are uploaded one after the other."""
    found: list[tuple[str, Row, dict[str, Any]]] = []
    for task in tasks:
        for number, disk in enumerate(task.disks):
            before = [one for one in task.disks[:number] if one.get("upload_id") == disk.get("upload_id")]
            waits = task.state == life.ACTIVE and any(one.get("parts") is None for one in before)
            if disk["zone"] == zone and is_told(disk) and not waits:
                first = 1 + sum(len(one.get("parts") or ()) for one in before)
                found.append((upload_name(task, number), task, {**disk, "first_part": first}))
    return found


def is_told(disk: Mapping[str, Any]) -> bool:
    return bool(disk.get("upload_id")) and not disk.get("cleared")


async def stored(
    tx: Tx, account: str, conditions: Iterable[filters.Condition], after: tuple[float, str] | None, limit: int | None
) -> list[Row]:
    """Tasks of CreateStoreImageTask, the newest first, from behind `after`: time and id of one."""
    wanted = [table.c.account == account, table.c.kind == STORED, *conditions]
    if after is not None:
        at, task_id = after
        earlier = sa.and_(table.c.created_at == at, table.c.id < task_id)
        wanted.append(sa.or_(table.c.created_at < at, earlier))
    statement = sa.select(table).where(*wanted).order_by(table.c.created_at.desc(), table.c.id.desc())
    return list(await tx.all(statement if limit is None else statement.limit(limit)))


async def set_values(tx: Tx, task_id: str, **columns: Any) -> None:
    """Write how far it is. State is not among them: `move`."""
    await tx.run(sa.update(table).where(table.c.id == task_id).values(**columns))


async def move(tx: Tx, task: Row, event: str, now: float, **columns: Any) -> bool:
    """Along the edge of `event`; False when somebody else moved it first."""
    return await advance(tx, life.EXPORT_TASK, task, event, state_at=now, **columns) is not None


async def forget(tx: Tx, before: float, stored_before: float) -> int:
    """Remove tasks that were settled and ended earlier; returns how many. Those of CreateStoreImageTask have their own time."""
    limit = sa.case((table.c.kind == STORED, stored_before), else_=before)
    ended = sa.and_(table.c.settled.is_(True), table.c.state_at < limit)
    rows = await tx.all(sa.select(table.c.id).where(ended))
    for row in rows:
        await tag_rows.remove(tx, row.id)
    return await tx.run(sa.delete(table).where(ended)) if rows else 0
