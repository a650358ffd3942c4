"""The storage controller as a process: certificates, real volumes, kill -9, and what stays meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from eucapy import config as configuration
from eucapy import pki
from eucapy.config import dump
from eucapy.run import run, spawn
from eucapy.sc.config import Config
from eucapy.wire.client import AgentClient, Caller
from eucapy.wire.contract import Cursor, Unreachable
from eucapy.wire.node import ObjectSource
from eucapy.wire.storage import Presence, SnapshotSpec, StorageSpec, StorageStatus, VolumeSpec
from tests.sc.conftest import export
from tests.walrus.server import Store

pytestmark = pytest.mark.skipif(
    shutil.which("qemu-storage-daemon") is None or shutil.which("qemu-io") is None,
    reason="needs qemu-storage-daemon and qemu-io (Debian: qemu-system-common, qemu-utils)",
)


IMAGE = b"a" * 65536


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for the paths of sockets."""
    folder = Path(tempfile.mkdtemp(prefix="sc-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


class Service:
    """The process, and a cloud controller's client of it."""

    def __init__(self, folder: Path, store_url: str) -> None:
        authority = pki.Authority.ensure(folder / "pki")
        for role in ("sc", "clc", "nc"):
            authority.issue(role)
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port = probe.getsockname()[1]
        self._config = folder / "sc.toml"
        self._config.write_text(
            dump(
                {
                    "zone": "one",
                    "port": self.port,
                    "pki": str(folder / "pki"),
                    "data": str(folder),
                    "reserve_gib": 0,
                    "walrus_internal_url": store_url,
                }
            )
        )
        self._folder = folder
        self.caller = Caller(pki.client_context(folder / "pki", "clc"))
        self.agent = AgentClient(self.caller, f"https://127.0.0.1:{self.port}", StorageStatus)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            argv = [sys.executable, "-m", "eucapy_services.sc.main", "--config", str(self._config)]
            self.process = spawn(argv, output=log)

    def kill(self, number: int) -> int:
        assert self.process is not None
        os.kill(self.process.pid, number)
        return self.process.wait(20)

    async def until(self, good: object, limit_s: float = 60.0) -> StorageStatus:
        """The first status for which `good(status)` holds."""
        cursor = Cursor()
        async with asyncio.timeout(limit_s):
            while True:
                try:
                    status = await self.agent.get_status(cursor, 5.0)
                except Unreachable:
                    assert self.process is not None
                    assert self.process.poll() is None, (self._folder / "log").read_text()
                    await asyncio.sleep(0.05)
                    continue
                if good(status):  # type: ignore[operator]
                    return status
                cursor = status.cursor


@pytest.fixture
async def service(folder: Path) -> AsyncIterator[Service]:
    pki.Authority.ensure(folder / "pki").issue("walrus")
    with Store(folder / "walrus", pki=str(folder / "pki"), internal_port=0) as store:
        store.s3.create_bucket(Bucket="images")
        store.s3.put_object(Bucket="images", Key="tiny", Body=IMAGE)
        service = Service(folder, f"https://127.0.0.1:{store.app.internal_port}")
        service.start()
        yield service
        await service.caller.close()
        if service.process is not None and service.process.poll() is None:
            service.kill(signal.SIGKILL)
    _end_exports(folder)


def _end_exports(folder: Path) -> None:
    for pid_file in (folder / "run").glob("*/pid"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)


def spec(generation: int, *, exported: bool = True, gone: bool = False) -> StorageSpec:
    etag = hashlib.md5(IMAGE, usedforsecurity=False).hexdigest()
    source = ObjectSource(bucket="images", key="tiny", etag=etag, size_bytes=len(IMAGE), format="raw")
    exports = (export("a-1"),) if exported else ()
    return StorageSpec(
        generation=generation,
        zone="one",
        volumes={"vol-1": VolumeSpec(volume_id="vol-1", size_gib=2, snapshot_id="snap-1", exports=exports, gone=gone)},
        snapshots={"snap-1": SnapshotSpec(snapshot_id="snap-1", source=source, gone=gone)},
    )


def exported(status: StorageStatus) -> bool:
    volume = status.volumes.get("vol-1")
    return volume is not None and bool(volume.exports) and all(one.address for one in volume.exports.values())


async def test_a_volume_from_an_image_survives_kill_9_while_it_is_written(service: Service) -> None:
    await service.until(lambda status: True)
    await service.agent.put_spec(spec(1))
    address = (await service.until(exported)).volumes["vol-1"].exports["a-1"].address
    script = [part for n in range(1, 300) for part in ("-c", f"write -f -P 98 {n * 65536} 65536")]
    writer = asyncio.create_task(run("qemu-io", "-f", "raw", *script, address))
    assert service.kill(signal.SIGKILL) == -signal.SIGKILL
    service.start()
    after = await service.until(exported)
    await writer
    assert (after.generation, after.volumes["vol-1"].exports["a-1"].address) == (1, address)
    checks = ("-c", "read -P 97 0 64k", "-c", f"read -P 98 64k {299 * 65536}")
    result = await run("qemu-io", "-f", "raw", *checks, address)
    assert "verification failed" not in result.stdout


async def test_it_ends_on_sigterm_and_leaves_exports_running_until_they_are_ended(
    service: Service, folder: Path
) -> None:
    await service.until(lambda status: True)
    await service.agent.put_spec(spec(1))
    address = (await service.until(exported)).volumes["vol-1"].exports["a-1"].address
    assert service.kill(signal.SIGTERM) == 0
    await run("qemu-io", "-f", "raw", "-c", "read -P 97 0 64k", address)
    service.start()
    await service.until(exported)
    await service.agent.put_spec(spec(2, gone=True))
    status = await service.until(
        lambda status: (
            status.generation == 2
            and {item.presence for item in (*status.volumes.values(), *status.snapshots.values())} == {Presence.GONE}
        )
    )
    assert status.strangers == ()
    assert list((folder / "run").iterdir()) == []
    assert list((folder / "pool" / "layers").iterdir()) == []


async def test_a_volume_outlives_its_storage_controller_and_its_disk(service: Service, folder: Path) -> None:
    """Killed with kill -9, and everything that it had is gone: another one brings the volume back from the object store, as
    its newest snapshot has it."""

    def wanted(generation: int, *, made: bool, exported: bool) -> StorageSpec:
        kept = SnapshotSpec(snapshot_id="snap-2", volume_id="vol-1", taken_at=2.0, made=made)
        first = spec(generation, exported=exported)
        return msgspec.structs.replace(
            first,
            volumes={"vol-1": msgspec.structs.replace(first.volumes["vol-1"], made=made)},
            snapshots={"snap-1": msgspec.structs.replace(first.snapshots["snap-1"], made=made), "snap-2": kept},
        )

    def archived(status: StorageStatus) -> bool:
        return [one.archived for one in status.snapshots.values()] == [100, 100]

    await service.until(lambda status: True)
    await service.agent.put_spec(spec(1))
    address = (await service.until(exported)).volumes["vol-1"].exports["a-1"].address
    await run("qemu-io", "-f", "raw", "-c", f"write -P 98 {1 << 20} 64k", address)
    await service.agent.put_spec(wanted(2, made=False, exported=True))
    await service.until(archived)
    await run("qemu-io", "-f", "raw", "-c", f"write -P 99 {1 << 20} 64k", address)
    assert service.kill(signal.SIGKILL) == -signal.SIGKILL
    _end_exports(folder)
    for name in ("pool", "run", "spec.json", "pool.json", "uploads", "downloads"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    service.start()
    await service.until(lambda status: True)
    await service.agent.put_spec(wanted(3, made=True, exported=False))
    await service.until(
        lambda status: (
            status.generation == 3
            and {one.presence for one in (*status.volumes.values(), *status.snapshots.values())} == {Presence.READY}
        )
    )
    await service.agent.put_spec(wanted(4, made=True, exported=True))
    address = (await service.until(exported)).volumes["vol-1"].exports["a-1"].address
    checks = ("-c", "read -P 97 0 64k", "-c", f"read -P 98 {1 << 20} 64k")
    result = await run("qemu-io", "-f", "raw", *checks, address)
    assert "verification failed" not in result.stdout


async def test_another_component_may_not_give_it_specs(service: Service, folder: Path) -> None:
    await service.until(lambda status: True)
    stranger = Caller(pki.client_context(folder / "pki", "nc"))
    agent = AgentClient(stranger, f"https://127.0.0.1:{service.port}", StorageStatus)
    with pytest.raises(Unreachable, match="403"):
        await agent.put_spec(spec(1))
    await stranger.close()
    assert (await service.agent.get_status(Cursor(), 0.0)).generation == 0


async def test_a_configuration_that_cannot_be_used_is_said_and_ends_with_2(tmp_path: Path) -> None:
    config = tmp_path / "sc.toml"
    for content, words in (("zon = 'one'\n", "zon"), ("driver = 'tape'\npki = ''\n", "tape")):
        config.write_text(content)
        result = await run(sys.executable, "-m", "eucapy_services.sc.main", "--config", str(config), check=False)
        assert (result.status, words in result.stderr) == (2, True)


def test_the_sample_configuration_is_current() -> None:
    sample = Path(__file__).parents[2] / "etc" / "sc.toml"
    assert configuration.load(Config, sample) == Config()
    assert sample.read_text() == configuration.sample(Config, "Configuration of sc.")
