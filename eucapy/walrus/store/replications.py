"""Rows of versions on their way to other buckets: written with the version, gone when it has arrived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from eucapy.database import Tx
from eucapy.walrus.store.objects import Version
from eucapy.walrus.store.schema import replications


class Task(msgspec.Struct, frozen=True):
    """A version that `target` is to have. `bucket` is the source's id."""

    id: int
    bucket: int
    key: bytes
    version_id: str
    target: str
    storage_class: str | None
    tries: int


_columns = [replications.c[name] for name in Task.__struct_fields__]
_id: sa.BindParameter[Any] = sa.bindparam("task_id")
_insert = sa.insert(replications).values(
    {name: sa.bindparam(name) for name in ("bucket", "key", "version_id", "target", "storage_class", "due_ms", "tries")}
)
_due = (
    sa.select(*_columns)
    .where(replications.c.due_ms <= sa.bindparam("now"))
    .order_by(replications.c.due_ms, replications.c.id)
    .limit(sa.bindparam("most"))
)
_next = sa.select(sa.func.min(replications.c.due_ms))
_delete = sa.delete(replications).where(replications.c.id == _id)
_postpone = (
    sa.update(replications)
    .where(replications.c.id == _id)
    .values(due_ms=sa.bindparam("until"), tries=replications.c.tries + sa.literal(1))
)
_others = (
    sa.select(replications.c.id)
    .where(
        replications.c.bucket == sa.bindparam("bucket_id"),
        replications.c.key == sa.bindparam("object_key"),
        replications.c.version_id == sa.bindparam("version"),
    )
    .limit(1)
)


async def insert(tx: Tx, bucket_id: int, version: Version, target: str, storage_class: str | None, now_ms: int) -> None:
    await tx.run(
        _insert,
        {
            "bucket": bucket_id,
            "key": version.key,
            "version_id": version.version_id,
            "target": target,
            "storage_class": storage_class,
            "due_ms": now_ms,
            "tries": 0,
        },
    )


async def due(tx: Tx, now_ms: int, most: int) -> Sequence[Task]:
    """Those that may be tried now, the longest due first."""
    rows: Sequence[Sequence[Any]] = await tx.all(_due, {"now": now_ms, "most": most})
    return [Task(*row) for row in rows]


async def next_due_ms(tx: Tx) -> int | None:
    """When the next one may be tried; None when nothing waits."""
    found: int | None = await tx.scalar(_next)
    return found


async def delete(tx: Tx, task: Task) -> bool:
    """The task is over; whether it was the last one of its version."""
    await tx.run(_delete, {"task_id": task.id})
    values = {"bucket_id": task.bucket, "object_key": task.key, "version": task.version_id}
    return await tx.first(_others, values) is None


async def postpone(tx: Tx, task: Task, until_ms: int) -> None:
    await tx.run(_postpone, {"task_id": task.id, "until": until_ms})
