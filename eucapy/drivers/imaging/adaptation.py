"""A machine that was installed elsewhere, made able to run here: what is looked at, what is changed, what is refused.

    guest = await adapt(disk)        # changes the raw disk in place; Guest(system="Debian GNU/Linux 12 (bookworm)", …)

Offline: the disk is read as files (`partitions.py`, `extfs.py`), nothing of the guest runs and no kernel mounts it.

    must be there    a partition table, a root file system (ext2–4) with an os-release, systemd, a kernel in /boot, a boot
                     loader for BIOS, and virtio disks in the kernel or in its initramfs
    changed          fstab and boot menu name file systems by UUID, not by a device that is called otherwise here;
                     the boot menu and a login talk to the serial console; every network card asks by DHCP
    added            cloud-init is switched on where it is installed; else a small unit of our own (`guest_files/`) that
                     takes key and user data from the metadata service at an instance's first start

What is not so is refused in AWS's words ("VM Import/Export errors", User Guide); nothing is changed before all is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from eucapy.drivers.imaging import initrds, partitions
from eucapy.drivers.imaging.extfs import Change, ExtFiles, Link, Write
from eucapy.drivers.imaging.headers import Unsuitable
from eucapy.drivers.imaging.partitions import Partition, Table

CONSOLE = "console=tty0 console=ttyS0,115200n8"
_SYSTEMD = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
_MENUS = ("grub/grub.cfg", "grub2/grub.cfg")
_UNITS = "/etc/systemd/system"
_DEVICE = re.compile(r"/dev/(?:[shv]d[a-z]|xvd[a-z])(\d+)\b")
_NOT_READ = {
    "xfs": "the root file system is XFS",
    "btrfs": "the root file system is btrfs",
    "lvm": "the root file system is on a logical volume",
    "luks": "the disk is encrypted",
}


@dataclass(frozen=True)
class Guest:
    """What was found. `by`: what makes it an instance at its first boot, `cloud-init` or `cloud-guest`."""

    system: str
    kernels: tuple[str, ...]
    by: str


@dataclass(frozen=True)
class _Seen:
    """All that is decided upon."""

    table: Table
    root: Partition
    boot: Partition | None
    menu: str
    """The boot menu's path on the partition that it is on."""


async def adapt(disk: Path) -> Guest:
    """Look at the raw disk, change what must be. Raises Unsuitable, Unusable, ImagingError."""
    with disk.open("rb") as stream:
        table = partitions.read(stream)
    if not table.partitions:
        raise Unsuitable("ClientError: No valid partitions.")
    root, os_release = await _root(disk, table)
    files = ExtFiles(disk, root.start)
    if not any([await files.kind(path) == "file" for path in _SYSTEMD]):
        raise Unsuitable("ClientError: Unknown OS / Missing OS files. The system has no systemd.")
    boot, kernels = await _kernels(disk, table, root)
    _check_loader(table)
    at = ExtFiles(disk, (boot or root).start)
    prefix = "" if boot else "/boot"
    menus = [f"{prefix}/{name}" for name in _MENUS if await at.kind(f"{prefix}/{name}") == "file"]
    if not menus:
        raise Unsuitable("ClientError: Unsupported boot loader. GRUB's menu was not found.")
    await initrds.check_virtio(at, prefix, kernels)
    return await _change(disk, _Seen(table, root, boot, menus[0]), _name(os_release), kernels)


async def _root(disk: Path, table: Table) -> tuple[Partition, str]:
    """The partition with the system, and its os-release."""
    for partition in table.partitions:
        if partition.holds == "ext":
            files = ExtFiles(disk, partition.start)
            for path in ("/etc/os-release", "/usr/lib/os-release"):
                text = await files.text(path)
                if text:
                    await files.check()
                    return partition, text
    for partition in table.partitions:
        if partition.holds in _NOT_READ:
            raise Unsuitable(f"ClientError: Unsupported configuration: {_NOT_READ[partition.holds]}.")
    raise Unsuitable("ClientError: Unknown OS / Missing OS files.")


async def _kernels(disk: Path, table: Table, root: Partition) -> tuple[Partition | None, tuple[str, ...]]:
    """The partition that is /boot where that is one of its own, and the releases of the kernels in it."""
    for partition in table.partitions:
        if partition.holds != "ext":
            continue
        folder = "/boot" if partition == root else "/"
        names = await ExtFiles(disk, partition.start).names(folder)
        found = tuple(name.removeprefix("vmlinuz-") for name in names if name.startswith("vmlinuz-"))
        if found:
            return (None if partition == root else partition), found
    raise Unsuitable("ClientError: Unable to determine kernel version.")


