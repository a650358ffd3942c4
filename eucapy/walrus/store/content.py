"""Where the bytes of a version are, and how they are given up.

| place  | `content`                    | the bytes                                            |
|--------|------------------------------|------------------------------------------------------|
| EMPTY  | NULL                         | there are none                                       |
| INLINE | row id, decimal               | one row of `inline_data`                             |
| BLOB   | id of a blob                 | one blob of the driver                               |
| PARTS  | id of the multipart upload   | the blobs of its rows in `parts`, in order of number |

Nothing here removes a blob: `discard` writes its id to `dead_blobs` in the transaction that stops referring to it, and the
collector removes it after the commit. So a crash can leave a dead blob for later, never a version without its bytes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from eucapy.database import Tx
from eucapy.walrus.store.schema import dead_blobs, inline_data, parts, versions

EMPTY, INLINE, BLOB, PARTS = 0, 1, 2, 3

_insert_inline = sa.insert(inline_data)
_select_inline = sa.select(inline_data.c.data).where(inline_data.c.id == sa.bindparam("inline_id"))
_delete_inline = sa.delete(inline_data).where(inline_data.c.id == sa.bindparam("inline_id"))
_insert_dead = sa.insert(dead_blobs)
_dead_page = sa.select(dead_blobs.c.id).order_by(dead_blobs.c.id).limit(sa.bindparam("most"))
_delete_dead = sa.delete(dead_blobs).where(dead_blobs.c.id == sa.bindparam("blob_id"))
_dead_parts = sa.insert(dead_blobs).from_select(
    ["id", "since_ms"],
    sa.select(parts.c.content, sa.bindparam("since", type_=sa.BigInteger)).where(
        parts.c.upload == sa.bindparam("upload_id"), parts.c.place == BLOB
    ),
)
_delete_parts = sa.delete(parts).where(parts.c.upload == sa.bindparam("upload_id"))
_blob_of_version: sa.Select[Any] = (
    sa.select(sa.literal_column("1"))
    .where(versions.c.content == sa.bindparam("blob_id"), versions.c.place >= BLOB)
    .limit(1)
)
_blob_of_part: sa.Select[Any] = (
    sa.select(sa.literal_column("1")).where(parts.c.content == sa.bindparam("blob_id"), parts.c.place == BLOB).limit(1)
)
_blob_is_dead = sa.select(dead_blobs.c.id).where(dead_blobs.c.id == sa.bindparam("blob_id"))

_last_ns = 0


def tick() -> int:
    """Nanoseconds since the epoch, later than every one given before in this process."""
    global _last_ns
    _last_ns = max(_last_ns + 1, time.time_ns())
    return _last_ns


async def keep_inline(tx: Tx, data: bytes) -> str:
    """Store the bytes of a small object; returns its `content`."""
    inline_id = tick()
    await tx.run(_insert_inline, {"id": inline_id, "data": data})
    return str(inline_id)


async def inline(tx: Tx, content: str) -> bytes | None:
    """The bytes, or None when they were given up meanwhile."""
    data = await tx.scalar(_select_inline, {"inline_id": int(content)})
    return None if data is None else bytes(data)


async def discard(tx: Tx, place: int, content: str | None) -> None:
    """Give up the bytes of a version that this transaction removes."""
    if place == INLINE and content is not None:
        await tx.run(_delete_inline, {"inline_id": int(content)})
    elif place == BLOB and content is not None:
        await bury(tx, content)
    elif place == PARTS and content is not None:
        await discard_parts(tx, content)


async def discard_parts(tx: Tx, upload_id: str) -> None:
    """Give up all parts of an upload."""
    await tx.run(_dead_parts, {"upload_id": upload_id, "since": tick() // 1_000_000})
    await tx.run(_delete_parts, {"upload_id": upload_id})


async def bury(tx: Tx, blob_id: str) -> None:
    """Leave a blob to the collector."""
    if await tx.first(_blob_is_dead, {"blob_id": blob_id}) is None:
        await tx.run(_insert_dead, {"id": blob_id, "since_ms": tick() // 1_000_000})


async def dead_page(tx: Tx, most: int) -> Sequence[str]:
    """Up to `most` blobs that nothing refers to."""
    return [row[0] for row in await tx.all(_dead_page, {"most": most})]


async def forget_dead(tx: Tx, blob_ids: Sequence[str]) -> None:
    """The driver has removed these."""
    for blob_id in blob_ids:
        await tx.run(_delete_dead, {"blob_id": blob_id})


async def is_referred(tx: Tx, blob_id: str) -> bool:
    """Whether a version or a part has its bytes there."""
    for statement in (_blob_of_version, _blob_of_part):
        if await tx.first(statement, {"blob_id": blob_id}) is not None:
            return True
    return False
