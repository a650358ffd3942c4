"""Versions of objects: put, find, remove, as S3's versioning wants it.

One place decides what a write replaces and what a delete leaves:

| the bucket is | a put                                                      | a delete without version               |
|---------------|------------------------------------------------------------|----------------------------------------|
| unversioned   | replaces the null version                                  | removes the null version               |
| Enabled       | moves the current version to history, adds a new one       | adds a delete marker                   |
| Suspended     | as Enabled, but the new one is `null` and replaces a null  | as Enabled, with a marker that is null |

A delete of a given version removes it for good; when it was the newest, the next one becomes current.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from eucapy.database import Row, Tx
from eucapy.walrus.store import content
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.buckets import columns as bucket_columns
from eucapy.walrus.store.schema import buckets, inline_data, uploads, versions

NULL_VERSION = "null"
DEFAULT_CONTENT_TYPE = "binary/octet-stream"
NEWEST = (1 << 63) - 1


class Details(msgspec.Struct, frozen=True, omit_defaults=True):
    """What S3 keeps for the reader's sake: standard headers and the user's own."""

    content_type: str = DEFAULT_CONTENT_TYPE
    cache_control: str | None = None
    content_disposition: str | None = None
    content_encoding: str | None = None
    content_language: str | None = None
    expires: str | None = None
    website_redirect: str | None = None
    metadata: dict[str, str] = {}


class Version(msgspec.Struct, frozen=True):
    """A row of `versions`. `modified_ms` since the epoch; `etag` without quotes; `place`, `content`: content.py."""

    current: int
    key: bytes
    seq: int
    version_id: str
    marker: int
    modified_ms: int
    size: int
    etag: str
    owner: str | None
    checksum: str | None
    storage_class: str | None
    place: int
    content: str | None
    details: str
    tags: str | None
    acl: str | None
    lock: str | None = None
    sse: str | None = None
    replication: str | None = None


def version_of(row: Row) -> Version:
    """The row of a query over `columns`."""
    values: Sequence[Any] = row
    return Version(*values)


class New(msgspec.Struct, frozen=True):
    """What a writer brings. `data` is given instead of `content` for bytes that are kept inline."""

    key: bytes
    modified_ms: int
    size: int
    etag: str
    details: str
    place: int
    content: str | None = None
    data: bytes = b""
    owner: str | None = None
    checksum: str | None = None
    storage_class: str | None = None
    tags: str | None = None
    acl: str | None = None
    lock: str | None = None
    sse: str | None = None


class Removed(msgspec.Struct, frozen=True):
    """What a delete did. `version_id` of what was removed or of the marker that was made; None where S3 names none.
    `made` is the marker that was made."""

    version_id: str | None
    marker: bool
    made: Version | None = None


Check = Callable[[Version | None], None]

_BUCKET_WIDTH = len(bucket_columns)
columns = [versions.c[name] for name in Version.__struct_fields__]
_bucket: sa.BindParameter[Any] = sa.bindparam("bucket_id")
_key: sa.BindParameter[Any] = sa.bindparam("object_key")
_seq: sa.BindParameter[Any] = sa.bindparam("at_seq")
_current = sa.select(*columns).where(versions.c.bucket == _bucket, versions.c.current == 1, versions.c.key == _key)
_old = sa.select(*columns).where(versions.c.bucket == _bucket, versions.c.current == 0, versions.c.key == _key)
_old_newest = _old.order_by(versions.c.seq).limit(1)
_old_at = _old.where(versions.c.seq == _seq)
_old_null = _old.where(versions.c.version_id == NULL_VERSION)
_inline_id = sa.case((versions.c.place == content.INLINE, sa.cast(versions.c.content, sa.BigInteger)))
_located = (
    sa.select(*bucket_columns, *columns, inline_data.c.data)
    .select_from(
        buckets.outerjoin(
            versions,
            sa.and_(versions.c.bucket == buckets.c.id, versions.c.current == 1, versions.c.key == _key),
        ).outerjoin(inline_data, inline_data.c.id == _inline_id)
    )
    .where(buckets.c.name == sa.bindparam("bucket_name"))
)
_found = (
    sa.select(*bucket_columns, *columns)
    .select_from(
        buckets.outerjoin(
            versions,
            sa.and_(versions.c.bucket == buckets.c.id, versions.c.current == 1, versions.c.key == _key),
        )
    )
    .where(buckets.c.name == sa.bindparam("bucket_name"))
)
_insert = sa.insert(versions)
_this = sa.and_(
    versions.c.bucket == _bucket,
    versions.c.current == sa.bindparam("is_current"),
    versions.c.key == _key,
    versions.c.seq == _seq,
)
_delete = sa.delete(versions).where(_this)
_move = sa.update(versions).where(_this).values(current=sa.bindparam("becomes"))
_note_removal = (
    sa.update(uploads)
    .where(uploads.c.bucket == sa.bindparam("bucket_id"), uploads.c.key == sa.bindparam("object_key"))
    .values(removed_ms=sa.bindparam("now_ms"))
)
_set_tags = sa.update(versions).where(_this).values(tags=sa.bindparam("document"))
_set_lock = sa.update(versions).where(_this).values(lock=sa.bindparam("document"))
_set_label = sa.update(versions).where(_this).values(storage_class=sa.bindparam("label"))
_old_behind = _old.where(versions.c.seq > _seq).limit(1)
_set_replication = sa.update(versions).where(_this).values(replication=sa.bindparam("status"))
_set_acl = sa.update(versions).where(_this).values(acl=sa.bindparam("document"))


def encode_version_id(seq: int) -> str:
    """32 characters that nobody can guess, and that lead back to `seq`."""
    return base64.b32hexencode(seq.to_bytes(8, "big") + os.urandom(12)).decode().lower()


def decode_version_id(version_id: str) -> int | None:
    """The `seq` in it, or None for what we never gave out."""
    try:
        raw = base64.b32hexdecode(version_id.upper())
    except (binascii.Error, ValueError):
        return None
    seq = int.from_bytes(raw[:8], "big")
    return seq if len(raw) == 20 and seq <= NEWEST else None


async def current(tx: Tx, bucket_id: int, key: bytes) -> Version | None:
    """The live object, or None."""
    row = await tx.first(_current, {"bucket_id": bucket_id, "object_key": key})
    return None if row is None else version_of(row)


async def locate(tx: Tx, bucket_name: str, key: bytes) -> tuple[Bucket, Version | None, bytes | None] | None:
    """(bucket, live object, its bytes if they are inline) in a single statement; None where there is no such bucket.

    The way of most reads. A single statement sees one state of the database, whatever is committed meanwhile.
    """
    row = await tx.first(_located, {"bucket_name": bucket_name, "object_key": key})
    if row is None:
        return None
    values: Sequence[Any] = row
    bucket = Bucket(*values[:_BUCKET_WIDTH])
    if values[_BUCKET_WIDTH] is None:
        return bucket, None, None
    return bucket, Version(*values[_BUCKET_WIDTH:-1]), values[-1]


async def find(tx: Tx, bucket_name: str, key: bytes) -> tuple[Bucket, Version | None] | None:
    """`locate` without the bytes: what most writes and HEADs ask."""
    row = await tx.first(_found, {"bucket_name": bucket_name, "object_key": key})
    if row is None:
        return None
    values: Sequence[Any] = row
    bucket = Bucket(*values[:_BUCKET_WIDTH])
    return bucket, None if values[_BUCKET_WIDTH] is None else Version(*values[_BUCKET_WIDTH:])


async def newest_old(tx: Tx, bucket_id: int, key: bytes) -> Version | None:
    """The newest row of history: where there is no current one, it is the delete marker that hides the object."""
    row = await tx.first(_old_newest, {"bucket_id": bucket_id, "object_key": key})
    return None if row is None else version_of(row)


async def by_version(tx: Tx, bucket_id: int, key: bytes, version_id: str) -> Version | None:
    """That version or marker, or None."""
    newest = await current(tx, bucket_id, key)
    if newest is not None and newest.version_id == version_id:
        return newest
    if version_id == NULL_VERSION:
        row = await tx.first(_old_null, {"bucket_id": bucket_id, "object_key": key})
    else:
        seq = decode_version_id(version_id)
        if seq is None:
            return None
        row = await tx.first(_old_at, {"bucket_id": bucket_id, "object_key": key, "at_seq": seq})
    version = None if row is None else version_of(row)
    return version if version is not None and version.version_id == version_id else None


async def put(tx: Tx, bucket: Bucket, new: New, check: Check | None = None) -> Version:
    """Write `new` as the current version of its key. `check` sees the version it replaces and may raise."""
    return await replace(tx, bucket, await current(tx, bucket.id, new.key), new, check)


async def replace(tx: Tx, bucket: Bucket, replaced: Version | None, new: New, check: Check | None = None) -> Version:
    """`put` for a caller that has found the current version in this transaction."""
    if check is not None:
        check(replaced)
    seq = await _make_room(tx, bucket, new.key, replaced)
    place, where = new.place, new.content
    if place == content.INLINE:
        where = await content.keep_inline(tx, new.data)
    version = Version(
        current=1,
        key=new.key,
        seq=seq,
        version_id=encode_version_id(seq) if bucket.versioning == "Enabled" else NULL_VERSION,
        marker=0,
        modified_ms=new.modified_ms,
        size=new.size,
        etag=new.etag,
        owner=new.owner,
        checksum=new.checksum,
        storage_class=new.storage_class,
        place=place,
        content=where,
        details=new.details,
        tags=new.tags,
        acl=new.acl,
        lock=new.lock,
        sse=new.sse,
    )
    await _write(tx, bucket, version)
    return version


async def remove(tx: Tx, bucket: Bucket, key: bytes, now_ms: int, check: Check | None = None) -> Removed:
    """Delete without naming a version."""
    replaced = await current(tx, bucket.id, key)
    if check is not None:
        check(replaced)
    if replaced is not None:
        await tx.run(_note_removal, {"bucket_id": bucket.id, "object_key": key, "now_ms": now_ms})
    if not bucket.versioning:
        if replaced is not None:
            await _drop(tx, bucket, replaced)
        return Removed(None, False)
    seq = await _make_room(tx, bucket, key, replaced)
    marker = Version(
        current=0,
        key=key,
        seq=seq,
        version_id=encode_version_id(seq) if bucket.versioning == "Enabled" else NULL_VERSION,
        marker=1,
        modified_ms=now_ms,
        size=0,
        etag="",
        owner=None,
        checksum=None,
        storage_class=None,
        place=content.EMPTY,
        content=None,
        details="{}",
        tags=None,
        acl=None,
    )
    await _write(tx, bucket, marker)
    return Removed(marker.version_id, True, marker)


async def remove_version(tx: Tx, bucket: Bucket, key: bytes, version_id: str, check: Check | None = None) -> Removed:
    """Delete that version for good; one that is not there is no error."""
    version = await by_version(tx, bucket.id, key, version_id)
    if check is not None:
        check(version)
    if version is None:
        return Removed(version_id, False)
    await _drop(tx, bucket, version)
    if version.current or (version.marker and await current(tx, bucket.id, key) is None):
        await _promote(tx, bucket, key)
    return Removed(version_id, bool(version.marker))


async def set_tags(tx: Tx, bucket: Bucket, version: Version, document: str | None) -> None:
    await tx.run(_set_tags, _address(bucket, version) | {"document": document})


async def set_lock(tx: Tx, bucket: Bucket, version: Version, document: str | None) -> None:
    await tx.run(_set_lock, _address(bucket, version) | {"document": document})


async def set_storage_class(tx: Tx, bucket: Bucket, version: Version, label: str) -> None:
    await tx.run(_set_label, _address(bucket, version) | {"label": label})


async def is_newest(tx: Tx, bucket: Bucket, version: Version) -> bool:
    """Whether no version or marker of the key is newer."""
    if version.current:
        return True
    if await current(tx, bucket.id, version.key) is not None:
        return False
    newest = await newest_old(tx, bucket.id, version.key)
    return newest is not None and newest.seq == version.seq


async def has_older(tx: Tx, bucket: Bucket, version: Version) -> bool:
    """Whether a version or marker of the key is older."""
    values = {"bucket_id": bucket.id, "object_key": version.key, "at_seq": version.seq}
    return await tx.first(_old_behind, values) is not None


async def set_replication(tx: Tx, bucket: Bucket, version: Version, status: str) -> None:
    await tx.run(_set_replication, _address(bucket, version) | {"status": status})


async def insert_replica(tx: Tx, bucket: Bucket, version: Version, data: bytes) -> bool:
    """Put a version of another bucket into its place in this one's history, with its id and its age; False where it is
    there already. `data` are the bytes of one that is kept inline. The bucket is versioned."""
    if await by_version(tx, bucket.id, version.key, version.version_id) is not None:
        return False
    live = await current(tx, bucket.id, version.key)
    newest = await newest_old(tx, bucket.id, version.key)
    above = [each.seq for each in (live, newest) if each is not None]
    is_newest = not above or version.seq < min(above)
    if is_newest and live is not None:
        await tx.run(_move, _address(bucket, live) | {"becomes": 0})
    where = version.content
    if version.place == content.INLINE:
        where = await content.keep_inline(tx, data)
    replica = msgspec.structs.replace(version, current=int(is_newest and not version.marker), content=where)
    await _write(tx, bucket, replica)
    return True


async def update_replica(tx: Tx, bucket: Bucket, version: Version) -> bool:
    """Give the replica of another bucket's version that one's tags, ACL and lock; False where it is not there."""
    there = await by_version(tx, bucket.id, version.key, version.version_id)
    if there is None or there.replication != version.replication:
        return False
    await set_tags(tx, bucket, there, version.tags)
    await set_acl(tx, bucket, there, version.acl)
    if bucket.lock:
        await set_lock(tx, bucket, there, version.lock)
    return True


async def set_acl(tx: Tx, bucket: Bucket, version: Version, document: str | None) -> None:
    await tx.run(_set_acl, _address(bucket, version) | {"document": document})


async def _make_room(tx: Tx, bucket: Bucket, key: bytes, replaced: Version | None) -> int:
    """Take away or move aside what a new version of `key` replaces; the new version's seq."""
    seq = NEWEST - content.tick()
    if bucket.versioning != "Enabled":
        if replaced is not None and replaced.version_id == NULL_VERSION:
            await _drop(tx, bucket, replaced)
            replaced = None
        elif bucket.versioning:
            row = await tx.first(_old_null, {"bucket_id": bucket.id, "object_key": key})
            if row is not None:
                await _drop(tx, bucket, version_of(row))
    if replaced is not None:
        await tx.run(_move, _address(bucket, replaced) | {"becomes": 0})
    if bucket.versioning:
        newest = await newest_old(tx, bucket.id, key)
        if newest is not None:
            seq = min(seq, newest.seq - 1)  # a clock that went back does not reorder history
    return seq


async def _promote(tx: Tx, bucket: Bucket, key: bytes) -> None:
    newest = await newest_old(tx, bucket.id, key)
    if newest is not None and not newest.marker:
        await tx.run(_move, _address(bucket, newest) | {"becomes": 1})


async def _drop(tx: Tx, bucket: Bucket, version: Version) -> None:
    await tx.run(_delete, _address(bucket, version))
    await content.discard(tx, version.place, version.content)


async def _write(tx: Tx, bucket: Bucket, version: Version) -> None:
    await tx.run(_insert, {"bucket": bucket.id, **msgspec.structs.asdict(version)})


def _address(bucket: Bucket, version: Version) -> dict[str, object]:
    return {
        "bucket_id": bucket.id,
        "is_current": version.current,
        "object_key": version.key,
        "at_seq": version.seq,
    }
