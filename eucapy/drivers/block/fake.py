"""The fake block driver: the family's semantics in two journals, at once and without any program.

It lives in a folder and survives restarts, so that the cloud of the tests may be killed at any moment. The content of a
volume is a map from block number to a word, which the tests write and read through `write` and `read` while the volume is
exported (like a guest) or not. Failures are injected before or after the effect of the n-th verb from now: `fail_at`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from eucapy import diskimage, ledger
from eucapy.drivers.block import base
from eucapy.drivers.block.base import (
    BadRequest,
    BlockError,
    Capabilities,
    ExportSeen,
    InUse,
    NoSpace,
    NoSuchSnapshot,
    NoSuchVolume,
    PoolSeen,
    SnapshotSeen,
    UnusableImage,
    VolumeSeen,
)
from eucapy.drivers.journal import Journal
from eucapy.pace import UNLIMITED, Pace

Blocks = dict[int, str]


class Injected(BlockError):
    """The failure that a test asked for."""

    code = "Injected"


class FakeVolume(msgspec.Struct, kw_only=True):
    """A volume; `served` is whether the export's server runs, `node` whom on another host it is for."""

    size_gib: int
    snapshot_id: str = ""
    attachment_id: str = ""
    node: str = ""
    served: bool = False
    pace: Pace = UNLIMITED
    blocks: Blocks = {}


class FakeSnapshot(msgspec.Struct, kw_only=True):
    size_gib: int
    volume_id: str = ""
    blocks: Blocks = {}


class FakePool(msgspec.Struct, frozen=True):
    """What the pool's own file says."""

    pool_id: str


class FakeDriver:
    """A pool in `folder` (`pool.json`, `volumes.jsonl`, `snapshots.jsonl`) with room for `total_gib`."""

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
        return self._volumes[volume_id].blocks.get(block, "")

    async def open(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        held = self._ledger.read()
        if held is None:
            held = FakePool(pool_id=secrets.token_hex(16))
            self._ledger.write(held)
        self._pool_id = held.pool_id
        self._volumes.load()
        self._snapshots.load()

    async def close(self) -> None:
        self._on_change = lambda: None
        self._volumes.close()
        self._snapshots.close()

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
        )

    async def ensure_volume(self, volume_id: str, size_gib: int, snapshot_id: str = "") -> None:
        base.check_id(volume_id)
        base.check_size(size_gib, self.capabilities)
        self._before()
        if volume_id not in self._volumes:
            blocks: Blocks = {}
            if snapshot_id:
                source = self._snapshots.get(snapshot_id)
                if source is None:
                    raise NoSuchSnapshot(f"there is no snapshot {snapshot_id}")
                blocks, size_gib = dict(source.blocks), max(size_gib, source.size_gib)
            if sum(volume.size_gib for volume in self._volumes.values()) + size_gib > self._total_gib:
                raise NoSpace(f"less than {size_gib} GiB are free")
            self._volumes[volume_id] = FakeVolume(size_gib=size_gib, snapshot_id=snapshot_id, blocks=blocks)
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
                size_gib=volume.size_gib, volume_id=volume_id, blocks=dict(volume.blocks)
            )
        self._snapshots.save(snapshot_id)
        self._after()

    async def copy_snapshot(self, snapshot_id: str, source_id: str) -> None:
        base.check_id(snapshot_id)
        self._before()
        if snapshot_id not in self._snapshots:
            source = self._snapshots.get(source_id)
            if source is None:
                raise NoSuchSnapshot(f"there is no snapshot {source_id}")
            self._snapshots[snapshot_id] = FakeSnapshot(size_gib=source.size_gib, blocks=dict(source.blocks))
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

    async def remove_snapshot(self, snapshot_id: str) -> None:
        self._before()
        self._snapshots.pop(snapshot_id, None)
        self._snapshots.save(snapshot_id)
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

    def _before(self) -> None:
        self.verbs += 1
        if self._fail_at == self.verbs - 1 and not self._fail_after:
            self._fail_at = None
            raise Injected("before its effect")

    def _after(self) -> None:
        if self._fail_at == self.verbs - 1:
            self._fail_at = None
            raise Injected("after its effect")
