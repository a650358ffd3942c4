"""What a disk image is, told from its first bytes, before any other program opens it.

Images come from users and are hostile until proven harmless: a qcow2 header may name a backing file or an external data
file, and a program that opens it would read the host's own files into the guest. `inspect` reads the header itself and
refuses such images, so that QEMU only ever opens what stands alone. Used wherever an image enters the cloud: at
registration (`clc`), on a node (`nc`), in block storage (`sc`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER_BYTES = 64 * 1024
"""As much of an image's start as `inspect` ever needs."""

LARGEST_VIRTUAL_BYTES = 16 << 40
"""Sixteen TiB, as large as a gp3 volume. A header of a few bytes can claim any size."""
SECTOR_BYTES = 512
_QCOW2_MAGIC = b"QFI\xfb"
_OTHER_MAGICS = ((b"KDMV", "vmdk"), (b"# Disk DescriptorFile", "vmdk"), (b"vhdxfile", "vhdx"), (b"conectix", "vhd"))
_EXTENSION_END = 0x00000000
_EXTENSION_DATA_FILE = 0x44415441
_INCOMPATIBLE_DATA_FILE = 1 << 2
_INCOMPATIBLE_KNOWN = 0b11111
"""dirty, corrupt, external data file, compression type, extended L2: QEMU's specification of the format, version 3."""


class BadImage(Exception):
    """The bytes are not an image that we take; the message says why, in words for its owner."""


@dataclass(frozen=True)
class ImageFacts:
    """`format` is `raw` or `qcow2`; `virtual_bytes` is the size of the disk that a guest would see."""

    format: str
    virtual_bytes: int


def inspect(head: bytes, size_bytes: int, claimed: str = "") -> ImageFacts:
    """Tell what an image of `size_bytes` is from its first `HEADER_BYTES` (all of it if shorter).

    `claimed` (`raw`, `qcow2` or "" for not known) is what its owner says it is; a raw image is never probed for another
    format once it is claimed to be raw, because its first bytes belong to the guest that wrote them.
    Raises BadImage.
    """
    if claimed not in ("", "raw", "qcow2"):
        raise BadImage(f"the format {claimed} is not supported: raw or qcow2 is")
    if size_bytes == 0:
        raise BadImage("the image is empty")
    facts = _facts(head, size_bytes, claimed)
    if facts.virtual_bytes > LARGEST_VIRTUAL_BYTES:
        raise BadImage(f"the image is a disk of {facts.virtual_bytes} bytes; 16 TiB is the most")
    return facts


def refuse_data_file(head: bytes) -> None:
    """Refuse a qcow2 disk of our own making (its backing file is known) that keeps its data elsewhere, as a guest that broke
    out of its machine could have made it. Raises BadImage."""
    if len(head) < 104 or not head.startswith(_QCOW2_MAGIC):
        raise BadImage("the disk has no whole qcow2 header")
    version, incompatible = struct.unpack_from(">I", head, 4)[0], struct.unpack_from(">Q", head, 72)[0]
    if version > 2 and incompatible & _INCOMPATIBLE_DATA_FILE:
        raise BadImage("the qcow2 image keeps its data in an external file")
    _refuse_extensions(head, 72 if version == 2 else struct.unpack_from(">I", head, 100)[0])


def _facts(head: bytes, size_bytes: int, claimed: str) -> ImageFacts:
    if claimed == "raw":
        return ImageFacts("raw", _sectors(size_bytes))
    if head.startswith(_QCOW2_MAGIC):
        return ImageFacts("qcow2", _qcow2_virtual_bytes(head))
    if claimed == "qcow2":
        raise BadImage("the image is not in qcow2 format")
    for magic, name in _OTHER_MAGICS:
        if head.startswith(magic):
            raise BadImage(f"the format {name} is not supported: raw or qcow2 is")
    return ImageFacts("raw", _sectors(size_bytes))


def empty_qcow2(virtual_bytes: int) -> bytes:
    """The header of a qcow2 image without content, for pretended disks."""
    # magic, version, backing file (offset, length), cluster bits, size, encryption; what follows is empty
    head = struct.pack(">4sIQIIQI", _QCOW2_MAGIC, 3, 0, 0, 16, virtual_bytes, 0)
    return head + bytes(100 - len(head)) + struct.pack(">I", 104) + bytes(8)


def _sectors(size_bytes: int) -> int:
    return -(-size_bytes // SECTOR_BYTES) * SECTOR_BYTES


def _qcow2_virtual_bytes(head: bytes) -> int:
    """The virtual size in a qcow2 header that refers to nothing outside. Raises BadImage."""
    if len(head) < 72:
        raise BadImage("the qcow2 header is cut off")
    version, backing_offset, backing_length, _cluster_bits, size, crypt = struct.unpack_from(">IQIIQI", head, 4)
    if version not in (2, 3):
        raise BadImage(f"qcow2 version {version} is not supported: 2 or 3 is")
    if backing_offset or backing_length:
        raise BadImage("the qcow2 image has a backing file; flatten it before it is uploaded")
    if crypt:
        raise BadImage("the qcow2 image is encrypted")
    header_bytes = 72
    if version == 3:
        if len(head) < 104:
            raise BadImage("the qcow2 header is cut off")
        incompatible, header_bytes = struct.unpack_from(">Q16xI", head, 72)[0], struct.unpack_from(">I", head, 100)[0]
        if incompatible & _INCOMPATIBLE_DATA_FILE:
            raise BadImage("the qcow2 image keeps its data in an external file")
        if incompatible & ~_INCOMPATIBLE_KNOWN:
            raise BadImage("the qcow2 image needs features that are not known here")
    _refuse_extensions(head, header_bytes)
    if size == 0 or size % SECTOR_BYTES:
        raise BadImage(f"the qcow2 image's virtual size of {size} bytes is not a whole number of sectors")
    return int(size)


def _refuse_extensions(head: bytes, offset: int) -> None:
    """Walk the header's extensions; one that names a data file is refused whatever the feature bits say."""
    while True:
        if offset + 8 > len(head):
            raise BadImage("the qcow2 header's extensions do not end")
        kind, length = struct.unpack_from(">II", head, offset)
        if kind == _EXTENSION_END:
            return
        if kind == _EXTENSION_DATA_FILE:
            raise BadImage("the qcow2 image keeps its data in an external file")
        offset += 8 + -(-length // 8) * 8
