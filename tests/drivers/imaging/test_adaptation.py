"""A machine that was installed elsewhere is made able to run here, offline; what cannot run is refused and left as it was."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from eucapy.drivers.imaging import adaptation, partitions
from eucapy.drivers.imaging.adaptation import by_uuid, with_console, with_console_default
from eucapy.drivers.imaging.extfs import ExtFiles, Link, Write
from eucapy.drivers.imaging.headers import Unsuitable, Unusable
from eucapy.run import run_now
from tests.drivers.imaging.machines import MENU, MIB, disk

_PROGRAMS = ("debugfs", "e2fsck", "mke2fs", "sfdisk")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, _PROGRAMS)),
    reason=f"needs {', '.join(_PROGRAMS)} on the path (packages e2fsprogs, fdisk)",
)

CONSOLE = "console=tty0 console=ttyS0,115200n8"


def files(image: Path, start: int = MIB) -> ExtFiles:
    return ExtFiles(image, start)


def uuid(image: Path, number: int) -> str:
    with image.open("rb") as stream:
        return next(one.uuid for one in partitions.read(stream).partitions if one.number == number)


async def test_a_debian_that_never_saw_a_cloud(tmp_path: Path) -> None:
    image = disk(tmp_path)
    guest = await adaptation.adapt(image)
    assert (guest.system, guest.kernels, guest.by) == (
        "Debian GNU/Linux 12 (bookworm)",
        ("6.1.0-9-amd64",),
        "cloud-guest",
    )
    root, seen = uuid(image, 1), files(image)
    fstab = await seen.text("/etc/fstab")
    assert f"UUID={root} / ext4" in fstab
    assert "# / was on /dev/sda1 during installation" in fstab
    assert "/dev/sr0 /media" in fstab
    menu = await seen.text("/boot/grub/grub.cfg")
    assert f"linux\t/boot/vmlinuz-6.1.0-9-amd64 root=UUID={root} ro quiet {CONSOLE}\n" in menu
    assert CONSOLE in await seen.text("/etc/default/grub")
    assert "ens3" not in await seen.text("/etc/network/interfaces")
    assert "ens3" in await seen.text("/etc/network/interfaces.before-import")
    assert "DHCP=yes" in await seen.text("/etc/systemd/network/05-cloud-guest.network")
    assert await seen.kind("/etc/systemd/system/multi-user.target.wants/cloud-guest.service") == "link"
    assert await seen.kind("/etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service") == "link"
    assert "169.254.169.254" in await seen.text("/usr/local/lib/cloud-guest/start")
    assert "\nBefore=ssh.service sshd.service\n" in await seen.text("/etc/systemd/system/cloud-guest.service")
    whole = run_now("e2fsck", "-fn", f"{image}?offset={MIB}", check=False)
    assert whole.status == 0, whole.stdout


async def test_a_second_time_changes_nothing_more(tmp_path: Path) -> None:
    image = disk(tmp_path)
    await adaptation.adapt(image)
    seen = files(image)
    before = [await seen.text(path) for path in ("/etc/fstab", "/boot/grub/grub.cfg", "/etc/default/grub")]
    await adaptation.adapt(image)
    assert [await seen.text(path) for path in ("/etc/fstab", "/boot/grub/grub.cfg", "/etc/default/grub")] == before


async def test_cloud_init_is_left_to_do_its_work(tmp_path: Path) -> None:
    image = disk(tmp_path, {"usr/bin/cloud-init": "#!/usr/bin/python3\n"})
    assert (await adaptation.adapt(image)).by == "cloud-init"
    assert "Ec2" in await files(image).text("/etc/cloud/cloud.cfg.d/99-cloud-guest.cfg")
    assert await files(image).kind("/etc/systemd/system/cloud-guest.service") == ""


async def test_a_boot_partition_of_its_own(tmp_path: Path) -> None:
    image = disk(tmp_path, own_boot=True)
    assert (await adaptation.adapt(image)).kernels == ("6.1.0-9-amd64",)
    assert CONSOLE in await files(image, 65 * MIB).text("/grub/grub.cfg")


async def test_a_gpt_with_a_partition_for_grub(tmp_path: Path) -> None:
    assert (await adaptation.adapt(disk(tmp_path, label="gpt"))).by == "cloud-guest"


async def test_virtio_in_the_kernel_needs_no_initramfs(tmp_path: Path) -> None:
    changed = {"boot/config-6.1.0-9-amd64": "CONFIG_VIRTIO_BLK=y\n", "boot/initrd.img-6.1.0-9-amd64": None}
    assert (await adaptation.adapt(disk(tmp_path, changed))).kernels == ("6.1.0-9-amd64",)


@pytest.mark.parametrize(
    ("how", "changed", "why"),
    [
        ({}, {"etc/os-release": None}, "Unknown OS / Missing OS files"),
        ({}, {"usr/lib/systemd/systemd": None}, "no systemd"),
        ({}, {"boot/vmlinuz-6.1.0-9-amd64": None}, "Unable to determine kernel version"),
        ({}, {"boot/grub/grub.cfg": None}, "Unsupported boot loader"),
        ({}, {"boot/initrd.img-6.1.0-9-amd64": None}, "unable to read your import's initramfs"),
        ({}, {"boot/initrd.img-6.1.0-9-amd64": b"070701 nothing in it"}, "required driver"),
        ({"loader": False}, {}, "no boot loader"),
        ({"label": "uefi"}, {}, "EFI partition detected"),
        ({"filesystem": "xfs"}, {}, "the root file system is XFS"),
    ],
)
async def test_what_cannot_run_here_is_refused_and_left_as_it_was(
    tmp_path: Path, how: dict[str, str], changed: dict[str, str | bytes | None], why: str
) -> None:
    image = disk(tmp_path, changed, **how)  # type: ignore[arg-type]
    menu = await files(image).text("/boot/grub/grub.cfg")
    with pytest.raises(Unsuitable, match=re.escape(why)) as caught:
        await adaptation.adapt(image)
    assert str(caught.value).startswith("ClientError: ")
    assert await files(image).text("/boot/grub/grub.cfg") == menu


async def test_an_empty_disk_has_no_partitions(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(bytes(MIB))
    with pytest.raises(Unsuitable, match="No valid partitions"):
        await adaptation.adapt(tmp_path / "empty")


async def test_a_damaged_file_system_is_refused(tmp_path: Path) -> None:
    image = disk(tmp_path)
    with image.open("r+b") as stream:
        stream.seek(MIB + 4096)
        stream.write(b"\xff" * 512 * 1024)
    with pytest.raises(Unusable):
        await adaptation.adapt(image)


async def test_links_of_the_guest_do_not_lead_out_of_it(tmp_path: Path) -> None:
    image = disk(tmp_path)
    seen = files(image)
    await seen.apply([Link("/etc/fstab", "/etc/shadow"), Link("/usr/local/lib", "/tmp")])
    before = hashlib.sha256(Path("/etc/shadow").read_bytes()).hexdigest() if Path("/etc/shadow").exists() else ""
    assert await seen.text("/etc/fstab") == ""
    with pytest.raises(Unusable, match="could not be written"):
        await adaptation.adapt(image)
    after = hashlib.sha256(Path("/etc/shadow").read_bytes()).hexdigest() if before else ""
    assert after == before
    assert not Path("/tmp/cloud-guest").exists()


async def test_no_room_in_the_guest_is_told(tmp_path: Path) -> None:
    image = disk(tmp_path)
    with pytest.raises(Unusable, match="is full"):
        await files(image).apply([Write("/etc/large", b"x" * (80 * MIB))])


def test_devices_become_uuids() -> None:
    uuids = {"1": "aaaa", "5": "bbbb"}
    assert by_uuid("/dev/sda1 / ext4\n/dev/vda5 none swap\n", uuids) == "UUID=aaaa / ext4\nUUID=bbbb none swap\n"
    assert by_uuid("root=/dev/hda1 ro", uuids) == "root=UUID=aaaa ro"
    assert by_uuid("#/dev/sda1\n/dev/sda2 /x\n/dev/sda15 /y", uuids) == "#/dev/sda1\n/dev/sda2 /x\n/dev/sda15 /y"
    assert by_uuid("/dev/mapper/a / ext4", uuids) == "/dev/mapper/a / ext4"


def test_kernels_talk_to_the_serial_port_once() -> None:
    once = with_console(MENU)
    assert once.count(CONSOLE) == 1
    assert with_console(once) == once
    assert with_console_default(with_console_default("X=1\n")) == with_console_default("X=1\n")
