"""Ends of wires in the test's own hands: guests without a machine, and the world outside.

A `Guest` holds the tap that the hypervisor would hold, in its host's namespace, so that what it sends is what a guest sends:
any bytes at all. `Outside` is a machine on the public network with an address and no stack behind it. Both answer ARP for
their own addresses as any machine does, ask for each address that they send to, and believe who announces himself.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import socket
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence

from eucapy.drivers.network import netns
from eucapy.run import in_netns, run_now
from tests.harness.topology import open_tap
from tests.network import frames
from tests.network.frames import Arp, Packet

ARP_S = 0.02
"""The kernel answers before our write returns or a moment after it. Who needs the answer asks again."""
LARGEST = 65536


class Wire(ABC):
    """One end: `send` puts a packet on it for whoever ARP says it is for, `drain` takes what came."""

    def __init__(self, name: str, mac: str, fd: int) -> None:
        self.name, self.mac, self.fd = name, mac, fd
        self.addresses: tuple[str, ...] = ()
        self._neighbours: dict[str, str] = {}
        self._arrived: deque[Packet] = deque()

    @abstractmethod
    def put(self, frame: bytes) -> None:
        """The very bytes."""

    @abstractmethod
    def take(self) -> bytes:
        """A frame that has come. Raises BlockingIOError when there is none."""

    @abstractmethod
    def next_hop(self, target: str) -> str:
        """The address that ARP is asked for."""

    @abstractmethod
    def close(self) -> None: ...

    def send(self, packet: bytes) -> None:
        """An IPv4 packet, to the MAC address that ARP answered for its next hop; nowhere, if ARP answers nothing."""
        mac = self._resolve(self.next_hop(socket.inet_ntoa(packet[16:20])))
        if mac:
            self.put(frames.ethernet(mac, self.mac, frames.IPV4, packet))

    def forget(self) -> None:
        """The ARP cache is empty."""
        self._neighbours.clear()

    def drain(self) -> list[Packet]:
        """The IPv4 packets that have come to one of our addresses since the last time."""
        self._read()
        found = list(self._arrived)
        self._arrived.clear()
        return found

    def _resolve(self, address: str) -> str:
        if address not in self._neighbours:
            asking = self.addresses[0]
            self.put(frames.arp(self.mac, frames.REQUEST, self.mac, asking, address))
            self._read()
            if address not in self._neighbours and wait_for_any([self], ARP_S):
                self._read()
        return self._neighbours.get(address, "")

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                match frames.read(self.take()):
                    case Packet() as packet if packet.target in self.addresses:
                        self._arrived.append(packet)
                    case Arp() as said if said.operation == frames.REPLY or said.sender == said.target:
                        self._neighbours[said.sender] = said.sender_mac
                    case Arp(operation=frames.REQUEST) as asked if asked.target in self.addresses:
                        self.put(
                            frames.arp(self.mac, frames.REPLY, self.mac, asked.target, asked.sender, asked.sender_mac)
                        )


class Guest(Wire):
    """The guest's side of a tap in the namespace `host`. `network` are the addresses that it asks for directly; the others
    go to `gateway`."""

    def __init__(
        self, name: str, host: str, tap: str, mac: str, addresses: Sequence[str], network: str, gateway: str
    ) -> None:
        super().__init__(name, mac, open_tap(host, tap))
        netns.call_in(host, lambda: run_now("ip", "link", "set", tap, "up"))
        self.addresses = tuple(addresses)
        self.tap = tap
        self._network, self._gateway = ipaddress.IPv4Network(network), gateway

    def put(self, frame: bytes) -> None:
        os.write(self.fd, frame)

    def take(self) -> bytes:
        return os.read(self.fd, LARGEST)

    def next_hop(self, target: str) -> str:
        return target if ipaddress.IPv4Address(target) in self._network else self._gateway

    def close(self) -> None:
        os.close(self.fd)


class Outside(Wire):
    """A machine on the public network of the topology, by a cable of its own into the bridge `pub` of `wire`."""

    MAC = "02:00:00:00:0f:01"

    def __init__(self, wire: str, address: str) -> None:
        for command in (
            ("ip", "link", "add", "cable", "type", "veth", "peer", "name", "outside"),
            ("ip", "link", "set", "cable", "master", "pub", "up"),
            ("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/outside/disable_ipv6"),
            ("ip", "link", "set", "outside", "address", self.MAC, "up"),
        ):
            run_now(*in_netns(wire, command))

        def cable() -> socket.socket:
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            made.bind(("outside", 0))
            made.setblocking(False)
            return made

        self._socket = netns.call_in(wire, cable)
        super().__init__("outside", self.MAC, self._socket.fileno())
        self.addresses = (address,)

    def put(self, frame: bytes) -> None:
        self._socket.send(frame)

    def take(self) -> bytes:
        while True:
            frame, origin = self._socket.recvfrom(LARGEST)
            if origin[2] != socket.PACKET_OUTGOING:
                return frame

    def next_hop(self, target: str) -> str:
        return target

    def close(self) -> None:
        self._socket.close()


def wait_for_any(wires: Iterable[Wire], timeout_s: float) -> bool:
    """Whether something came on any of them."""
    ready = select.poll()
    for wire in wires:
        ready.register(wire.fd, select.POLLIN)
    return bool(ready.poll(timeout_s * 1000))
