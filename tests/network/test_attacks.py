"""What guests try and must not get: each attack is made from a guest's own wire, with real packets, against real neighbours.

One host with two VPCs that have the same addresses: the attacker and his neighbour in the one, a stranger in the other; and
another host with one more neighbour. All groups let everything in, so that what is refused is refused by the network itself.
Every attack is followed by an honest packet that arrives: what did not come before it was not merely late.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from eucapy.drivers.network import netns
from eucapy.wire.network import RemoteSpec
from tests.eucanetd.cloud import NetworkCloud, Node, network_cloud
from tests.eucanetd.specs import OPEN, group, port, tcp, vpc
from tests.harness.waiting import wait_until
from tests.network import frames
from tests.network.frames import ARP, BROADCAST, IPV4, IPV6, VLAN, Packet
from tests.network.wires import Guest, wait_for_any

pytestmark = pytest.mark.host

ME = port(1, "10.0.0.11", public=(("10.0.0.11", "198.51.100.101"),))
NEIGHBOUR = port(2, "10.0.0.12")
STRANGER = port(3, "10.0.0.12", "vpc-b", groups=("sg-b",))
FAR = port(4, "10.0.0.14")
GUARDED = port(5, "10.0.0.13", groups=("sg-ssh",))
GROUPS = (OPEN, group("sg-ssh", tcp(22, cidr="0.0.0.0/0")), group("sg-b", *OPEN.ingress, vpc_id="vpc-b"))
NODES = {"n1": "10.8.0.1", "n2": "10.8.0.2"}
CLOUD_PORTS = (22, 53, 4789, 8773, 8774, 8775, 8777, 8778)
"""Of the host and the cloud's programs."""
FOREIGN_MAC = "02:00:00:00:00:99"


class Raw(Guest):
    """A guest that also keeps every frame that it got."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.got: list[bytes] = []

    def take(self) -> bytes:
        frame = super().take()
        self.got.append(frame)
        return frame


@dataclass
class Stage:
    """The wires, and the nodes that they are plugged into."""

    cloud: NetworkCloud
    runner: asyncio.Runner
    me: Raw
    neighbour: Raw
    stranger: Raw
    far: Raw
    guarded: Raw
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def node(self) -> Node:
        return self.cloud.node

    def seen(self, attack: Callable[[bytes], list[bytes]], at: Raw | None = None) -> bool:
        """Whether anything of what `attack(mark)` gives, sent by me, came to `at` (the neighbour) before an honest
        datagram that was sent after it."""
        at = at or self.neighbour
        mark = b"attack-%06d" % next(self._numbers)
        for frame in attack(mark):
            self.me.put(frame)
        honest = b"honest" + mark
        witness = self.far if at is self.far else self.neighbour
        for _ in range(200):
            self.me.send(frames.udp("10.0.0.11", witness.addresses[0], 4000, 4001, honest))
            wait_for_any([witness], 0.05)
            for wire in (self.me, self.neighbour, self.stranger, self.far, self.guarded):
                wire.drain()
            if any(honest in frame for frame in witness.got):
                break
        else:
            raise AssertionError("not even an honest packet arrived")
        return any(mark in frame and honest not in frame for frame in at.got)

    def inside(self, *argv: str) -> str:
        """A command in the namespace of the attacker's VPC."""
        return self.node.host.run("nsenter", f"--net=/run/netns/{self.node.layout.namespace('vpc-a')}", *argv).stdout

    def count(self, counter: str) -> int:
        """How many packets a counter of the attacker's VPC has counted."""
        text = self.inside("nft", "list", "counter", "inet", "eucapy", counter)
        return int(text.split("packets ")[1].split(" ")[0])


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        context = network_cloud(2)
        cloud = runner.run(context.__aenter__())
        stack.callback(lambda: runner.run(context.__aexit__(None, None, None)))
        here, there = cloud.nodes

        def wire(node: Node, spec: Any) -> Raw:
            tap = (node.host.name, spec.tap, spec.mac)
            made = Raw(spec.interface_id, *tap, spec.private_ips, "10.0.0.0/24", "10.0.0.1")
            stack.callback(made.close)
            return made

        async def lay_out() -> None:
            far = (RemoteSpec(ip="10.0.0.14", node="n2"),)
            near = tuple(RemoteSpec(ip=ip, node="n1") for ip in ("10.0.0.11", "10.0.0.12"))
            await here.give([vpc(remotes=far), vpc("vpc-b", 200)], [ME, NEIGHBOUR, STRANGER, GUARDED], GROUPS, NODES)
            await there.give([vpc(remotes=near)], [FAR], GROUPS, NODES)

        runner.run(lay_out())
        wires = [wire(here, ME), wire(here, NEIGHBOUR), wire(here, STRANGER), wire(there, FAR), wire(here, GUARDED)]
        for node in cloud.nodes:
            runner.run(node.settle())
        me, neighbour, stranger, far, guarded = wires
        yield Stage(cloud, runner, me, neighbour, stranger, far, guarded)


