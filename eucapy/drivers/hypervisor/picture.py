"""A screen dump as PNG: QEMU of today writes portable pixmaps, which no browser shows."""

from __future__ import annotations

import re
import struct
import zlib

from eucapy.drivers.hypervisor.base import HypervisorError, Picture

_HEADER = re.compile(rb"P6\s+(?:#[^\n]*\n)*(\d+)\s+(\d+)\s+(\d+)\s")
_MOST_PIXELS = 1 << 26


def png(data: bytes) -> Picture:
    """The picture as PNG, from a binary portable pixmap (P6, 8 bits a sample) or a PNG. Raises HypervisorError."""
    if data.startswith(b"\x89PNG"):
        return Picture(media_type="image/png", content=data)
    header = _HEADER.match(data)
    if header is None:
        raise HypervisorError("the hypervisor's screen dump is neither PPM nor PNG")
    width, height, most = (int(number) for number in header.groups())
    row = width * 3
    pixels = memoryview(data)[header.end() :]
    if most != 255 or width * height > _MOST_PIXELS or len(pixels) < row * height:
        raise HypervisorError("the hypervisor's screen dump is damaged")
    rows = b"".join(b"\0" + pixels[at : at + row] for at in range(0, row * height, row))
    header_chunk = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header_chunk) + _chunk(b"IDAT", zlib.compress(rows, 6))
    return Picture(media_type="image/png", content=content + _chunk(b"IEND", b""))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
