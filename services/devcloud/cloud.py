"""The whole cloud in one process, over fake drivers: the same parts as the six programs, joined without a network.

Nothing boots here and no packet flows; everything else is the real thing, on a real database. `DevCloud` is what
`eucapy dev` runs and what the API's tests run against. With `stepped` the loops move only in `settle()`, so that a test
decides when the world goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from eucapy import ledger
from eucapy.aws.http import serving
from eucapy.cc.agent import ClusterController
from eucapy.cc.config import Config as ClusterConfig
from eucapy.clc.app import CloudController
from eucapy.clc.config import Config
from eucapy.clc.store import components
from eucapy.clock import Clock, SystemClock
from eucapy.database import Tx, open_database
from eucapy.drivers.block.fake import FakeDriver as FakeBlock
from eucapy.drivers.hypervisor.fake import FakeHypervisor
from eucapy.drivers.imaging.fake import FakeImaging
from eucapy.drivers.imaging.fake_conversion import FakeConverter
from eucapy.drivers.network.fake import FakeNetwork
from eucapy.drivers.proxies.fake import FakeProxies
from eucapy.eucanetd.agent import NetworkController
from eucapy.eucanetd.app import layout_of
from eucapy.eucanetd.config import Config as NetworkConfig
from eucapy.nc.agent import NodeController
from eucapy.nc.config import Config as NodeConfig
from eucapy.reconcile.loop import Loop
from eucapy.reconcile.traffic import TRAFFIC
from eucapy.sc.agent import StorageController
from eucapy.sc.archive import Archive
from eucapy.sc.archives import Archives
from eucapy.sc.executor import Executor
from eucapy.sc.transfer import Transfer
from eucapy.sc.uploads import Uploads
from eucapy.walrus.app import App as ObjectStore
from eucapy.walrus.config import Config as StoreConfig
from eucapy.wire.archive import WalrusArchive
from eucapy.wire.cluster import ClusterAgent, NodeEntry
from eucapy.wire.network import NetworkAgent
from eucapy.wire.node import NodeAgent, NodeSource
from eucapy.wire.objects import Changed, ObjectFetcher, WalrusFetcher
from eucapy.wire.storage import StorageAgent
from eucapy.wire.uploads import WalrusSender

from .store_keys import StoreKeys

GIB = 1 << 30
LARGEST_IMAGE_GIB = 64
MIB_PER_CPU = 4096
FIRST_NODES = frozenset(f"192.0.2.{number}" for number in range(1, 255, 2))
"""Addresses of the nodes that share a host with their zone's storage; the volumes of the others come through proxies."""
LONGEST_BOOT_S = 0.05
"""A fake machine waits with its start for so long at most while requests are served: they share one process with it."""
POOL_GIB = 64 << 10
"""Of each zone's storage."""


async def _boot() -> None:
    await asyncio.sleep(0)
    await TRAFFIC.lull(LONGEST_BOOT_S)


@dataclass
class Node:
    """One fake node: its two agents and their drivers."""

    name: str
    hypervisor: FakeHypervisor
    network: FakeNetwork
    proxies: FakeProxies
    nc: NodeController
    eucanetd: NetworkController


@dataclass
class Zone:
    """One zone: its controllers and its nodes by name."""

    name: str
    cluster: ClusterController
    storage: StorageController
    block: FakeBlock
    nodes: dict[str, Node] = field(default_factory=dict)


class Captures:
    """What nodes captured, without a network."""

    def __init__(self, node: Callable[[str], Node]) -> None:
        self._node = node

    async def fetch_capture(self, source: NodeSource, into: Path, progress: Callable[[int], None]) -> None:
        try:
            content = self._node(source.node).nc.capture(source.instance_id, source.snapshot_id).read_bytes()
        except LookupError as error:
            raise Changed(str(error)) from error
        into.write_bytes(content)
        progress(len(content))


