"""Bytes on their way out: a version's content, whole or a range of it, as a body that is sent piece by piece.

The first blob is opened before the answer begins: a missing one is an error of the request, never empty data. What turns
out to be missing or damaged later cuts the connection, so that the client sees a short body and no clean end.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence

from eucapy.aws.message import Write
from eucapy.database import Tx
from eucapy.drivers.blob.base import BlobDamaged, BlobDriver, BlobError, BlobMissing, Reader
from eucapy.errors import InternalError
from eucapy.walrus.context import Walrus
from eucapy.walrus.sealing import (
    CHUNK_BYTES,
    SALT_BYTES,
    SEALED_CHUNK_BYTES,
    Opener,
    Tampered,
    chunks_of,
    sealed_size,
    unseal,
)
from eucapy.walrus.store import content, uploads
from eucapy.walrus.store.objects import Version
from eucapy.walrus.store.uploads import Part

log = logging.getLogger(__name__)

PIECE_BYTES = 512 << 10


class Extent:
    """`length` bytes of a blob, from `offset`; `whole`: how many bytes it holds. All of it before encryption."""

    __slots__ = ("blob_id", "length", "offset", "whole")

    def __init__(self, blob_id: str, offset: int, length: int, whole: int) -> None:
        self.blob_id = blob_id
        self.offset = offset
        self.length = length
        self.whole = whole


class Gone(Exception):
    """The version's bytes were given up between reading its row and reading them: read the row again."""


class Stream:
    """A body over extents (an `eucapy.aws.message.Body`), opened with `data_key` where it is encrypted."""

    def __init__(self, blobs: BlobDriver, extents: Sequence[Extent], first: Reader, data_key: bytes | None) -> None:
        self.length: int | None = sum(extent.length for extent in extents)
        self._blobs = blobs
        self._extents = extents
        self._first: Reader | None = first
        self._data_key = data_key

    async def send(self, write: Write) -> None:
        async for piece in self.pieces():
            await write(piece)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes in pieces of at most 512 KiB."""
        for extent in self._extents:
            reader, self._first = self._first, None
            if reader is None:
                reader = await self._blobs.open(extent.blob_id)
            async with reader:
                if self._data_key is not None:
                    async for piece in _opened(reader, extent, self._data_key):
                        yield piece
                    continue
                at, end = extent.offset, extent.offset + extent.length
                while at < end:
                    count = min(PIECE_BYTES, end - at)
                    yield await reader.read(at, count)
                    at += count

    def close(self) -> None:
        """Let go of a body that is not sent."""
        if self._first is not None:
            self._first.close()
            self._first = None


async def _opened(reader: Reader, extent: Extent, data_key: bytes) -> AsyncIterator[bytes]:
    """An extent of an encrypted blob: only the chunks that it touches are read. Raises BlobDamaged."""
    opener = Opener(data_key, await reader.read(0, SALT_BYTES), extent.whole)
    number, behind = extent.offset // CHUNK_BYTES, chunks_of(extent.whole)
    at, end = extent.offset, extent.offset + extent.length
    while at < end:
        count = min(PIECE_BYTES // CHUNK_BYTES, (end - 1) // CHUNK_BYTES - number + 1, behind - number)
        start = SALT_BYTES + number * SEALED_CHUNK_BYTES
        stop = min(start + count * SEALED_CHUNK_BYTES, sealed_size(extent.whole))
        try:
            plain = opener.open(number, await reader.read(start, stop - start))
        except Tampered as error:
            raise BlobDamaged(extent.blob_id, str(error)) from error
        for chunk in plain:
            first = at - number * CHUNK_BYTES
            piece = chunk[first : first + end - at]
            yield piece
            at += len(piece)
            number += 1


async def find_parts(tx: Tx, version: Version) -> Sequence[Part]:
    """The parts of a version that was uploaded in parts; () for others."""
    if version.place != content.PARTS or version.content is None:
        return ()
    return await uploads.page(tx, version.content)


def plain(version: Version, data: bytes, data_key: bytes | None) -> bytes:
    """Inline bytes as they came. Raises InternalError where they do not open."""
    if data_key is None or not data:
        return data
    try:
        return unseal(data_key, data)
    except Tampered as error:
        log.error("inline bytes do not open", extra={"data": {"content": version.content, "reason": str(error)}})
        raise InternalError from error


async def find_inline(tx: Tx, version: Version) -> bytes | None:
    """The bytes of a small version as they are kept, None for others."""
    if version.place == content.EMPTY:
        return b""
    if version.place != content.INLINE or version.content is None:
        return None
    data = await content.inline(tx, version.content)
    if data is None:
        raise InternalError("bytes of a version are missing")
    return data


def extents(version: Version, parts: Sequence[Part], start: int, length: int) -> list[Extent]:
    """Where the bytes from `start` on are: pure."""
    if version.place == content.BLOB:
        assert version.content is not None
        return [Extent(version.content, start, length, version.size)]
    found: list[Extent] = []
    at = 0
    for part in parts:
        first, last = max(start, at), min(start + length, at + part.size)
        if first < last and part.content is not None:
            found.append(Extent(part.content, first - at, last - first, part.size))
        at += part.size
        if at >= start + length:
            break
    return found


async def open_stream(
    walrus: Walrus,
    version: Version,
    parts: Sequence[Part],
    start: int,
    length: int,
    data_key: bytes | None = None,
) -> Stream:
    """A body of `length` > 0 bytes from `start`; `data_key` for a version that is encrypted. Raises Gone, InternalError."""
    if (data_key is None) != (version.sse is None):
        raise InternalError("an encrypted version needs its key, and no other one has any")
    where = extents(version, parts, start, length)
    if sum(extent.length for extent in where) != length:
        raise Gone
    try:
        reader = await walrus.blobs.open(where[0].blob_id)
    except BlobMissing:
        raise Gone from None
    except BlobError as error:
        log.error("a blob cannot be read", extra={"data": {"blob": error.blob_id, "reason": str(error)}})
        raise InternalError from error
    needed = where[0].offset + where[0].length if data_key is None else sealed_size(where[0].whole)
    if needed > reader.size:
        reader.close()
        raise InternalError(f"blob {where[0].blob_id} is shorter than its version")
    return Stream(walrus.blobs, where, reader, data_key)
