"""What dual-stack guests try and must not get, over IPv6: from a guest's own wire, against real neighbours.

The stage is that of `test_attacks.py`, with IPv6 in the attacker's VPC and in the stranger's, and a way to the world. Groups
let everything in, but for the guarded guest's.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from eucapy.drivers.network import netns
from eucapy.wire.network import RemoteSpec
from tests.eucanetd.cloud import Node, network_cloud
from tests.eucanetd.specs import ALL_OUT, ANY6, OPEN6, group, port, tcp, vpc6
from tests.harness.topology import GATEWAY6
from tests.network import frames
from tests.network.frames import BROADCAST, IPV6, Packet
from tests.network.test_attacks import FOREIGN_MAC, GATEWAY_MAC, NODES, Raw, Stage
from tests.network.wires import wait_for_any

pytestmark = pytest.mark.host

MINE, NEAR, GUARD, AWAY = (f"2001:db8:a::{number}" for number in (11, 12, 13, 14))
THEIRS = "2001:db8:b::12"
ME = port(1, "10.0.0.11", ipv6s=(MINE,), way6="internet")
NEIGHBOUR = port(2, "10.0.0.12", ipv6s=(NEAR,), way6="egress-only")
STRANGER = port(3, "10.0.0.12", "vpc-b", ipv6s=(THEIRS,), groups=("sg-b",))
FAR = port(4, "10.0.0.14", ipv6s=(AWAY,))
GUARDED = port(5, "10.0.0.13", ipv6s=(GUARD,), groups=("sg-ssh",))
GROUPS = (
    OPEN6,
    group("sg-ssh", tcp(22, cidr="::/0"), egress=(*ALL_OUT, ANY6)),
    group("sg-b", *OPEN6.ingress, egress=OPEN6.egress, vpc_id="vpc-b"),
)
MY_LINK_LOCAL = "fe80::ff:fe00:1"
NEAR_LINK_LOCAL = "fe80::ff:fe00:2"
ALL_NODES, ALL_ROUTERS, ALL_SERVERS = "ff02::1", "ff02::2", "ff02::1:2"
ALL_NODES_MAC = "33:33:00:00:00:01"
HOSTS = ("2001:db8:ff::1", "2001:db8:ff::2")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        context = network_cloud(2, public6=True)
        cloud = runner.run(context.__aenter__())
        stack.callback(lambda: runner.run(context.__aexit__(None, None, None)))
        for host, address in zip(cloud.net.hosts, HOSTS, strict=True):
            host.run("ip", "addr", "add", f"{address}/64", "dev", "eth1", "nodad")
            host.run("ip", "-6", "route", "add", "default", "via", "2001:db8:ff::fe", "dev", "eth1")
        here, there = cloud.nodes

        def wire(node: Node, spec: Any) -> Raw:
            tap = (node.host.name, spec.tap, spec.mac)
            made = Raw(spec.interface_id, *tap, spec.private_ips, "10.0.0.0/24", "10.0.0.1")
            stack.callback(made.close)
            return made

        def remotes(node: str, *ips: str) -> tuple[RemoteSpec, ...]:
            return tuple(RemoteSpec(ip=ip, node=node) for ip in ips)

        async def lay_out() -> None:
            away, near = remotes("n2", "10.0.0.14", AWAY), remotes("n1", "10.0.0.11", "10.0.0.12", MINE, NEAR)
            vpcs = [vpc6(remotes=away), vpc6("vpc-b", 200, block6="2001:db8:b")]
            await here.give(vpcs, [ME, NEIGHBOUR, STRANGER, GUARDED], GROUPS, NODES)
            await there.give([vpc6(remotes=near)], [FAR], GROUPS, NODES)

        runner.run(lay_out())
        wires = [wire(here, ME), wire(here, NEIGHBOUR), wire(here, STRANGER), wire(there, FAR), wire(here, GUARDED)]
        for node in cloud.nodes:
            runner.run(node.settle())
        yield Stage(cloud, runner, *wires)


def framed(packet: bytes, source_mac: str = ME.mac, target_mac: str = GATEWAY_MAC) -> bytes:
    return frames.ethernet(target_mac, source_mac, IPV6, packet)


def datagram(source: str, target: str, mark: bytes) -> bytes:
    return frames.udp(source, target, 4000, 4002, mark)


def test_the_honest_packet_does_arrive(stage: Stage) -> None:
    assert stage.seen(lambda mark: [framed(datagram(MINE, NEAR, mark))])
    assert stage.seen(lambda mark: [framed(datagram(MINE, AWAY, mark))], stage.far)


@pytest.mark.parametrize(("victim", "target"), [("neighbour", NEAR), ("far", AWAY)])
@pytest.mark.parametrize(
    ("mac", "address"),
    [
        (FOREIGN_MAC, MINE),
        (NEIGHBOUR.mac, MINE),
        (ME.mac, "2001:db8:a::77"),
        (ME.mac, NEAR),
        (ME.mac, "2001:db8:a::1"),
        (ME.mac, THEIRS),
        (ME.mac, "2001:db8:ff::fe"),
        (ME.mac, "::"),
        (ME.mac, "::ffff:10.0.0.11"),
        (ME.mac, MY_LINK_LOCAL),
        (ME.mac, GATEWAY6),
        (ME.mac, "100::1"),
        (NEIGHBOUR.mac, NEAR),
    ],
)
def test_nobody_speaks_with_a_foreign_mac_or_address(
    stage: Stage, victim: str, target: str, mac: str, address: str
) -> None:
    before = stage.count("spoofed")
    assert not stage.seen(lambda mark: [framed(datagram(address, target, mark), mac)], getattr(stage, victim))
    assert stage.count("spoofed") > before, "and it is counted"


@pytest.mark.parametrize("address", ["::1", "ff02::1"])
def test_what_is_no_source_at_all_is_dropped_by_the_kernel(stage: Stage, address: str) -> None:
    assert not stage.seen(lambda mark: [framed(datagram(address, NEAR, mark))])


def neighbour(kind: int, source: str, to: str, about: str, mac: str, mark: bytes, hops: int = 255) -> bytes:
    """A solicitation or an advertisement: `about` is at `mac`. The mark is where an option would be that nobody knows."""
    flags = 0x60000000 if kind == frames.ADVERTISEMENT else 0
    option = bytes((2 if kind == frames.ADVERTISEMENT else 1, 1)) + frames.mac_bytes(mac)
    unknown = bytes((200, 3)) + mark.ljust(22, b"\0")
    body = struct.pack("!I", flags) + ipaddress.IPv6Address(about).packed + option + unknown
    return frames.icmp6(source, to, kind, body, hops=hops)


def test_advertisements_for_another_are_believed_by_nobody(stage: Stage) -> None:
    """Our own table, and the neighbour's wire, know nothing of them; what is for the victim still comes to it."""

    def attack(mark: bytes) -> list[bytes]:
        return [
            framed(neighbour(kind, source, to, about, FOREIGN_MAC, mark), target_mac=mac)
            for kind in (frames.ADVERTISEMENT, frames.SOLICITATION)
            for source in (MINE, MY_LINK_LOCAL, NEAR, GATEWAY6)
            for about in (NEAR, AWAY, GATEWAY6, "2001:db8:a::1", NEAR_LINK_LOCAL)
            for to, mac in (
                (ALL_NODES, ALL_NODES_MAC),
                (GATEWAY6, GATEWAY_MAC),
                (NEAR, GATEWAY_MAC),
                (NEAR, NEIGHBOUR.mac),
            )
        ]

    for at in (stage.neighbour, stage.far, stage.stranger):
        assert not stage.seen(attack, at)
    table = stage.inside("ip", "-6", "neigh")
    assert f"{NEAR} dev tap2 lladdr {NEIGHBOUR.mac} PERMANENT" in table
    assert f"{MINE} dev tap1 lladdr {ME.mac} PERMANENT" in table
    others = [line for line in table.splitlines() if FOREIGN_MAC in line and "dev tap1" not in line]
    assert not others, "what a guest says of itself stays on its own wire"
    assert stage.seen(lambda mark: [framed(datagram(MINE, NEAR, mark))])


