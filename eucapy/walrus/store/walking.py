"""All rows in order of their primary keys, page by page: for what looks at everything (scrubbing, wrapping anew, backup)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from eucapy.database import Row, Tx
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.buckets import columns as bucket_columns
from eucapy.walrus.store.objects import Version, columns
from eucapy.walrus.store.schema import buckets, parts, uploads, versions
from eucapy.walrus.store.uploads import Part, Upload
from eucapy.walrus.store.uploads import columns as upload_columns

T = TypeVar("T")


class At(msgspec.Struct, frozen=True):
    """A place between two rows of `versions`: behind the one that it names."""

    bucket: int = 0
    current: int = -1
    key: bytes = b""
    seq: int = 0


AtUpload = tuple[int, bytes, str]
"""A place between two rows of `uploads`: behind that bucket id, key and id."""


class AtPart(msgspec.Struct, frozen=True):
    """A place between two rows of `parts`."""

    upload: str = ""
    number: int = 0


_most: sa.BindParameter[Any] = sa.bindparam("most")
_position = sa.tuple_(
    sa.bindparam("bucket_id", type_=sa.BigInteger),
    sa.bindparam("is_current", type_=sa.SmallInteger),
    sa.bindparam("object_key", type_=sa.LargeBinary),
    sa.bindparam("at_seq", type_=sa.BigInteger),
)
_primary = (versions.c.bucket, versions.c.current, versions.c.key, versions.c.seq)
_versions = (
    sa.select(versions.c.bucket, *columns).where(sa.tuple_(*_primary) > _position).order_by(*_primary).limit(_most)
)
_part_names = Part.__struct_fields__
_parts = (
    sa.select(parts.c.upload, *(parts.c[name] for name in _part_names))
    .where(
        sa.tuple_(parts.c.upload, parts.c.number)
        > sa.tuple_(sa.bindparam("upload_id", type_=sa.Text), sa.bindparam("after", type_=sa.Integer))
    )
    .order_by(parts.c.upload, parts.c.number)
    .limit(_most)
)
_uploads = (
    sa.select(uploads.c.bucket, *upload_columns)
    .where(
        sa.tuple_(uploads.c.bucket, uploads.c.key, uploads.c.id)
        > sa.tuple_(
            sa.bindparam("bucket_id", type_=sa.BigInteger),
            sa.bindparam("object_key", type_=sa.LargeBinary),
            sa.bindparam("upload_id", type_=sa.Text),
        )
    )
    .order_by(uploads.c.bucket, uploads.c.key, uploads.c.id)
    .limit(_most)
)
_bucket_by_id = sa.select(*bucket_columns).where(buckets.c.id == sa.bindparam("bucket_id"))
_set_version_sse = (
    sa.update(versions)
    .where(
        versions.c.bucket == sa.bindparam("bucket_id"),
        versions.c.key == sa.bindparam("object_key"),
        versions.c.seq == sa.bindparam("at_seq"),
        versions.c.sse == sa.bindparam("before"),
    )
    .values(sse=sa.bindparam("document"))
)
_set_upload_sse = (
    sa.update(uploads)
    .where(uploads.c.bucket == sa.bindparam("bucket_id"), uploads.c.key == sa.bindparam("object_key"))
    .where(uploads.c.id == sa.bindparam("upload_id"))
    .values(sse=sa.bindparam("document"))
)


def _split(row: Row, kind: type[T]) -> tuple[Any, T]:
    """(first column, the others as `kind`)."""
    values: Sequence[Any] = row
    return values[0], kind(*values[1:])


async def all_versions(tx: Tx, after: At, most: int) -> Sequence[tuple[int, Version]]:
    """Up to `most` (bucket id, version) behind `after`; delete markers too."""
    values = {
        "bucket_id": after.bucket, "is_current": after.current, "object_key": after.key, "at_seq": after.seq, "most": most,
    }  # fmt: skip
    return [_split(row, Version) for row in await tx.all(_versions, values)]


def behind(bucket_id: int, version: Version) -> At:
    return At(bucket_id, version.current, version.key, version.seq)


async def all_parts(tx: Tx, after: AtPart, most: int) -> Sequence[tuple[str, Part]]:
    """Up to `most` (upload id, part) behind `after`, of open uploads and of objects."""
    found = await tx.all(_parts, {"upload_id": after.upload, "after": after.number, "most": most})
    return [_split(row, Part) for row in found]


async def all_uploads(tx: Tx, after: AtUpload, most: int) -> Sequence[tuple[int, Upload]]:
    """Up to `most` (bucket id, open upload) behind `after`."""
    bucket_id, key, upload_id = after
    values = {"bucket_id": bucket_id, "object_key": key, "upload_id": upload_id, "most": most}
    return [_split(row, Upload) for row in await tx.all(_uploads, values)]


async def bucket_by_id(tx: Tx, bucket_id: int) -> Bucket | None:
    row = await tx.first(_bucket_by_id, {"bucket_id": bucket_id})
    values: Sequence[Any] = row or ()
    return Bucket(*values) if values else None


async def set_version_sse(tx: Tx, bucket_id: int, version: Version, document: str) -> bool:
    """Replace the envelope, unless the version is gone or has another by now."""
    values = {"bucket_id": bucket_id, "object_key": version.key, "at_seq": version.seq}
    return await tx.run(_set_version_sse, values | {"before": version.sse, "document": document}) > 0


async def set_upload_sse(tx: Tx, bucket_id: int, upload: Upload, document: str) -> bool:
    values = {"bucket_id": bucket_id, "object_key": upload.key, "upload_id": upload.id, "document": document}
    return await tx.run(_set_upload_sse, values) > 0
