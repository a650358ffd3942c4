"""Blobs as files: one file a blob, in 256 folders named by the last two digits of the id.

A file is laid out as

    the bytes │ CRC32C of every block of 1 MiB, 4 bytes each │ tail: magic, size, block size, CRC32C of table and tail

so that it proves itself without any database, and byte n of the file is byte n of the blob (sendfile). Zeros are left out as
holes: a sparse disk image takes the room of what is in it.

Writing: an unnamed file (O_TMPFILE) takes the bytes; `put()` syncs it, gives it its name and syncs the folder. A crash
before that leaves nothing behind, not even a name. Where the file system has no unnamed files, they are written in
`incoming/`, which `start()` empties. Small blobs cost one hop to a thread: open, write, sync and name happen in one go.

All file work runs in a pool of threads of its own, except reads that the page cache can answer at once (RWF_NOWAIT).
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import struct
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from awscrt.checksums import crc32c

from eucapy import ledger
from eucapy.drivers.blob.base import (
    BLOCK_BYTES,
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
    is_id,
    new_id,
)

T = TypeVar("T")

MAGIC = b"EUCABLOB"
TAIL = struct.Struct("<8sQII")  # magic, size of the blob, block size, checksum of table and of the tail before it
TAIL_HEAD = struct.Struct("<8sQI")
FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)
FILE_MODE = 0o600
HOLE_BYTES = 64 * 1024
"""What is looked at for zeros at a time."""
_ZEROS = bytes(HOLE_BYTES)
SHARDS = tuple(f"{n:02x}" for n in range(256))


class FileBlobs(BlobDriver):
    """A folder of blobs."""

    capabilities = Capabilities(cheap_clone=True, descriptors=True)

    def __init__(self, folder: Path, threads: int = 8) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="blobs")
        self._unnamed = False

    async def start(self) -> None:
        await self.hop(self._prepare)

    def create(self) -> Writer:
        return FileWriter(self)

    async def open(self, blob_id: str) -> Reader:
        path = self._path(blob_id)
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise BlobMissing(blob_id) from None
        try:
            size, _ = _read_tail(fd, blob_id)
        except BaseException:
            os.close(fd)
            raise
        return FileReader(self, fd, size, blob_id)

    async def clone(self, blob_id: str) -> str:
        return await self.hop(lambda: self._clone(blob_id))

    async def remove(self, blob_id: str) -> None:
        path = self._path(blob_id)
        await self.hop(lambda: path.unlink(missing_ok=True))

    async def verify(self, blob_id: str) -> int:
        path = self._path(blob_id)
        return await self.hop(lambda: _verify(path, blob_id))

    async def scan(self) -> AsyncIterator[str]:
        for shard in SHARDS:
            for name in await self.hop(functools.partial(os.listdir, self._folder / shard)):
                if is_id(name):
                    yield name

    async def usage(self) -> Usage:
        figures = await self.hop(lambda: os.statvfs(self._folder))
        return Usage(figures.f_blocks * figures.f_frsize, figures.f_bavail * figures.f_frsize)

    async def hop(self, work: Callable[[], T]) -> T:
        """Run `work` on the family's own threads; a full disk becomes NoSpace."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except OSError as error:
            if error.errno in FULL_ERRORS:
                raise NoSpace(str(error)) from error
            raise

    def open_unfinished(self) -> tuple[int, Path | None]:
        """A descriptor to write to and, where files need names, the one it has for now."""
        if self._unnamed:
            return os.open(self._folder, os.O_TMPFILE | os.O_RDWR, FILE_MODE), None
        path = self._incoming / new_id()
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE_MODE), path

    def name(self, fd: int, unfinished: Path | None, blob_id: str) -> None:
        """Give the synced file its name, durably."""
        shard = os.open(self._folder / _shard(blob_id), os.O_RDONLY | os.O_DIRECTORY)
        try:
            if unfinished is None:
                # dst_dir_fd makes Python use linkat(), which alone follows the magic link
                os.link(f"/proc/self/fd/{fd}", blob_id, dst_dir_fd=shard, follow_symlinks=True)
            else:
                os.rename(unfinished, blob_id, dst_dir_fd=shard)
            os.fsync(shard)
        finally:
            os.close(shard)

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        missing = [shard for shard in (*SHARDS, self._incoming.name) if not (self._folder / shard).is_dir()]
        for shard in missing:
            (self._folder / shard).mkdir(mode=0o700, exist_ok=True)
        if missing:
            ledger.sync_folder(self._folder)
        for leftover in self._incoming.iterdir():
            leftover.unlink()
        try:
            os.close(os.open(self._folder, os.O_TMPFILE | os.O_RDWR, FILE_MODE))
            self._unnamed = Path("/proc/self/fd").is_dir()
        except OSError:
            self._unnamed = False

    def _clone(self, blob_id: str) -> str:
        source = self._path(blob_id)
        clone_id = new_id()
        shard = os.open(self._folder / _shard(clone_id), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.link(source, clone_id, dst_dir_fd=shard)
            os.fsync(shard)
        except FileNotFoundError:
            raise BlobMissing(blob_id) from None
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP):
                raise
            self._copy(source, clone_id)
        finally:
            os.close(shard)
        return clone_id

    def _copy(self, source: Path, clone_id: str) -> None:
        fd, unfinished = self.open_unfinished()
        try:
            with source.open("rb") as original:
                while os.sendfile(fd, original.fileno(), None, BLOCK_BYTES):
                    pass
            os.fsync(fd)
            self.name(fd, unfinished, clone_id)
        except BaseException:
            if unfinished is not None:
                unfinished.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)

    def _path(self, blob_id: str) -> Path:
        if not is_id(blob_id):
            raise ValueError(f"not the id of a blob: {blob_id!r}")
        return self._folder / _shard(blob_id) / blob_id


