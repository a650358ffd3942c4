"""A snapshot is written out and uploaded, whatever fails on the way, and until nobody wants it any more."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import msgspec
import pytest

from eucapy.drivers.block.base import BLOCK_BYTES, GIB
from eucapy.drivers.block.files import FilesDriver
from eucapy.drivers.imaging.qemu_conversion import QemuConverter
from eucapy.run import run
from eucapy.sc.executor import Executor
from eucapy.sc.planner import ImportSnapshot, Upload
from eucapy.sc.transfer import Transfer
from eucapy.sc.uploads import Uploads
from eucapy.wire.contract import Unreachable
from eucapy.wire.node import ObjectSource
from eucapy.wire.storage import Presence, SnapshotSpec, UploadSpec, UploadStatus, VolumeSpec
from eucapy.wire.uploads import LEAST_PART_BYTES, SMALLEST_PART_BYTES, NoSuchUpload, padded_bytes, part_bytes
from tests.drivers.block.conftest import short_folder, skip_without_programs
from tests.sc.conftest import FakeStore, Zone

__all__ = ["short_folder"]

VOLUME, SNAPSHOT = VolumeSpec(volume_id="vol-1", size_gib=1), SnapshotSpec(snapshot_id="snap-1", volume_id="vol-1")
UPLOAD = UploadSpec(
    task_id="export-ami-1", snapshot_id="snap-1", format="vmdk", bucket="b", key="k.vmdk", upload_id="u1"
)
TOMB = msgspec.structs.replace(UPLOAD, gone=True)
DONE = UploadStatus(task_id="export-ami-1", presence=Presence.READY, progress=100, parts=("etag",), size_bytes=25)


async def status(zone: Zone, *items: VolumeSpec | SnapshotSpec | UploadSpec) -> UploadStatus:
    await zone.want(*items)
    return (await zone.settle()).uploads["export-ami-1"]


async def test_a_snapshot_becomes_a_disk_image_in_the_upload(zone: Zone) -> None:
    assert await status(zone, VOLUME, SNAPSHOT, UPLOAD) == DONE
    assert zone.store.uploaded == {"u1": b"vmdk of 1073741824 bytes\n"}
    assert list((zone.folder / "state" / "downloads").iterdir()) == [], "nothing is left of the work"


async def test_a_raw_disk_is_not_converted(zone: Zone) -> None:
    await zone.want(VOLUME)
    await zone.settle()
    zone.driver.write("vol-1", 5, "word")
    await zone.want(VOLUME, SNAPSHOT, msgspec.structs.replace(UPLOAD, format="raw"))
    zone.store.keeps = 8 * 4096
    await zone.settle()
    assert zone.store.uploaded["u1"] == bytes(5 * 4096) + b"word" + bytes(3 * 4096 - 4)


async def test_what_was_uploaded_is_known_to_the_next_life_and_forgotten_when_it_may_be(zone: Zone) -> None:
    await status(zone, VOLUME, SNAPSHOT, UPLOAD)
    await zone.kill()
    assert await status(zone, VOLUME, SNAPSHOT, UPLOAD) == DONE
    assert zone.store.calls == 1, "it was not uploaded again"
    gone = UploadStatus(task_id="export-ami-1", presence=Presence.GONE)
    assert await status(zone, VOLUME, SNAPSHOT, TOMB) == gone
    await zone.kill()
    assert await status(zone, VOLUME, SNAPSHOT, TOMB) == gone


async def test_a_store_that_is_silent_is_asked_again(zone: Zone) -> None:
    zone.store.failures = [Unreachable("away"), Unreachable("away")]
    assert await status(zone, VOLUME, SNAPSHOT, UPLOAD) == DONE


async def test_an_upload_that_is_gone_is_not_tried_again(zone: Zone) -> None:
    zone.store.failures = [NoSuchUpload("the upload u1 is gone")]
    seen = await status(zone, VOLUME, SNAPSHOT, UPLOAD)
    assert (seen.presence, seen.fault and seen.fault.code) == (Presence.FAILED, "UploadGone")
    assert zone.store.calls == 1


async def test_a_snapshot_that_never_comes_fails_its_upload(zone: Zone) -> None:
    seen = await status(zone, VOLUME, UPLOAD)
    assert (seen.presence, seen.fault and seen.fault.code) == (Presence.FAILED, "SnapshotNotFound")


@pytest.mark.parametrize("step", range(3))
async def test_it_ends_whatever_the_driver_fails_at(zone: Zone, step: int) -> None:
    zone.driver.fail_at(step)
    assert await status(zone, VOLUME, SNAPSHOT, UPLOAD) == DONE


async def test_a_record_that_is_damaged_costs_a_second_upload(zone: Zone) -> None:
    await status(zone, VOLUME, SNAPSHOT, UPLOAD)
    (zone.folder / "state" / "uploads" / "export-ami-1.json").write_bytes(b"{")
    await zone.kill()
    assert await status(zone, VOLUME, SNAPSHOT, UPLOAD) == DONE
    assert zone.store.calls == 2


async def test_an_archive_has_its_description_first(zone: Zone) -> None:
    wanted = msgspec.structs.replace(UPLOAD, description="<Envelope/>", disk_name="disk-1.vmdk")
    zone.store.keeps = 1 << 20
    assert (await status(zone, VOLUME, SNAPSHOT, wanted)).presence is Presence.READY
    with tarfile.open(fileobj=io.BytesIO(zone.store.uploaded["u1"])) as archive:
        held = {member.name: archive.extractfile(member) for member in archive}
        content = {name: stream.read() for name, stream in held.items() if stream is not None}
    assert list(content.items()) == [("disk-1.ovf", b"<Envelope/>"), ("disk-1.vmdk", b"vmdk of 1073741824 bytes\n")]


async def test_a_file_that_others_follow_is_filled_up_and_numbered(zone: Zone) -> None:
    wanted = msgspec.structs.replace(UPLOAD, format="qcow2", padded=True, first_part=7)
    seen = await status(zone, VOLUME, SNAPSHOT, wanted)
    assert (seen.parts, seen.size_bytes) == (("etag7",), LEAST_PART_BYTES)


def test_what_others_follow_has_no_small_part() -> None:
    step, least = SMALLEST_PART_BYTES, LEAST_PART_BYTES
    for size, filled in ((0, least), (1, least), (least, least), (least + 1, least + 1), (step, step)):
        assert padded_bytes(size) == filled
    assert padded_bytes(3 * step + 1) == 3 * step + least
    for size in (1, 100 << 30, 16 << 40):
        assert -(-padded_bytes(size, 249) // part_bytes(padded_bytes(size, 249), 249)) <= 249


async def test_a_disk_that_was_filled_up_is_read_again(tmp_path: Path, short_folder: Path) -> None:
    skip_without_programs()
    store, content = FakeStore(), os.urandom(BLOCK_BYTES)
    store.keeps = 64 << 20
    driver = FilesDriver(tmp_path / "pool", short_folder / "run")
    uploads = Uploads(store, tmp_path / "uploads")
    executor = Executor(driver, Transfer(store, store, GIB), QemuConverter(4 * GIB), uploads, tmp_path / "work")
    executor.open()
    await driver.open(lambda: None)
    try:
        await driver.put_block("snap-1", 5, content)
        await driver.seal_snapshot("snap-1", 2)
        await executor.apply(Upload(msgspec.structs.replace(UPLOAD, format="qcow2", padded=True)), lambda *_: None)
        store.objects["k"] = store.uploaded["u1"]
        size = len(store.objects["k"])
        source = ObjectSource(bucket="b", key="k", etag="e", size_bytes=size, format="qcow2")
        await executor.apply(ImportSnapshot("snap-2", source, 2), lambda *_: None)
        assert [await driver.read_block("snap-2", index) for index in (4, 5)] == [bytes(BLOCK_BYTES), content]
        assert (await driver.observe()).snapshots["snap-2"].size_gib == 2
    finally:
        await driver.close()


@pytest.mark.parametrize("format", ["raw", "vmdk", "vhd", "qcow2"])
async def test_qemu_reads_back_what_was_uploaded(tmp_path: Path, short_folder: Path, format: str) -> None:
    """With the real driver and the real converter: a snapshot of 2 GiB with two blocks in it."""
    skip_without_programs()
    store = FakeStore()
    store.keeps = 64 << 20
    driver = FilesDriver(tmp_path / "pool", short_folder / "run")
    uploads = Uploads(store, tmp_path / "uploads")
    executor = Executor(driver, Transfer(store, store, GIB), QemuConverter(4 * GIB), uploads, tmp_path / "work")
    executor.open()
    await driver.open(lambda: None)
    try:
        blocks = {1: os.urandom(BLOCK_BYTES), 4000: os.urandom(BLOCK_BYTES)}
        for index, content in blocks.items():
            await driver.put_block("snap-1", index, content)
        await driver.seal_snapshot("snap-1", 2)
        wanted = msgspec.structs.replace(UPLOAD, format=format)
        heard: list[int] = []
        await executor.apply(Upload(wanted), lambda percent, stage="": heard.append(percent))
        await driver.write_out("snap-1", tmp_path / "expected")
    finally:
        await driver.close()
    assert heard == sorted(heard)
    file = tmp_path / "uploaded"
    file.write_bytes(store.uploaded["u1"])
    if format == "raw":  # the store kept the first bytes of 2 GiB
        with (tmp_path / "expected").open("rb") as expected:
            assert file.read_bytes() == expected.read(store.keeps)
        return
    names = {"vhd": "vpc"}
    said = await run(
        "qemu-img", "compare", "-f", names.get(format, format), "-F", "raw", str(file), "expected", cwd=tmp_path
    )
    assert "identical" in said.stdout
    assert file.stat().st_size < 8 << 20, "what is empty is not in the file"
