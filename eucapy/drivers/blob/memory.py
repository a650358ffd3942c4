"""Blobs in memory: the twin of `files.py` for tests, with the same promises as far as one process goes.

It counts its verbs and can be told to fail or to lose data: `fail_at(n)` makes the n-th mutating verb from now raise
OSError before it does anything, `damage(blob_id)` flips a bit, `lose(blob_id)` forgets a blob, `limit_bytes` fills the disk.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from eucapy.drivers.blob.base import (
    BlobDamaged,
    BlobDriver,
    BlobMissing,
    Buffer,
    Capabilities,
    NoSpace,
    Reader,
    Stored,
    Usage,
    Writer,
    new_id,
)


class MemoryBlobs(BlobDriver):
    """A dictionary of blobs."""

    capabilities = Capabilities(cheap_clone=True, descriptors=False)

    def __init__(self, limit_bytes: int = 1 << 30) -> None:
        self._blobs: dict[str, tuple[bytes, int]] = {}
        self._limit_bytes = limit_bytes
        self._fail_in: int | None = None

    async def start(self) -> None:
        return

    def create(self) -> Writer:
        return MemoryWriter(self)

    async def open(self, blob_id: str) -> Reader:
        return MemoryReader(self._blob(blob_id)[0], blob_id)

    async def clone(self, blob_id: str) -> str:
        self.count_step()
        clone_id = new_id()
        self._blobs[clone_id] = self._blob(blob_id)
        return clone_id

    async def remove(self, blob_id: str) -> None:
        self.count_step()
        self._blobs.pop(blob_id, None)

    async def verify(self, blob_id: str) -> int:
        content, checksum = self._blob(blob_id)
        if zlib.crc32(content) != checksum:
            raise BlobDamaged(blob_id, "checksum differs")
        return len(content)

    async def scan(self) -> AsyncIterator[str]:
        for blob_id in list(self._blobs):
            yield blob_id

    async def usage(self) -> Usage:
        return Usage(self._limit_bytes, self._limit_bytes - self._used())

    def fail_at(self, step: int) -> None:
        """The `step`-th mutating verb from now (0 is the next) raises OSError once."""
        self._fail_in = step

    def damage(self, blob_id: str) -> None:
        """Flip one bit in the middle."""
        content, checksum = self._blob(blob_id)
        changed = bytearray(content)
        changed[len(changed) // 2] ^= 1
        self._blobs[blob_id] = (bytes(changed), checksum)

    def lose(self, blob_id: str) -> None:
        """Forget the blob, as a disk would."""
        del self._blobs[blob_id]

    def count_step(self) -> None:
        """Account for a mutating verb; raises OSError when it is the one that was to fail."""
        if self._fail_in is None:
            return
        if self._fail_in == 0:
            self._fail_in = None
            raise OSError("failure injected")
        self._fail_in -= 1

    def keep(self, blob_id: str, content: bytes) -> None:
        """Take a finished blob. Raises NoSpace."""
        if self._used() + len(content) > self._limit_bytes:
            raise NoSpace("the memory given to blobs is full")
        self._blobs[blob_id] = (content, zlib.crc32(content))

    def _used(self) -> int:
        return sum(len(content) for content, _ in self._blobs.values())

    def _blob(self, blob_id: str) -> tuple[bytes, int]:
        try:
            return self._blobs[blob_id]
        except KeyError:
            raise BlobMissing(blob_id) from None


class MemoryWriter(Writer):
    """Collects until `put`."""

    def __init__(self, driver: MemoryBlobs) -> None:
        self._driver = driver
        self._content = bytearray()
        self.committed = False

    async def write(self, data: Buffer) -> None:
        self._driver.count_step()
        self._content += data

    async def put(self) -> Stored:
        self._driver.count_step()
        blob_id = new_id()
        self._driver.keep(blob_id, bytes(self._content))
        return Stored(blob_id, len(self._content))

    def commit(self) -> None:
        self.committed = True

    async def close(self) -> None:
        self._content = bytearray()


class MemoryReader(Reader):
    """Reads from the bytes as they were when it was opened."""

    def __init__(self, content: bytes, blob_id: str) -> None:
        self._content = content
        self._blob_id = blob_id
        self.size = len(content)

    async def read(self, offset: int, length: int) -> bytes:
        data = self._content[offset : offset + length]
        if len(data) != length:
            raise BlobDamaged(self._blob_id, f"{length} bytes wanted at {offset}, {len(data)} there")
        return data

    def descriptor(self) -> int | None:
        return None

    def close(self) -> None:
        return
