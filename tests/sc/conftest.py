"""A storage controller over the fake driver, which can be killed and started again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from eucapy.clock import ManualClock
from eucapy.drivers.block.base import GIB
from eucapy.drivers.block.fake import FakeDriver
from eucapy.drivers.imaging.fake_conversion import FakeConverter
from eucapy.reconcile.loop import Loops
from eucapy.sc.agent import StorageController
from eucapy.sc.archive import Archive
from eucapy.sc.archives import Archives
from eucapy.sc.executor import Executor
from eucapy.sc.transfer import Transfer
from eucapy.sc.uploads import Uploads
from eucapy.wire.archive import ArchiveStore
from eucapy.wire.contract import Ack, Cursor
from eucapy.wire.node import NodeSource, ObjectSource
from eucapy.wire.storage import ExportSpec, SnapshotSpec, StorageSpec, StorageStatus, UploadSpec, VolumeSpec


class FakeStore:
    """An object store in memory; what is in `failures` is raised first, one a call."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploaded: dict[str, bytes] = {}
        self.keeps = 4096
        """Of what is uploaded the store remembers so many bytes."""
        self.failures: list[Exception] = []
        self.calls = 0

    async def fetch(self, source: ObjectSource, into: Path, progress: Callable[[int], None]) -> None:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        content = self.objects[source.key]
        into.write_bytes(content)
        progress(len(content))

    async def send(
        self,
        file: Path,
        bucket: str,
        key: str,
        upload_id: str,
        told: Callable[[int], None],
        first_part: int = 1,
        most_parts: int = 5000,
    ) -> list[str]:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        with file.open("rb") as stream:
            content = stream.read(self.keeps)
        self.uploaded[upload_id] = content
        told(len(content))
        return [f"etag{first_part}" if first_part > 1 else "etag"]

    async def fetch_capture(self, source: NodeSource, into: Path, progress: Callable[[int], None]) -> None:
        content = self.objects[source.snapshot_id]
        into.write_bytes(content)
        progress(len(content))


class Zone:
    """One zone's storage: the folders that survive, and the present life of the agent."""

    def __init__(self, folder: Path, archive: ArchiveStore | None = None, name: str = "one") -> None:
        self.folder, self.name = folder, name
        self.archive = archive
        self.clock = ManualClock()
        self.store = FakeStore()
        self.generation = 0
        self._begin()

    def _begin(self) -> None:
        self.driver = FakeDriver(self.folder / "pool")
        transfer = Transfer(self.store, self.store, GIB)
        uploads = Uploads(self.store, self.folder / "state" / "uploads")
        archives = Archives(Archive(self.archive, self.driver, self.name)) if self.archive is not None else None
        downloads = self.folder / "state" / "downloads"
        executor = Executor(self.driver, transfer, FakeConverter(), uploads, downloads, archives)
        self.agent = StorageController(self.name, self.folder / "state", self.driver, executor, self.clock)
        self.loops = Loops()
        self.loops.add(self.agent.loop)

    async def open(self) -> None:
        await self.agent.open()

    async def kill(self) -> None:
        """The process dies and another one starts."""
        await self.agent.close()
        self._begin()
        await self.open()

    async def want(self, *items: VolumeSpec | SnapshotSpec | UploadSpec) -> Ack:
        self.generation += 1
        return await self.agent.put_spec(
            StorageSpec(
                generation=self.generation,
                zone=self.name,
                volumes={item.volume_id: item for item in items if isinstance(item, VolumeSpec)},
                snapshots={item.snapshot_id: item for item in items if isinstance(item, SnapshotSpec)},
                uploads={item.task_id: item for item in items if isinstance(item, UploadSpec)},
            )
        )

    async def settle(self) -> StorageStatus:
        """Run the loop until it has nothing to do; failed items are tried again without waiting for the clock."""
        for _ in range(20):
            await self.loops.settle()
            self.clock.advance(120.0)
            if not await self.agent.loop.activate():
                break
        return await self.agent.get_status(Cursor(), 0.0)


@pytest.fixture
async def zone(tmp_path: Path) -> AsyncIterator[Zone]:
    zone = Zone(tmp_path)
    await zone.open()
    yield zone
    await zone.agent.close()


def export(attachment_id: str) -> ExportSpec:
    return ExportSpec(attachment_id=attachment_id, instance_id="i-1", node="n1", node_address="127.0.0.1")
