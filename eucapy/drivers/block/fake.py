"""The fake block driver: the family's semantics in two journals, at once and without any program.

It lives in a folder and survives restarts, so that the cloud of the tests may be killed at any moment. The content of a
volume is a map from block number to a word (`fake_content.py`), which the tests write and read through `write` and `read`
while the volume is exported (like a guest) or not. Failures are injected before or after the effect of the n-th verb from
now: `fail_at`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from eucapy import diskimage, ledger
from eucapy.drivers.block import base, drafts
from eucapy.drivers.block.base import (
    BadRequest,
    BlockError,
    Capabilities,
    ExportSeen,
    HeldBlocks,
    InUse,
    NoSpace,
    NoSuchSnapshot,
    NoSuchVolume,
    NotADraft,
    PoolSeen,
    SnapshotSeen,
    Unrelated,
    UnusableImage,
    VolumeSeen,
)
from eucapy.drivers.block.fake_content import Chunks, Content
from eucapy.drivers.journal import Journal
from eucapy.pace import UNLIMITED, Pace


class Injected(BlockError):
    """The failure that a test asked for."""

    code = "Injected"


class FakeVolume(Content, kw_only=True):
    """A volume; `served` is whether the export's server runs, `node` whom on another host it is for. `origin`: the volume or
    snapshot at the beginning of what it came from, "" for itself."""

    size_gib: int
    snapshot_id: str = ""
    attachment_id: str = ""
    node: str = ""
    served: bool = False
    pace: Pace = UNLIMITED
    origin: str = ""


class FakeSnapshot(Content, kw_only=True):
    size_gib: int
    volume_id: str = ""
    origin: str = ""


class FakePool(msgspec.Struct, frozen=True):
    """What the pool's own file says."""

    pool_id: str


