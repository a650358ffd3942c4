"""Drafts: snapshots that are written block by block from outside, before they become layers.

    drafts/<snapshot>.qcow2    64 KiB for the header, then blocks in the order of their coming ("slots")
    drafts/<snapshot>.blocks   a line of 40 bytes for each: index, slot, SHA-256

A block is in its slot, on disk, before its line is; the last line for an index counts, so that a crash leaves a slot that
nobody speaks of, or half a line, which is cut off. A block of zeros has a line and no slot. `seal` adds the tables that make
the file a qcow2 layer over the parent's, without moving a block, and says what was written; the file is then linked into the
layers' folder, so that it is a draft until it is a snapshot: sealing again after a crash begins where it began.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import sys
from array import array
from collections.abc import Iterable
from pathlib import Path

from eucapy import ledger
from eucapy.drivers.block.base import BLOCK_BYTES, BadRequest, PoolLost

CLUSTER_BYTES = 65536
_SLOT_CLUSTERS = BLOCK_BYTES // CLUSTER_BYTES
_PER_TABLE = CLUSTER_BYTES // 8
_TABLE_BLOCKS = _PER_TABLE // _SLOT_CLUSTERS
_PER_REFCOUNTS = CLUSTER_BYTES // 2
_LINE = struct.Struct(">II32s")
_NO_SLOT = 0xFFFF_FFFF
_COPIED = 1 << 63
_ZERO = 1
_FILE, _LOG = ".qcow2", ".blocks"


class Written:
    """What a draft's log says: read when it is asked for, since a draft may have millions of blocks."""

    def __init__(self, log: bytes = b"") -> None:
        self._log = log
        lines = range(0, len(log) - len(log) % _LINE.size, _LINE.size)
        self._lines = {_LINE.unpack_from(log, at)[0]: at for at in lines}
        """The last line of each block."""
        self.slots = sum(_LINE.unpack_from(log, at)[1] != _NO_SLOT for at in lines)
        """How many are taken, by blocks that were put again too."""

    @property
    def blocks(self) -> list[int]:
        """In their order."""
        return sorted(self._lines)

    def slot(self, index: int) -> int:
        """`_NO_SLOT` for zeros."""
        return int(_LINE.unpack_from(self._log, self._lines[index])[1])

    def checksum(self) -> str:
        """All blocks' checksums in the order of the blocks, hashed: the EBS direct APIs' LINEAR aggregation, in base64."""
        return linear(_LINE.unpack_from(self._log, self._lines[index])[2] for index in self.blocks)


def linear(digests: Iterable[bytes]) -> str:
    """The aggregate of blocks' SHA-256 checksums, given in the order of the blocks."""
    whole = hashlib.sha256()
    for digest in digests:
        whole.update(digest)
    return base64.b64encode(whole.digest()).decode()


