"""Disks of other hypervisors become sparse raw disks with the same content, and go back; real qemu-img, confined."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from eucapy.drivers.imaging import confinement, qemu_conversion
from eucapy.drivers.imaging.base import NoSpace
from eucapy.drivers.imaging.confinement import Limits, confined, hand_over
from eucapy.drivers.imaging.conversion import EXPORTS, Disk
from eucapy.drivers.imaging.fake_conversion import FakeConverter
from eucapy.drivers.imaging.headers import Unusable
from eucapy.drivers.imaging.qemu_conversion import QemuConverter
from eucapy.run import RunError, run, run_now
from tests.drivers.imaging import foreign
from tests.drivers.imaging.foreign import FORMATS, MIB, VIRTUAL_BYTES

LARGEST = 1 << 40

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img (package qemu-utils)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Closed to everybody but us, as a program's folders are."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    return closed


@pytest.mark.parametrize("name", FORMATS)
async def test_every_format_becomes_a_sparse_raw_disk(folder: Path, name: str) -> None:
    content = foreign.content(folder)
    file = foreign.written(content, name, folder / "file")
    heard: list[int] = []
    disk = await QemuConverter(LARGEST).standalone(file, name.split()[0], folder / "disk", heard.append)
    assert disk == Disk(folder / "disk", "raw", VIRTUAL_BYTES)
    assert disk.path.read_bytes() == content.read_bytes()
    assert disk.path.stat().st_blocks * 512 < 8 * MIB, "zeros are holes"
    assert not file.exists(), "the source is used up"
    assert heard == sorted(heard)
    assert name == "raw" or heard[-1] == 100


@pytest.mark.parametrize("format", EXPORTS)
async def test_a_disk_goes_out_and_comes_back(folder: Path, format: str) -> None:
    content = foreign.content(folder)
    converter = QemuConverter(LARGEST)
    await converter.written(Disk(content, "raw", VIRTUAL_BYTES), format, folder / "out", lambda percent: None)
    assert (folder / "out").stat().st_blocks * 512 < 8 * MIB
    back = await converter.standalone(folder / "out", format, folder / "back", lambda percent: None)
    assert back.path.read_bytes() == content.read_bytes()


async def test_an_exported_vmdk_is_stream_optimized(folder: Path) -> None:
    disk = Disk(foreign.content(folder), "raw", VIRTUAL_BYTES)
    await QemuConverter(LARGEST).written(disk, "vmdk", folder / "out", lambda percent: None)
    assert b'createType="streamOptimized"' in (folder / "out").read_bytes()[:4096]


@pytest.mark.parametrize("converter", [QemuConverter(LARGEST), FakeConverter()], ids=["real", "fake"])
async def test_a_hostile_disk_is_refused_and_nothing_is_left(
    folder: Path, converter: QemuConverter | FakeConverter
) -> None:
    (folder / "file").write_bytes(foreign.vmdk(foreign.descriptor(extents='RW 2048 FLAT "/etc/passwd" 0')))
    with pytest.raises(Unusable, match="other files"):
        await converter.standalone(folder / "file", "vmdk", folder / "disk", lambda percent: None)
    assert not (folder / "disk").exists()


async def test_what_is_broken_inside_is_refused_and_nothing_is_left(folder: Path) -> None:
    file = foreign.written(foreign.content(folder), "vmdk stream-optimized", folder / "file")
    with file.open("r+b") as stream:
        stream.seek(128 * 1024)
        stream.write(b"\xff" * MIB)
    with pytest.raises(Unusable, match="cannot be read"):
        await QemuConverter(LARGEST).standalone(file, "vmdk", folder / "disk", lambda percent: None)
    assert not (folder / "disk").exists()


async def test_a_disk_larger_than_the_limit_is_refused_by_its_header(folder: Path) -> None:
    run_now("qemu-img", "create", "-q", "-f", "vhdx", str(folder / "file"), "2T")
    with pytest.raises(Unusable, match="is the most"):
        await QemuConverter(LARGEST).standalone(folder / "file", "vhdx", folder / "disk", lambda percent: None)


async def test_a_huge_disk_with_little_in_it_costs_little(folder: Path) -> None:
    disk = folder / "huge.raw"
    with disk.open("wb") as stream:
        stream.truncate(16 << 30)
        stream.seek(11 << 30)
        stream.write(b"somewhere")
    file = foreign.written(disk, "vhdx", folder / "file")
    made = await QemuConverter(LARGEST).standalone(file, "vhdx", folder / "disk", lambda percent: None)
    assert made.virtual_bytes == 16 << 30
    assert made.path.stat().st_blocks * 512 < 16 * MIB
    with made.path.open("rb") as stream:
        stream.seek(11 << 30)
        assert stream.read(9) == b"somewhere"


async def test_no_room_is_told_as_such(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*argv: str, **options: object) -> None:
        raise RunError(argv, 1, "qemu-img: error while writing at byte 0: No space left on device")

    file = foreign.written(foreign.content(folder), "qcow2", folder / "file")
    monkeypatch.setattr(qemu_conversion, "run", full)
    with pytest.raises(NoSpace):
        await QemuConverter(LARGEST).standalone(file, "qcow2", folder / "disk", lambda percent: None)
    assert not (folder / "disk").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="rights can only be given up by root")
@pytest.mark.host
async def test_the_program_has_neither_rights_nor_network(folder: Path) -> None:
    given = folder / "given"
    given.write_text("mine")
    with given.open("rb") as stream:
        hand_over(stream.fileno())
        script = (
            f"cat /proc/self/fd/{stream.fileno()}; id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status;"
            f"ls {folder} 2>&1 | head -1; cat /etc/shadow 2>&1 | head -1; tail -n +3 /proc/net/dev; kill -0 {os.getpid()}"
        )
        argv = confined(["sh", "-c", script], Limits(10.0, file_bytes=1 << 20))
        said = await run(*argv, pass_fds=(stream.fileno(),), check=False, timeout_s=30)
    lines = said.stdout.splitlines()
    assert lines[0] == f"mine{confinement.USER_ID}"
    assert [line.split()[1] for line in lines[1:4]] == ["0" * 16, "0" * 16, "1"]
    assert "Permission denied" in lines[4], "our folders are closed to it"
    assert "Permission denied" in lines[5]
    assert [line.split(":")[0].strip() for line in lines[6:]] == ["lo"], "no network"
    assert "No such process" in said.stderr, "our processes are not its"


async def test_the_program_cannot_write_more_than_it_may(folder: Path) -> None:
    made = folder / "made"
    with made.open("xb") as stream:
        hand_over(stream.fileno())
        argv = confined(
            ["dd", "if=/dev/zero", f"of=/proc/self/fd/{stream.fileno()}", "bs=1M", "count=8", "conv=notrunc"],
            Limits(10.0, file_bytes=MIB),
        )
        done = await run(*argv, pass_fds=(stream.fileno(),), check=False, timeout_s=30)
    assert done.status != 0
    assert made.stat().st_size <= MIB
