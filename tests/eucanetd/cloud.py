"""A cloud's network for tests: real agents on the hosts of a topology, and specs that are easy to write."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from eucapy.clock import SystemClock
from eucapy.drivers.network.base import NetworkDriver
from eucapy.drivers.network.linux import LinuxNetwork
from eucapy.eucanetd.agent import NetworkController
from eucapy.eucanetd.compile.layout import Layout
from eucapy.wire.contract import Cursor
from eucapy.wire.network import (
    GroupSpec,
    NetworkSpec,
    NetworkStatus,
    PortSpec,
    RemoteSpec,
    RuleSpec,
    SubnetSpec,
    VpcSpec,
)
from tests.harness.topology import Guest, Host, Topology, topology

ALL_OUT = (RuleSpec(protocol="-1", cidr="0.0.0.0/0"),)
PING = RuleSpec(protocol="icmp", from_port=-1, to_port=-1, cidr="0.0.0.0/0")


def tcp(port: int, *, cidr: str = "", group: str = "") -> RuleSpec:
    return RuleSpec(protocol="tcp", from_port=port, to_port=port, cidr=cidr, group=group)


def vpc(vpc_id: str = "vpc-a", vni: int = 100, block: str = "10.0", **more: object) -> VpcSpec:
    """A VPC `<block>.0.0/16` with the subnet `<block>.0.0/24`."""
    subnets = (SubnetSpec(subnet_id=f"subnet-{vpc_id}", cidr=f"{block}.0.0/24", gateway=f"{block}.0.1"),)
    base = VpcSpec(vpc_id=vpc_id, vni=vni, cidrs=(f"{block}.0.0/16",), subnets=subnets)
    return msgspec.structs.replace(base, **more)


def port(
    number: int, ip: str, vpc_id: str = "vpc-a", groups: tuple[str, ...] = ("sg-all",), **more: object
) -> PortSpec:
    base = PortSpec(
        interface_id=f"eni-{number}",
        instance_id=f"i-{number}",
        tap=f"tap{number}",
        mac=f"02:00:00:00:00:{number:02x}",
        vpc_id=vpc_id,
        subnet_id=f"subnet-{vpc_id}",
        private_ips=(ip,),
        groups=groups,
        hostname=f"ip-{ip.replace('.', '-')}",
    )
    return msgspec.structs.replace(base, **more)


def group(
    group_id: str,
    *ingress: RuleSpec,
    egress: tuple[RuleSpec, ...] = ALL_OUT,
    members: tuple[str, ...] = (),
    vpc_id: str = "vpc-a",
) -> GroupSpec:
    return GroupSpec(group_id=group_id, vpc_id=vpc_id, ingress=ingress, egress=egress, members=members)


OPEN = group("sg-all", RuleSpec(protocol="-1", cidr="0.0.0.0/0"))


class Node:
    """A host with its agent; `give` puts a spec and lets the agent come to rest."""

    def __init__(self, host: Host, net: Topology, folder: Path, **layout: object) -> None:
        self.host, self._net, self._folder = host, net, folder
        self.prefix = f"{host.name}-"
        self.layout = Layout(prefix=self.prefix, underlay=host.underlay, uplink="eth1", **layout)  # type: ignore[arg-type]
        self._generation = 0
        self.agent = self._start()

    def _start(self) -> NetworkController:
        self.driver: NetworkDriver = LinuxNetwork(prefix=self.prefix, folder=self._folder / "run", home=self.host.name)
        return NetworkController("node", self._folder / "data", self.driver, self.layout, SystemClock())

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
        spec = NetworkSpec(
            generation=self._generation,
            node="node",
            nodes=nodes or {},
            vpcs={each.vpc_id: each for each in vpcs},
            ports={each.interface_id: each for each in ports},
            groups={each.group_id: each for each in groups},
        )
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
        driver = LinuxNetwork(prefix=self.prefix, folder=self._folder / "run", home=self.host.name)
        from eucapy.drivers.network.model import Drop, Namespace, Resolver

        seen = await driver.observe()
        await driver.apply([Drop(thing) for thing in seen.things if isinstance(thing, Resolver)])
        await driver.apply([Drop(thing) for thing in seen.things if isinstance(thing, Namespace)])
        await driver.close()


class NetworkCloud:
    """Nodes on a topology."""

    def __init__(self, net: Topology, nodes: list[Node]) -> None:
        self.net, self.nodes = net, nodes
        self.node = nodes[0]

    def remotes(self, *ports: PortSpec, node: str) -> tuple[RemoteSpec, ...]:
        return tuple(RemoteSpec(ip=ip, node=node) for each in ports for ip in each.private_ips)


@asynccontextmanager
async def network_cloud(hosts: int = 1, **layout: object) -> AsyncIterator[NetworkCloud]:
    """Everything is removed at the end."""
    with topology(hosts) as net:
        folder = Path(tempfile.mkdtemp(prefix="eucapy-net-"))
        folder.chmod(0o755)  # the resolvers' user looks into it
        nodes = [Node(host, net, folder / host.name, **layout) for host in net.hosts]
        try:
            yield NetworkCloud(net, nodes)
        finally:
            for node in nodes:
                await node.close()
            shutil.rmtree(folder)
