"""The checksums of S3: which there are, how they are computed, put together over parts, and written.

| algorithm | of parts as a whole (FULL_OBJECT) | of the parts' checksums (COMPOSITE, "value-N") |
|---|---|---|
| CRC64NVME | always | never |
| CRC32, CRC32C | if the upload asks for it | otherwise |
| SHA1, SHA256, SHA512, MD5, XXHASH64, XXHASH3, XXHASH128 | never | always |

Values travel in base64. An object that comes without a checksum gets a CRC64NVME, as in AWS.
Source: "Checking object integrity for data uploads", S3 user guide.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from awscrt import checksums as crt

Buffer = bytes | bytearray | memoryview

DEFAULT = "CRC64NVME"
FULL_OBJECT, COMPOSITE = "FULL_OBJECT", "COMPOSITE"


class Running(Protocol):
    """A checksum being computed."""

    def update(self, data: Buffer, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    def __init__(self, function: Callable[[Any, int], int], width: int) -> None:
        self._function = function
        self._width = width
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


class _XxHash:
    def __init__(self, running: Any) -> None:
        self._running = running

    def update(self, data: Buffer, /) -> None:
        self._running.update(data)

    def digest(self) -> bytes:
        value: bytes = self._running.finalize()
        return value


_MAKERS: dict[str, Callable[[], Running]] = {
    "CRC32": lambda: _Crc(zlib.crc32, 4),
    "CRC32C": lambda: _Crc(crt.crc32c, 4),
    "CRC64NVME": lambda: _Crc(crt.crc64nvme, 8),
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": lambda: hashlib.sha256(usedforsecurity=False),
    "SHA512": lambda: hashlib.sha512(usedforsecurity=False),
    "MD5": lambda: hashlib.md5(usedforsecurity=False),
    "XXHASH64": lambda: _XxHash(crt.XXHash.new_xxhash64()),
    "XXHASH3": lambda: _XxHash(crt.XXHash.new_xxhash3_64()),
    "XXHASH128": lambda: _XxHash(crt.XXHash.new_xxhash3_128()),
}
_COMBINERS: dict[str, Callable[[int, int, int], int]] = {
    "CRC32": crt.combine_crc32,
    "CRC32C": crt.combine_crc32c,
    "CRC64NVME": crt.combine_crc64nvme,
}
ALGORITHMS = tuple(_MAKERS)
WIDTHS = {name: len(make().digest()) for name, make in _MAKERS.items()}
MEMBERS = {name: f"Checksum{name}" for name in ALGORITHMS}
"""Algorithm → its member in the S3 model."""
HEADERS = {name: f"x-amz-checksum-{name.lower()}" for name in ALGORITHMS}


def running(algorithm: str) -> Running:
    """Raises KeyError for an algorithm that there is not."""
    return _MAKERS[algorithm]()


def encode(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def decode(algorithm: str, value: str) -> bytes | None:
    """The digest, or None where `value` cannot be one of that algorithm."""
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) == WIDTHS[algorithm] else None


def default_type(algorithm: str) -> str:
    """The checksum type of a multipart upload that names none."""
    return FULL_OBJECT if algorithm == "CRC64NVME" else COMPOSITE


def allows(algorithm: str, kind: str) -> bool:
    """Whether a multipart upload may have that type."""
    if kind == FULL_OBJECT:
        return algorithm in _COMBINERS
    return algorithm != "CRC64NVME"


def combine(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The checksum of the whole from those of its parts: (value, size in bytes) in order."""
    join = _COMBINERS[algorithm]
    total = 0
    for value, size in parts:
        total = join(total, int.from_bytes(base64.b64decode(value), "big"), size)
    return encode(total.to_bytes(WIDTHS[algorithm], "big"))


def composite(algorithm: str, values: Sequence[str]) -> str:
    """The checksum of the parts' checksums, "value-N"."""
    over = running(algorithm)
    for value in values:
        over.update(base64.b64decode(value))
    return f"{encode(over.digest())}-{len(values)}"


def write_pairs(sums: Mapping[str, str]) -> str:
    """A part's checksums as text: "ALGORITHM value", perhaps of several."""
    return " ".join(f"{name} {value}" for name, value in sums.items())


def read_pairs(text: str | None) -> dict[str, str]:
    """What `write_pairs` wrote."""
    words = text.split(" ") if text else []
    return dict(zip(words[::2], words[1::2], strict=True))
