"""The cluster controller: the contract's verbs and one loop over the links to its nodes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from eucapy.cc.config import Config
from eucapy.cc.merge import merge
from eucapy.cc.nodes import NodeLink
from eucapy.cc.split import Part, split
from eucapy.clock import Clock
from eucapy.reconcile.loop import Loop
from eucapy.wire.agent import SpecKeeper, StatusBoard
from eucapy.wire.cluster import ClusterSpec, ClusterStatus, NodeEntry
from eucapy.wire.contract import Ack, Cursor
from eucapy.wire.flows import FlowPage
from eucapy.wire.network import NetworkAgent
from eucapy.wire.node import Console, NodeAgent, Screenshot, Sensors

log = logging.getLogger(__name__)

Connect = Callable[[NodeEntry], tuple[NodeAgent, NetworkAgent]]
"""How a node's two agents are reached."""

MOST_PUSHES = 64
PERIOD_S = 10.0


class ClusterController:
    """One zone's agent. With `stepped` nothing listens in the background: each activation asks the nodes itself."""

    def __init__(self, config: Config, connect: Connect, clock: Clock, stepped: bool = False) -> None:
        data = Path(config.data)
        data.mkdir(parents=True, exist_ok=True)
        self._config = config
        self._connect = connect
        self._clock = clock
        self._stepped = stepped
        self.loop = Loop("cluster", self._activate, period_s=PERIOD_S)
        self._keeper = SpecKeeper(data / "spec.json", ClusterSpec, self.loop.wake)
        self._board = StatusBoard(ClusterStatus(boot="", revision=0, generation=0, zone=config.zone))
        self._links: dict[str, tuple[NodeEntry, NodeLink]] = {}
        self._divided: tuple[ClusterSpec, dict[str, Part]] | None = None
        self._slots = asyncio.Semaphore(MOST_PUSHES)

    async def put_spec(self, spec: ClusterSpec) -> Ack:
        return self._keeper.accept(spec)

    async def get_status(self, since: Cursor, wait_s: float) -> ClusterStatus:
        return await self._board.wait(since, wait_s)

    async def console(self, instance_id: str, max_bytes: int) -> Console:
        return await self._reads(instance_id).console(instance_id, max_bytes)

    async def screenshot(self, instance_id: str) -> Screenshot:
        return await self._reads(instance_id).screenshot(instance_id)

    async def sensors(self, instance_id: str) -> Sensors:
        return await self._reads(instance_id).sensors(instance_id)

    async def flows(self, node: str, after: int) -> FlowPage:
        if node not in self._links:
            raise LookupError(f"{node} is no node of {self._config.zone}")
        return await self._links[node][1].flows.flows(after)

    async def stop(self) -> None:
        await self.loop.stop()
        for _entry, link in self._links.values():
            await link.stop()
        self._links = {}

    def _reads(self, instance_id: str) -> NodeAgent:
        """The node that an instance is on, by the spec. LookupError when it is on none."""
        spec = self._keeper.spec
        for name, entry in (spec.nodes if spec is not None else {}).items():
            if instance_id in entry.instances and name in self._links:
                return self._links[name][1].reads
        raise LookupError(f"{instance_id} is on no node of {self._config.zone}")

    async def _activate(self) -> bool:
        spec = self._keeper.spec
        if spec is None:
            return False
        await self._follow(spec)
        parts = self._parts(spec)

        async def one(name: str, link: NodeLink) -> bool:
            async with self._slots:
                pushed = await link.push(parts[name])
                return (await link.listen_once() if self._stepped else False) or pushed

        worked = await asyncio.gather(*(one(name, link) for name, (_entry, link) in self._links.items()))
        heard = {name: link.heard(self._config.lost_after_s) for name, (_entry, link) in self._links.items()}
        return self._board.publish(merge(self._config.zone, self._keeper.generation, heard)) or any(worked)

    def _parts(self, spec: ClusterSpec) -> dict[str, Part]:
        """News from a node is no reason to divide the same spec again."""
        if self._divided is None or self._divided[0] is not spec:
            self._divided = (spec, split(spec))
        return self._divided[1]

    async def _follow(self, spec: ClusterSpec) -> None:
        """Links for the nodes that the spec names; a node that moved gets a new one."""
        for name in list(self._links):
            entry = spec.nodes.get(name)
            held, link = self._links[name]
            if entry is None or (entry.nc_url, entry.eucanetd_url) != (held.nc_url, held.eucanetd_url):
                await link.stop()
                del self._links[name]
        for name, entry in spec.nodes.items():
            if name not in self._links:
                nc, eucanetd = self._connect(entry)
                link = NodeLink(name, nc, eucanetd, self._clock)
                self._links[name] = (entry, link)
                if not self._stepped:
                    link.start(self._config.poll_s, self.loop.wake)
