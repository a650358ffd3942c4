"""Fetches an image from the object store's internal port into a sparse local file.

The store knows us by our certificate. What comes must be what the spec says: the same ETag and the same number of bytes,
within the size that the operator allows; a download that is cut off goes on where it stopped. Zeros are not written, so a
mostly empty image costs what it holds. Whether the bytes are an image is the driver's question.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import aiohttp

from eucapy.wire.node import ObjectSource

CHUNK_BYTES = 1 << 20
HOLE_BYTES = 4096
_ZEROS = bytes(CHUNK_BYTES)
SILENCE_S = 60.0
RESUMPTIONS = 5


class TransferError(Exception):
    """The image did not come. `final`: it never will as the spec names it."""

    def __init__(self, code: str, message: str, *, final: bool = False) -> None:
        self.code = code
        self.final = final
        super().__init__(message)


class Fetcher(Protocol):
    """Where images come from: the object store (below), or a test's own."""

    async def fetch(self, source: ObjectSource, target: Path, progress: Callable[[int], None]) -> None:
        """Write the object's bytes to `target`; `progress` in percent, at most 99. Raises TransferError, OSError."""
        ...

    async def close(self) -> None: ...


class StoreFetcher:
    """`GET /internal/objects/<bucket>/<key>` of walrus."""

    def __init__(self, store: str, tls: ssl.SSLContext | None, largest_bytes: int) -> None:
        """`store` is the internal port's URL; `tls` shows our certificate (None: plain HTTP, for tests)."""
        self._store = store.rstrip("/")
        self._tls = tls
        self._largest_bytes = largest_bytes
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, source: ObjectSource, target: Path, progress: Callable[[int], None]) -> None:
        if source.size_bytes > self._largest_bytes:
            raise TransferError(
                "ImageTooLarge",
                f"the image has {source.size_bytes} bytes; at most {self._largest_bytes} are allowed",
                final=True,
            )
        session = self._connect()
        fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            done, patience = 0, RESUMPTIONS
            while done < source.size_bytes:
                came = await self._part(session, source, fd, done, progress)
                patience = RESUMPTIONS if came else patience - 1
                done += came
                if not patience:
                    raise TransferError("TransferInterrupted", f"only {done} of {source.size_bytes} bytes came")
            os.ftruncate(fd, source.size_bytes)
        finally:
            os.close(fd)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _connect(self) -> aiohttp.ClientSession:
        if self._session is None:
            limit = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=SILENCE_S)
            connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=limit, auto_decompress=False)
        return self._session

    async def _part(
        self,
        session: aiohttp.ClientSession,
        source: ObjectSource,
        fd: int,
        offset: int,
        progress: Callable[[int], None],
    ) -> int:
        """Receive from `offset` on, as far as it comes; returns how many bytes were written."""
        url = f"{self._store}/internal/objects/{quote(source.bucket, safe='')}/{quote(source.key, safe='/')}"
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        name = f"{source.bucket}/{source.key}"
        done = 0
        try:
            async with session.get(url, headers=headers, allow_redirects=False) as answer:
                _check(answer, source, offset, name)
                async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                    if offset + done + len(chunk) > source.size_bytes:
                        raise TransferError("ImageChanged", f"{name} is longer than it was", final=True)
                    await asyncio.to_thread(_write_sparse, fd, offset + done, chunk)
                    done += len(chunk)
                    progress(min(99, 100 * (offset + done) // source.size_bytes))
        except (TimeoutError, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            if not done:
                raise TransferError("StoreUnreachable", f"{name}: {type(error).__name__} {error}") from error
        return done


def _check(answer: aiohttp.ClientResponse, source: ObjectSource, offset: int, name: str) -> None:
    """Refuse an answer that is not the object, or not as it was when it was registered."""
    if answer.status == 404:
        raise TransferError("ImageNotFound", f"there is no object {name}", final=True)
    if answer.status != (206 if offset else 200):
        raise TransferError("StoreRefused", f"{name}: the store answered {answer.status}")
    etag = answer.headers.get("ETag", "").strip('"')
    if source.etag and etag != source.etag.strip('"'):
        raise TransferError("ImageChanged", f"{name} is no longer the object that was registered", final=True)


def _write_sparse(fd: int, offset: int, chunk: bytes) -> None:
    """Write `chunk` at `offset` of a file that holds zeros there, leaving out whole blocks of zeros."""
    view = memoryview(chunk)
    start: int | None = None
    for at in range(0, len(chunk), HOLE_BYTES):
        block = view[at : at + HOLE_BYTES]
        if block == _ZEROS[: len(block)]:
            if start is not None:
                _write_all(fd, view[start:at], offset + start)
                start = None
        elif start is None:
            start = at
    if start is not None:
        _write_all(fd, view[start:], offset + start)


def _write_all(fd: int, view: memoryview, offset: int) -> None:
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count