def test_a_guest_fills_no_table_with_names_of_itself(stage: Stage) -> None:
    def attack(mark: bytes) -> list[bytes]:
        sources = [f"fe80::abcd:{number:x}" for number in range(300)]
        return [framed(neighbour(frames.SOLICITATION, each, GATEWAY6, GATEWAY6, ME.mac, mark)) for each in sources]

    stage.seen(attack)
    learned = [line for line in stage.inside("ip", "-6", "neigh", "show", "dev", "tap1").splitlines() if "abcd" in line]
    assert len(learned) < 20
    assert stage.seen(lambda mark: [framed(datagram(MINE, NEAR, mark))])


def test_an_advertisement_for_a_guests_own_address_moves_nothing(stage: Stage) -> None:
    stage.me.put(framed(neighbour(frames.ADVERTISEMENT, MINE, GATEWAY6, MINE, FOREIGN_MAC, b"")))
    assert stage.seen(lambda mark: [framed(datagram(MINE, NEAR, mark))])
    assert f"{MINE} dev tap1 lladdr {ME.mac} PERMANENT" in stage.inside("ip", "-6", "neigh")


@pytest.mark.parametrize("source", [MY_LINK_LOCAL, GATEWAY6, MINE, "2001:db8:a::1"])
def test_nobody_plays_the_router(stage: Stage, source: str) -> None:
    """No advertisement and no redirect passes or changes a route, with whatever source."""
    routes = stage.inside("ip", "-6", "route", "show", "table", "all")
    prefix = (
        bytes((3, 4, 64, 0xC0)) + struct.pack("!III", 3600, 3600, 0) + ipaddress.IPv6Address("2001:db8:666::").packed
    )

    def attack(mark: bytes) -> list[bytes]:
        unknown = bytes((200, 3)) + mark.ljust(22, b"\0")
        advertised = struct.pack("!BBHII", 64, 0, 1800, 0, 0) + prefix + unknown
        redirected = bytes(4) + b"".join(ipaddress.IPv6Address(each).packed for each in (MY_LINK_LOCAL, AWAY)) + unknown
        return [
            framed(frames.icmp6(source, to, kind, body, hops=255), target_mac=mac)
            for kind, body in ((frames.ROUTER_ADVERTISEMENT, advertised), (frames.REDIRECT, redirected))
            for to, mac in (
                (ALL_NODES, ALL_NODES_MAC),
                (ALL_ROUTERS, BROADCAST),
                (GATEWAY6, GATEWAY_MAC),
                (NEAR, GATEWAY_MAC),
            )
        ]

    for at in (stage.neighbour, stage.far):
        assert not stage.seen(attack, at)
    assert stage.inside("ip", "-6", "route", "show", "table", "all") == routes


