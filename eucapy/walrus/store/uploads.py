"""Multipart uploads and their parts.

An open upload is a row of `uploads` and its parts. Completing it removes the row and makes a version whose place is PARTS
and whose content is the upload's id: the parts stay where they are and no byte is copied. Aborting buries the parts.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from eucapy.database import Row, Tx
from eucapy.walrus.store import content
from eucapy.walrus.store.schema import parts, uploads


class Upload(msgspec.Struct, frozen=True):
    """An open upload. `details`, `tags`, `acl`, `lock`, `sse` are those of the object to be. `removed_ms`: when the key was
    deleted since, 0 if it was not."""

    key: bytes
    id: str
    initiated_ms: int
    initiator: str
    initiator_arn: str
    checksum_algorithm: str | None
    checksum_type: str | None
    storage_class: str | None
    details: str
    tags: str | None
    acl: str | None
    lock: str | None = None
    sse: str | None = None
    removed_ms: int = 0


class Part(msgspec.Struct, frozen=True):
    """A part. `checksum` is "ALGORITHM value"; its bytes are a blob, or none at all."""

    number: int
    size: int
    etag: str
    modified_ms: int
    checksum: str | None
    place: int
    content: str | None


columns = [uploads.c[name] for name in Upload.__struct_fields__]
_part_columns = [parts.c[name] for name in Part.__struct_fields__]
_bucket: sa.BindParameter[Any] = sa.bindparam("bucket_id")
_key: sa.BindParameter[Any] = sa.bindparam("object_key")
_upload: sa.BindParameter[Any] = sa.bindparam("upload_id")
_one = sa.select(*columns).where(uploads.c.bucket == _bucket, uploads.c.key == _key, uploads.c.id == _upload)
_insert = sa.insert(uploads)
_delete = sa.delete(uploads).where(uploads.c.bucket == _bucket, uploads.c.key == _key, uploads.c.id == _upload)
_this_part = sa.and_(parts.c.upload == _upload, parts.c.number == sa.bindparam("part_number"))
_one_part = sa.select(*_part_columns).where(_this_part)
_delete_part = sa.delete(parts).where(_this_part)
_insert_part = sa.insert(parts)
_page = (
    sa.select(*_part_columns)
    .where(parts.c.upload == _upload, parts.c.number > sa.bindparam("after"))
    .order_by(parts.c.number)
    .limit(sa.bindparam("most"))
)


def upload_of(row: Row) -> Upload:
    """The row of a query over `columns`."""
    values: Sequence[Any] = row
    return Upload(*values)


def _part(row: Row) -> Part:
    values: Sequence[Any] = row
    return Part(*values)


def new_id() -> str:
    """An id that nobody can guess; ids sort by when they were made, as those of a key are listed."""
    begun = base64.b32hexencode(content.tick().to_bytes(10, "big")).decode("ascii").lower()
    return begun + base64.urlsafe_b64encode(os.urandom(27)).decode("ascii")


async def by_id(tx: Tx, bucket_id: int, key: bytes, upload_id: str) -> Upload | None:
    row = await tx.first(_one, {"bucket_id": bucket_id, "object_key": key, "upload_id": upload_id})
    return None if row is None else upload_of(row)


async def insert(tx: Tx, bucket_id: int, upload: Upload) -> None:
    await tx.run(_insert, {"bucket": bucket_id, **msgspec.structs.asdict(upload)})


async def delete(tx: Tx, bucket_id: int, upload: Upload) -> None:
    """The upload is over; its parts are the caller's business."""
    await tx.run(_delete, {"bucket_id": bucket_id, "object_key": upload.key, "upload_id": upload.id})


async def put_part(tx: Tx, upload_id: str, part: Part) -> None:
    """Write a part; the one that had its number before is given up."""
    await drop_part(tx, upload_id, part.number)
    await tx.run(_insert_part, {"upload": upload_id, **msgspec.structs.asdict(part)})


async def drop_part(tx: Tx, upload_id: str, number: int) -> None:
    """Give up a part, if it is there."""
    row = await tx.first(_one_part, {"upload_id": upload_id, "part_number": number})
    if row is not None:
        old = _part(row)
        await tx.run(_delete_part, {"upload_id": upload_id, "part_number": number})
        await content.discard(tx, old.place, old.content)


async def page(tx: Tx, upload_id: str, after: int = 0, most: int = 10_000) -> Sequence[Part]:
    """Up to `most` parts in order of number, behind the number `after`."""
    found = await tx.all(_page, {"upload_id": upload_id, "after": after, "most": most})
    return [_part(row) for row in found]