class Drafts:
    """The drafts of one pool. Not safe for two calls about one draft at a time: the driver holds a lock for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._slots: dict[str, int | None] = {}
        """By draft, how many are taken; None: that was not looked up yet."""

    def open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._slots = {path.name.removesuffix(_LOG): None for path in self._folder.glob(f"*{_LOG}")}
        for path in self._folder.glob(f"*{_FILE}"):  # of a first block that did not get its line
            if path.name.removesuffix(_FILE) not in self._slots:
                path.unlink()

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._slots)

    def path(self, draft_id: str) -> Path:
        return self._folder / (draft_id + _FILE)

    def _log(self, draft_id: str) -> Path:
        return self._folder / (draft_id + _LOG)

    def put(self, draft_id: str, index: int, content: bytes) -> None:
        """Returns when the block is on disk. Raises OSError, PoolLost."""
        is_new, log = draft_id not in self._slots, self._log(draft_id)
        slots = 0 if is_new else self._slots[draft_id]
        if slots is None:
            slots = self.written(draft_id).slots
        slot = _NO_SLOT
        if content.count(0) != len(content):
            slot = slots
            self._append(self.path(draft_id), content, CLUSTER_BYTES + slot * BLOCK_BYTES)
        size = 0 if is_new else log.stat().st_size
        self._append(log, _LINE.pack(index, slot, hashlib.sha256(content).digest()), size - size % _LINE.size)
        if is_new:
            ledger.sync_folder(self._folder)
        self._slots[draft_id] = slots + (slot != _NO_SLOT)

    def written(self, draft_id: str) -> Written:
        """Nothing, where nothing was put. Raises PoolLost."""
        if draft_id not in self._slots:
            return Written()
        written = Written(self._log(draft_id).read_bytes())
        if written.slots and not self.path(draft_id).exists():
            raise PoolLost(f"the blocks of {draft_id} are missing")
        return written

    def summary(self, draft_id: str) -> tuple[int, str]:
        """How many blocks were put, and their aggregate checksum."""
        written = self.written(draft_id)
        return len(written.blocks), written.checksum()

    def seal(self, draft_id: str, size_bytes: int, parent_file: str) -> Path:
        """Make the draft's file a qcow2 image of that size over `parent_file` ("" for none) and return where it lies. Raises
        BadRequest for a block past its end, PoolLost."""
        written = self.written(draft_id)
        if written.blocks and (written.blocks[-1] + 1) * BLOCK_BYTES > size_bytes:
            raise BadRequest(f"{draft_id} has blocks past its end")
        path = self.path(draft_id)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            tables_at = CLUSTER_BYTES + written.slots * BLOCK_BYTES
            os.ftruncate(fd, tables_at)
            _write_tables(fd, written, tables_at, size_bytes, parent_file)
        finally:
            os.close(fd)
        ledger.sync_file(path)
        if draft_id not in self._slots:  # an empty one: there is a log of nothing from now on
            self._append(self._log(draft_id), b"", 0)
            self._slots[draft_id] = 0
        ledger.sync_folder(self._folder)
        return path

    def remove(self, draft_id: str) -> None:
        """Removing what is not there succeeds. The log goes last: while it is there, the draft is."""
        if draft_id in self._slots:
            del self._slots[draft_id]
            self.path(draft_id).unlink(missing_ok=True)
            self._log(draft_id).unlink(missing_ok=True)
            ledger.sync_folder(self._folder)

    def _append(self, path: Path, content: bytes, at: int) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            view = memoryview(content)
            while view:
                count = os.pwrite(fd, view, at)
                view, at = view[count:], at + count
            if ledger.syncs(path):
                os.fdatasync(fd)
        finally:
            os.close(fd)


def _write_tables(fd: int, written: Written, at: int, size_bytes: int, parent_file: str) -> None:
    """L2 tables, the L1 table, refcounts and at last the header; the first of them lies at `at`."""
    span = _PER_TABLE * CLUSTER_BYTES
    top = array("Q", bytes(8 * -(-size_bytes // span)))
    by_table: dict[int, list[int]] = {}
    for index in written.blocks:
        by_table.setdefault(index // _TABLE_BLOCKS, []).append(index)
    used: list[int] = [0]
    clusters = at // CLUSTER_BYTES
    for number, blocks in by_table.items():
        table = array("Q", bytes(CLUSTER_BYTES))
        for index in blocks:
            slot = written.slot(index)
            place = index % _TABLE_BLOCKS * _SLOT_CLUSTERS
            for part in range(_SLOT_CLUSTERS):
                cluster = 1 + slot * _SLOT_CLUSTERS + part
                table[place + part] = _ZERO if slot == _NO_SLOT else cluster * CLUSTER_BYTES | _COPIED
                if slot != _NO_SLOT:
                    used.append(cluster)
        _put(fd, _big(table), clusters)
        top[number] = clusters * CLUSTER_BYTES | _COPIED
        used.append(clusters)
        clusters += 1
    top_at, top_clusters = clusters, max(1, -(-len(top) * 8 // CLUSTER_BYTES))
    _put(fd, _big(top).ljust(top_clusters * CLUSTER_BYTES, b"\0"), top_at)
    clusters += top_clusters
    counts_at, count_clusters, index_clusters = clusters, 1, 1
    while count_clusters * _PER_REFCOUNTS < clusters + count_clusters + index_clusters:
        count_clusters += 1
        index_clusters = -(-count_clusters * 8 // CLUSTER_BYTES)
    counts = array("H", bytes(count_clusters * CLUSTER_BYTES))
    for cluster in (*used, *range(top_at, counts_at + count_clusters + index_clusters)):
        counts[cluster] = 1
    _put(fd, _big(counts), counts_at)
    places = array("Q", [(counts_at + each) * CLUSTER_BYTES for each in range(count_clusters)])
    index_at = counts_at + count_clusters
    _put(fd, _big(places).ljust(index_clusters * CLUSTER_BYTES, b"\0"), index_at)
    name = parent_file.encode()
    extensions = struct.pack(">II8s", 0xE2792ACA, 5, b"qcow2") if name else b""
    extensions += struct.pack(">II", 0, 0)
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        b"QFI\xfb", 3, 104 + len(extensions) if name else 0, len(name), 16, size_bytes, 0, len(top),
        top_at * CLUSTER_BYTES, index_at * CLUSTER_BYTES, index_clusters, 0, 0, 0, 0, 0, 4, 104,
    )  # fmt: skip
    _put(fd, (header + extensions + name).ljust(CLUSTER_BYTES, b"\0"), 0)


def _put(fd: int, content: bytes, cluster: int) -> None:
    view, at = memoryview(content), cluster * CLUSTER_BYTES
    while view:
        count = os.pwrite(fd, view, at)
        view, at = view[count:], at + count


def _big(numbers: array[int]) -> bytes:
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tobytes()
