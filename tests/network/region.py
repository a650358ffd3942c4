"""A cloud whose guests are wires: the API, the loops and the controllers of a whole cloud, real packets on several hosts.

    boto3 ─► clc ─► cc ─► eucanetd of each node ─► LinuxNetwork in the namespace of a host of its own
                          nc with fake machines, whose taps are held by `wires.Guest`

`settle` brings the cloud to rest and then plugs and unplugs wires as a hypervisor would, until nothing moves.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eucapy_services.devcloud.cloud import DevCloud

from eucapy.drivers.hypervisor.base import Power
from eucapy.drivers.network.linux import LinuxNetwork
from eucapy.drivers.network.removal import remove_everything
from eucapy.eucanetd.agent import NetworkController
from eucapy.eucanetd.compile.layout import Layout
from tests.harness.cloud import Cloud
from tests.harness.topology import PUBLIC, Host, Topology, topology
from tests.network.reference import OUTSIDE
from tests.network.wires import Guest, Outside, Wire

ZONE = "us-east-1a"
OUTSIDER = f"{PUBLIC}.253"
PUBLIC_RANGE = f"{PUBLIC}.100-{PUBLIC}.119"
NODES = "192.0.2"
"""Where the cloud in one process has its nodes: the hosts have these addresses on the underlay, beside their own."""


class Region:
    """The cloud, its hosts, and the wires by interface id; `OUTSIDE` is one of them."""

    def __init__(self, net: Topology, folder: Path) -> None:
        self.net = net
        self._folder = folder
        self._prefixes = [f"{host.name}-" for host in net.hosts]
        self.wires: dict[str, Wire] = {OUTSIDE: Outside(net.wire.name, OUTSIDER)}
        self.cloud = Cloud(
            folder, zones=("a",), nodes_per_zone=len(net.hosts), public_ranges=[PUBLIC_RANGE], begin=self._lay_lines
        )

    async def _lay_lines(self, dev: DevCloud) -> None:
        """The nodes' networks are real from the beginning."""
        [zone] = dev.zones.values()
        for number, (host, prefix, node) in enumerate(
            zip(self.net.hosts, self._prefixes, zone.nodes.values(), strict=True), start=1
        ):
            underlay = f"{NODES}.{number}"
            host.run("ip", "addr", "add", f"{underlay}/24", "dev", "eth0")
            folder = self._folder / host.name
            driver = LinuxNetwork(prefix=prefix, folder=folder / "run", home=host.name)
            layout = Layout(prefix=prefix, underlay=underlay, uplink="eth1")
            (folder / "data").mkdir(parents=True)
            node.eucanetd = NetworkController(node.name, folder / "data", driver, layout, dev.clock)

    def client(self, service: str = "ec2") -> Any:
        return self.cloud.client(service)

    def settle(self) -> None:
        """The cloud at rest, a wire in every guest that runs and none in others."""
        self._rest()
        while self._follow():
            self._rest()

    def _rest(self) -> None:
        """As `cloud.settle()`, but the networks, which are slow to look at, are asked when all others have settled."""
        dev = self.cloud.dev
        [zone] = dev.zones.values()
        networks = [node.eucanetd.loop for node in zone.nodes.values()]
        others = [loop for loop in dev.loops() if loop not in networks]

        async def work() -> None:
            moved = [True]
            while any(moved):
                await dev.settle(loops=others)
                moved = [await loop.activate() for loop in networks]

        self.cloud.run(work())

    def host_of(self, interface_id: str) -> Host:
        return self._places()[interface_id][0]

    def namespace_of(self, interface_id: str) -> str:
        """The namespace of the interface's VPC on its host."""
        host, row = self._places()[interface_id]
        return f"{host.name}-{row['VpcId']}"

    def _places(self) -> dict[str, tuple[Host, dict[str, Any]]]:
        """Where the taps of running guests are, by interface: the host, and the API's words about the interface."""
        ec2 = self.client()
        by_mac = {row["MacAddress"]: row for row in ec2.describe_network_interfaces()["NetworkInterfaces"]}
        [zone] = self.cloud.dev.zones.values()
        found = {}
        self._taps: dict[str, str] = {}
        for host, node in zip(self.net.hosts, zone.nodes.values(), strict=True):
            for domain in self.cloud.run(node.hypervisor.observe()):
                for nic in domain.nics if domain.power is Power.RUNNING else ():
                    row = by_mac[nic.mac]
                    found[row["NetworkInterfaceId"]] = (host, row)
                    self._taps[row["NetworkInterfaceId"]] = nic.tap
        return found

    def _follow(self) -> bool:
        """Whether a wire was plugged or unplugged."""
        places = self._places()
        gone = [name for name in self.wires if name != OUTSIDE and name not in places]
        for name in gone:
            self.wires.pop(name).close()
        came = [name for name in places if name not in self.wires]
        subnets = self._subnets() if came else {}
        for name in came:
            host, row = places[name]
            self.wires[name] = Guest(
                name, host.name, self._taps[name], row["MacAddress"], [], *subnets[row["SubnetId"]]
            )
        for name, (_, row) in places.items():
            inside = [one["PrivateIpAddress"] for one in row["PrivateIpAddresses"]]
            self.wires[name].addresses = (*inside, *(one["Ipv6Address"] for one in row["Ipv6Addresses"]))
        return bool(gone or came)

    def _subnets(self) -> dict[str, tuple[str, str]]:
        """Block and router of each; the router is the first address, as EC2 has it."""
        rows = self.client().describe_subnets()["Subnets"]
        return {
            row["SubnetId"]: (row["CidrBlock"], row["CidrBlock"].partition("/")[0].rpartition(".")[0] + ".1")
            for row in rows
        }

    def close(self) -> None:
        for wire in self.wires.values():
            wire.close()
        for prefix, host in zip(self._prefixes, self.net.hosts, strict=True):
            asyncio.run(_wipe(LinuxNetwork(prefix=prefix, folder=self._folder / host.name / "run", home=host.name)))


async def _wipe(driver: LinuxNetwork) -> None:
    await remove_everything(driver)
    await driver.close()


@contextmanager
def region(hosts: int = 3) -> Iterator[Region]:
    """Everything is removed at the end. Skips where namespaces cannot be made."""
    with topology(hosts) as net:
        folder = Path(tempfile.mkdtemp(prefix="eucapy-region-"))
        folder.chmod(0o755)  # the resolvers' user looks into it
        made = Region(net, folder)
        try:
            with made.cloud:
                yield made
        finally:
            made.close()
            shutil.rmtree(folder)