class DevCloud:
    """`async with DevCloud(...)`: serves until the block ends; `address` is where."""

    def __init__(
        self,
        data: Path,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        region: str = "us-east-1",
        zones: tuple[str, ...] = ("a", "b", "c"),
        nodes_per_zone: int = 2,
        node_cpus: int = 64,
        database: str = "",
        clock: Clock | None = None,
        stepped: bool = False,
        begin: Callable[[DevCloud], Awaitable[None]] | None = None,
        **options: Any,
    ) -> None:
        """`begin` is awaited when the cloud answers and its loops do not run yet: what it asks for is done by `settle()`."""
        self.data = data
        self.stepped = stepped
        self.clock = clock or SystemClock()
        self.config = Config(
            data=str(data / "clc"),
            pki="",
            region=region,
            zones=[f"{region}{letter}" for letter in zones],
            host=host,
            port=port,
            public_ranges=options.pop("public_ranges", ["203.0.113.1-203.0.113.254", "198.51.100.0/24"]),
            **options,
        )
        (data / "clc").mkdir(parents=True, exist_ok=True)
        self.database = open_database(database or f"sqlite:///{(data / 'clc' / 'eucapy.sqlite').absolute()}")
        self.zones: dict[str, Zone] = {}
        self._nodes_per_zone, self._node_cpus = nodes_per_zone, node_cpus
        self._pool = FakeBlock(data / "storage", POOL_GIB) if self.config.shared_storage else None
        self._begin = begin
        self._stack = contextlib.AsyncExitStack()
        self.address = ("", 0)

    @property
    def endpoint(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    async def cluster(self, zone: str) -> ClusterAgent | None:
        return self.zones[zone].cluster if zone in self.zones else None

    async def storage(self, zone: str) -> StorageAgent | None:
        return self.zones[zone].storage if zone in self.zones else None

    async def __aenter__(self) -> DevCloud:
        async with contextlib.AsyncExitStack() as stack:
            keys = StoreKeys()
            store = ObjectStore(self._store_config(), self.clock, keys)
            await store.start()
            stack.push_async_callback(store.stop)
            self.config = msgspec.structs.replace(
                self.config,
                walrus_url=f"http://127.0.0.1:{store.port}",
                walrus_internal_url=f"http://127.0.0.1:{store.internal_port}",
            )
            stack.enter_context(ledger.unsynced(self.data / "storage"))
            fetcher = WalrusFetcher(self.config.walrus_internal_url, None)
            for name in self.config.zones:
                stack.enter_context(ledger.unsynced(self.data / name))
                self.zones[name] = self._zone(name, fetcher)
                await self.zones[name].storage.open()
            self.clc = CloudController(self.config, self.database, self, self.clock)
            keys.keys, keys.standings, keys.limits = self.clc.keys, self.clc.standings, self.clc.limits
            keys.key_use = self.clc.key_use
            await self.clc.open()
            await self._register()
            stack.push_async_callback(self._stop)
            self.address = await stack.enter_async_context(serving(self.clc.edge, self.config.host, self.config.port))
            if self._begin is not None:
                await self._begin(self)
            if not self.stepped:
                self._start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    def loops(self) -> list[Loop]:
        """Every loop of every part, from the top down."""
        found = [*self.clc.loops.all()]
        for zone in self.zones.values():
            found += [zone.cluster.loop, zone.storage.loop]
            for node in zone.nodes.values():
                found += [node.nc.loop, node.eucanetd.loop, node.eucanetd.flow_loop]
        return found

    async def settle(self, most_rounds: int = 100, loops: Sequence[Loop] | None = None) -> int:
        """Run every loop (or those) until a whole round changed nothing; returns the rounds. RuntimeError if it never
        rests."""
        for count in range(1, most_rounds + 1):
            moved = [loop.name for loop in loops or self.loops() if await loop.activate()]
            if not moved:
                return count
        raise RuntimeError(f"the cloud does not come to rest: {', '.join(moved)} keep changing something")

    def node(self, name: str) -> Node:
        """A node by its name (`node-a1`)."""
        for zone in self.zones.values():
            if name in zone.nodes:
                return zone.nodes[name]
        raise KeyError(name)

    def _store_config(self) -> StoreConfig:
        return StoreConfig(
            data=str(self.data / "walrus"),
            region=self.config.region,
            port=0,
            pki="",
            internal_port=0,
            clc_url="",
            proxies=["127.0.0.1"],
        )

    def _zone(self, name: str, fetcher: ObjectFetcher) -> Zone:
        folder = self.data / name
        block = self._pool or FakeBlock(folder / "sc" / "pool", POOL_GIB)
        executor = Executor(
            block,
            Transfer(fetcher, Captures(self.node), LARGEST_IMAGE_GIB * GIB),
            FakeConverter(),
            Uploads(WalrusSender(self.config.walrus_internal_url, None), folder / "sc" / "uploads"),
            folder / "sc" / "downloads",
            Archives(Archive(WalrusArchive(self.config.walrus_internal_url, None), block, name)),
        )
        (folder / "sc").mkdir(parents=True, exist_ok=True)
        storage = StorageController(
            name, folder / "sc", block, executor, self.clock, is_here=lambda address: address in FIRST_NODES
        )
        nodes = [self._node(f"node-{name[-1]}{n}", folder, fetcher) for n in range(1, self._nodes_per_zone + 1)]
        by_name = {node.name: node for node in nodes}

        def connect(entry: NodeEntry) -> tuple[NodeAgent, NetworkAgent]:
            return by_name[entry.node].nc, by_name[entry.node].eucanetd

        cluster = ClusterController(
            ClusterConfig(zone=name, data=str(folder / "cc"), pki=""), connect, self.clock, stepped=self.stepped
        )
        return Zone(name, cluster, storage, block, by_name)

    def _node(self, name: str, zone_folder: Path, fetcher: ObjectFetcher) -> Node:
        folder = zone_folder / name
        hypervisor = FakeHypervisor(
            folder / "hypervisor",
            cpus=self._node_cpus,
            memory_mib=self._node_cpus * MIB_PER_CPU,
            boot=None if self.stepped else _boot,
        )
        network = FakeNetwork()
        proxies = FakeProxies(folder / "proxies")
        nc = NodeController(
            NodeConfig(node=name, data=str(folder / "nc"), pki="", hypervisor="fake", terminate_grace_s=0.0),
            hypervisor,
            FakeImaging(),
            fetcher,
            self.clock,
            proxies,
        )
        layout = layout_of(NetworkConfig(node=name, data=str(folder / "eucanetd"), pki="", driver="fake"))
        (folder / "eucanetd").mkdir(parents=True, exist_ok=True)
        eucanetd = NetworkController(name, folder / "eucanetd", network, layout, self.clock)
        return Node(name, hypervisor, network, proxies, nc, eucanetd)

    async def _register(self) -> None:
        async def work(tx: Tx) -> None:
            now = self.clock.time()
            number = 0
            for zone in self.zones.values():
                await components.register(tx, "cc", f"cc-{zone.name}", zone=zone.name, url="inproc://cc", now=now)
                await components.register(tx, "sc", f"sc-{zone.name}", zone=zone.name, url="inproc://sc", now=now)
                for name in zone.nodes:
                    number += 1
                    await components.register(
                        tx,
                        "nc",
                        name,
                        zone=zone.name,
                        url="inproc://nc",
                        eucanetd_url="inproc://eucanetd",
                        address=f"192.0.2.{number}",
                        now=now,
                    )

        await self.database.write(work)

    def _start(self) -> None:
        self.clc.start()
        for zone in self.zones.values():
            zone.cluster.loop.start()
            zone.storage.loop.start()
            for node in zone.nodes.values():
                node.nc.start()
                node.eucanetd.open()

    async def _stop(self) -> None:
        await self.clc.stop()
        for zone in self.zones.values():
            await zone.cluster.stop()
            await zone.storage.close()
            for node in zone.nodes.values():
                await node.nc.stop()
                await node.eucanetd.close()
        await self.database.close()