def _check_loader(table: Table) -> None:
    """Machines here start by BIOS: the first sector must have code; with a GPT GRUB needs a partition of its own."""
    if table.boots and (table.kind == "mbr" or any(one.role == "bios" for one in table.partitions)):
        return
    if any(one.role == "efi" for one in table.partitions):
        raise Unsuitable("ClientError: EFI partition detected. UEFI booting is not supported in EC2.")
    raise Unsuitable("ClientError: Unsupported configuration: the disk has no boot loader.")


async def _change(disk: Path, seen: _Seen, system: str, kernels: tuple[str, ...]) -> Guest:
    files, at = ExtFiles(disk, seen.root.start), ExtFiles(disk, (seen.boot or seen.root).start)
    if seen.boot is not None:
        await at.check()
    uuids = {str(one.number): one.uuid for one in seen.table.partitions if one.uuid}
    changes: list[Change] = [
        Write("/etc/fstab", by_uuid(await files.text("/etc/fstab"), uuids).encode()),
        Link(f"{_UNITS}/getty.target.wants/serial-getty@ttyS0.service", "/lib/systemd/system/serial-getty@.service"),
        *await _network(files),
    ]
    defaults = await files.text("/etc/default/grub")
    if defaults:
        changes.append(Write("/etc/default/grub", with_console_default(defaults).encode()))
    with_cloud_init = bool(await files.kind("/usr/bin/cloud-init"))
    changes += _cloud_init() if with_cloud_init else _own_unit()
    if "enforcing" in re.findall(r"^SELINUX=(\w+)", await files.text("/etc/selinux/config"), re.M):
        changes.append(Write("/.autorelabel", b""))  # what was written has no labels
    menu = with_console(by_uuid(await at.text(seen.menu), uuids))
    await at.apply([Write(seen.menu, menu.encode(), 0o600)])
    await files.apply(changes)
    return Guest(system, kernels, "cloud-init" if with_cloud_init else "cloud-guest")


async def _network(files: ExtFiles) -> Sequence[Change]:
    """Cards have other names and addresses here than where the machine was installed."""
    changes: list[Change] = [
        Write(
            "/etc/systemd/network/05-cloud-guest.network",
            b"[Match]\nType=ether\nDriver=virtio_net\n\n[Network]\nDHCP=yes\n",
        )
    ]
    if await files.kind("/etc/network/interfaces") == "file":
        before = await files.read("/etc/network/interfaces", 1 << 20) or b""
        changes.append(Write("/etc/network/interfaces.before-import", before))
        changes.append(Write("/etc/network/interfaces", b"auto lo\niface lo inet loopback\n"))
    if await files.kind("/etc/netplan") == "folder":
        text = "network:\n  version: 2\n  ethernets:\n    cloud-guest:\n      match: {driver: virtio_net}\n      dhcp4: true\n"
        changes.append(Write("/etc/netplan/99-cloud-guest.yaml", text.encode(), 0o600))
    return changes


def _cloud_init() -> list[Change]:
    return [
        Write("/etc/cloud/cloud.cfg.d/99-cloud-guest.cfg", b"datasource_list: [Ec2, None]\n"),
        Write("/etc/cloud/ds-identify.cfg", b"policy: search,found=all,maybe=all,notfound=enabled\n"),
    ]


def _own_unit() -> list[Change]:
    here = files("eucapy.drivers.imaging") / "guest_files"
    unit = f"{_UNITS}/cloud-guest.service"
    return [
        Write("/usr/local/lib/cloud-guest/start", (here / "start").read_bytes(), 0o755),
        Write(unit, (here / "cloud-guest.service").read_bytes()),
        Link(f"{_UNITS}/multi-user.target.wants/cloud-guest.service", unit),
    ]


def by_uuid(text: str, uuids: dict[str, str]) -> str:
    """Devices that were partitions of the disk, called by their UUIDs. Comments stay as they are."""

    def named(match: re.Match[str]) -> str:
        return f"UUID={uuids[match[1]]}" if match[1] in uuids else match[0]

    lines = text.split("\n")
    return "\n".join(line if line.lstrip().startswith("#") else _DEVICE.sub(named, line) for line in lines)


def with_console(menu: str) -> str:
    """GRUB's menu with a kernel that talks to the serial port too."""
    return re.sub(
        r"^([ \t]*linux(?:16|efi)?[ \t]+\S+(?!.*console=ttyS0).*?)[ \t]*$", rf"\1 {CONSOLE}", menu, flags=re.M
    )


def with_console_default(text: str) -> str:
    """The same for menus that the guest writes later (`/etc/default/grub`)."""
    if "console=ttyS0" in text:
        return text
    return f'{text.rstrip()}\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {CONSOLE}"\n'


def _name(os_release: str) -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', os_release, re.M)
    return found[1] if found else "Linux"