@pytest.mark.parametrize("source", [MY_LINK_LOCAL, GATEWAY6, MINE])
def test_nobody_plays_dhcp(stage: Stage, source: str) -> None:
    def attack(mark: bytes) -> list[bytes]:
        said = frames.udp(source, ALL_NODES, 547, 546, b"\x07abc" + mark)
        asked = frames.udp(source, ALL_SERVERS, 547, 547, b"\x0cabc" + mark)
        own = frames.udp(source, NEAR_LINK_LOCAL, 547, 546, b"\x07abc" + mark)
        return [
            framed(each, target_mac=to)
            for each in (said, asked, own)
            for to in (ALL_NODES_MAC, NEIGHBOUR.mac, GATEWAY_MAC)
        ]

    assert not stage.seen(attack)
    assert not stage.seen(attack, stage.stranger)


@pytest.mark.parametrize(
    "target", ["ff02::1", "ff02::fb", "ff05::1:3", "ff0e::1234", "ff02::1:ff00:12", NEAR_LINK_LOCAL]
)
@pytest.mark.parametrize("source", [MINE, MY_LINK_LOCAL])
def test_what_is_for_a_link_reaches_no_neighbour(stage: Stage, source: str, target: str) -> None:
    def attack(mark: bytes) -> list[bytes]:
        packet = datagram(source, target, mark)
        return [framed(packet, target_mac=to) for to in (BROADCAST, GATEWAY_MAC, NEIGHBOUR.mac, ALL_NODES_MAC)]

    for at in (stage.neighbour, stage.far, stage.stranger):
        assert not stage.seen(attack, at)


