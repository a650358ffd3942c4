"""Looking at where flow logs go, and writing there. Walrus's internal port answers (`walrus/internal_deliveries.py`)."""

from __future__ import annotations

import ssl
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from eucapy.clc.flow_destinations import SERVICE, Destination, Standing, source_arn
from eucapy.wire.contract import Unreachable

PATIENCE_S = 60.0


class Undelivered(Exception):
    """The bucket does not take it: its policy, or it is gone."""


class Destinations:
    """The real one. Without `tls` only on loopback, in tests."""

    def __init__(self, url: str, tls: ssl.SSLContext | None, region: str) -> None:
        self._url, self._tls, self._region = url.rstrip("/"), tls, region
        self._limit = aiohttp.ClientTimeout(total=PATIENCE_S)

    async def standing(self, destination: Destination, account: str) -> Standing | None:
        status, said = await self._ask("GET", destination.bucket, f"{destination.folder(account)}x", account)
        if status == 404:
            return None
        if status != 200:
            raise Unreachable(f"the object store: HTTP {status}")
        return msgspec.json.decode(said, type=Standing)

    async def deliver(self, destination: Destination, key: str, account: str, content: bytes) -> None:
        """Raises Undelivered, Unreachable."""
        status, said = await self._ask("PUT", destination.bucket, key, account, content)
        if status in (403, 404):
            raise Undelivered(said.decode(errors="replace").strip())
        if status != 200:
            raise Unreachable(f"the object store: HTTP {status} {said[:200].decode(errors='replace')}")

    async def _ask(
        self, method: str, bucket: str, key: str, account: str, content: bytes | None = None
    ) -> tuple[int, bytes]:
        query = urlencode({"service": SERVICE, "account": account, "source": source_arn(self._region, account)})
        url = f"{self._url}/internal/deliveries/{quote(bucket, safe='')}/{quote(key, safe='/~=')}?{query}"
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=self._limit) as session,
                session.request(method, url, data=content) as answer,
            ):
                return answer.status, await answer.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{method} {url}: {type(error).__name__} {error}") from error
