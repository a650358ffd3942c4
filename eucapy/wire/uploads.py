"""Files put into the object store as parts of an upload that somebody else began and will complete (walrus's internal port).

Parts that hold nothing but zeros are sent once and named by every other: a sparse disk costs what is in it, on the way and
where it lies.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import aiohttp

from eucapy.wire.contract import Unreachable

CHUNK_BYTES = 1 << 20
SMALLEST_PART_BYTES = 8 << 20
LEAST_PART_BYTES = 5 << 20
"""What S3 asks of every part but the last."""
MOST_PARTS = 5000
"""With the size above a part stays below the 5 GiB that one may have, up to 16 TiB."""


class NoSuchUpload(Exception):
    """The upload is over, or its bucket is gone: asking again will not help."""


class PartSender(Protocol):
    """Puts a file into an upload."""

    async def send(
        self,
        file: Path,
        bucket: str,
        key: str,
        upload_id: str,
        told: Callable[[int], None],
        first_part: int = 1,
        most_parts: int = MOST_PARTS,
    ) -> list[str]:
        """The ETags of the parts, in their order, of which there are `most_parts` at most, numbered from `first_part` on;
        `told` hears the bytes so far. Raises NoSuchUpload, Unreachable, OSError."""
        ...


def part_bytes(size_bytes: int, most_parts: int = MOST_PARTS) -> int:
    """How large the parts of a file are, but the last."""
    mib = 1 << 20
    return max(SMALLEST_PART_BYTES, -(-size_bytes // most_parts // mib) * mib)


def padded_bytes(size_bytes: int, most_parts: int = MOST_PARTS) -> int:
    """How large a file must be made so that others may follow its last part."""
    step = part_bytes(size_bytes, most_parts)
    rest = size_bytes % step
    return size_bytes if size_bytes and not rest else size_bytes - rest + max(rest, LEAST_PART_BYTES)


class WalrusSender:
    """The real one."""

    def __init__(self, url: str, tls: ssl.SSLContext | None, stall_s: float = 120.0) -> None:
        self._url = url.rstrip("/")
        self._tls = tls
        self._limit = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=stall_s)

    async def send(
        self,
        file: Path,
        bucket: str,
        key: str,
        upload_id: str,
        told: Callable[[int], None],
        first_part: int = 1,
        most_parts: int = MOST_PARTS,
    ) -> list[str]:
        url = f"{self._url}/internal/uploads/{quote(bucket, safe='')}/{quote(key, safe='/')}"
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
        etags: list[str] = []
        empty: dict[int, int] = {}
        """A part of zeros, by its length."""
        with file.open("rb") as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            step = part_bytes(size_bytes, most_parts)
            async with aiohttp.ClientSession(connector=connector, timeout=self._limit) as session:
                for number, start in enumerate(range(0, size_bytes, step), first_part):
                    length = min(step, size_bytes - start)
                    asked = {"upload": upload_id, "part": str(number)}
                    hole = is_hole(stream.fileno(), start, length)
                    body: AsyncIterator[bytes] | None = None
                    if hole and length in empty:
                        asked["like"] = str(empty[length])
                    else:
                        body = _pieces(stream.fileno(), start, length)
                    if hole:
                        empty.setdefault(length, number)
                    etags.append(await self._put(session, url, asked, body, length))
                    told(start + length)
        return etags

    async def _put(
        self,
        session: aiohttp.ClientSession,
        url: str,
        asked: dict[str, str],
        body: AsyncIterator[bytes] | None,
        length: int,
    ) -> str:
        headers = {"Content-Length": str(length if body is not None else 0)}
        try:
            async with session.put(url, params=asked, data=body, headers=headers) as answer:
                if answer.status == 404:
                    raise NoSuchUpload(f"the upload {asked['upload']} is gone")
                if answer.status != 200:
                    raise Unreachable(f"PUT {url}: HTTP {answer.status}")
                return answer.headers.get("ETag", "").strip('"')
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"PUT {url}: {type(error).__name__} {error}") from error


def is_hole(fd: int, start: int, length: int) -> bool:
    """Whether a file has no data in this part of it, as far as its file system knows."""
    try:
        return os.lseek(fd, start, os.SEEK_DATA) >= start + length
    except OSError:  # ENXIO: no data from there to the end
        return True


async def _pieces(fd: int, start: int, length: int) -> AsyncIterator[bytes]:
    end = start + length
    while start < end:
        piece = os.pread(fd, min(CHUNK_BYTES, end - start), start)
        if not piece:
            return
        start += len(piece)
        yield piece
