"""What is on a disk: its partition table and what each partition holds, read by ourselves. Pure but for the reading.

MBR (primary and logical partitions) and GPT. The disk is hostile: every number is checked against its size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

SECTOR = 512
MOST = 128
EFI_SYSTEM = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
BIOS_BOOT = UUID("21686148-6449-6e6f-744e-656564454649")
_EXTENDED, _PROTECTIVE, _EFI = (0x05, 0x0F, 0x85), 0xEE, 0xEF
_MOST_ENTRIES = 256


@dataclass(frozen=True)
class Partition:
    """`number` as in the kernel's names; `holds`: `ext`, `swap`, `xfs`, `btrfs`, `lvm`, `luks`, `fat` or ""; `uuid` of the
    file system or swap space, "" where it is not known; `role`: `efi`, `bios` or ""."""

    number: int
    start: int
    length: int
    holds: str
    uuid: str
    role: str = ""


@dataclass(frozen=True)
class Table:
    """`kind`: `mbr`, `gpt` or "" (no table: the disk may be one file system). `boots`: the first sector has code."""

    kind: str
    partitions: tuple[Partition, ...]
    boots: bool


def read(disk: BinaryIO) -> Table:
    """The disk's table."""
    size = disk.seek(0, 2)
    first = _at(disk, 0, SECTOR).ljust(SECTOR, b"\0")
    if first[510:512] != b"\x55\xaa":
        return Table("", (), False)
    entries = list(_mbr_entries(first))
    boots = any(first[:440])
    if any(kind == _PROTECTIVE for kind, _, _ in entries):
        found = list(_gpt(disk, size))
        return Table("gpt", tuple(_looked_at(disk, size, *one) for one in found), boots)
    found = list(_mbr(disk, entries))
    return Table("mbr", tuple(one for one in (_looked_at(disk, size, *part) for part in found) if one.length), boots)


def _at(disk: BinaryIO, offset: int, length: int) -> bytes:
    disk.seek(offset)
    return disk.read(length)


def _mbr_entries(sector: bytes) -> Iterator[tuple[int, int, int]]:
    for at in range(446, 510, 16):
        kind, start, count = struct.unpack_from("<B3xII", sector, at + 4)
        yield kind, start, count


def _mbr(disk: BinaryIO, entries: list[tuple[int, int, int]]) -> Iterator[tuple[int, int, int, str]]:
    for number, (kind, start, count) in enumerate(entries, 1):
        if kind in _EXTENDED:
            yield from _logical(disk, start)
        elif kind and count:
            yield number, start * SECTOR, count * SECTOR, "efi" if kind == _EFI else ""


def _logical(disk: BinaryIO, first: int) -> Iterator[tuple[int, int, int, str]]:
    here = first
    for number in range(5, MOST):
        sector = _at(disk, here * SECTOR, SECTOR)
        if len(sector) < SECTOR or sector[510:512] != b"\x55\xaa":
            return
        (kind, start, count), (_, following, more), *_ = _mbr_entries(sector)
        if kind and count:
            yield number, (here + start) * SECTOR, count * SECTOR, ""
        if not more or not following:
            return
        here = first + following


def _gpt(disk: BinaryIO, size: int) -> Iterator[tuple[int, int, int, str]]:
    head = _at(disk, SECTOR, SECTOR)
    if head[:8] != b"EFI PART":
        return
    at, count, width = struct.unpack_from("<QII", head, 72)
    if not 128 <= width <= 4096 or at * SECTOR > size:
        return
    for number in range(1, min(count, _MOST_ENTRIES) + 1):
        entry = _at(disk, at * SECTOR + (number - 1) * width, 48)
        if len(entry) < 48 or not any(entry[:16]):
            continue
        first, last = struct.unpack_from("<QQ", entry, 32)
        role = {EFI_SYSTEM: "efi", BIOS_BOOT: "bios"}.get(UUID(bytes_le=entry[:16]), "")
        yield number, first * SECTOR, (last - first + 1) * SECTOR, role


def _looked_at(disk: BinaryIO, size: int, number: int, start: int, length: int, role: str) -> Partition:
    """A partition that reaches beyond the disk is none."""
    if start <= 0 or length <= 0 or start + length > size:
        return Partition(number, start, 0, "", "", role)
    return Partition(number, start, length, *content(disk, start, length), role)


def content(disk: BinaryIO, start: int, length: int) -> tuple[str, str]:
    """What begins at `start`, and its UUID."""
    head = _at(disk, start, min(length, 68 * 1024)).ljust(68 * 1024, b"\0")
    if head[1080:1082] == b"\x53\xef":
        return "ext", str(UUID(bytes=head[1128:1144]))
    if head[:4] == b"XFSB":
        return "xfs", str(UUID(bytes=head[32:48]))
    if head[0x10040:0x10048] == b"_BHRfS_M":
        return "btrfs", str(UUID(bytes=head[0x10020:0x10030]))
    if head[4086:4096] in (b"SWAPSPACE2", b"SWAP-SPACE"):
        return "swap", str(UUID(bytes=head[1036:1052]))
    if head[:6] == b"LUKS\xba\xbe":
        return "luks", ""
    if head[512:520] == b"LABELONE":
        return "lvm", ""
    if head[510:512] == b"\x55\xaa" and (head[54:57] == b"FAT" or head[82:87] == b"FAT32"):
        wide = head[82:87] == b"FAT32"
        serial = struct.unpack_from("<I", head, 67 if wide else 39)[0]
        return "fat", f"{serial >> 16:04X}-{serial & 0xFFFF:04X}"
    return "", ""
