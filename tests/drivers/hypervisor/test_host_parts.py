"""The small parts around the drivers: KVM detection, console logs, screen dumps, the loader, the daemon's command."""

from __future__ import annotations

import struct
import tempfile
import zlib
from pathlib import Path

import pytest

from eucapy.drivers.hypervisor import acceleration, console_log, loader
from eucapy.drivers.hypervisor.base import HypervisorError
from eucapy.drivers.hypervisor.fake import FakeHypervisor
from eucapy.drivers.hypervisor.libvirtd import Libvirtd
from eucapy.drivers.hypervisor.picture import png
from tests.harness.libvirtd import skip_without_host


@pytest.mark.parametrize(("mode", "kvm"), [("kvm", True), ("emulation", False)])
async def test_the_configuration_decides_on_kvm_when_it_says_so(mode: str, kvm: bool) -> None:
    assert (await acceleration.detect(mode)).kvm is kvm


async def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="turbo"):
        await acceleration.detect("turbo")


async def test_a_processor_without_the_flags_means_emulation_whatever_the_device(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nflags\t\t: fpu sse2 hypervisor\n\nprocessor\t: 1\nflags\t\t: vmx\n"
    )
    found = await acceleration.detect(proc=tmp_path)
    assert (found.kvm, found.reason) == (False, "the processor shows neither vmx nor svm")


async def test_a_processor_with_the_flags_is_still_tried(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("flags : svm\n")
    found = await acceleration.detect(proc=tmp_path, qemu="/bin/false")
    assert not found.kvm
    assert found.reason.startswith(("/dev/kvm is not", "a trial machine under kvm failed"))


@pytest.mark.host
async def test_the_trial_machine_says_that_it_lives() -> None:
    skip_without_host()
    assert (await acceleration._try("qemu-system-x86_64", "tcg", "qemu64", 30.0)).kvm


def test_a_rotated_console_log_is_read_on_into_its_predecessor(tmp_path: Path) -> None:
    (tmp_path / "log.0").write_bytes(b"before ")
    (tmp_path / "log").write_bytes(b"after")
    assert console_log.tail(tmp_path / "log", 8) == b"re after"
    assert console_log.tail(tmp_path / "none", 8) == b""


async def test_a_short_console_log_is_left_whole(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 20000)
    await console_log.trim(tmp_path / "log", 16384)
    assert (tmp_path / "log").read_bytes() == b"x" * 20000
    await console_log.trim(tmp_path / "none", 16384)


def test_a_screen_dump_becomes_a_png_of_the_same_pixels() -> None:
    pixels = bytes(range(2 * 3 * 3))
    picture = png(b"P6\n# QEMU\n3 2\n255\n" + pixels)
    assert picture.content[16:24] == struct.pack(">II", 3, 2)
    at = picture.content.index(b"IDAT")
    (length,) = struct.unpack(">I", picture.content[at - 4 : at])
    rows = zlib.decompress(picture.content[at + 4 : at + 4 + length])
    assert rows == b"\0" + pixels[:9] + b"\0" + pixels[9:]
    assert png(picture.content) == picture


@pytest.mark.parametrize("dump", [b"", b"GIF89a", b"P6\n3 2\n255\nshort", b"P6\n99999 99999\n255\n"])
def test_a_damaged_screen_dump_is_an_error(dump: bytes) -> None:
    with pytest.raises(HypervisorError):
        png(dump)


def test_the_loader_knows_its_drivers(tmp_path: Path) -> None:
    assert isinstance(loader.load("fake", folder=tmp_path), FakeHypervisor)
    with pytest.raises(ValueError, match="folder"):
        loader.load("fake")
    with pytest.raises(ValueError, match="libvirt, fake"):
        loader.load("xen")


def test_a_daemon_runs_in_its_namespaces_with_its_folders(tmp_path: Path) -> None:
    argv = Libvirtd(tmp_path / "lv", netns="node1").argv()
    assert argv[:2] == ["nsenter", "--net=/run/netns/node1"]
    assert argv[argv.index("unshare") :][:4] == ["unshare", "--mount", "--propagation", "slave"]
    assert argv[argv.index("/run/libvirt") - 1] == str(tmp_path / "lv" / "run")
    shared = Libvirtd(tmp_path / "lv", cache=tmp_path / "shared").argv()
    assert shared[shared.index("/var/cache/libvirt") - 1] == str(tmp_path / "shared")
    assert Libvirtd(tmp_path / "lv").argv()[0] == "unshare"


@pytest.mark.host
@pytest.mark.parametrize(("user", "chown"), [("root", 0), ("libvirt-qemu", 1)])
def test_guests_belong_to_the_chosen_user_and_are_confined(tmp_path: Path, user: str, chown: int) -> None:
    skip_without_host()
    with tempfile.TemporaryDirectory() as short:
        Libvirtd(Path(short), user=user).prepare()
        lines = (Path(short) / "etc" / "qemu.conf").read_text().splitlines()
    assert f'user = "{user}"' in lines
    assert f"dynamic_ownership = {chown}" in lines
    assert "seccomp_sandbox = 1" in lines
    assert not any(line.startswith("namespaces") for line in lines), "the default gives each guest a /dev of its own"


@pytest.mark.host
def test_a_folder_too_deep_for_a_socket_is_refused(tmp_path: Path) -> None:
    skip_without_host()
    with pytest.raises(HypervisorError, match="too long a path"):
        Libvirtd(tmp_path / ("x" * 100)).prepare()
