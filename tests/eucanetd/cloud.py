"""A cloud's network for tests: real agents on the hosts of a topology."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from eucapy.clock import Clock, SystemClock
from eucapy.drivers.network.base import NetworkDriver
from eucapy.drivers.network.linux import LinuxNetwork
from eucapy.drivers.network.removal import remove_everything
from eucapy.eucanetd.agent import NetworkController
from eucapy.eucanetd.compile.layout import Layout
from eucapy.wire.contract import Cursor
from eucapy.wire.network import GroupSpec, NetworkStatus, PortSpec, VpcSpec
from tests.eucanetd.specs import OPEN, network
from tests.harness.topology import Guest, Host, Topology, topology


class Node:
    """A host with its agent; `give` puts a spec and lets the agent come to rest."""

    def __init__(self, host: Host, net: Topology, folder: Path, clock: Clock | None = None, **layout: Any) -> None:
        self.host, self._net, self.folder = host, net, folder
        self.prefix = f"{host.name}-{folder.name}-"
        self.layout = Layout(**{"prefix": self.prefix, "underlay": host.underlay, "uplink": "eth1", **layout})
        self._generation = 0
        self._clock = clock or SystemClock()
        self.agent = self._start()

    def _start(self) -> NetworkController:
        self.driver: NetworkDriver = LinuxNetwork(prefix=self.prefix, folder=self.folder / "run", home=self.host.name)
        return NetworkController("node", self.folder / "data", self.driver, self.layout, self._clock)

    async def restart(self) -> None:
        """The agent's process ends and begins again; it is asked for nothing."""
        await self.agent.close()
        self.agent = self._start()

    async def settle(self) -> NetworkStatus:
        await self.agent.loop.activate()
        outcome = self.agent.loop.last
        assert outcome is not None and not outcome.error, outcome
        return await self.agent.get_status(Cursor(), 0)

    async def give(
        self,
        vpcs: list[VpcSpec],
        ports: list[PortSpec],
        groups: tuple[GroupSpec, ...] = (OPEN,),
        nodes: dict[str, str] | None = None,
    ) -> NetworkStatus:
        self._generation += 1
        spec = network(self._generation, vpcs, ports, groups, nodes)
        assert (await self.agent.put_spec(spec)).refused is None
        return await self.settle()

    def guest(self, spec: PortSpec) -> Guest:
        """Start the port's guest, with its address configured by hand."""
        guest = self._net.guest(self.host, spec.tap, spec.mac)
        first = spec.private_ips[0].rsplit(".", 1)[0]
        guest.configure(spec.private_ips[0], f"{first}.1")
        return guest

    async def close(self) -> None:
        await self.agent.close()
        await self.remove_everything()

    async def remove_everything(self) -> None:
        """The host is wiped: no namespace, no resolver of ours."""
        driver = LinuxNetwork(prefix=self.prefix, folder=self.folder / "run", home=self.host.name)
        await remove_everything(driver)
        await driver.close()


class NetworkCloud:
    """Nodes on a topology."""

    def __init__(self, net: Topology, nodes: list[Node]) -> None:
        self.net, self.nodes = net, nodes
        self.node = nodes[0]


@asynccontextmanager
async def network_cloud(hosts: int = 1, clock: Clock | None = None, **layout: Any) -> AsyncIterator[NetworkCloud]:
    """Everything is removed at the end."""
    with topology(hosts) as net:
        folder = Path(tempfile.mkdtemp(prefix="eucapy-net-"))
        folder.chmod(0o755)  # the resolvers' user looks into it
        nodes = [Node(host, net, folder / f"n{n}", clock, **layout) for n, host in enumerate(net.hosts)]
        try:
            yield NetworkCloud(net, nodes)
        finally:
            for node in nodes:
                await node.close()
            shutil.rmtree(folder)
