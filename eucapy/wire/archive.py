"""Where archives of snapshots lie: named bytes in the object store, which only the storage controllers see.

A name is `<folder>/<rest>`, of the characters that ids have, and dots. What is put under a name that is taken replaces it.
"""

from __future__ import annotations

import io
import ssl
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote

import aiohttp
import msgspec

from eucapy.wire.contract import Unreachable


class NotKept(Exception):
    """Nothing has that name."""


class Spoilt(Exception):
    """What has the name cannot be read any more."""


class TooLarge(Exception):
    """The store takes nothing of that size."""


class ArchiveStore(Protocol):
    """The calls. Each raises Unreachable; what was put is durable when the call returns."""

    async def put(self, name: str, content: bytes) -> None:
        """Raises TooLarge."""
        ...

    async def get(self, name: str) -> bytes:
        """Raises NotKept, Spoilt."""
        ...

    async def remove(self, name: str) -> None:
        """Removing what is not there succeeds."""
        ...

    async def names(self, prefix: str) -> Sequence[str]:
        """All that begin with it."""
        ...


class _Names(msgspec.Struct, frozen=True):
    names: list[str]
    more: bool


class WalrusArchive:
    """The real one, at walrus's internal port, with the storage controller's certificate."""

    def __init__(self, url: str, tls: ssl.SSLContext | None, stall_s: float = 60.0) -> None:
        self._url = f"{url.rstrip('/')}/internal/archive"
        self._tls = tls
        self._limit = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=stall_s)

    async def put(self, name: str, content: bytes) -> None:
        await self._ask("PUT", self._of(name), body=content)

    async def get(self, name: str) -> bytes:
        return await self._ask("GET", self._of(name))

    async def remove(self, name: str) -> None:
        await self._ask("DELETE", self._of(name))

    async def names(self, prefix: str) -> Sequence[str]:
        found: list[str] = []
        while True:
            asked = {"prefix": prefix, "after": found[-1] if found else ""}
            answer = await self._ask("GET", self._url, asked)
            try:
                page = msgspec.json.decode(answer, type=_Names)
            except msgspec.DecodeError as error:
                raise Unreachable(f"{self._url} answers what it should not: {error}") from error
            found += page.names
            if not page.more or not page.names:
                return found

    def _of(self, name: str) -> str:
        return f"{self._url}/{quote(name, safe='/')}"

    async def _ask(
        self, method: str, url: str, asked: dict[str, str] | None = None, body: bytes | None = None
    ) -> bytes:
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=self._limit) as session,
                session.request(method, url, params=asked, data=None if body is None else io.BytesIO(body)) as answer,
            ):
                content = await answer.read()
                if answer.status == 404 and method == "GET":
                    raise NotKept(url)
                if answer.status == 410:
                    raise Spoilt(f"{url} cannot be read: {content.decode(errors='replace').strip()}")
                if answer.status == 413:
                    raise TooLarge(f"{url} has {len(body or b'')} bytes")
                if answer.status not in (200, 204):
                    raise Unreachable(f"{method} {url}: HTTP {answer.status}")
                return content
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{method} {url}: {type(error).__name__} {error}") from error
