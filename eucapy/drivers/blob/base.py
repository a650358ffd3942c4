"""Blobs: what a driver of the family promises. Knows nothing of buckets, keys, accounts or the database.

A blob is a run of bytes that is written once and never changed. Its life:

    create() ──write()*──► put() ──commit()──► open() / clone() / verify() … ──► remove()
       │                     │
       └ left before put():  └ left before commit(): the blob stays, complete and durable, and nobody refers to it;
         nothing remains       the caller decides (it alone knows whether its metadata was committed)

- `put()` returns when the bytes, their checksums and the name are on disk: power may fail right after.
- Ids are made by the driver, never from anything a user sent; an id tells when the blob was created, so that a collector
  can leave alone what is still being written.
- Every blob carries its own checksums. `verify()` reads all of it and raises BlobDamaged; a missing blob is BlobMissing.
  Neither ever becomes empty data.
- Memory is bounded by what one call of `write` or `read` is given.

Real: `files.py`. Twin: `memory.py`. Who collects: `eucapy/walrus/workers/collector.py`.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

Buffer = bytes | bytearray | memoryview

BLOCK_BYTES = 1 << 20
"""A blob's checksums are kept per block of this size, so that a range can be verified without reading the rest."""


class BlobError(Exception):
    """Something about a blob; `blob_id` names it."""

    def __init__(self, blob_id: str, reason: str) -> None:
        super().__init__(f"blob {blob_id}: {reason}")
        self.blob_id = blob_id


class BlobMissing(BlobError):
    """No such blob."""

    def __init__(self, blob_id: str) -> None:
        super().__init__(blob_id, "missing")


class BlobDamaged(BlobError):
    """The bytes are not those that were written."""


class NoSpace(Exception):
    """The medium is full; nothing of the blob remains."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can do beyond the verbs."""

    cheap_clone: bool
    """`clone` shares the bytes and takes the same time whatever the size."""
    descriptors: bool
    """`Reader.descriptor()` gives a file descriptor to send from (sendfile)."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob that was put. `size` in bytes, without what the driver adds."""

    blob_id: str
    size: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of the medium: all of it, and what a user may still write."""

    total_bytes: int
    free_bytes: int


class Writer(ABC):
    """One blob being written: an asynchronous context manager, used by one task."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @abstractmethod
    async def write(self, data: Buffer) -> None:
        """Append. `data` is the driver's from now on: the caller does not change it. Raises NoSpace."""

    @abstractmethod
    async def put(self) -> Stored:
        """Make all that was written durable under its id. Raises NoSpace."""

    @abstractmethod
    def commit(self) -> None:
        """Say that durable metadata refers to the blob now."""

    @abstractmethod
    async def close(self) -> None:
        """Let go. Before `put()` nothing remains of the blob; after it, it stays."""


class Reader(ABC):
    """One blob being read. `size` in bytes."""

    size: int

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    async def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`, which lie inside the blob. Raises BlobDamaged where they are not there."""

    @abstractmethod
    def descriptor(self) -> int | None:
        """A descriptor whose byte n is the blob's byte n, open until `close()`; None where the driver has none."""

    @abstractmethod
    def close(self) -> None:
        """Let go; a second time is harmless."""


class BlobDriver(ABC):
    """The verbs of the family. All are safe to call again."""

    capabilities: Capabilities

    @abstractmethod
    async def start(self) -> None:
        """Make the place ready. Raises OSError where it cannot be used."""

    @abstractmethod
    def create(self) -> Writer:
        """Begin a blob."""

    @abstractmethod
    async def open(self, blob_id: str) -> Reader:
        """Raises BlobMissing, and BlobDamaged where the file is not a whole blob."""

    @abstractmethod
    async def clone(self, blob_id: str) -> str:
        """The id of another blob with the same bytes, as durable as after `put()`. Raises BlobMissing."""

    @abstractmethod
    async def remove(self, blob_id: str) -> None:
        """The blob is gone; a blob that was gone before is no error."""

    @abstractmethod
    async def verify(self, blob_id: str) -> int:
        """Read all of it and compare with its checksums; its size. Raises BlobMissing, BlobDamaged."""

    @abstractmethod
    def scan(self) -> AsyncIterator[str]:
        """The ids of all blobs that were put, in no order; one that comes or goes meanwhile may be seen or not."""

    @abstractmethod
    async def usage(self) -> Usage:
        """How full the medium is."""


ID_LENGTH = 32


def new_id() -> str:
    """A fresh id: 12 hexadecimal digits of milliseconds since the epoch, then 20 random ones."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def is_id(text: str) -> bool:
    """Whether `text` could have come from `new_id`."""
    return len(text) == ID_LENGTH and all(c in "0123456789abcdef" for c in text)
