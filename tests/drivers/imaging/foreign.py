"""Disks in foreign formats for tests: made by qemu-img, or by hand where they are hostile."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from eucapy.run import run_now

MIB = 1 << 20
VIRTUAL_BYTES = 64 * MIB
FORMATS = {
    "raw": ("raw", ""),
    "qcow2": ("qcow2", ""),
    "vmdk": ("vmdk", "subformat=monolithicSparse"),
    "vmdk stream-optimized": ("vmdk", "subformat=streamOptimized"),
    "vhd": ("vpc", "subformat=dynamic,force_size=on"),
    "vhd fixed": ("vpc", "subformat=fixed,force_size=on"),
    "vhdx": ("vhdx", "subformat=dynamic"),
    "vhdx fixed": ("vhdx", "subformat=fixed"),
}
"""What a test calls it → qemu-img's driver and its options."""


def content(folder: Path) -> Path:
    """A sparse raw disk of 64 MiB with some data at its start, in its middle and at its end."""
    disk = folder / "content.raw"
    with disk.open("wb") as stream:
        stream.truncate(VIRTUAL_BYTES)
        for at in (0, 20 * MIB, VIRTUAL_BYTES - MIB):
            stream.seek(at)
            stream.write(os.urandom(MIB))
    return disk


def written(disk: Path, name: str, target: Path) -> Path:
    """The disk in the format of that name."""
    driver, options = FORMATS[name]
    more = ["-o", options] if options else []
    run_now("qemu-img", "convert", "-f", "raw", "-O", driver, *more, str(disk), str(target))
    return target


def vmdk(descriptor: str, capacity: int = 2048) -> bytes:
    """A VMDK of a header and a descriptor."""
    head = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, capacity, 128, 1, 20)
    return (head.ljust(512, b"\0") + descriptor.encode().ljust(20 * 512, b"\0")).ljust(64 * 1024, b"\0")


def descriptor(kind: str = "monolithicSparse", extents: str = 'RW 2048 SPARSE "a.vmdk"', more: str = "") -> str:
    return (
        f'# Disk DescriptorFile\nversion=1\nCID=123\nparentCID=ffffffff\n{more}createType="{kind}"\n'
        f"# Extent description\n{extents}\n"
    )


def vhd_footer(kind: int, virtual_bytes: int = VIRTUAL_BYTES) -> bytes:
    """A VHD's footer: 2 fixed, 3 dynamic, 4 differencing."""
    footer = bytearray(512)
    footer[:8] = b"conectix"
    struct.pack_into(">Q", footer, 48, virtual_bytes)
    struct.pack_into(">I", footer, 60, kind)
    return bytes(footer)
