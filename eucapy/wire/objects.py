"""Objects of the store, fetched whole by a component with its own certificate (walrus's internal port).

What arrives is compared with what the spec named: another size or another ETag is `Changed`, and the file is not there.
Runs of zeros become holes, so that a sparse disk image stays cheap.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import aiohttp

from eucapy.wire.contract import Unreachable
from eucapy.wire.node import NodeSource, ObjectSource

CHUNK_BYTES = 1 << 20
HOLE_BYTES = 64 * 1024
_ZEROS = bytes(HOLE_BYTES)


class Changed(Exception):
    """The object is not the one that was registered: it is gone, or was replaced."""


class ObjectFetcher(Protocol):
    """Gets an object into a file."""

    async def fetch(self, source: ObjectSource, into: Path, progress: Callable[[int], None]) -> None:
        """Write the object to `into` (replaced) and sync it; `progress` hears the bytes so far.

        Raises Changed (asking again will not help) and Unreachable (it may).
        """
        ...


class CaptureFetcher(Protocol):
    """Gets what a node captured of an instance into a file."""

    async def fetch_capture(self, source: NodeSource, into: Path, progress: Callable[[int], None]) -> None:
        """As `ObjectFetcher.fetch`."""
        ...


class WalrusFetcher:
    """The real one, for captures on nodes too: they show certificates of the same authority."""

    def __init__(self, url: str, tls: ssl.SSLContext | None, stall_s: float = 60.0) -> None:
        self._url = url.rstrip("/")
        self._tls = tls
        self._limit = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=stall_s)

    async def fetch(self, source: ObjectSource, into: Path, progress: Callable[[int], None]) -> None:
        url = f"{self._url}/internal/objects/{quote(source.bucket, safe='')}/{quote(source.key, safe='/')}"
        what = f"{source.bucket}/{source.key}"
        span = (source.start, source.fetched_bytes) if source.fetched_bytes < source.size_bytes else None
        await self._get(url, what, source.fetched_bytes, source.etag, into, progress, span)

    async def fetch_capture(self, source: NodeSource, into: Path, progress: Callable[[int], None]) -> None:
        """`fetch` for a capture on a node. Raises Changed and Unreachable."""
        url = f"{source.url}/v1/file/{quote(source.instance_id, safe='')}/{quote(source.snapshot_id, safe='')}"
        what = f"the capture of {source.instance_id} for {source.snapshot_id}"
        await self._get(url, what, source.size_bytes, None, into, progress)

    async def _get(
        self,
        url: str,
        what: str,
        size_bytes: int,
        etag: str | None,
        into: Path,
        progress: Callable[[int], None],
        span: tuple[int, int] | None = None,
    ) -> None:
        """`span`: the part that is wanted, start and length."""
        headers = {} if span is None else {"Range": f"bytes={span[0]}-{span[0] + span[1] - 1}"}
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=self._limit, auto_decompress=False) as session,
                session.get(url, headers=headers) as answer,
            ):
                if answer.status in (404, 416):
                    raise Changed(f"{what} is no longer there")
                if answer.status != (200 if span is None else 206):
                    raise Unreachable(f"GET {url}: HTTP {answer.status}")
                if etag is not None and answer.headers.get("ETag", "").strip('"') != etag.strip('"'):
                    raise Changed(f"{what} was replaced since the image was registered")
                await self._receive(answer, what, size_bytes, into, progress)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            into.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno is not None and not isinstance(error, aiohttp.ClientError):
                raise
            raise Unreachable(f"GET {url}: {type(error).__name__} {error}") from error
        except BaseException:
            into.unlink(missing_ok=True)
            raise

    async def _receive(
        self,
        answer: aiohttp.ClientResponse,
        what: str,
        size_bytes: int,
        into: Path,
        progress: Callable[[int], None],
    ) -> None:
        got = 0
        with into.open("wb") as stream:
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                write_sparse(stream.fileno(), chunk, got)
                got += len(chunk)
                if got > size_bytes:
                    break
                progress(got)
            if got != size_bytes:
                raise Changed(f"{what} has not the {size_bytes} bytes it was registered with")
            stream.truncate(got)
            stream.flush()
            os.fsync(stream.fileno())


def write_sparse(fd: int, chunk: bytes, offset: int) -> None:
    """Write `chunk` at `offset`, leaving whole aligned-in-chunk runs of zeros as holes."""
    view = memoryview(chunk)
    start = 0
    for at in range(0, len(view) + HOLE_BYTES, HOLE_BYTES):
        piece = view[at : at + HOLE_BYTES]
        hole = len(piece) == HOLE_BYTES and piece == _ZEROS
        if hole or at >= len(view):
            data = view[start : min(at, len(view))]
            while data:
                written = os.pwrite(fd, data, offset + start)
                data = data[written:]
                start += written
            start = at + HOLE_BYTES
