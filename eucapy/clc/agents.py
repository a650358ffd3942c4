"""The agents below the cloud controller: one cluster and one storage controller a zone; the plain reads of instances, and
the blocks of snapshots."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from eucapy.clc.blocks import Listed, Refused, Silent
from eucapy.clc.store import components
from eucapy.database import Database
from eucapy.wire.blocks import Denied
from eucapy.wire.client import Caller, ClusterClient, StorageClient
from eucapy.wire.cluster import ClusterAgent
from eucapy.wire.contract import Unreachable
from eucapy.wire.node import Console, Screenshot, Sensors
from eucapy.wire.storage import StorageAgent

T = TypeVar("T")


class Agents(Protocol):
    """How the loops find the agents of a zone; None where none is registered."""

    async def cluster(self, zone: str) -> ClusterAgent | None: ...

    async def storage(self, zone: str) -> StorageAgent | None: ...


class RegisteredAgents:
    """The agents that the `components` table names, over HTTPS."""

    def __init__(self, database: Database, caller: Caller) -> None:
        self._database, self._caller = database, caller
        self._clusters: dict[str, ClusterClient] = {}
        self._storages: dict[str, StorageClient] = {}

    async def cluster(self, zone: str) -> ClusterAgent | None:
        url = await self._url("cc", zone)
        if url is None:
            return None
        if url not in self._clusters:
            self._clusters[url] = ClusterClient(self._caller, url)
        return self._clusters[url]

    async def storage(self, zone: str) -> StorageAgent | None:
        url = await self._url("sc", zone)
        if url is None:
            return None
        if url not in self._storages:
            self._storages[url] = StorageClient(self._caller, url)
        return self._storages[url]

    async def _url(self, kind: str, zone: str) -> str | None:
        rows = await self._database.read(lambda tx: components.of_kind(tx, kind, zone))
        return str(rows[0].url) if rows else None


class InstanceReads:
    """Console, screenshot and sensors of an instance, asked of the zone that has it. LookupError when none answers."""

    def __init__(self, agents: Agents, zones: list[str]) -> None:
        self._agents, self._zones = agents, zones

    async def console(self, instance_id: str, max_bytes: int) -> Console:
        return await self._ask(lambda cluster: cluster.console(instance_id, max_bytes), instance_id)

    async def screenshot(self, instance_id: str) -> Screenshot:
        return await self._ask(lambda cluster: cluster.screenshot(instance_id), instance_id)

    async def sensors(self, instance_id: str) -> Sensors:
        return await self._ask(lambda cluster: cluster.sensors(instance_id), instance_id)

    async def _ask(self, question: Callable[[ClusterAgent], Awaitable[T]], instance_id: str) -> T:
        silent: Unreachable | None = None
        for zone in self._zones:
            cluster = await self._agents.cluster(zone)
            if cluster is None:
                continue
            try:
                return await question(cluster)
            except LookupError:
                continue
            except Unreachable as error:
                silent = error
        raise LookupError(f"{instance_id} is on no node that answers") from silent


class SnapshotBlocks:
    """The blocks of snapshots (`blocks.Blocks`), asked of the storage controller of the zone that has them."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    async def listed(self, zone: str, snapshot_id: str, first: int, most: int, than: str = "") -> Listed:
        with _told():
            found = await (await self._storage(zone)).list_blocks(snapshot_id, first, most, than)
        return Listed(found.indexes, frozenset(found.before), found.next)

    async def read(self, zone: str, snapshot_id: str, index: int) -> bytes:
        with _told():
            return await (await self._storage(zone)).read_block(snapshot_id, index)

    async def put(self, zone: str, snapshot_id: str, index: int, content: bytes) -> None:
        with _told():
            await (await self._storage(zone)).put_block(snapshot_id, index, content)

    async def _storage(self, zone: str) -> StorageAgent:
        storage = await self._agents.storage(zone)
        if storage is None:
            raise Unreachable(f"the zone {zone} has no storage controller")
        return storage


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Denied as error:
        raise Refused(error.code, str(error)) from error
    except Unreachable as error:
        raise Silent(str(error)) from error
