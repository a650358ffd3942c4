"""The object that an image becomes in a bucket (CreateStoreImageTask), and is read from again. Pure.

    disk 0 │ disk 1 │ … │ manifest (JSON) │ footer (64 bytes)

Disks are qcow2 files, filled up with zeros to what a part of an upload must have at least. The footer says how long the
manifest is. Whoever may write the bucket can have written the object: what is read counts for nothing until `decode` took it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

MAGIC = b"eucapy-stored-image-1 "
FOOTER_BYTES = 64
LARGEST_MANIFEST = 4 << 20
MOST_DISKS = 40
_GIB = 1 << 30

_Word = Annotated[str, msgspec.Meta(max_length=64)]
_Text = Annotated[str, msgspec.Meta(max_length=255)]
_Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
_Size = Annotated[int, msgspec.Meta(ge=1, le=65536)]


class NotStored(Exception):
    """The object is no stored image."""


class Disk(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`start` and `length_bytes`: where it lies in the object. Tags and description are its snapshot's."""

    start: _Count = 0
    length_bytes: _Count = 0
    size_gib: _Size
    description: _Text = ""
    tags: dict[str, str] = {}


class Device(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A block device mapping; `disk` is the place of its disk in the manifest, None for one without."""

    device: _Word
    disk: int | None = None
    virtual_name: _Word = ""
    size_gib: _Size | None = None
    volume_type: _Word = "gp2"
    delete_on_termination: bool = True
    iops: int | None = None
    throughput: int | None = None


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the image is; the first disk is its root's."""

    name: _Text
    description: _Text = ""
    architecture: _Word = "x86_64"
    platform: _Word = ""
    root_device: _Word
    boot_mode: _Word = ""
    tpm: _Word = ""
    imds: _Word = ""
    sriov: _Word = ""
    ena: bool = False
    tags: dict[str, str] = {}
    disks: list[Disk]
    devices: list[Device]


def encode(manifest: Manifest) -> bytes:
    """The end of the object: manifest and footer."""
    text = msgspec.json.encode(manifest)
    return text + (MAGIC + str(len(text)).encode()).ljust(FOOTER_BYTES)


def manifest_bytes(footer: bytes, size_bytes: int) -> int:
    """How long the manifest before the footer of an object of that size is. Raises NotStored."""
    length = footer.removeprefix(MAGIC).strip()
    if len(footer) != FOOTER_BYTES or not footer.startswith(MAGIC) or not length.isdigit() or len(length) > 9:
        raise NotStored("it does not end like one")
    if not 0 < int(length) <= min(LARGEST_MANIFEST, size_bytes - FOOTER_BYTES):
        raise NotStored("its manifest has no possible size")
    return int(length)


def decode(text: bytes, size_bytes: int) -> Manifest:
    """The manifest of an object of that size. Raises NotStored."""
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise NotStored(f"its manifest cannot be read: {error}") from error
    end = size_bytes - FOOTER_BYTES - len(text)
    if not 1 <= len(manifest.disks) <= MOST_DISKS or len(manifest.devices) > 2 * MOST_DISKS:
        raise NotStored("it has no possible number of disks")
    if any(not disk.length_bytes or disk.start + disk.length_bytes > end for disk in manifest.disks):
        raise NotStored("a disk lies outside of it")
    used = [device.disk for device in manifest.devices if device.disk is not None]
    if set(used) != set(range(len(manifest.disks))):
        raise NotStored("its devices do not have its disks")
    roots = [device.disk for device in manifest.devices if device.device == manifest.root_device]
    if roots != [0]:
        raise NotStored("its first disk is not that of its root device")
    if len({device.device for device in manifest.devices}) < len(manifest.devices):
        raise NotStored("two of its devices have one name")
    return manifest
