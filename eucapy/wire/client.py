"""Clients of the contract: what `server.py` offers, as an object with the same verbs.

A call that gets no answer raises Unreachable; the caller's loop tries again. Nothing is retried in here.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Generic, TypeVar

import aiohttp

from eucapy.wire import blocks, codec
from eucapy.wire.blocks import BlockList, Denial, Denied
from eucapy.wire.cluster import ClusterSpec, ClusterStatus
from eucapy.wire.contract import Ack, Cursor, Spec, Status, Unreachable
from eucapy.wire.flows import FlowPage
from eucapy.wire.network import NetworkSpec, NetworkStatus
from eucapy.wire.node import Console, Screenshot, Sensors
from eucapy.wire.storage import StorageSpec, StorageStatus

SpecT = TypeVar("SpecT", bound=Spec)
StatusT = TypeVar("StatusT", bound=Status)
T = TypeVar("T")

BLOCKS_S = 60.0
"""How long blocks may take: a merge of their layers may have to end first."""


class Caller:
    """One process's connections to its peers: a shared pool with the process's own certificate."""

    def __init__(self, tls: ssl.SSLContext | None = None, timeout_s: float = 10.0) -> None:
        self._tls = tls
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self,
        method: str,
        url: str,
        kind: type[T],
        body: bytes | None = None,
        timeout_s: float | None = None,
        may_miss: bool = False,
    ) -> T:
        """Raises Unreachable; with `may_miss` LookupError when the peer says 404, which else means that it is no agent."""
        content = await self.exchange(method, url, body, timeout_s, may_miss)
        try:
            return codec.decode(content, kind)
        except codec.BadMessage as error:
            raise Unreachable(f"{method} {url}: {error}") from error

    async def exchange(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        timeout_s: float | None = None,
        may_miss: bool = False,
    ) -> bytes:
        """What the peer answers, whatever it is. Raises as `call`, and Denied."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._tls if self._tls is not None else True)
            self._session = aiohttp.ClientSession(connector=connector)
        limit = aiohttp.ClientTimeout(total=timeout_s or self._timeout_s, connect=self._timeout_s)
        try:
            async with self._session.request(method, url, data=body, timeout=limit) as answer:
                content = await answer.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{method} {url}: {type(error).__name__} {error}") from error
        if answer.status == 404 and may_miss:
            raise LookupError(content.decode(errors="replace"))
        if answer.status == 409:
            try:
                denial = codec.decode(content, Denial)
            except codec.BadMessage as error:
                raise Unreachable(f"{method} {url}: {error}") from error
            raise Denied(denial.code, denial.message)
        if answer.status != 200:
            raise Unreachable(f"{method} {url}: HTTP {answer.status} {content[:500].decode(errors='replace')}")
        return content

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
            await asyncio.sleep(0)


class AgentClient(Generic[SpecT, StatusT]):
    """The verbs over HTTPS."""

    def __init__(self, caller: Caller, url: str, status_kind: type[StatusT]) -> None:
        self._caller, self._url, self._status_kind = caller, url.rstrip("/"), status_kind

    async def put_spec(self, spec: SpecT) -> Ack:
        return await self._caller.call("PUT", f"{self._url}/v1/spec", Ack, codec.encode(spec))

    async def get_status(self, since: Cursor, wait_s: float) -> StatusT:
        query = f"boot={since.boot}&revision={since.revision}&wait={wait_s:g}"
        return await self._caller.call(
            "GET", f"{self._url}/v1/status?{query}", self._status_kind, timeout_s=wait_s + 10.0
        )


class ReadingClient(AgentClient[SpecT, StatusT]):
    """A client of an agent that has the plain reads of a node (`nc`, and `cc` which passes them on)."""

    async def console(self, instance_id: str, max_bytes: int) -> Console:
        return await self._read("console", instance_id, Console, f"?max_bytes={max_bytes}")

    async def screenshot(self, instance_id: str) -> Screenshot:
        return await self._read("screenshot", instance_id, Screenshot)

    async def sensors(self, instance_id: str) -> Sensors:
        return await self._read("sensors", instance_id, Sensors)

    async def _read(self, name: str, instance_id: str, kind: type[T], query: str = "") -> T:
        url = f"{self._url}/v1/read/{name}/{instance_id}{query}"
        return await self._caller.call("GET", url, kind, timeout_s=30.0, may_miss=True)


class NetworkClient(AgentClient[NetworkSpec, NetworkStatus]):
    """A client of a node's network agent, which tells of flows too."""

    def __init__(self, caller: Caller, url: str) -> None:
        super().__init__(caller, url, NetworkStatus)

    async def flows(self, after: int) -> FlowPage:
        return await self._caller.call("GET", f"{self._url}/v1/read/flows/{after}", FlowPage, timeout_s=30.0)


class ClusterClient(ReadingClient[ClusterSpec, ClusterStatus]):
    """A client of a cluster controller, which passes on what its nodes tell of flows."""

    def __init__(self, caller: Caller, url: str) -> None:
        super().__init__(caller, url, ClusterStatus)

    async def flows(self, node: str, after: int) -> FlowPage:
        return await self._read("flows", node, FlowPage, f"?after={after}")


class StorageClient(AgentClient[StorageSpec, StorageStatus]):
    """A client of a storage controller, which gives its snapshots by blocks too."""

    def __init__(self, caller: Caller, url: str) -> None:
        super().__init__(caller, url, StorageStatus)

    async def list_blocks(self, snapshot_id: str, first: int, most: int, than: str = "") -> BlockList:
        url = f"{self._url}{blocks.PATH}{snapshot_id}?first={first}&most={most}&than={than}"
        return await self._caller.call("GET", url, BlockList, timeout_s=BLOCKS_S, may_miss=True)

    async def read_block(self, snapshot_id: str, index: int) -> bytes:
        url = f"{self._url}{blocks.PATH}{snapshot_id}/{index}"
        return await self._caller.exchange("GET", url, timeout_s=BLOCKS_S, may_miss=True)

    async def put_block(self, snapshot_id: str, index: int, content: bytes) -> None:
        await self._caller.exchange("PUT", f"{self._url}{blocks.PATH}{snapshot_id}/{index}", content, BLOCKS_S, True)
