"""Pages of a bucket in the order of S3: objects, versions, uploads, with delimiters.

A page is read as range scans over a primary key. Keys that share a common prefix are not read one by one: after the first
of them the scan starts again behind the prefix (a skip scan), so that listing the top of a deep bucket costs one seek a
"folder", not one row an object. `fetch(first, most)` gives rows in order from the position `first` on; `roll` is pure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa

from eucapy.database import Tx
from eucapy.walrus.store.objects import Version, columns, version_of
from eucapy.walrus.store.schema import uploads, versions
from eucapy.walrus.store.uploads import Upload, upload_of
from eucapy.walrus.store.uploads import columns as upload_columns

LAST_KEY = b"\xff"
"""Sorts after every key: UTF-8 has no byte 0xff."""
SMALLEST_FETCH, LARGEST_FETCH = 4, 1001

RowT = TypeVar("RowT", Version, Upload)
Position = tuple[bytes, Any]
"""A key, and where within it: what comes next lies behind."""


class Page(msgspec.Struct, Generic[RowT], frozen=True):
    """`rows` and `prefixes` in order; `last` is the row or the prefix at which the page ended, where there is more."""

    rows: list[RowT]
    prefixes: list[bytes]
    last: RowT | bytes | None


_bucket: sa.BindParameter[Any] = sa.bindparam("bucket_id")
_most: sa.BindParameter[Any] = sa.bindparam("most")
_first: sa.BindParameter[Any] = sa.bindparam("first", type_=sa.LargeBinary)
_end: sa.BindParameter[Any] = sa.bindparam("end", type_=sa.LargeBinary)
_objects = (
    sa.select(*columns)
    .where(versions.c.bucket == _bucket, versions.c.current == 1, versions.c.key >= _first, versions.c.key < _end)
    .order_by(versions.c.key)
    .limit(_most)
)
_history = (
    sa.select(*columns)
    .where(
        versions.c.bucket == _bucket,
        versions.c.current == 0,
        sa.tuple_(versions.c.key, versions.c.seq) > sa.tuple_(_first, sa.bindparam("after_seq", type_=sa.BigInteger)),
        versions.c.key < _end,
    )
    .order_by(versions.c.key, versions.c.seq)
    .limit(_most)
)
_uploads = (
    sa.select(*upload_columns)
    .where(
        uploads.c.bucket == _bucket,
        sa.tuple_(uploads.c.key, uploads.c.id) > sa.tuple_(_first, sa.bindparam("after_id", type_=sa.Text)),
        uploads.c.key < _end,
    )
    .order_by(uploads.c.key, uploads.c.id)
    .limit(_most)
)


def after_prefix(prefix: bytes) -> bytes:
    """The first byte string behind all that start with `prefix`."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else LAST_KEY


def after_key(key: bytes) -> bytes:
    """The first byte string behind `key`."""
    return key + b"\x00"


async def objects(tx: Tx, bucket_id: int, prefix: bytes, delimiter: bytes, first: bytes, most: int) -> Page[Version]:
    """Live objects from the key `first` on."""
    end = after_prefix(prefix) if prefix else LAST_KEY

    async def fetch(position: tuple[bytes, Any], count: int) -> Sequence[Version]:
        values = {"bucket_id": bucket_id, "first": position[0], "end": end, "most": count}
        return [version_of(row) for row in await tx.all(_objects, values)]

    return await roll(
        fetch, (max(first, prefix), None), lambda row: (after_key(row.key), None), prefix, delimiter, most
    )


async def history(
    tx: Tx, bucket_id: int, prefix: bytes, delimiter: bytes, first: bytes, after: Position | None, most: int
) -> Page[Version]:
    """All versions and delete markers, newest first within a key: from the key `first` on, or behind the place `after`
    (`place_of`), where a version is or was."""
    end = after_prefix(prefix) if prefix else LAST_KEY

    async def fetch(position: tuple[bytes, Any], count: int) -> Sequence[Version]:
        key, seq = position
        behind_seq = -1 if seq is None else seq
        live = {"bucket_id": bucket_id, "first": key, "end": end, "most": count + (seq is not None)}
        old = {"bucket_id": bucket_id, "first": key, "after_seq": behind_seq, "end": end, "most": count}
        found = [version_of(row) for row in await tx.all(_objects, live)]
        if found and found[0].key == key and found[0].seq <= behind_seq:
            del found[0]
        found += [version_of(row) for row in await tx.all(_history, old)]
        found.sort(key=lambda row: (row.key, -row.current, row.seq))
        return found[:count]

    start: tuple[bytes, Any] = (max(first, prefix), None)
    if after is not None and after[0] >= start[0]:
        start = after
    return await roll(fetch, start, place_of, prefix, delimiter, most)


def place_of(row: Version) -> Position:
    """Where a version stands in the history of its bucket: its current version's `seq` is a key's smallest."""
    return row.key, row.seq


async def open_uploads(
    tx: Tx, bucket_id: int, prefix: bytes, delimiter: bytes, first: bytes, after_id: str, most: int
) -> Page[Upload]:
    """Open uploads behind (`first`, `after_id`) in order of key and id."""
    end = after_prefix(prefix) if prefix else LAST_KEY

    async def fetch(position: tuple[bytes, Any], count: int) -> Sequence[Upload]:
        values = {
            "bucket_id": bucket_id, "first": position[0], "after_id": position[1], "end": end, "most": count,
        }  # fmt: skip
        return [upload_of(row) for row in await tx.all(_uploads, values)]

    start = (first, after_id) if first >= prefix else (prefix, "")
    return await roll(fetch, start, lambda row: (row.key, row.id), prefix, delimiter, most)


async def roll(
    fetch: Callable[[Position, int], Awaitable[Sequence[RowT]]],
    start: Position,
    behind: Callable[[RowT], Position],
    prefix: bytes,
    delimiter: bytes,
    most: int,
) -> Page[RowT]:
    """Up to `most` rows and common prefixes together, and whether there is more. Reads `most` + 1 entries at the most."""
    rows: list[RowT] = []
    prefixes: list[bytes] = []
    last: RowT | bytes | None = None
    skip_to = b""
    position = start
    empty = "" if isinstance(start[1], str) else None
    size = SMALLEST_FETCH * 8 if delimiter else min(most + 1, LARGEST_FETCH)
    while True:
        found = await fetch(position, size)
        for row in found:
            if row.key < skip_to:
                continue
            cut = row.key.find(delimiter, len(prefix)) if delimiter else -1
            if len(rows) + len(prefixes) == most:
                return Page(rows, prefixes, last)
            if cut < 0:
                rows.append(row)
                last = row
                continue
            last = row.key[: cut + len(delimiter)]
            prefixes.append(last)
            skip_to = after_prefix(last)
        if len(found) < size:
            return Page(rows, prefixes, None)
        if found[-1].key < skip_to:
            position = (skip_to, empty)
            size = max(SMALLEST_FETCH, size // 2)
        else:
            position = behind(found[-1])
            size = min(size * 2, most + 1, LARGEST_FETCH) if delimiter else size