def datagram(source: str, target: str, mark: bytes) -> bytes:
    return frames.udp(source, target, 4000, 4002, mark)


GATEWAY_MAC = "02:65:75:63:61:00"


def framed(packet: bytes, source_mac: str = ME.mac, target_mac: str = GATEWAY_MAC, kind: int = IPV4) -> bytes:
    return frames.ethernet(target_mac, source_mac, kind, packet)


def test_the_honest_packet_does_arrive(stage: Stage) -> None:
    assert stage.seen(lambda mark: [framed(datagram("10.0.0.11", "10.0.0.12", mark))])
    assert stage.seen(lambda mark: [framed(datagram("10.0.0.11", "10.0.0.14", mark))], stage.far)


@pytest.mark.parametrize("victim", ["neighbour", "far"])
@pytest.mark.parametrize(
    ("mac", "address"),
    [
        (FOREIGN_MAC, "10.0.0.11"),
        (NEIGHBOUR.mac, "10.0.0.11"),
        (ME.mac, "10.0.0.77"),
        (ME.mac, "10.0.0.12"),
        (ME.mac, "10.0.0.1"),
        (ME.mac, "10.0.0.2"),
        (ME.mac, "169.254.169.254"),
        (ME.mac, "198.51.100.101"),
        (ME.mac, "127.0.0.1"),
        (ME.mac, "0.0.0.0"),
        (NEIGHBOUR.mac, "10.0.0.12"),
    ],
)
def test_nobody_speaks_with_a_foreign_mac_or_address(stage: Stage, victim: str, mac: str, address: str) -> None:
    at = getattr(stage, victim)
    before = stage.count("spoofed")
    assert not stage.seen(lambda mark: [framed(datagram(address, at.addresses[0], mark), mac)], at)
    assert stage.count("spoofed") > before, "and it is counted"


def test_arp_answers_for_another_are_believed_by_nobody(stage: Stage) -> None:
    """The host's own table, and the neighbour's wire, know nothing of them; what is for the victim still comes to it."""
    for sender in ("10.0.0.12", "10.0.0.1", "10.0.0.14"):
        for operation, asked, to in (
            (frames.REPLY, "10.0.0.11", GATEWAY_MAC),
            (frames.REPLY, sender, BROADCAST),
            (frames.REQUEST, sender, BROADCAST),
        ):
            stage.me.put(frames.arp(ME.mac, operation, ME.mac, sender, asked, to))
            stage.me.put(frames.arp(NEIGHBOUR.mac, operation, FOREIGN_MAC, sender, asked, to))
    assert stage.seen(lambda mark: [framed(datagram("10.0.0.11", "10.0.0.12", mark))])
    assert not any(
        frame[12:14] == struct.pack("!H", ARP) and ME.mac in frame[:14].hex(":") for frame in stage.neighbour.got
    )
    table = stage.inside("ip", "neigh")
    assert f"10.0.0.12 dev tap2 lladdr {NEIGHBOUR.mac} PERMANENT" in table
    assert FOREIGN_MAC not in table


def test_a_guest_is_not_answered_for_an_address_that_it_has_not(stage: Stage) -> None:
    stage.me.got.clear()
    stage.me.put(frames.arp(ME.mac, frames.REQUEST, ME.mac, "10.0.0.77", "10.0.0.1"))
    assert stage.seen(lambda mark: [framed(datagram("10.0.0.11", "10.0.0.12", mark))])
    stage.me.drain()
    answers = [frames.read(frame) for frame in stage.me.got if frame[12:14] == struct.pack("!H", ARP)]
    assert not [one for one in answers if isinstance(one, frames.Arp) and one.target == "10.0.0.77"]


