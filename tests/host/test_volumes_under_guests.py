"""Guests whose disks are volumes: real QEMU guests over real exports, snapshots under them, exporters that die."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from eucapy.drivers.block.files import FilesDriver
from eucapy.drivers.hypervisor.base import Disk, NbdSource, Power, Reason, disk_serial
from eucapy.drivers.hypervisor.libvirtd import QEMU_USER, Libvirtd
from eucapy.drivers.proxies.storage_daemon import StorageDaemonProxies
from eucapy.folders import group_id
from tests.drivers.block.test_remote import opened_site
from tests.drivers.hypervisor.benches import LibvirtBench
from tests.harness.libvirtd import guest_folder, libvirtd
from tests.harness.starter import starter_image

pytestmark = [pytest.mark.host, pytest.mark.guest]

V1, V2, S1, S2 = "vol-00000000000000001", "vol-00000000000000002", "snap-0000000000000001", "snap-0000000000000002"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Libvirtd]:
    with libvirtd() as running:
        yield running


@pytest.fixture(scope="module")
def image() -> Path:
    return starter_image().qcow2


@pytest.fixture
async def guests(daemon: Libvirtd, folder: Path, image: Path) -> AsyncIterator[LibvirtBench]:
    bench = LibvirtBench(folder, daemon, image)
    yield bench
    await bench.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with guest_folder("sc-") as made:
        yield made


@pytest.fixture
def run_folder(folder: Path) -> Path:
    return folder / "run"


@pytest.fixture
async def pool(tmp_path: Path, run_folder: Path) -> AsyncIterator[FilesDriver]:
    driver = FilesDriver(tmp_path / "pool", run_folder, export_group_id=group_id(QEMU_USER))
    await driver.open(lambda: None)
    yield driver
    for volume in (await driver.observe()).volumes.values():
        for attachment_id in volume.exports:
            await driver.remove_export(volume.volume_id, attachment_id)
    await driver.close()


async def disk(pool: FilesDriver, volume_id: str, attachment_id: str) -> Disk:
    """The exported volume as a disk of a domain."""
    parts = urlsplit(await pool.ensure_export(volume_id, attachment_id))
    return Disk(
        serial=disk_serial(volume_id), source=NbdSource(parse_qs(parts.query)["socket"][0], parts.path.lstrip("/"))
    )


async def boot(guests: LibvirtBench, name: str, root: Disk) -> None:
    await guests.driver.ensure_defined(guests.spec(name, root))
    await guests.driver.start(name)
    await guests.until_console(name, "READY")


async def test_a_guest_lives_on_a_volume_and_its_copy_lives_on_a_snapshot_of_it(
    guests: LibvirtBench, pool: FilesDriver, run_folder: Path, image: Path
) -> None:
    """Image → snapshot → volume → guest; a snapshot under the running guest → another volume → another guest. Then the
    first guest's export dies: the guest stops at its next write, and goes on from there when the export is back."""
    await pool.import_snapshot(S1, image, "qcow2", 1)
    await pool.ensure_volume(V1, 1, S1)
    await boot(guests, "i-1", await disk(pool, V1, "att-1"))

    await pool.ensure_snapshot(S2, V1)
    await pool.ensure_volume(V2, 1, S2)
    await boot(guests, "i-2", await disk(pool, V2, "att-2"))
    await guests.driver.undefine("i-2")
    await pool.remove_export(V2, "att-2")

    os.kill(int((run_folder / V1 / "pid").read_text()), signal.SIGKILL)
    await guests.until("the death is seen", lambda: unreachable(pool, V1))
    await guests.driver.reboot("i-1")
    stalled = await guests.until_power("i-1", Power.PAUSED)
    assert stalled.reason is Reason.IO_ERROR
    await pool.ensure_export(V1, "att-1")

    async def ready_again() -> bool:
        # The first resume may only find that the old connection is dead, and pause again.
        await guests.driver.resume("i-1")
        return (await guests.driver.console_output("i-1")).count(b"READY") >= 2

    await guests.until("READY after the disk came back", ready_again)


async def unreachable(pool: FilesDriver, volume_id: str) -> bool:
    exports = (await pool.observe()).volumes[volume_id].exports
    return not any(export.address for export in exports.values())


async def test_the_disks_of_a_running_machine_grow(
    guests: LibvirtBench, pool: FilesDriver, tmp_path: Path, folder: Path
) -> None:
    """One that it has directly, and one of another host that it has through a proxy. Its guest need not lift a finger."""
    async with opened_site(tmp_path / "site", folder / "far") as site:
        await pool.ensure_volume(V1, 1)
        await site.driver.ensure_volume(V2, 1)
        proxies = StorageDaemonProxies(folder / "near", site.folder / "n1" / "tls", group_id(QEMU_USER))
        proxies.open(lambda: None)
        await proxies.ensure("att-2", "i-1", await site.driver.ensure_export(V2, "att-2", "n1"))
        near = await disk(pool, V1, "att-1")
        far = Disk(serial=disk_serial(V2), source=NbdSource(str(proxies.socket("att-2")), V2))
        try:
            await guests.driver.ensure_defined(guests.spec("i-1", near))
            await guests.driver.start("i-1")
            await guests.driver.attach_disk("i-1", far)
            assert await sizes(guests) == [1 << 30, 1 << 30]
            await pool.grow(V1, 2)
            await guests.driver.resize_disk("i-1", near.serial, 2)
            await site.driver.grow(V2, 3)
            await proxies.refresh("att-2")
            await guests.driver.resize_disk("i-1", far.serial, 3)
            assert await sizes(guests) == [2 << 30, 3 << 30]
            await guests.driver.undefine("i-1")
        finally:
            await proxies.remove("att-2")
            proxies.close()


async def sizes(guests: LibvirtBench) -> list[float]:
    """Of the machine's disks, as QEMU has them, in bytes."""
    values = await guests.driver.sensors("i-1")
    return [values[f"block.{number}.capacity"] for number in range(int(values["block.count"]))]
