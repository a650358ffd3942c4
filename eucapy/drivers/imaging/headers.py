"""What a disk image in a foreign format says of itself, read by ourselves before any other program opens it.

    facts = read(stream, "vmdk")          # DiskFacts, or Unusable with the reason

Importers are handed files by strangers. A VMDK's descriptor may name other files as extents or as its parent, a VHD or
VHDX may be the difference to a parent: a program that opens such a file reads the host's own files into the guest's disk.
Only what stands alone passes here. Formats: raw, qcow2 (`eucapy/diskimage.py`), VMDK (monolithicSparse and
streamOptimized; the other subtypes are several files), VHD (fixed, dynamic), VHDX (fixed, dynamic).
Sources: VMware's "Virtual Disk Format 5.0", Microsoft's "Virtual Hard Disk Image Format Specification" and [MS-VHDX].
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

from eucapy import diskimage
from eucapy.drivers.imaging.base import ImagingError

SECTOR_BYTES = 512
FORMATS = ("raw", "qcow2", "vmdk", "vhd", "vhdx")
LARGEST_DESCRIPTOR_BYTES = 1 << 20
VMDK_MAGIC, VHD_COOKIE, VHDX_SIGNATURE = b"KDMV", b"conectix", b"vhdxfile"
_ONE_FILE = ("monolithicSparse", "streamOptimized")
_VHD_FIXED, _VHD_DYNAMIC, _VHD_DIFFERENCING = 2, 3, 4
_VHDX_REGION_TABLES = (192 << 10, 256 << 10)
_VHDX_METADATA = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_VHDX_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_VHDX_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_VHDX_HAS_PARENT = 0b10
_MOST_ENTRIES = 2047


class Unusable(ImagingError):
    """The bytes are not a disk that we take; the message says why, in words for their owner."""


class Unsuitable(Unusable):
    """The disk is one, but the machine on it cannot run here; the message is what AWS says, whole."""


@dataclass(frozen=True)
class DiskFacts:
    """`virtual_bytes`: the size of the disk that a guest sees."""

    format: str
    virtual_bytes: int


def read(stream: BinaryIO, format: str) -> DiskFacts:
    """The facts of an image that is said to be in `format` (one of FORMATS). Raises Unusable."""
    size_bytes = stream.seek(0, 2)
    try:
        if format in ("raw", "qcow2"):
            head = _at(stream, 0, min(size_bytes, diskimage.HEADER_BYTES))
            facts = diskimage.inspect(head, size_bytes, format)
            return DiskFacts(format, facts.virtual_bytes)
        virtual_bytes = {"vmdk": _vmdk, "vhd": _vhd, "vhdx": _vhdx}[format](stream, size_bytes)
    except KeyError:
        raise Unusable(f"Unsupported disk format {format}") from None
    except diskimage.BadImage as error:
        raise Unusable(str(error)) from error
    except struct.error:
        raise Unusable(f"The {format.upper()} file is cut off") from None
    if not 0 < virtual_bytes <= diskimage.LARGEST_VIRTUAL_BYTES:
        raise Unusable(f"The disk has {virtual_bytes} bytes; 16 TiB is the most")
    return DiskFacts(format, virtual_bytes)


def _at(stream: BinaryIO, offset: int, length: int) -> bytes:
    stream.seek(offset)
    return stream.read(length)


def _vmdk(stream: BinaryIO, size_bytes: int) -> int:
    head = _at(stream, 0, SECTOR_BYTES)
    if head.lstrip().startswith(b"# Disk DescriptorFile"):
        raise Unusable("Unsupported VMDK File Format: a descriptor alone, whose data is in other files")
    if not head.startswith(VMDK_MAGIC):
        raise Unusable("Unsupported VMDK File Format: not a sparse VMDK")
    version, _flags, capacity, _grain, at, length = struct.unpack_from("<IIQQQQ", head, 4)
    if not 1 <= version <= 3:
        raise Unusable(f"Unsupported VMDK File Format: version {version}")
    if capacity == 0 or at == 0 or length == 0:
        # QEMU takes the descriptor of such a file for the truth about where the data is.
        raise Unusable("Unsupported VMDK File Format: the header names no capacity or no descriptor")
    if length * SECTOR_BYTES > LARGEST_DESCRIPTOR_BYTES or at * SECTOR_BYTES > size_bytes:
        raise Unusable("Unsupported VMDK File Format: the descriptor is out of bounds")
    text = _at(stream, at * SECTOR_BYTES, length * SECTOR_BYTES).split(b"\0", 1)[0].decode(errors="replace")
    _refuse_foreign_extents(text)
    return int(capacity) * SECTOR_BYTES


def _refuse_foreign_extents(descriptor: str) -> None:
    """A descriptor that speaks of one sparse extent, the file itself, and of no parent."""
    kind = re.search(r'^\s*createType\s*=\s*"?([^"\r\n]*)', descriptor, re.M | re.I)
    if kind is None or kind[1].strip() not in _ONE_FILE:
        raise Unusable(f"Unsupported VMDK File Format: {kind[1].strip() if kind else 'no createType'}")
    parent = re.search(r"^\s*parentCID\s*=\s*([0-9a-fA-F]+)", descriptor, re.M | re.I)
    if re.search(r"^\s*parentFileNameHint", descriptor, re.M | re.I) or (
        parent is not None and int(parent[1], 16) != 0xFFFFFFFF
    ):
        raise Unusable("Unsupported VMDK File Format: the disk is the difference to a parent")
    extents = re.findall(r"^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\S+)", descriptor, re.M)
    if [extent.upper() for extent in extents] != ["SPARSE"]:
        raise Unusable("Unsupported VMDK File Format: the data is in other files")


def _vhd(stream: BinaryIO, size_bytes: int) -> int:
    if size_bytes < 2 * SECTOR_BYTES:
        raise Unusable("Footers not found in the VHD. The uploaded image may be corrupted")
    footer = _at(stream, size_bytes - SECTOR_BYTES, SECTOR_BYTES)
    if not footer.startswith(VHD_COOKIE):
        raise Unusable("Footers not found in the VHD. The uploaded image may be corrupted")
    virtual_bytes, kind = struct.unpack_from(">Q", footer, 48)[0], struct.unpack_from(">I", footer, 60)[0]
    head = _at(stream, 0, SECTOR_BYTES)
    if kind == _VHD_DIFFERENCING:
        raise Unusable("The VHD is the difference to a parent")
    if kind == _VHD_FIXED:
        if head.startswith(VHD_COOKIE):
            raise Unusable("The VHD is called fixed at its end and something else at its start")
        if virtual_bytes > size_bytes - SECTOR_BYTES:
            raise Unusable("The VHD is shorter than its footer says. The uploaded image may be corrupted")
        return int(virtual_bytes)
    if kind != _VHD_DYNAMIC:
        raise Unusable(f"The VHD is of a kind that is not known: {kind}")
    if head[:SECTOR_BYTES] != footer:
        raise Unusable("The VHD's footer and its copy differ. The uploaded image may be corrupted")
    return int(virtual_bytes)


def _vhdx(stream: BinaryIO, size_bytes: int) -> int:
    if not _at(stream, 0, 8).startswith(VHDX_SIGNATURE):
        raise Unusable("The image is not in VHDX format")
    metadata = _vhdx_metadata(stream)
    table = _at(stream, metadata, 64 << 10)
    if table[:8] != b"metadata":
        raise Unusable("The VHDX has no metadata. The uploaded image may be corrupted")
    items: dict[UUID, int] = {}
    for number in range(min(struct.unpack_from("<H", table, 10)[0], _MOST_ENTRIES)):
        at = 32 + number * 32
        items[UUID(bytes_le=table[at : at + 16].ljust(16, b"\0"))] = struct.unpack_from("<I", table, at + 16)[0]
    if _VHDX_PARAMETERS not in items or _VHDX_SIZE not in items:
        raise Unusable("The VHDX does not tell its size. The uploaded image may be corrupted")
    flags = struct.unpack("<I", _at(stream, metadata + items[_VHDX_PARAMETERS] + 4, 4))[0]
    if flags & _VHDX_HAS_PARENT:
        raise Unusable("The VHDX is the difference to a parent")
    return int(struct.unpack("<Q", _at(stream, metadata + items[_VHDX_SIZE], 8))[0])


def _vhdx_metadata(stream: BinaryIO) -> int:
    """Where the metadata is, by the first region table that can be read."""
    for table_at in _VHDX_REGION_TABLES:
        table = _at(stream, table_at, 64 << 10)
        if table[:4] != b"regi":
            continue
        for number in range(min(struct.unpack_from("<I", table, 8)[0], _MOST_ENTRIES)):
            at = 16 + number * 32
            if UUID(bytes_le=table[at : at + 16].ljust(16, b"\0")) == _VHDX_METADATA:
                return int(struct.unpack_from("<Q", table, at + 16)[0])
    raise Unusable("The VHDX has no region table. The uploaded image may be corrupted")