def dhcp(kind: int, mark: bytes, server: str = "10.0.0.11") -> bytes:
    """An OFFER (2) or an ACK (5) that names the sender as router and resolver of the neighbour."""
    mac = frames.mac_bytes(NEIGHBOUR.mac)
    head = struct.pack(
        "!BBBBIHH4s4s4s4s", 2, 1, 6, 0, 7, 0, 0x8000, *(bytes(4), bytes([10, 0, 0, 66]), bytes(4), bytes(4))
    )
    options = b"\x63\x82\x53\x63" + bytes([53, 1, kind, 3, 4, 10, 0, 0, 11, 6, 4, 10, 0, 0, 11, 255])
    return head + mac.ljust(16, b"\0") + mark.ljust(192, b"\0") + options


@pytest.mark.parametrize("kind", [2, 5])
@pytest.mark.parametrize("source", ["10.0.0.11", "10.0.0.1"])
def test_nobody_plays_dhcp_by_broadcast(stage: Stage, kind: int, source: str) -> None:
    def attack(mark: bytes) -> list[bytes]:
        packet = frames.udp(source, "255.255.255.255", 67, 68, dhcp(kind, mark))
        return [framed(packet, target_mac=to) for to in (BROADCAST, NEIGHBOUR.mac, GATEWAY_MAC)]

    assert not stage.seen(attack)
    assert not stage.seen(attack, stage.stranger)


@pytest.mark.parametrize("target", ["10.0.0.255", "255.255.255.255", "224.0.0.1", "224.0.0.251", "239.1.2.3"])
def test_broadcast_and_multicast_reach_no_neighbour(stage: Stage, target: str) -> None:
    def attack(mark: bytes) -> list[bytes]:
        return [
            framed(datagram("10.0.0.11", target, mark), target_mac=to) for to in (BROADCAST, GATEWAY_MAC, NEIGHBOUR.mac)
        ]

    for at in (stage.neighbour, stage.far, stage.stranger):
        assert not stage.seen(attack, at)


def test_nobody_plays_the_router(stage: Stage) -> None:
    """No redirect changes a route, and a redirect for the neighbour does not pass as the router's."""
    routes = stage.inside("ip", "route")

    def redirect(mark: bytes) -> list[bytes]:
        inner = datagram("10.0.0.12", "10.0.0.14", mark)[:40]
        body = struct.pack("!BBH4s", 5, 1, 0, bytes([10, 0, 0, 11])) + inner + mark
        body = body[:2] + struct.pack("!H", frames.checksum(body)) + body[4:]
        return [
            framed(frames.ipv4(source, target, frames.ICMP, body))
            for source in ("10.0.0.1", "10.0.0.11")
            for target in ("10.0.0.1", "10.0.0.12")
            if (source, target) != ("10.0.0.11", "10.0.0.12")
        ]

    assert not stage.seen(redirect)
    assert stage.inside("ip", "route") == routes


@pytest.mark.parametrize("to", [GATEWAY_MAC, STRANGER.mac, BROADCAST])
def test_another_vpc_with_the_same_addresses_hears_nothing(stage: Stage, to: str) -> None:
    def attack(mark: bytes) -> list[bytes]:
        return [framed(datagram("10.0.0.11", "10.0.0.12", mark), target_mac=to)]

    assert not stage.seen(attack, stage.stranger)


@pytest.mark.parametrize("host", ["10.8.0.1", "198.51.100.1", "240.0.0.0", "240.0.0.100", "10.8.0.2", "198.51.100.2"])
def test_the_hosts_and_the_clouds_ports_are_out_of_reach(stage: Stage, host: str) -> None:
    """From an address with a public one, so that nothing but the guard stands between: this host's, or the other's, which
    knows guests by their public addresses, whatever address of it they ask."""
    assert not answered(stage, host)


