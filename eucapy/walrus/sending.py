"""Bytes on their way out: a version's content, whole or a range of it, as a body that is sent piece by piece.

The first blob is opened before the answer begins: a missing one is an error of the request, never empty data. What turns
out to be missing or damaged later cuts the connection, so that the client sees a short body and no clean end.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence

from eucapy.aws.message import Write
from eucapy.database import Tx
from eucapy.drivers.blob.base import BlobDriver, BlobError, BlobMissing, Reader
from eucapy.errors import InternalError
from eucapy.walrus.context import Walrus
from eucapy.walrus.store import content, uploads
from eucapy.walrus.store.objects import Version
from eucapy.walrus.store.uploads import Part

log = logging.getLogger(__name__)

PIECE_BYTES = 512 << 10


class Extent:
    """`length` bytes of a blob, from `offset`."""

    __slots__ = ("blob_id", "length", "offset")

    def __init__(self, blob_id: str, offset: int, length: int) -> None:
        self.blob_id = blob_id
        self.offset = offset
        self.length = length


class Gone(Exception):
    """The version's bytes were given up between reading its row and reading them: read the row again."""


class Stream:
    """A body over extents (an `eucapy.aws.message.Body`)."""

    def __init__(self, blobs: BlobDriver, extents: Sequence[Extent], first: Reader) -> None:
        self.length: int | None = sum(extent.length for extent in extents)
        self._blobs = blobs
        self._extents = extents
        self._first: Reader | None = first

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


async def find_parts(tx: Tx, version: Version) -> Sequence[Part]:
    """The parts of a version that was uploaded in parts; () for others."""
    if version.place != content.PARTS or version.content is None:
        return ()
    return await uploads.page(tx, version.content)


async def find_inline(tx: Tx, version: Version) -> bytes | None:
    """The bytes of a small version, None for others."""
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
        return [Extent(version.content, start, length)]
    found: list[Extent] = []
    at = 0
    for part in parts:
        first, last = max(start, at), min(start + length, at + part.size)
        if first < last and part.content is not None:
            found.append(Extent(part.content, first - at, last - first))
        at += part.size
        if at >= start + length:
            break
    return found


async def open_stream(walrus: Walrus, version: Version, parts: Sequence[Part], start: int, length: int) -> Stream:
    """A body of `length` > 0 bytes from `start`. Raises Gone, InternalError."""
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
    if where[0].offset + where[0].length > reader.size:
        reader.close()
        raise InternalError(f"blob {where[0].blob_id} is shorter than its version")
    return Stream(walrus.blobs, where, reader)