@pytest.mark.parametrize("to", [GATEWAY_MAC, STRANGER.mac, BROADCAST])
def test_another_vpc_hears_nothing_that_is_not_for_it(stage: Stage, to: str) -> None:
    assert not stage.seen(lambda mark: [framed(datagram(MINE, NEAR, mark), target_mac=to)], stage.stranger)
    assert not stage.seen(lambda mark: [framed(datagram(MINE, THEIRS, mark), target_mac=to)], stage.stranger), (
        "it has no way"
    )


def knocked(stage: Stage, target: str, ports: tuple[int, ...], *, echo: bool = True) -> bool:
    """Whether the target answers a SYN to any of the ports, or an echo. On both hosts, and in the VPC, somebody listens."""
    with contextlib.ExitStack() as stack:
        vpc = stage.node.layout.namespace("vpc-a")
        for name in (*(node.host.name for node in stage.cloud.nodes), vpc):
            for number in ports:
                if (name, number) != (vpc, 53):  # dnsmasq is there
                    stack.callback(netns.listen_in(name, "::", number).close)

        def knock(mark: bytes) -> list[bytes]:
            asked = [frames.tcp(MINE, target, 5000, number, frames.SYN, 1000) for number in ports]
            if echo:
                asked.append(frames.icmp6(MINE, target, frames.ECHO6, struct.pack("!HH", 77, 1) + mark))
            return [framed(packet) for packet in asked]

        stage.me.drain()
        stage.me.got.clear()
        stage.seen(knock)
        wait_for_any([stage.me], 0.05)
        stage.me.drain()
    came = [packet for frame in stage.me.got if isinstance(packet := frames.read(frame), Packet)]
    answers = ((frames.ICMPV6, frames.ECHO_REPLY6), (frames.TCP, ports[0] if ports else 0))
    return any(
        packet.source == target
        and (packet.flags == frames.SYN_ACK or (packet.protocol, packet.source_port) == answers[0])
        for packet in came
    )


CLOUD_PORTS = (22, 53, 80, 547, 8773, 8774, 8778)


@pytest.mark.parametrize("target", ["2001:db8:a::1", GATEWAY6])
def test_the_gateway_answers_echo_alone(stage: Stage, target: str) -> None:
    assert knocked(stage, target, ())
    assert not knocked(stage, target, CLOUD_PORTS, echo=False)


@pytest.mark.parametrize("target", [*HOSTS, "100::1", "fe80::65:75ff:fe63:6101", "fe80::65:75ff:fe63:6102", "::1"])
def test_the_hosts_are_out_of_reach(stage: Stage, target: str) -> None:
    assert not knocked(stage, target, CLOUD_PORTS)


def after(kind: int, packet: bytes, data: bytes = bytes(6)) -> bytes:
    """The packet with a header more between that of IPv6 and what it carries."""
    body = frames.header(packet[6], packet[40:], data)
    return packet[:4] + struct.pack("!HBB", len(body), kind, packet[7]) + packet[8:40] + body


def routed_over(packet: bytes, kind: int, over: str) -> bytes:
    """With a routing header: one way station is left."""
    return after(frames.ROUTING, packet, bytes((kind, 1)) + bytes(4) + ipaddress.IPv6Address(over).packed)


@pytest.mark.parametrize("kind", [0, 2, 3, 4])
def test_no_routing_header_leads_round_the_rules(stage: Stage, kind: int) -> None:
    def attack(mark: bytes) -> list[bytes]:
        return [
            framed(routed_over(datagram(MINE, by, mark), kind, to))
            for by, to in (
                (GATEWAY6, GUARD),
                ("2001:db8:a::1", GUARD),
                (NEAR, GUARD),
                (GUARD, GUARD),
                ("2001:db8:a::1", NEAR),
            )
        ]

    assert not stage.seen(attack, stage.guarded)
    assert not stage.seen(attack)


