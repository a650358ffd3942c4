"""Bootable disk images, put together from files without root rights, loop devices or mounts.

    sector 0      master boot record, SYSLINUX's code
    1 MiB         partition 1, FAT16: SYSLINUX, kernel, initramfs
    after it      partition 2, ext4: the root file system, filled from a folder by mke2fs

The second partition is last, so that a larger disk only makes it longer. Images boot with a BIOS (SeaBIOS, which QEMU
brings) from any disk that the initramfs has a driver for.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from eucapy.guests import requirements
from eucapy.guests.build_cache import copy_sparse
from eucapy.guests.kernel import Kernel
from eucapy.run import run

SECTOR = 512
_MIB = 1 << 20
_BOOT_MIB = 24  # kernel 14 MiB and initramfs 2 MiB, with room for larger ones

# With QEMU's own emulation address space randomisation makes each program start cost a third more, because translated
# code cannot be used again; the mitigations guard a processor that is not there. With KVM neither argument is given.
EMULATION_ARGUMENTS = "nokaslr norandmaps mitigations=off"
_ARGUMENTS = "root=/dev/vda2 console=tty0 console=ttyS0,115200 net.ifnames=0 panic=5 random.trust_cpu=on"


@dataclass(frozen=True)
class BootFiles:
    """What the boot partition holds."""

    kernel: Kernel
    initramfs: bytes
    arguments: str


def kernel_arguments(*, emulated: bool, extra: str = "") -> str:
    """The kernel's command line; `emulated` for guests that will run without KVM."""
    return " ".join(part for part in (_ARGUMENTS, EMULATION_ARGUMENTS if emulated else "", extra) if part)


def master_boot_record(code: bytes, disk_id: int, partitions: list[tuple[bool, int, int, int]]) -> bytes:
    """The first sector: boot code, and (bootable, type, first sector, sectors) of up to four partitions."""
    if len(code) > 440 or len(partitions) > 4:
        raise ValueError("a master boot record holds 440 bytes of code and four partitions")
    table = b"".join(
        struct.pack("<B3sB3sII", 0x80 if bootable else 0, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", first, count)
        for bootable, kind, first, count in partitions
    )
    return code.ljust(440, b"\0") + struct.pack("<IH", disk_id, 0) + table.ljust(64, b"\0") + b"\x55\xaa"


def disk_mib(root_mib: int) -> int:
    """The size of a disk with a root file system of `root_mib`."""
    return 1 + _BOOT_MIB + root_mib


async def assemble(folder: Path, boot: BootFiles, root: Path, *, root_mib: int, label: str, image: Path) -> None:
    """Write the raw image `image` (sparse) from `boot` and the tree `root`; `folder` is for intermediate files.

    Files of the tree belong to root in the image when the builder is root or `root` was made so; an ordinary user's
    files are mapped to root. Raises MissingPrograms, RunError (the tree does not fit: make `root_mib` larger).
    """
    requirements.require(["mkfs.fat", "mcopy", "syslinux", "mke2fs", "/usr/lib/syslinux/mbr/mbr.bin"])
    boot_part = await _boot_partition(folder, boot)
    root_part = await _root_partition(folder, root, root_mib, label)
    first, boot_sectors = _MIB // SECTOR, _BOOT_MIB * _MIB // SECTOR
    second, root_sectors = first + boot_sectors, root_mib * _MIB // SECTOR
    code = Path("/usr/lib/syslinux/mbr/mbr.bin").read_bytes()
    disk_id = int.from_bytes(os.urandom(4), "little")
    record = master_boot_record(code, disk_id, [(True, 0x0E, first, boot_sectors), (False, 0x83, second, root_sectors)])
    with image.open("wb") as stream:
        stream.write(record)
        stream.truncate((second + root_sectors) * SECTOR)
    copy_sparse(boot_part, image, offset=first * SECTOR)
    copy_sparse(root_part, image, offset=second * SECTOR)
    boot_part.unlink()
    root_part.unlink()


async def to_qcow2(raw: Path, qcow2: Path) -> None:
    """A compressed qcow2 of `raw`: what one uploads and keeps."""
    requirements.require(["qemu-img"])
    await run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", str(raw), str(qcow2), timeout_s=1800)


async def _boot_partition(folder: Path, boot: BootFiles) -> Path:
    part = folder / "boot.fat"
    with part.open("wb") as stream:
        stream.truncate(_BOOT_MIB * _MIB)
    files = {
        "vmlinuz": boot.kernel.image.read_bytes(),
        "initrd.gz": boot.initramfs,
        "syslinux.cfg": (
            "DEFAULT linux\nPROMPT 0\nTIMEOUT 0\n"
            f"LABEL linux\n KERNEL /vmlinuz\n INITRD /initrd.gz\n APPEND {boot.arguments}\n"
        ).encode(),
    }
    stage = folder / "boot"
    stage.mkdir()
    for name, data in files.items():
        (stage / name).write_bytes(data)
    await run(str(requirements.locate("mkfs.fat")), "-F", "16", "-n", "BOOT", str(part))
    await run("mcopy", "-i", str(part), *(str(stage / name) for name in files), "::/")
    await run("syslinux", "--install", str(part))
    return part


async def _root_partition(folder: Path, root: Path, size_mib: int, label: str) -> Path:
    part = folder / "root.ext4"
    with part.open("wb") as stream:
        stream.truncate(size_mib * _MIB)
    as_root = [] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--"]
    mke2fs = str(requirements.locate("mke2fs"))
    options = ["-q", "-F", "-t", "ext4", "-b", "4096", "-L", label, "-E", "root_owner=0:0", "-d", str(root)]
    await run(*as_root, mke2fs, *options, str(part), timeout_s=900)
    return part