@pytest.mark.parametrize(("hops", "teller"), [(1, "10.0.0.1"), (2, "240.0.0.0")])
def test_who_asks_for_the_way_learns_no_address_of_a_host(stage: Stage, hops: int, teller: str) -> None:
    """As traceroute does: packets that may go so far and no further. The first hop is the guest's gateway, the second the
    pair between VPC and host, which has the same address everywhere."""

    def trace(mark: bytes) -> list[bytes]:
        return [framed(short_lived(frames.udp("10.0.0.11", "198.51.100.254", 4000, 33434, mark), hops))]

    told: set[str] = set()

    def asked() -> bool:  # again, since the kernel tells one guest so many errors a second and no more
        stage.me.got.clear()
        stage.seen(trace)
        came = [packet for frame in stage.me.got if isinstance(packet := frames.read(frame), Packet)]
        told.update(p.source for p in came if (p.protocol, p.source_port) == (frames.ICMP, TIME_EXCEEDED))
        return bool(told)

    wait_until(asked)
    assert told == {teller}


TIME_EXCEEDED = 11


def short_lived(packet: bytes, hops: int) -> bytes:
    head = packet[:8] + bytes((hops, packet[9], 0, 0)) + packet[12:20]
    return head[:10] + struct.pack("!H", frames.checksum(head)) + head[12:] + packet[20:]


def test_the_gateway_answers_echo_and_names_alone(stage: Stage) -> None:
    assert answered(stage, "10.0.0.1", ports=()), "an echo"
    assert not answered(stage, "10.0.0.1", echo=False)
    assert not answered(stage, "10.0.0.2", ports=tuple(number for number in CLOUD_PORTS if number != 53), echo=False)
    assert not answered(stage, "169.254.169.254", ports=(22, 53, 443, 8773), echo=False)


def answered(stage: Stage, target: str, ports: tuple[int, ...] = CLOUD_PORTS, *, echo: bool = True) -> bool:
    """Whether the target answers a SYN to any of the ports, or an echo. On both hosts somebody listens."""
    with contextlib.ExitStack() as stack:
        for node in stage.cloud.nodes:
            for number in ports:
                stack.callback(netns.listen_in(node.host.name, "", number).close)

        def knock(mark: bytes) -> list[bytes]:
            asked = [frames.tcp("10.0.0.11", target, 5000, number, frames.SYN, 1000) for number in ports]
            if echo:
                asked.append(frames.icmp("10.0.0.11", target, frames.ECHO, 77, 1, mark))
            return [framed(packet) for packet in asked]

        stage.me.drain()
        stage.me.got.clear()
        stage.seen(knock)
    came = [packet for frame in stage.me.got if isinstance(packet := frames.read(frame), Packet)]
    return any(
        packet.source == target
        and (
            packet.flags == frames.SYN_ACK or (packet.protocol, packet.source_port) == (frames.ICMP, frames.ECHO_REPLY)
        )
        for packet in came
    )


@pytest.mark.parametrize("source", ["10.0.0.12", "10.0.0.14", "169.254.169.253"])
def test_nobody_asks_for_anothers_metadata(stage: Stage, source: str) -> None:
    """Metadata knows its guest by the address: nobody is heard from another's. The honest one is."""
    namespace = stage.node.layout.namespace("vpc-a")
    with netns.listen_in(namespace, "169.254.169.254", 80):

        def heard(address: str) -> bool:
            syn = frames.tcp(address, "169.254.169.254", 6000, 80, frames.SYN, 1000)
            stage.seen(lambda _: [framed(syn)])
            return f"{address}:6000" in stage.inside("ss", "-Htan")

        assert heard("10.0.0.11")
        assert not heard(source)


def ipv6(kind: int, body: bytes, target: str = "ff02::1") -> bytes:
    """ICMPv6 from our link-local address."""
    source, to = (ipaddress.IPv6Address(address).packed for address in ("fe80::1", target))
    message = struct.pack("!BBH", kind, 0, 0) + body
    found = frames.checksum(source + to + struct.pack("!II", len(message), 58) + message)
    message = message[:2] + struct.pack("!H", found) + message[4:]
    return struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + source + to + message


