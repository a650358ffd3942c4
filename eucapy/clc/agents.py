"""The agents below the cloud controller: one cluster and one storage controller a zone, and the plain reads of instances."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from eucapy.clc.store import components
from eucapy.database import Database
from eucapy.wire.client import AgentClient, Caller, ReadingClient
from eucapy.wire.cluster import ClusterAgent, ClusterSpec, ClusterStatus
from eucapy.wire.contract import Unreachable
from eucapy.wire.node import Console, Screenshot, Sensors
from eucapy.wire.storage import StorageAgent, StorageSpec, StorageStatus

T = TypeVar("T")


class Agents(Protocol):
    """How the loops find the agents of a zone; None where none is registered."""

    async def cluster(self, zone: str) -> ClusterAgent | None: ...

    async def storage(self, zone: str) -> StorageAgent | None: ...


class RegisteredAgents:
    """The agents that the `components` table names, over HTTPS."""

    def __init__(self, database: Database, caller: Caller) -> None:
        self._database, self._caller = database, caller
        self._clusters: dict[str, ReadingClient[ClusterSpec, ClusterStatus]] = {}
        self._storages: dict[str, AgentClient[StorageSpec, StorageStatus]] = {}

    async def cluster(self, zone: str) -> ClusterAgent | None:
        url = await self._url("cc", zone)
        if url is None:
            return None
        if url not in self._clusters:
            self._clusters[url] = ReadingClient(self._caller, url, ClusterStatus)
        return self._clusters[url]

    async def storage(self, zone: str) -> StorageAgent | None:
        url = await self._url("sc", zone)
        if url is None:
            return None
        if url not in self._storages:
            self._storages[url] = AgentClient(self._caller, url, StorageStatus)
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
