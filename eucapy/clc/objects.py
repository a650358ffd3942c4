"""A look at an object of the store: whose it is, how large, and its first bytes; and how many buckets an account has. Walrus's
internal port answers.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

import aiohttp
import msgspec

from eucapy.diskimage import HEADER_BYTES
from eucapy.wire.contract import Unreachable

PATIENCE_S = 20.0


@dataclass(frozen=True)
class Look:
    """`owner` is the canonical id of the bucket's account, `head` the first bytes that `diskimage.inspect` needs."""

    owner: str
    etag: str
    size_bytes: int
    head: bytes


class _Owned(msgspec.Struct, frozen=True):
    buckets: int


class Objects(Protocol):
    """What can look at objects."""

    async def look(self, bucket: str, key: str) -> Look | None:
        """None when there is no such object. Raises Unreachable."""
        ...


class Abandoning(Protocol):
    """What can give uploads up."""

    async def abandon(self, bucket: str, key: str, upload_id: str) -> None:
        """One that is gone already is none. Raises Unreachable."""
        ...


class WalrusObjects:
    """The real one. Without `tls` only on loopback, in tests."""

    def __init__(self, url: str, tls: ssl.SSLContext | None) -> None:
        self._url, self._tls = url.rstrip("/"), tls
        self._limit = aiohttp.ClientTimeout(total=PATIENCE_S)

    async def look(self, bucket: str, key: str) -> Look | None:
        url = f"{self._url}/internal/objects/{quote(bucket, safe='')}/{quote(key, safe='/')}"
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
        span = {"Range": f"bytes=0-{HEADER_BYTES - 1}"}
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=self._limit, auto_decompress=False) as session,
                session.get(url, headers=span) as answer,
            ):
                if answer.status == 404:
                    return None
                if answer.status == 416:  # an empty object has no first byte
                    return Look(answer.headers.get("X-Eucapy-Owner", ""), "", 0, b"")
                if answer.status not in (200, 206):
                    raise Unreachable(f"GET {url}: HTTP {answer.status}")
                head = await answer.read()
                whole = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
                return Look(
                    owner=answer.headers.get("X-Eucapy-Owner", ""),
                    etag=answer.headers.get("ETag", "").strip('"'),
                    size_bytes=int(whole[1]) if whole else len(head),
                    head=head,
                )
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"GET {url}: {type(error).__name__} {error}") from error

    async def buckets_of(self, owner: str) -> int:
        """How many buckets the account of that canonical id has. Raises LookupError when nobody answers."""
        url = f"{self._url}/internal/buckets?owner={quote(owner, safe='')}"
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=self._limit) as session,
                session.get(url) as answer,
            ):
                if answer.status != 200:
                    raise LookupError(f"GET {url}: HTTP {answer.status}")
                return msgspec.json.decode(await answer.read(), type=_Owned).buckets
        except (TimeoutError, aiohttp.ClientError, OSError, msgspec.MsgspecError) as error:
            raise LookupError(f"GET {url}: {type(error).__name__} {error}") from error

    async def abandon(self, bucket: str, key: str, upload_id: str) -> None:
        url = f"{self._url}/internal/uploads/{quote(bucket, safe='')}/{quote(key, safe='/')}"
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=self._limit) as session,
                session.delete(url, params={"upload": upload_id}) as answer,
            ):
                if answer.status not in (204, 404):
                    raise Unreachable(f"DELETE {url}: HTTP {answer.status}")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"DELETE {url}: {type(error).__name__} {error}") from error