@pytest.mark.parametrize("kind", [128, 133, 134, 135, 136, 137])
def test_ipv6_goes_nowhere_and_nobody_answers_it(stage: Stage, kind: int) -> None:
    """Echo, router solicitation and advertisement, neighbour solicitation and advertisement, redirect."""

    def attack(mark: bytes) -> list[bytes]:
        body = bytes(4) + ipaddress.IPv6Address("fe80::2").packed + mark
        packets = [ipv6(kind, body, target) for target in ("ff02::1", "ff02::2", "fe80::2", "fe80::65ff:fe75:6361")]
        targets = (GATEWAY_MAC, BROADCAST, NEIGHBOUR.mac, "33:33:00:00:00:01")
        return [framed(packet, target_mac=to, kind=IPV6) for packet in packets for to in targets]

    for wire in (stage.me, stage.neighbour):
        wire.drain()
        wire.got.clear()
    for at in (stage.neighbour, stage.far, stage.stranger):
        assert not stage.seen(attack, at)
    assert not any(
        frame[12:14] == struct.pack("!H", IPV6) for wire in (stage.me, stage.neighbour) for frame in wire.got
    )


def split(packet: bytes, *cuts: int) -> list[bytes]:
    """The packet's fragments, cut at these bytes of what is behind its header (multiples of eight)."""
    body, source, target = packet[20:], *(str(ipaddress.IPv4Address(packet[at : at + 4])) for at in (12, 16))
    ends = [*cuts, len(body)]
    return [
        frames.ipv4(
            source,
            target,
            packet[9],
            body[first:last],
            identity=7,
            fragment=first >> 3 | (0x2000 if last < len(body) else 0),
        )
        for first, last in itertools.pairwise([0, *ends])
    ]


def test_fragments_pass_where_the_whole_would_and_nowhere_else(stage: Stage) -> None:
    def open_port(mark: bytes) -> list[bytes]:
        return [framed(part) for part in split(datagram("10.0.0.11", "10.0.0.12", mark * 4), 8, 24)]

    def closed_port(mark: bytes) -> list[bytes]:
        return [framed(part) for part in split(datagram("10.0.0.11", "10.0.0.13", mark * 4), 8, 24)]

    def only_the_rest(mark: bytes) -> list[bytes]:
        return closed_port(mark)[1:]

    def rewritten(mark: bytes) -> list[bytes]:
        """A SYN to the open port, and a second fragment that lies over it with another one."""
        syn = frames.tcp("10.0.0.11", "10.0.0.13", 7000, 22, frames.SYN, 1000, payload=mark * 2)
        other = frames.tcp("10.0.0.11", "10.0.0.13", 7000, 23, frames.SYN, 1000, payload=mark * 2)
        return [framed(split(syn, 24)[0]), framed(split(other, 8)[0]), framed(split(other, 8)[1])]

    def foreign(mark: bytes) -> list[bytes]:
        return [framed(part) for part in split(datagram("10.0.0.77", "10.0.0.12", mark * 4), 8, 24)]

    assert stage.seen(open_port)
    for attack in (closed_port, only_the_rest, rewritten):
        assert not stage.seen(attack, stage.guarded), attack.__name__
    assert not stage.seen(foreign)


@pytest.mark.parametrize("tags", [(5,), (4094,), (0, 5), (5, 5)])
def test_tagged_frames_reach_nobody(stage: Stage, tags: tuple[int, ...]) -> None:
    def attack(mark: bytes, source: str = "10.0.0.11") -> list[bytes]:
        body, kind = datagram(source, "10.0.0.12", mark), IPV4
        for tag in reversed(tags):
            body, kind = struct.pack("!HH", tag, kind) + body, VLAN
        return [framed(body, target_mac=to, kind=kind) for to in (GATEWAY_MAC, BROADCAST, NEIGHBOUR.mac)]

    for at in (stage.neighbour, stage.far, stage.stranger):
        assert not stage.seen(attack, at)


def test_the_empty_tag_hides_no_foreign_source(stage: Stage) -> None:
    def attack(mark: bytes) -> list[bytes]:
        body = struct.pack("!HH", 0, IPV4) + datagram("10.0.0.77", "10.0.0.12", mark)
        return [framed(body, kind=VLAN)]

    assert not stage.seen(attack)