class FakeDriver:
    """A pool in `folder` (`pool.json`; `volumes`, `snapshots` and `drafts`, each a `.jsonl`; `chunks/`) with room for
    `total_gib`."""

    def __init__(self, folder: Path, total_gib: int = 1024) -> None:
        self.capabilities = Capabilities(name="fake", grows_exported=True, largest_gib=16 * 1024)
        self.verbs = 0
        """How many changing verbs were called in this life."""
        self._folder = folder
        self._total_gib = total_gib
        self._ledger = ledger.Ledger(folder / "pool.json", FakePool)
        self._pool_id = ""
        self._volumes = Journal(folder / "volumes.jsonl", FakeVolume)
        self._snapshots = Journal(folder / "snapshots.jsonl", FakeSnapshot)
        self._drafts = Journal(folder / "drafts.jsonl", Content)
        self._chunks = Chunks(folder / "chunks")
        self._on_change: Callable[[], None] = lambda: None
        self._fail_at: int | None = None
        self._fail_after = False

    def fail_at(self, number: int, *, after: bool = False) -> None:
        """The `number`-th changing verb from now (0: the next) raises, before its effect or `after` it."""
        self._fail_at, self._fail_after = self.verbs + number, after

    def kill_export(self, volume_id: str) -> None:
        """The export's server dies."""
        self._volumes[volume_id].served = False
        self._volumes.save(volume_id)
        self._on_change()

    def write(self, volume_id: str, block: int, word: str) -> None:
        """What a guest writes into a volume."""
        self._volumes[volume_id].blocks[block] = word
        self._volumes.save(volume_id)

    def read(self, volume_id: str, block: int) -> str:
        """What a guest reads; "" where nothing was written."""
        return self._chunks.word(self._volumes[volume_id], block)

    async def open(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        held = self._ledger.read()
        if held is None:
            held = FakePool(pool_id=secrets.token_hex(16))
            self._ledger.write(held)
        self._pool_id = held.pool_id
        self._volumes.load()
        self._snapshots.load()
        self._drafts.load()

    async def close(self) -> None:
        self._on_change = lambda: None
        self._volumes.close()
        self._snapshots.close()
        self._drafts.close()

    async def observe(self) -> PoolSeen:
        used_gib = sum(volume.size_gib for volume in self._volumes.values())
        return PoolSeen(
            pool_id=self._pool_id,
            volumes={
                volume_id: VolumeSeen(
                    volume_id,
                    volume.size_gib,
                    volume.snapshot_id,
                    {volume.attachment_id: ExportSeen(self._address(volume_id), volume.node)}
                    if volume.attachment_id
                    else {},
                    volume.pace,
                )
                for volume_id, volume in self._volumes.items()
            },
            snapshots={
                snapshot_id: SnapshotSeen(snapshot_id, snapshot.size_gib, snapshot.volume_id)
                for snapshot_id, snapshot in self._snapshots.items()
            },
            total_gib=self._total_gib,
            free_gib=max(0, self._total_gib - used_gib),
            drafts=frozenset(self._drafts),
        )

    async def ensure_volume(self, volume_id: str, size_gib: int, snapshot_id: str = "") -> None:
        base.check_id(volume_id)
        base.check_size(size_gib, self.capabilities)
        self._before()
        if volume_id not in self._volumes:
            source: Content = Content()
            origin = ""
            if snapshot_id:
                source = held = self._snapshot(snapshot_id)
                size_gib, origin = max(size_gib, held.size_gib), held.origin or snapshot_id
            if sum(volume.size_gib for volume in self._volumes.values()) + size_gib > self._total_gib:
                raise NoSpace(f"less than {size_gib} GiB are free")
            self._volumes[volume_id] = FakeVolume(
                size_gib=size_gib,
                snapshot_id=snapshot_id,
                origin=origin,
                blocks=dict(source.blocks),
                chunks=dict(source.chunks),
            )
        self._volumes.save(volume_id)
        self._after()

    async def grow(self, volume_id: str, size_gib: int) -> None:
        base.check_size(size_gib, self.capabilities)
        self._before()
        volume = self._require(volume_id)
        if size_gib < volume.size_gib:
            raise BadRequest(f"{volume_id} has {volume.size_gib} GiB and cannot shrink to {size_gib}")
        volume.size_gib = size_gib
        self._volumes.save(volume_id)
        self._after()

    async def set_pace(self, volume_id: str, pace: Pace) -> None:
        self._before()
        self._require(volume_id).pace = pace
        self._volumes.save(volume_id)
        self._after()

    async def remove_volume(self, volume_id: str) -> None:
        self._before()
        volume = self._volumes.get(volume_id)
        if volume is not None and volume.attachment_id:
            raise InUse(f"{volume_id} is exported for {volume.attachment_id}")
        self._volumes.pop(volume_id, None)
        self._volumes.save(volume_id)
        self._after()

    async def ensure_snapshot(self, snapshot_id: str, volume_id: str) -> None:
        base.check_id(snapshot_id)
        self._before()
        if snapshot_id not in self._snapshots:
            volume = self._require(volume_id)
            self._snapshots[snapshot_id] = FakeSnapshot(
                size_gib=volume.size_gib,
                volume_id=volume_id,
                origin=volume.origin or volume_id,
                blocks=dict(volume.blocks),
                chunks=dict(volume.chunks),
            )
        self._snapshots.save(snapshot_id)
        self._after()

    async def copy_snapshot(self, snapshot_id: str, source_id: str) -> None:
        base.check_id(snapshot_id)
        self._before()
        if snapshot_id not in self._snapshots:
            source = self._snapshot(source_id)
            self._snapshots[snapshot_id] = FakeSnapshot(
                size_gib=source.size_gib,
                origin=source.origin or source_id,
                blocks=dict(source.blocks),
                chunks=dict(source.chunks),
            )
        self._snapshots.save(snapshot_id)
        self._after()

    async def import_snapshot(self, snapshot_id: str, image: Path, image_format: str, size_gib: int) -> None:
        base.check_id(snapshot_id)
        self._before()
        if snapshot_id not in self._snapshots:
            try:
                content = image.read_bytes()
                facts = diskimage.inspect(content[: diskimage.HEADER_BYTES], len(content), image_format)
            except (OSError, diskimage.BadImage) as error:
                raise UnusableImage(str(error)) from error
            size_gib = base.check_size(max(size_gib, base.whole_gib(facts.virtual_bytes)), self.capabilities)
            blocks = {0: hashlib.sha256(content).hexdigest()}
            self._snapshots[snapshot_id] = FakeSnapshot(size_gib=size_gib, blocks=blocks)
        self._snapshots.save(snapshot_id)
        self._after()

    async def held_blocks(self, snapshot_id: str, first: int, most: int, than: str = "") -> HeldBlocks:
        here = self._snapshot(snapshot_id)
        found, before = here.held(), frozenset[int]()
        if than:
            older = self._snapshot(than)
            if (here.origin or snapshot_id) != (older.origin or than):
                raise Unrelated(f"{snapshot_id} and {than} have nothing in common")
            before = frozenset(older.held())
            found = {index for index in {*found, *before} if not here.is_equal(older, index)}
        indexes = sorted(index for index in found if index >= first)
        shown = tuple(indexes[:most])
        return HeldBlocks(shown, before.intersection(shown), indexes[most] if len(indexes) > most else None)

    async def read_block(self, snapshot_id: str, index: int) -> bytes:
        return self._chunks.read(self._snapshot(snapshot_id), index)

    async def put_block(self, snapshot_id: str, index: int, content: bytes) -> None:
        base.check_id(snapshot_id)
        base.check_block(index, content)
        self._before()
        if snapshot_id in self._snapshots:
            raise NotADraft(f"the snapshot {snapshot_id} is made already")
        self._drafts.setdefault(snapshot_id, Content()).put(index, self._chunks.keep(content))
        self._drafts.save(snapshot_id)
        self._after()

    async def seal_snapshot(
        self, snapshot_id: str, size_gib: int, parent_id: str = "", blocks: int | None = None, checksum: str = ""
    ) -> None:
        base.check_id(snapshot_id)
        base.check_size(size_gib, self.capabilities)
        self._before()
        if snapshot_id not in self._snapshots:
            put = self._drafts.get(snapshot_id, Content()).chunks
            aggregate = drafts.linear(bytes.fromhex(digest) for _, digest in sorted(put.items()))
            base.check_written(snapshot_id, len(put), aggregate, blocks, checksum)
            if any((index + 1) * base.BLOCK_BYTES > size_gib * base.GIB for index in put):
                raise BadRequest(f"{snapshot_id} has blocks past its end")
            made = FakeSnapshot(size_gib=size_gib)
            if parent_id:
                parent = self._snapshot(parent_id)
                if parent.size_gib > size_gib:
                    raise BadRequest(f"{parent_id} has {parent.size_gib} GiB, which is more than {size_gib}")
                made.origin = parent.origin or parent_id
                made.blocks, made.chunks = dict(parent.blocks), dict(parent.chunks)
            for index, name in put.items():
                made.put(index, name)
            self._snapshots[snapshot_id] = made
        self._snapshots.save(snapshot_id)
        self._drafts.pop(snapshot_id, None)
        self._drafts.save(snapshot_id)
        self._after()

    async def write_out(self, snapshot_id: str, image: Path) -> None:
        self._before()
        snapshot = self._snapshot(snapshot_id)
        with image.open("wb") as stream:
            stream.truncate(snapshot.size_gib * base.GIB)
            for index in sorted(snapshot.held()):
                stream.seek(index * base.BLOCK_BYTES)
                stream.write(self._chunks.read(snapshot, index))
        self._after()

    async def remove_snapshot(self, snapshot_id: str) -> None:
        self._before()
        for held in (self._drafts, self._snapshots):
            held.pop(snapshot_id, None)
            held.save(snapshot_id)
        self._chunks.collect([*self._volumes.values(), *self._snapshots.values(), *self._drafts.values()])
        self._after()

    async def ensure_export(self, volume_id: str, attachment_id: str, node: str = "") -> str:
        self._before()
        volume = self._require(volume_id)
        if volume.attachment_id and (volume.attachment_id, volume.node) != (attachment_id, node):
            raise InUse(f"{volume_id} is exported for {volume.attachment_id} to {volume.node or 'this host'}")
        volume.attachment_id, volume.node, volume.served = attachment_id, node, True
        self._volumes.save(volume_id)
        self._after()
        return self._address(volume_id)

    async def remove_export(self, volume_id: str, attachment_id: str) -> None:
        self._before()
        volume = self._volumes.get(volume_id)
        if volume is not None and volume.attachment_id == attachment_id:
            volume.attachment_id, volume.node, volume.served = "", "", False
        self._volumes.save(volume_id)
        self._after()

    def _address(self, volume_id: str) -> str:
        volume = self._volumes[volume_id]
        if not volume.served:
            return ""
        if volume.node:
            return f"nbds://storage.invalid:10809/{volume_id}"
        return f"nbd+unix:///{volume_id}?socket={self._folder / volume_id}.sock"

    def _require(self, volume_id: str) -> FakeVolume:
        volume = self._volumes.get(volume_id)
        if volume is None:
            raise NoSuchVolume(f"there is no volume {volume_id}")
        return volume

    def _snapshot(self, snapshot_id: str) -> FakeSnapshot:
        snapshot = self._snapshots.get(snapshot_id)
        if snapshot is None:
            raise NoSuchSnapshot(f"there is no snapshot {snapshot_id}")
        return snapshot

    def _before(self) -> None:
        self.verbs += 1
        if self._fail_at == self.verbs - 1 and not self._fail_after:
            self._fail_at = None
            raise Injected("before its effect")

    def _after(self) -> None:
        if self._fail_at == self.verbs - 1:
            self._fail_at = None
            raise Injected("after its effect")
