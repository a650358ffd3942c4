"""Layers read without QEMU: which blocks of a chain hold something, and their bytes.

A block is 512 KiB, as in the EBS direct APIs. Only layers that are frozen are read: whoever froze one has flushed it, and
nothing in it changes any more but that a merge (`compaction.py`) copies into it what shows through it anyway. Format: "Qcow2
Image File Format", docs/interop/qcow2.rst of QEMU. Layers are made by us, so that a feature which none of them has (a
compressed cluster, an external file, encryption, subclusters) is damage: PoolLost. Writing one: `drafts.py`.

    L1 ──► L2 table ──► cluster      entry 0: nothing here, the layer beneath shows; bit 0: zeros; else where the data lie
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from eucapy.drivers.block.base import BLOCK_BYTES, PoolLost

OFFSET_MASK = 0x00FF_FFFF_FFFF_FE00
COMPRESSED = 1 << 62
ZERO = 1
_MAGIC = b"QFI\xfb"
_HARMLESS = 0b1001
"""Incompatible features that change nothing for a reader: refcounts to be mended, how clusters would be compressed."""
WINDOW = 1024
"""Blocks that are looked at in one go: what one table of 64 KiB clusters covers."""


class LayerFile:
    """One layer, open for reading. Raises PoolLost, OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._read_header()
        except (struct.error, PoolLost) as error:
            os.close(self._fd)
            raise PoolLost(f"the layer {path.name} cannot be read: {error}") from error

    def _read_header(self) -> None:
        head = os.pread(self._fd, 104, 0)
        if head[:4] != _MAGIC:
            raise PoolLost("it is no qcow2 file")
        version, _, _, self._cluster_bits, self.size_bytes, crypt, entries, offset = struct.unpack_from(
            ">IQIIQIIQ", head, 4
        )
        features = struct.unpack_from(">Q", head, 72)[0] if version >= 3 else 0
        if not 9 <= self._cluster_bits <= 21 or crypt or features & ~_HARMLESS:
            raise PoolLost(f"it has features that no layer has: {features:#x}, encryption {crypt}")
        self._cluster_bytes = 1 << self._cluster_bits
        self._per_table = self._cluster_bytes // 8
        self._tables = _numbers(self._pread(entries * 8, offset))
        self._held: tuple[int, array[int] | None] = (-1, None)

    def close(self) -> None:
        os.close(self._fd)

    def windows(self) -> Iterator[int]:
        """The windows (of `WINDOW` blocks) in which the layer may hold something."""
        span = self._per_table * self._cluster_bytes
        for number, entry in enumerate(self._tables):
            if entry & OFFSET_MASK:
                first, last = number * span, (number + 1) * span - 1
                yield from range(first // (WINDOW * BLOCK_BYTES), last // (WINDOW * BLOCK_BYTES) + 1)

    def blocks(self, window: int) -> set[int]:
        """The blocks of a window of which the layer holds something, if only that they are zeros."""
        found: set[int] = set()
        first, last = window * WINDOW * BLOCK_BYTES, (window + 1) * WINDOW * BLOCK_BYTES - 1
        start, end = first >> self._cluster_bits, last >> self._cluster_bits
        for number in range(start // self._per_table, end // self._per_table + 1):
            table = self._table(number)
            if table is None:
                continue
            base = number * self._per_table
            lowest, highest = max(start - base, 0), min(end - base + 1, self._per_table)
            for at, entry in enumerate(table[lowest:highest], base + lowest):
                if entry:
                    here = at << self._cluster_bits
                    found.update(range(here // BLOCK_BYTES, (here + self._cluster_bytes - 1) // BLOCK_BYTES + 1))
        return {block for block in found if block // WINDOW == window}

    def read(self, start: int, end: int, into: memoryview, base: int) -> list[tuple[int, int]]:
        """Fill `into`, which stands for the bytes from `base` on, with what the layer holds of [start, end). Returns the
        ranges that the layer beneath shows; what is zero is left as it is."""
        through: list[tuple[int, int]] = []
        end = min(end, self.size_bytes)
        at = start
        while at < end:
            inside = at & (self._cluster_bytes - 1)
            stop = min(end, at - inside + self._cluster_bytes)
            entry = self._entry(at >> self._cluster_bits)
            if entry & COMPRESSED:
                raise PoolLost(f"the layer {self._path.name} has a compressed cluster")
            if entry & ZERO:
                pass
            elif entry & OFFSET_MASK:
                into[at - base : stop - base] = self._pread(stop - at, (entry & OFFSET_MASK) + inside)
            elif through and through[-1][1] == at:
                through[-1] = (through[-1][0], stop)
            else:
                through.append((at, stop))
            at = stop
        return through

    def _entry(self, cluster: int) -> int:
        table = self._table(cluster // self._per_table)
        return table[cluster % self._per_table] if table is not None else 0

    def _table(self, number: int) -> array[int] | None:
        if self._held[0] != number:
            offset = self._tables[number] & OFFSET_MASK if number < len(self._tables) else 0
            self._held = (number, _numbers(self._pread(self._cluster_bytes, offset)) if offset else None)
        return self._held[1]

    def _pread(self, size: int, offset: int) -> bytes:
        content = os.pread(self._fd, size, offset)
        while len(content) < size:
            more = os.pread(self._fd, size - len(content), offset + len(content))
            if not more:  # a file may end within its last cluster: what is missing was never written
                return content.ljust(size, b"\0")
            content += more
        return content


@contextmanager
def opened(paths: Sequence[Path]) -> Iterator[list[LayerFile]]:
    """The layers of a chain, top first, open for reading."""
    with ExitStack() as stack:
        layers = []
        for path in paths:
            layer = LayerFile(path)
            stack.callback(layer.close)
            layers.append(layer)
        yield layers


def read_block(paths: Sequence[Path], index: int) -> bytes:
    """The bytes of a block as the chain shows it, whose top comes first; past its end they are zeros. Layers are opened one at
    a time, as deep as need be: many blocks may be read at once, of long chains."""
    base = index * BLOCK_BYTES
    content = bytearray(BLOCK_BYTES)
    wanted = [(base, base + BLOCK_BYTES)]
    with memoryview(content) as view:
        for path in paths:
            with opened([path]) as (layer,):
                wanted = [rest for start, end in wanted for rest in layer.read(start, end, view, base)]
            if not wanted:
                break
    return bytes(content)


def find_blocks(layers: Sequence[LayerFile], first: int, most: int) -> tuple[list[int], int | None]:
    """Blocks from `first` on of which one of the layers holds something, at most `most`, and where to go on (None: at the
    end)."""
    found: list[int] = []
    for window in sorted({window for layer in layers for window in layer.windows()}):
        if (window + 1) * WINDOW <= first:
            continue
        here = sorted(set().union(*(layer.blocks(window) for layer in layers)))
        found += [block for block in here if block >= first]
        if len(found) > most:
            return found[:most], found[most]
    return found, None


def held_among(layers: Sequence[LayerFile], blocks: Sequence[int]) -> frozenset[int]:
    """Those of the blocks of which one of the layers holds something."""
    held: set[int] = set()
    for window in {block // WINDOW for block in blocks}:
        held.update(*(layer.blocks(window) for layer in layers))
    return frozenset(held.intersection(blocks))


def _numbers(content: bytes) -> array[int]:
    numbers = array("Q", content)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