class FileWriter(Writer):
    """Gathers up to a block, then writes it in a thread."""

    def __init__(self, driver: FileBlobs) -> None:
        self._driver = driver
        self._fd = -1
        self._unfinished: Path | None = None
        self._pending: list[Buffer] = []
        self._pending_bytes = 0
        self._size = 0
        self._sums: list[int] = []
        self._put = False

    async def write(self, data: Buffer) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= BLOCK_BYTES:
            pending, self._pending, self._pending_bytes = self._pending, [], 0
            await self._driver.hop(lambda: self._append(pending))

    async def put(self) -> Stored:
        blob_id = new_id()
        pending, self._pending = self._pending, []
        await self._driver.hop(lambda: self._finish(pending, blob_id))
        self._put = True
        return Stored(blob_id, self._size)

    def commit(self) -> None:
        return

    async def close(self) -> None:
        self._pending = []
        if self._unfinished is not None and not self._put:
            self._unfinished.unlink(missing_ok=True)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, buffers: list[Buffer]) -> None:
        if self._fd < 0:
            self._fd, self._unfinished = self._driver.open_unfinished()
        for data in buffers:
            self._add_sums(data)
            self._size += len(data)
        for data in buffers:
            _write_sparse(self._fd, data)

    def _finish(self, buffers: list[Buffer], blob_id: str) -> None:
        self._append(buffers)
        table = struct.pack(f"<{len(self._sums)}I", *self._sums)
        head = TAIL_HEAD.pack(MAGIC, self._size, BLOCK_BYTES)
        _write_all(self._fd, [table, head, crc32c(table + head).to_bytes(4, "little")])
        os.fsync(self._fd)
        self._driver.name(self._fd, self._unfinished, blob_id)

    def _add_sums(self, data: Buffer) -> None:
        view = memoryview(data)
        filled = self._size % BLOCK_BYTES
        while view:
            piece = view[: BLOCK_BYTES - filled]
            if filled:
                self._sums[-1] = crc32c(piece, self._sums[-1])
            else:
                self._sums.append(crc32c(piece))
            view = view[len(piece) :]
            filled = 0


class FileReader(Reader):
    """An open file: it stays readable when the blob is removed meanwhile."""

    def __init__(self, driver: FileBlobs, fd: int, size: int, blob_id: str) -> None:
        self._driver = driver
        self._fd = fd
        self._blob_id = blob_id
        self.size = size

    async def read(self, offset: int, length: int) -> bytes:
        buffer = bytearray(length)
        got = 0
        try:
            got = os.preadv(self._fd, [buffer], offset, os.RWF_NOWAIT)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:  # a file system that only reads while one waits (tmpfs)
                raise
        if got < length:
            fd = self._fd
            got += await self._driver.hop(lambda: os.preadv(fd, [memoryview(buffer)[got:]], offset + got))
        if got != length or offset + length > self.size:
            raise BlobDamaged(self._blob_id, f"{length} bytes wanted at {offset}, {got} there")
        return bytes(buffer)

    def descriptor(self) -> int | None:
        return self._fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _shard(blob_id: str) -> str:
    return blob_id[-2:]


def _write_all(fd: int, buffers: list[Buffer]) -> None:
    for data in buffers:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]


def _write_sparse(fd: int, data: Buffer) -> None:
    """At the end of a file, which something else must follow: where there are zeros, nothing is written."""
    view, start = memoryview(data), 0
    for at in range(0, len(view), HOLE_BYTES):
        piece = view[at : at + HOLE_BYTES]
        if not piece[0] and not piece[-1] and bytes(piece) == _ZEROS[: len(piece)]:
            _write_all(fd, [view[start:at]])
            os.lseek(fd, len(piece), os.SEEK_CUR)
            start = at + len(piece)
    _write_all(fd, [view[start:]])


def _read_tail(fd: int, blob_id: str) -> tuple[int, tuple[int, ...]]:
    """(size, checksums of the blocks). Raises BlobDamaged when the file is not one that `put` finished."""
    length = os.fstat(fd).st_size
    tail = os.pread(fd, TAIL.size, max(0, length - TAIL.size))
    if len(tail) != TAIL.size:
        raise BlobDamaged(blob_id, "too short to be a blob")
    magic, size, block, checksum = TAIL.unpack(tail)
    blocks = -(-size // BLOCK_BYTES)
    if magic != MAGIC or block != BLOCK_BYTES or length != size + 4 * blocks + TAIL.size:
        raise BlobDamaged(blob_id, "the tail is not that of a blob of this length")
    table = os.pread(fd, 4 * blocks, size)
    if crc32c(table + tail[: TAIL_HEAD.size]) != checksum:
        raise BlobDamaged(blob_id, "the table of checksums is damaged")
    return size, struct.unpack(f"<{blocks}I", table)


def _verify(path: Path, blob_id: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise BlobMissing(blob_id) from None
    try:
        size, sums = _read_tail(fd, blob_id)
        for number, expected in enumerate(sums):
            offset = number * BLOCK_BYTES
            data = os.pread(fd, min(BLOCK_BYTES, size - offset), offset)
            if crc32c(data) != expected:
                raise BlobDamaged(blob_id, f"checksum of the block at {offset} differs")
        return size
    finally:
        os.close(fd)
