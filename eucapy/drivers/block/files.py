"""The block driver `files`: qcow2 layers on a file system, exported by QEMU's storage daemon. The embedded default.

In the pool's folder: `pool` (its identity), `lock` (one process at a time), `layers/` (`layers.py`), `volumes/` and
`snapshots/` (`records.py`), `drafts/` (`drafts.py`). Snapshots and volumes made from them copy nothing: they share frozen
layers. Room is taken as it is written.

What a crash may interrupt, and who finishes it:

    ensure_volume    layer, then record            a layer without a record is collected by `open`
    remove_volume    record, then layers           the same
    ensure_snapshot  1 intent into the volume's record   2 empty layer over the head   3 the running daemon is told to go on
                     in it   4 snapshot's record   5 volume's record with the new head
                     `open` (or the same call again) goes on from 1 forward. If the daemon died in between, the new head
                     is right whether or not step 3 was done: if not, it is empty and shows what is beneath it.
    set_pace         daemon, then record           the record is old: called again
    seal_snapshot    tables into the draft, its file linked as a layer, record, draft removed        a layer without a record
                     is collected, and sealing begins again; a draft beside its snapshot is removed by `open`
    ensure_export    record, then daemon           the record says attached, no daemon runs: called again
    remove_export    daemon, then record           the same, the other way round

Chains that snapshots leave behind are kept short in the background: `compaction.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Container, Iterator, Sequence
from pathlib import Path

import msgspec

from eucapy import diskimage, ledger
from eucapy.drivers.block import base, qcow2
from eucapy.drivers.block.base import (
    GIB,
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
    PoolLost,
    PoolSeen,
    SnapshotSeen,
    TooManySnapshots,
    Unrelated,
    UnusableImage,
    VolumeSeen,
)
from eucapy.drivers.block.compaction import Compactor, Use
from eucapy.drivers.block.drafts import Drafts
from eucapy.drivers.block.exporter import Exporter, Listening, PortTaken, Remote
from eucapy.drivers.block.layers import Layers
from eucapy.drivers.block.records import Records, SnapshotRecord, VolumeRecord
from eucapy.folders import Owner, ensure_folder
from eucapy.pace import Pace
from eucapy.run import RunError

log = logging.getLogger(__name__)

LONGEST_CHAIN = 16
MOST_LAYERS = 250
"""A chain longer than this would cost every read too much; it takes as many snapshots of one volume, all kept."""


class FilesDriver:
    """A pool in one folder. `run_folder` holds the sockets and should not outlive the host's boot."""

    def __init__(
        self,
        folder: Path,
        run_folder: Path,
        *,
        export_group_id: int | None = None,
        reserve_gib: int = 0,
        longest_chain: int = LONGEST_CHAIN,
        remote: Remote | None = None,
        owner: Owner | None = None,
    ) -> None:
        """`owner`: the user that storage daemons run as; None: as we do.

        `reserve_gib`: nothing new is made while less than this is free on the file system. `longest_chain`: longer
        ones are compacted as far as snapshots that still exist allow. `remote`: how other hosts reach volumes."""
        self.capabilities = Capabilities(name="files", grows_exported=True, largest_gib=16 * 1024)
        self._folder = folder
        self._reserve_gib = reserve_gib
        self._through = owner.group_id if owner is not None else None
        self._layers = Layers(folder / "layers", owner)
        self._volumes: Records[VolumeRecord] = Records(folder / "volumes", VolumeRecord)
        self._snapshots: Records[SnapshotRecord] = Records(folder / "snapshots", SnapshotRecord)
        self._drafts = Drafts(folder / "drafts")
        self._exporter = Exporter(run_folder, self._layers.path, export_group_id, remote, owner)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._listing = asyncio.Lock()
        """Who looks for blocks has all layers of a chain open."""
        self._making: list[tuple[str, ...]] = []
        """Layers being made or built upon, which no record may name yet or any more."""
        self._compactor = Compactor(self._layers, self._exporter, self._use, self._collect, longest_chain)
        self._lock_fd = -1
        self._pool_id = ""

    async def open(self, on_change: Callable[[], None]) -> None:
        ensure_folder(self._folder, self._through)
        self._take_lock()
        try:
            self._pool_id = self._identity()
            self._volumes.open()
            self._snapshots.open()
            self._exporter.open(on_change)
            await self._exporter.end_merges()
            self._layers.open()
            for record in self._volumes:
                if record.taking:
                    await self._try_to_finish(record)
            for volume_id in self._exporter.running():
                held = self._volumes.get(volume_id)
                if held is not None and held.taking:
                    continue  # its graph is half-way, and finishing the snapshot goes on from there
                if held is not None and held.attachment_id:
                    with contextlib.suppress(PoolLost):  # a missing layer is told where the volume is used
                        await self._exporter.tidy(volume_id, self._layers.chain(held.head))
                elif volume_id not in self._volumes.damaged:
                    await self._exporter.stop(volume_id)
            self._collect()
            self._drafts.open()
            for name in self._drafts.names:
                if name in self._snapshots:
                    self._drafts.remove(name)
            self._compactor.wake()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._compactor.stop()
        self._exporter.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    async def observe(self) -> PoolSeen:
        space = os.statvfs(self._folder)
        return PoolSeen(
            pool_id=self._pool_id,
            volumes={record.volume_id: self._view(record) for record in self._volumes},
            snapshots={
                record.snapshot_id: SnapshotSeen(record.snapshot_id, record.size_gib, record.volume_id)
                for record in self._snapshots
            },
            total_gib=space.f_blocks * space.f_frsize // GIB,
            free_gib=max(0, space.f_bavail * space.f_frsize // GIB - self._reserve_gib),
            drafts=self._drafts.names,
        )

    def _view(self, record: VolumeRecord) -> VolumeSeen:
        exports = {}
        if record.attachment_id:
            exports[record.attachment_id] = ExportSeen(self._address(record), record.node)
        return VolumeSeen(record.volume_id, record.size_gib, record.snapshot_id, exports, record.pace)

    def _address(self, record: VolumeRecord) -> str:
        return self._exporter.address(record.volume_id, _listening(record))

    async def ensure_volume(self, volume_id: str, size_gib: int, snapshot_id: str = "") -> None:
        base.check_id(volume_id)
        base.check_size(size_gib, self.capabilities)
        async with self._locks[volume_id]:
            if self._volume(volume_id) is not None:
                return
            self._require_room()
            parent = ""
            if snapshot_id:
                source = self._snapshots.get(snapshot_id)
                if source is None:
                    raise NoSuchSnapshot(f"there is no snapshot {snapshot_id}")
                parent, size_gib = source.layer, max(size_gib, source.size_gib)
                self._layers.chain(parent)
            head = f"{volume_id}.0"
            with self._kept(head, parent):
                await self._layers.ensure(head, size_gib, parent)
                self._volumes.put(
                    volume_id,
                    VolumeRecord(volume_id=volume_id, size_gib=size_gib, head=head, snapshot_id=snapshot_id),
                )

    async def grow(self, volume_id: str, size_gib: int) -> None:
        base.check_size(size_gib, self.capabilities)
        async with self._locks[volume_id]:
            record = self._require_volume(volume_id)
            if size_gib < record.size_gib:
                raise BadRequest(f"{volume_id} has {record.size_gib} GiB and cannot shrink to {size_gib}")
            if record.taking:
                record = await self._finish_snapshot(record)
            if size_gib > record.size_gib:
                if volume_id in self._exporter.running():
                    await self._exporter.grow(volume_id, size_gib * GIB)
                else:
                    await self._layers.grow(record.head, size_gib)
                self._volumes.put(volume_id, msgspec.structs.replace(record, size_gib=size_gib))

    async def set_pace(self, volume_id: str, pace: Pace) -> None:
        async with self._locks[volume_id]:
            record = self._require_volume(volume_id)
            if record.pace != pace:
                if volume_id in self._exporter.running():
                    await self._exporter.set_pace(volume_id, pace)
                self._volumes.put(volume_id, msgspec.structs.replace(record, pace=pace))

    async def remove_volume(self, volume_id: str) -> None:
        async with self._locks[volume_id]:
            record = self._volume(volume_id)
            if record is None:
                return
            if record.attachment_id:
                raise InUse(f"{volume_id} is exported for {record.attachment_id}")
            await self._exporter.stop(volume_id)
            self._volumes.remove(volume_id)
            self._collect()
            self._compactor.wake()

    async def ensure_snapshot(self, snapshot_id: str, volume_id: str) -> None:
        base.check_id(snapshot_id)
        async with self._locks[volume_id]:
            if self._snapshot(snapshot_id) is not None:
                return
            record = self._require_volume(volume_id)
            if record.taking:
                record = await self._finish_snapshot(record)
                if snapshot_id in self._snapshots:
                    return
            self._require_room()
            if len(self._layers.chain(record.head)) >= MOST_LAYERS:
                raise TooManySnapshots(f"{volume_id} stands on {MOST_LAYERS} snapshots that still exist")
            name, _, number = record.head.rpartition(".")
            intent = msgspec.structs.replace(record, taking=snapshot_id, next_head=f"{name}.{int(number) + 1}")
            self._volumes.put(volume_id, intent)
            try:
                await self._finish_snapshot(intent)
            except (BlockError, RunError, OSError):
                if intent.next_head not in self._layers:  # nothing was done yet, and there may never be room for it
                    with contextlib.suppress(OSError):
                        self._volumes.put(volume_id, record)
                raise
            self._compactor.wake()

    async def _try_to_finish(self, record: VolumeRecord) -> None:
        """One volume whose snapshot cannot be finished now (no room) keeps nobody from the pool; whatever is asked of the
        volume next tries again."""
        try:
            await self._finish_snapshot(record)
        except (BlockError, RunError, OSError) as error:
            log.error("snapshot not finished", extra={"data": {"item": record.taking, "reason": str(error)}})

    async def _finish_snapshot(self, record: VolumeRecord) -> VolumeRecord:
        """Steps 2 to 5 of a snapshot, from wherever it was left."""
        await self._layers.ensure(record.next_head, record.size_gib, record.head)
        if record.volume_id in self._exporter.running():
            beneath = self._layers.chain(record.head)[1:2]
            await self._exporter.put_over(record.volume_id, record.head, record.next_head, "".join(beneath))
        self._snapshots.put(
            record.taking,
            SnapshotRecord(
                snapshot_id=record.taking, size_gib=record.size_gib, layer=record.head, volume_id=record.volume_id
            ),
        )
        done = msgspec.structs.replace(record, head=record.next_head, taking="", next_head="")
        return self._volumes.put(record.volume_id, done)

    async def copy_snapshot(self, snapshot_id: str, source_id: str) -> None:
        """Another name for a frozen layer, which stays as long as one of its snapshots does."""
        base.check_id(snapshot_id)
        async with self._locks[snapshot_id]:
            if self._snapshot(snapshot_id) is not None:
                return
            source = self._snapshot(source_id)
            if source is None:
                raise NoSuchSnapshot(f"there is no snapshot {source_id}")
            copy = SnapshotRecord(snapshot_id=snapshot_id, size_gib=source.size_gib, layer=source.layer)
            self._snapshots.put(snapshot_id, copy)

    async def import_snapshot(self, snapshot_id: str, image: Path, image_format: str, size_gib: int) -> None:
        base.check_id(snapshot_id)
        async with self._locks[snapshot_id]:
            if self._snapshot(snapshot_id) is not None:
                return
            self._require_room()
            try:
                with image.open("rb") as file:
                    facts = diskimage.inspect(
                        file.read(diskimage.HEADER_BYTES), os.fstat(file.fileno()).st_size, image_format
                    )
            except (OSError, diskimage.BadImage) as error:
                raise UnusableImage(str(error)) from error
            size_gib = base.check_size(max(size_gib, base.whole_gib(facts.virtual_bytes)), self.capabilities)
            with self._kept(snapshot_id):
                await self._layers.convert(snapshot_id, image, facts.format, size_gib)
                self._snapshots.put(
                    snapshot_id, SnapshotRecord(snapshot_id=snapshot_id, size_gib=size_gib, layer=snapshot_id)
                )

    async def held_blocks(self, snapshot_id: str, first: int, most: int, than: str = "") -> HeldBlocks:
        async with self._reading(snapshot_id) as chain:
            if not than:
                return await self._held(chain, [], first, most)
            async with self._reading(than) as older:
                shared = next((layer for layer in chain if layer in older), "")
                if not shared:
                    raise Unrelated(f"{snapshot_id} and {than} have nothing in common")
                apart = [*chain[: chain.index(shared)], *older[: older.index(shared)]]
                return await self._held(apart, older, first, most)

    async def _held(self, layers: Sequence[str], older: Sequence[str], first: int, most: int) -> HeldBlocks:
        def find() -> HeldBlocks:
            with qcow2.opened(self._paths(layers)) as here, qcow2.opened(self._paths(older)) as before:
                found, after = qcow2.find_blocks(here, first, most)
                return HeldBlocks(tuple(found), qcow2.held_among(before, found), after)

        async with self._listing:
            return await asyncio.to_thread(find)

    async def read_block(self, snapshot_id: str, index: int) -> bytes:
        async with self._reading(snapshot_id) as chain:
            return await asyncio.to_thread(qcow2.read_block, self._paths(chain), index)

    def _paths(self, layers: Sequence[str]) -> list[Path]:
        return [self._layers.path(layer) for layer in layers]

    @contextlib.asynccontextmanager
    async def _reading(self, snapshot_id: str) -> AsyncIterator[list[str]]:
        """The layers of a snapshot, top first; none of them goes or is merged away meanwhile."""
        record = self._snapshot(snapshot_id)
        if record is None:
            raise NoSuchSnapshot(f"there is no snapshot {snapshot_id}")
        layer = record.layer
        try:
            with self._kept(layer):  # the snapshot may be removed while a merge is waited for
                chain = await self._compactor.clear_of(lambda: self._layers.chain(layer))
                with self._kept(*chain):
                    yield chain
        finally:
            if snapshot_id not in self._snapshots:
                self._collect()

    async def put_block(self, snapshot_id: str, index: int, content: bytes) -> None:
        base.check_id(snapshot_id)
        base.check_block(index, content)
        async with self._locks[snapshot_id]:
            if self._snapshot(snapshot_id) is not None:
                raise NotADraft(f"the snapshot {snapshot_id} is made already")
            self._require_room()
            await asyncio.to_thread(self._drafts.put, snapshot_id, index, content)

    async def seal_snapshot(
        self, snapshot_id: str, size_gib: int, parent_id: str = "", blocks: int | None = None, checksum: str = ""
    ) -> None:
        base.check_id(snapshot_id)
        base.check_size(size_gib, self.capabilities)
        async with self._locks[snapshot_id]:
            if self._snapshot(snapshot_id) is not None:
                return
            has, aggregate = await asyncio.to_thread(self._drafts.summary, snapshot_id)
            base.check_written(snapshot_id, has, aggregate, blocks, checksum)
            async with self._over(parent_id, size_gib) as parent:
                below = self._layers.path(parent).name if parent else ""
                image = await asyncio.to_thread(self._drafts.seal, snapshot_id, size_gib * GIB, below)
                with self._kept(snapshot_id):
                    self._layers.adopt(snapshot_id, image, parent)
                    self._snapshots.put(
                        snapshot_id, SnapshotRecord(snapshot_id=snapshot_id, size_gib=size_gib, layer=snapshot_id)
                    )
            self._drafts.remove(snapshot_id)

    @contextlib.asynccontextmanager
    async def _over(self, parent_id: str, size_gib: int) -> AsyncIterator[str]:
        """The layer of the snapshot that another one of that size shall stand on, "" for none."""
        if not parent_id:
            yield ""
            return
        async with self._reading(parent_id) as chain:
            parent = self._snapshot(parent_id)
            if parent is not None and parent.size_gib > size_gib:
                raise BadRequest(f"{parent_id} has {parent.size_gib} GiB, which is more than {size_gib}")
            if len(chain) >= MOST_LAYERS:
                raise TooManySnapshots(f"{parent_id} stands on {MOST_LAYERS} snapshots that still exist")
            yield chain[0]

    async def write_out(self, snapshot_id: str, image: Path) -> None:
        record = self._snapshot(snapshot_id)
        async with self._reading(snapshot_id) as chain:
            assert record is not None, "what can be read is there"
            await self._layers.write_out(chain[0], image, record.size_gib)

    async def remove_snapshot(self, snapshot_id: str) -> None:
        async with self._locks[snapshot_id]:
            self._drafts.remove(snapshot_id)
            if self._snapshot(snapshot_id) is not None:
                self._snapshots.remove(snapshot_id)
                self._collect()
                self._compactor.wake()

    async def ensure_export(self, volume_id: str, attachment_id: str, node: str = "") -> str:
        if node:
            self._exporter.check_node(node)
        async with self._locks[volume_id]:
            record = self._require_volume(volume_id)
            if record.attachment_id and (record.attachment_id, record.node) != (attachment_id, node):
                raise InUse(f"{volume_id} is exported for {record.attachment_id} to {record.node or 'this host'}")
            if volume_id not in self._exporter.running():
                if record.taking:
                    record = await self._finish_snapshot(record)
                head = record.head
                chain = await self._compactor.clear_of(lambda: self._layers.chain(head))
                record = await self._serve(
                    msgspec.structs.replace(record, attachment_id=attachment_id, node=node), chain
                )
            return self._address(record)

    async def _serve(self, record: VolumeRecord, chain: Sequence[str]) -> VolumeRecord:
        """Start the daemon, for another host at the volume's port, or at another one when that is taken."""
        refused: set[int] = set()
        while True:
            if record.node and (not record.port or record.port in refused):
                record = msgspec.structs.replace(record, port=self._free_port(refused))
            self._volumes.put(record.volume_id, record)
            try:
                await self._exporter.start(record.volume_id, chain, _listening(record), record.pace)
            except PortTaken:
                refused.add(record.port)
                continue
            return record

    def _free_port(self, refused: Container[int]) -> int:
        taken = {record.port for record in self._volumes}
        for port in self._exporter.ports:
            if port not in taken and port not in refused:
                return port
        raise NoSpace("every port for volumes of other hosts is taken")

    async def remove_export(self, volume_id: str, attachment_id: str) -> None:
        async with self._locks[volume_id]:
            record = self._volume(volume_id)
            if record is None or record.attachment_id != attachment_id:
                return
            await self._exporter.stop(volume_id)
            self._volumes.put(volume_id, msgspec.structs.replace(record, attachment_id="", node="", port=0))
            self._compactor.wake()

    def _volume(self, volume_id: str) -> VolumeRecord | None:
        if volume_id in self._volumes.damaged:
            raise PoolLost(f"the record of {volume_id} is damaged")
        return self._volumes.get(volume_id)

    def _snapshot(self, snapshot_id: str) -> SnapshotRecord | None:
        if snapshot_id in self._snapshots.damaged:
            raise PoolLost(f"the record of {snapshot_id} is damaged")
        return self._snapshots.get(snapshot_id)

    def _require_volume(self, volume_id: str) -> VolumeRecord:
        record = self._volume(volume_id)
        if record is None:
            raise NoSuchVolume(f"there is no volume {volume_id}")
        return record

    def _require_room(self) -> None:
        space = os.statvfs(self._folder)
        if space.f_bavail * space.f_frsize < self._reserve_gib * GIB:
            raise NoSpace(f"less than {self._reserve_gib} GiB are free")

    @contextlib.contextmanager
    def _kept(self, *layers: str) -> Iterator[None]:
        """Layers that are not collected while they are worked on, whether or not a record names them."""
        self._making.append(layers)
        try:
            yield
        finally:
            self._making.remove(layers)

    def _use(self) -> Use:
        running = frozenset(self._exporter.running())
        return Use(
            roots=frozenset(self._roots()),
            heads=frozenset(layer for record in self._volumes for layer in record.layers),
            exported={
                record.volume_id: record.head
                for record in self._volumes
                if record.attachment_id or record.volume_id in running
            },
            running=running,
        )

    def _roots(self) -> set[str]:
        roots = {layer for layers in self._making for layer in layers}
        for record in [*self._volumes, *self._snapshots]:
            roots.update(record.layers)
        return roots

    def _collect(self) -> None:
        """Remove the layers that nobody needs, unless a damaged record might need them."""
        if self._volumes.damaged or self._snapshots.damaged:
            return
        garbage = self._layers.collect(self._roots())
        if garbage:
            log.info("layers removed", extra={"data": {"layers": garbage}})

    def _take_lock(self) -> None:
        fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise PoolLost(f"{self._folder} is in use by another process") from error
        self._lock_fd = fd

    def _identity(self) -> str:
        path = self._folder / "pool"
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            ledger.write_file(path, f"{secrets.token_hex(16)}\n".encode())
            return path.read_text().strip()


def _listening(record: VolumeRecord) -> Listening | None:
    """Where the volume is served to another host; None when its socket is on this one."""
    return Listening(record.node, record.port) if record.node else None