def test_other_headers_hide_no_protocol_and_no_source(stage: Stage) -> None:
    """Options for the target pass with what they come with; options for every router do not pass at all."""
    nothing = bytes((1, 4, 0, 0, 0, 0))
    assert stage.seen(lambda mark: [framed(after(frames.DESTINATION, datagram(MINE, NEAR, mark), nothing))])
    for attack in (
        lambda mark: [framed(after(frames.DESTINATION, datagram(MINE, GUARD, mark), nothing))],
        lambda mark: [
            framed(after(frames.DESTINATION, after(frames.DESTINATION, datagram(MINE, GUARD, mark)), nothing))
        ],
        lambda mark: [framed(after(frames.HOP_BY_HOP, datagram(MINE, GUARD, mark), nothing))],
        lambda mark: [framed(after(frames.DESTINATION, frames.ipv6(MINE, GUARD, 59, mark)))],
    ):
        assert not stage.seen(attack, stage.guarded)
    assert not stage.seen(lambda mark: [framed(after(frames.HOP_BY_HOP, datagram(MINE, NEAR, mark), nothing))])
    assert not stage.seen(lambda mark: [framed(after(frames.DESTINATION, datagram(AWAY, NEAR, mark), nothing))])

    def ssh(mark: bytes) -> list[bytes]:
        return [
            framed(
                after(frames.DESTINATION, frames.tcp(MINE, GUARD, 7000, 22, frames.SYN, 1000, payload=mark), nothing)
            )
        ]

    assert stage.seen(ssh, stage.guarded), "and what is open is open"


def split(packet: bytes, *cuts: int) -> list[bytes]:
    """The packet's fragments, cut at these bytes of what is behind its header (multiples of eight)."""
    body, ends = packet[40:], [*cuts, len(packet) - 40]
    parts = []
    for first, last in zip([0, *cuts], ends, strict=True):
        head = struct.pack("!BBHI", packet[6], 0, first | (last < len(body)), 7)
        part = head + body[first:last]
        parts.append(packet[:4] + struct.pack("!HBB", len(part), frames.FRAGMENT, packet[7]) + packet[8:40] + part)
    return parts


def test_fragments_pass_where_the_whole_would_and_nowhere_else(stage: Stage) -> None:
    def to(target: str, source: str = MINE) -> Any:
        return lambda mark: [framed(part) for part in split(datagram(source, target, mark * 4), 8, 24)]

    def only_the_rest(mark: bytes) -> list[bytes]:
        return to(GUARD)(mark)[1:]

    def rewritten(mark: bytes) -> list[bytes]:
        """A SYN to the open port, and a second fragment that lies over it with another one."""
        syn, other = (frames.tcp(MINE, GUARD, 7000, number, frames.SYN, 1000, payload=mark * 2) for number in (22, 23))
        return [framed(split(syn, 24)[0]), framed(split(other, 8)[0]), framed(split(other, 8)[1])]

    def tiny(mark: bytes) -> list[bytes]:
        """The first fragment ends before the ports."""
        hidden = after(frames.DESTINATION, datagram(MINE, GUARD, mark))
        return [framed(part) for part in split(hidden, 8)]

    assert stage.seen(to(NEAR))
    for attack in (to(GUARD), only_the_rest, rewritten, tiny):
        assert not stage.seen(attack, stage.guarded)
    assert not stage.seen(to(NEAR, "2001:db8:a::77"))


def test_errors_are_believed_only_of_conversations_that_are(stage: Stage) -> None:
    """A packet that says "too large" or "unreachable" about nothing that was said reaches no guarded guest."""

    def attack(mark: bytes) -> list[bytes]:
        inner = datagram(GUARD, AWAY, mark)
        return [framed(frames.icmp6(MINE, GUARD, kind, struct.pack("!I", 1280) + inner)) for kind in (1, 2, 3, 4)]

    assert not stage.seen(attack, stage.guarded)


def test_who_asks_for_the_way_learns_no_address_of_a_host(stage: Stage) -> None:
    told: set[str] = set()
    for hops in (1, 2, 3):

        def trace(mark: bytes, hops: int = hops) -> list[bytes]:
            packet = datagram(MINE, "2001:db8:ff::fe", mark)
            return [framed(packet[:7] + bytes((hops,)) + packet[8:])]

        stage.me.got.clear()
        stage.seen(trace)
        wait_for_any([stage.me], 0.2)
        stage.me.drain()
        came = [packet for frame in stage.me.got if isinstance(packet := frames.read(frame), Packet)]
        told |= {p.source for p in came if p.protocol == frames.ICMPV6 and p.source_port == 3}
    assert told <= {"2001:db8:a::1", "100::1", "2001:db8:ff::fe"}
    assert told & {"2001:db8:a::1"}
