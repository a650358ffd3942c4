"""Foreign disks are looked at before anything else opens them; what does not stand alone is refused."""

from __future__ import annotations

import io
import struct
from uuid import UUID

import pytest

from eucapy.drivers.imaging import headers
from eucapy.drivers.imaging.headers import Unusable
from tests.drivers.imaging.foreign import descriptor, vhd_footer, vmdk

GIB = 1 << 30


def vhdx(virtual_bytes: int = GIB, flags: int = 0) -> bytes:
    """A VHDX of region table and metadata."""
    content = bytearray(2 << 20)
    content[:8] = b"vhdxfile"
    region = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
    struct.pack_into("<4sII", content, 192 << 10, b"regi", 0, 1)
    struct.pack_into("<16sQII", content, (192 << 10) + 16, region, 1 << 20, 1 << 20, 1)
    struct.pack_into("<8sHH", content, 1 << 20, b"metadata", 0, 2)
    items = (("caa16737-fa36-4d43-b3b6-33f0aa44e76b", 64 << 10), ("2fa54224-cd1b-4876-b211-5dbed83bf4b8", 65 << 10))
    for number, (name, at) in enumerate(items):
        struct.pack_into("<16sII", content, (1 << 20) + 32 + 32 * number, UUID(name).bytes_le, at, 8)
    struct.pack_into("<II", content, (1 << 20) + (64 << 10), 1 << 25, flags)
    struct.pack_into("<Q", content, (1 << 20) + (65 << 10), virtual_bytes)
    return bytes(content)


def read(content: bytes, format: str) -> int:
    return headers.read(io.BytesIO(content), format).virtual_bytes


def test_disks_that_stand_alone_tell_their_size() -> None:
    assert read(vmdk(descriptor(), 4096), "vmdk") == 4096 * 512
    assert read(vmdk(descriptor("streamOptimized"), 4096), "vmdk") == 4096 * 512
    footer = vhd_footer(3, GIB)
    assert read(footer + bytes(4096) + footer, "vhd") == GIB
    assert read(bytes(4096) + vhd_footer(2, 4096), "vhd") == 4096
    assert read(vhdx(5 * GIB), "vhdx") == 5 * GIB
    assert read(bytes(1000), "raw") == 1024


@pytest.mark.parametrize(
    ("content", "format", "why"),
    [
        (vmdk(descriptor("monolithicFlat", 'RW 2048 FLAT "/etc/passwd" 0')), "vmdk", "monolithicFlat"),
        (vmdk(descriptor(extents='RW 2048 FLAT "/etc/passwd" 0')), "vmdk", "other files"),
        (vmdk(descriptor(extents='RW 8 SPARSE "a.vmdk"\nRW 8 SPARSE "/etc/shadow"')), "vmdk", "other files"),
        (vmdk(descriptor(extents="")), "vmdk", "other files"),
        (vmdk(descriptor(more='parentFileNameHint="/etc/passwd"\n')), "vmdk", "parent"),
        (vmdk(descriptor().replace("parentCID=ffffffff", "parentCID=1234")), "vmdk", "parent"),
        (vmdk(descriptor(), capacity=0), "vmdk", "no capacity"),
        (vmdk(descriptor(), capacity=1 << 50), "vmdk", "16 TiB"),
        (descriptor("monolithicFlat").encode(), "vmdk", "descriptor alone"),
        (b"KDMV" + bytes(6), "vmdk", "cut off"),
        (bytes(4096), "vmdk", "not a sparse VMDK"),
        (bytes(4096), "vhd", "Footers not found in the VHD"),
        (b"", "vhd", "Footers not found in the VHD"),
        (bytes(4096) + vhd_footer(4), "vhd", "parent"),
        (bytes(4096) + vhd_footer(2, GIB), "vhd", "shorter"),
        (vhd_footer(4) + bytes(4096) + vhd_footer(3), "vhd", "differ"),
        (vhd_footer(3) + bytes(4096) + vhd_footer(2, 512), "vhd", "something else"),
        (vhdx(flags=2), "vhdx", "parent"),
        (vhdx(1 << 60), "vhdx", "16 TiB"),
        (b"vhdxfile" + bytes(1 << 20), "vhdx", "no region table"),
        (bytes(4096), "vhdx", "not in VHDX format"),
        (bytes(4096), "qcow2", "not in qcow2 format"),
        (b"", "raw", "empty"),
        (bytes(512), "vdi", "Unsupported disk format"),
    ],
)
def test_what_refers_to_other_files_or_is_broken_is_refused(content: bytes, format: str, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        read(content, format)


@pytest.mark.parametrize("format", ["vmdk", "vhd", "vhdx", "qcow2"])
def test_no_damage_makes_more_than_a_refusal(format: str) -> None:
    whole = {
        "vmdk": vmdk(descriptor()),
        "vhd": vhd_footer(3) + bytes(512) + vhd_footer(3),
        "vhdx": vhdx(),
        "qcow2": b"QFI\xfb" + bytes(200),
    }[format]
    for cut in range(0, min(len(whole), 2048), 7):
        for damaged in (whole[:cut], whole[:cut] + b"\xff" * 9 + whole[cut + 9 :]):
            try:
                assert 0 < read(damaged, format) <= 16 << 40
            except Unusable:
                continue
