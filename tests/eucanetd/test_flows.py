"""Flow logs with real packets: what was accepted and what was refused, by the interface that it left or reached."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from eucapy.clock import ManualClock
from eucapy.drivers.network import flow_counts
from eucapy.eucanetd.flows import WINDOW_S
from eucapy.run import in_netns, run_now
from eucapy.wire.flows import FlowRecord, FlowWindow
from eucapy.wire.network import AclEntrySpec, AclSpec, RemoteSpec, RuleSpec, SubnetSpec, VpcSpec
from tests.eucanetd.cloud import Node, network_cloud
from tests.eucanetd.specs import ALL_OUT, ANY6, OPEN, OPEN6, PING, group, port, tcp, vpc, vpc6
from tests.harness.topology import INTERNET

pytestmark = pytest.mark.host

START = 1_800_000_000
SSH = tcp(22, cidr="0.0.0.0/0")
GROUP = group("sg-some", PING, SSH)
FRONT, BACK = "subnet-front", "subnet-back"
ONE = port(1, "10.0.0.11", public=(("10.0.0.11", "198.51.100.101"),))
TWO = port(2, "10.0.0.12", groups=("sg-some",))
NODES = {"n1": "10.8.0.1", "n2": "10.8.0.2"}

Seen = dict[tuple[str, str, str, str, str, int], FlowRecord]


async def window(node: Node, clock: ManualClock) -> FlowWindow:
    """The window that ends a minute from now."""
    clock.advance(WINDOW_S)
    return await ended(node)


async def ended(node: Node) -> FlowWindow:
    """The window that has just ended."""
    kept = await node.agent.flow_loop.activate()
    outcome = node.agent.flow_loop.last
    assert outcome is not None and not outcome.error, outcome
    assert kept
    return (await node.agent.flows(0)).windows[-1]


def told(one: FlowWindow) -> Seen:
    """Records by (owner, way, verdict, source, target, the well-known one of both ports)."""
    found: Seen = {}
    for record in one.records:
        way, verdict = "in" if record.received else "out", "no" if record.refused else "yes"
        known = min(record.source_port, record.target_port)
        found[(record.owner, way, verdict, record.source, record.target, known)] = record
    return found


async def test_a_connection_is_four_records_and_a_refused_one_two() -> None:
    clock = ManualClock(START)
    async with network_cloud(clock=clock) as cloud:
        await cloud.node.give([vpc(flow_logs=("vpc-a",))], [ONE, TWO], (OPEN, GROUP))
        one, two = cloud.node.guest(ONE), cloud.node.guest(TWO)
        await cloud.node.settle()
        two.serve(22)
        two.serve(80)
        assert one.reaches("10.0.0.12", 22) == "10.0.0.11"
        assert one.is_kept_from("10.0.0.12", 80)
        seen = await window(cloud.node, clock)
        assert (seen.begin, seen.end, seen.skipped) == (START, START + WINDOW_S, ())
        assert [(each.interface_id, each.instance_id, each.address) for each in seen.interfaces] == [
            ("eni-1", "i-1", "10.0.0.11"),
            ("eni-2", "i-2", "10.0.0.12"),
        ]
        records = told(seen)
        there = [
            records[(who, way, "yes", "10.0.0.11", "10.0.0.12", 22)] for who, way in (("eni-1", "out"), ("eni-2", "in"))
        ]
        back = [
            records[(who, way, "yes", "10.0.0.12", "10.0.0.11", 22)] for who, way in (("eni-2", "out"), ("eni-1", "in"))
        ]
        assert there[0].packets == there[1].packets >= 3
        assert there[0].bytes == there[1].bytes >= 3 * 40
        assert {each.protocol for each in (*there, *back)} == {6}
        assert {each.tcp_flags & ~4 for each in there} == {2 | 1}, "SYN and FIN"
        assert {each.tcp_flags & 18 for each in back} == {18}, "SYN and ACK together"
        asked = records[("eni-1", "out", "yes", "10.0.0.11", "10.0.0.12", 80)]
        refused = records[("eni-2", "in", "no", "10.0.0.11", "10.0.0.12", 80)]
        assert asked.packets == refused.packets >= 1
        assert (asked.tcp_flags, refused.tcp_flags) == (2, 2)
        assert ("eni-2", "in", "yes", "10.0.0.11", "10.0.0.12", 80) not in records


async def test_what_a_guest_may_not_send_is_refused_at_its_own_interface_and_reaches_nobody() -> None:
    clock = ManualClock(START)
    mute = group("sg-mute", PING, egress=(tcp(22, cidr="10.0.0.11/32"),))
    quiet = port(2, "10.0.0.12", groups=("sg-mute",))
    async with network_cloud(clock=clock) as cloud:
        await cloud.node.give([vpc(flow_logs=("vpc-a",))], [ONE, quiet], (OPEN, mute))
        one, two = cloud.node.guest(ONE), cloud.node.guest(quiet)
        await cloud.node.settle()
        one.serve(80)
        assert two.is_kept_from("10.0.0.11", 80)
        records = told(await window(cloud.node, clock))
        assert [key[:3] for key in records if key[5] == 80] == [("eni-2", "out", "no")]


async def test_echoes_have_no_ports_and_what_a_guest_asks_of_the_vpc_is_no_flow() -> None:
    clock = ManualClock(START)
    async with network_cloud(clock=clock) as cloud:
        await cloud.node.give([vpc(flow_logs=("vpc-a",))], [ONE, TWO], (OPEN, GROUP))
        one = cloud.node.guest(ONE)
        cloud.node.guest(TWO)
        await cloud.node.settle()
        assert one.ping("10.0.0.1")
        assert one.ping("10.0.0.12")
        seen = await window(cloud.node, clock)
        records = told(seen)
        assert set(records) == {
            ("eni-1", "out", "yes", "10.0.0.11", "10.0.0.12", 0),
            ("eni-2", "in", "yes", "10.0.0.11", "10.0.0.12", 0),
            ("eni-2", "out", "yes", "10.0.0.12", "10.0.0.11", 0),
            ("eni-1", "in", "yes", "10.0.0.12", "10.0.0.11", 0),
        }
        assert {each.protocol for each in seen.records} == {1}


async def test_the_world_is_seen_with_private_addresses_here_and_public_ones_there() -> None:
    clock = ManualClock(START)
    async with network_cloud(clock=clock) as cloud:
        await cloud.node.give([vpc(flow_logs=("eni-1",))], [ONE, TWO], (OPEN, GROUP))
        one = cloud.node.guest(ONE)
        await cloud.node.settle()
        cloud.net.internet.serve(80)
        one.serve(22)
        assert one.reaches(INTERNET, 80) == "198.51.100.101"
        assert cloud.net.internet.reaches("198.51.100.101", 22) == INTERNET
        records = told(await window(cloud.node, clock))
        assert set(records) == {
            ("eni-1", "out", "yes", "10.0.0.11", INTERNET, 80),
            ("eni-1", "in", "yes", INTERNET, "10.0.0.11", 80),
            ("eni-1", "in", "yes", INTERNET, "10.0.0.11", 22),
            ("eni-1", "out", "yes", "10.0.0.11", INTERNET, 22),
        }


async def test_only_what_a_log_is_about_is_counted_and_without_logs_there_is_nothing_in_the_rules() -> None:
    clock = ManualClock(START)
    async with network_cloud(clock=clock) as cloud:
        node = cloud.node
        await node.give([vpc(flow_logs=("eni-2",))], [ONE, TWO], (OPEN, GROUP))
        one, two = node.guest(ONE), node.guest(TWO)
        await node.settle()
        two.serve(22)
        assert one.reaches("10.0.0.12", 22)
        assert {key[0] for key in told(await window(node, clock))} == {"eni-2"}
        with one.connect("10.0.0.12", 22) as connection:
            await node.give([vpc()], [ONE, TWO], (OPEN, GROUP))
            assert flow_counts.PORTS not in rules(node)
            connection.sendall(b"still\n")
            assert b"still" in connection.recv(100)
            await node.give([vpc(flow_logs=("subnet-vpc-a",))], [ONE, TWO], (OPEN, GROUP))
            connection.sendall(b"again\n")
            assert b"again" in connection.recv(100)
        clock.advance(WINDOW_S)
        await node.agent.flow_loop.activate()
        assert one.reaches("10.0.0.12", 22)
        assert {key[0] for key in told(await window(node, clock))} == {"eni-1", "eni-2"}


def rules(node: Node) -> str:
    return run_now(*in_netns(node.layout.namespace("vpc-a"), ["nft", "list", "ruleset"])).stdout


async def test_every_packet_is_in_one_window_whatever_happens_to_rules_and_agent() -> None:
    clock = ManualClock(START)
    sums: dict[str, int] = defaultdict(int)

    async def add(node: Node) -> None:
        for record in (await window(node, clock)).records:
            if record.protocol == 17:
                sums[record.owner] += record.packets

    async with network_cloud(clock=clock) as cloud:
        node = cloud.node
        logged = vpc(flow_logs=("vpc-a",))
        await node.give([logged], [ONE, TWO], (OPEN, GROUP))
        one = node.guest(ONE)
        node.guest(TWO)
        await node.settle()
        for round_ in range(5):
            send(one, "10.0.0.12", 7)
            if round_ == 1:
                # Another rule, another port: the rule set is changed where it stands.
                changed = group("sg-some", PING, SSH, tcp(23, cidr="0.0.0.0/0"))
                await node.give([logged], [ONE, TWO, port(3, "10.0.0.13")], (OPEN, changed))
            elif round_ == 2:
                # A new agent does not know what is loaded, and the spec has changed: the rule set is replaced whole.
                await node.restart()
                await node.give([logged], [ONE, TWO], (OPEN, GROUP))
            if round_ != 3:
                await add(node)
        await add(node)
        assert sums == {"eni-1": 35, "eni-2": 35}


def send(guest: Any, target: str, count: int) -> None:
    """Datagrams to a port that nobody may reach."""
    code = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"for n in range({count}): s.sendto(b'x', ('{target}', 99))"
    )
    guest.run("python3", "-c", code)


async def test_the_last_flows_of_a_guest_that_ends_are_told() -> None:
    clock = ManualClock(START)
    async with network_cloud(clock=clock) as cloud:
        node = cloud.node
        await node.give([vpc(flow_logs=("vpc-a",))], [ONE], (OPEN,))
        one = node.guest(ONE)
        await node.settle()
        cloud.net.internet.serve(80)
        assert one.reaches(INTERNET, 80)
        one.power_off()
        await node.give([], [], ())
        await node.settle()
        seen = await window(node, clock)
        assert ("eni-1", "out", "yes", "10.0.0.11", INTERNET, 80) in told(seen)
        assert [each.interface_id for each in seen.interfaces] == ["eni-1"]


async def test_flows_without_room_pass_and_the_window_says_that_it_skipped_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flow_counts, "SIZE", 32)
    clock = ManualClock(START)
    async with network_cloud(clock=clock) as cloud:
        await cloud.node.give([vpc(flow_logs=("eni-1",))], [ONE, TWO], (OPEN, GROUP))
        one, two = cloud.node.guest(ONE), cloud.node.guest(TWO)
        await cloud.node.settle()
        code = (
            "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "for n in range(200): s.sendto(b'x', ('10.0.0.12', 1024 + n))"
        )
        one.run("python3", "-c", code)
        two.serve(22)
        assert one.reaches("10.0.0.12", 22), "what is not counted passes all the same"
        seen = await window(cloud.node, clock)
        assert seen.skipped == ("vpc-a",)
        assert len(seen.records) <= 32
        assert (await window(cloud.node, clock)).skipped == ()


ALL = AclEntrySpec(allow=True, protocol="-1", cidr="0.0.0.0/0")


def guarded(ingress: tuple[AclEntrySpec, ...], egress: tuple[AclEntrySpec, ...], **more: Any) -> VpcSpec:
    """10.0.0.0/24 is open, 10.0.1.0/24 guarded."""
    subnets = (
        SubnetSpec(subnet_id=FRONT, cidr="10.0.0.0/24", gateway="10.0.0.1"),
        SubnetSpec(subnet_id=BACK, cidr="10.0.1.0/24", gateway="10.0.1.1", acl="acl-back"),
    )
    acl = AclSpec(acl_id="acl-back", ingress=ingress, egress=egress)
    return vpc(subnets=subnets, acls=(acl,), flow_logs=("vpc-a",), **more)


async def test_an_acl_refuses_at_the_interface_whose_subnet_it_guards() -> None:
    clock = ManualClock(START)
    first = port(1, "10.0.0.11", subnet_id=FRONT)
    second = port(2, "10.0.1.11", subnet_id=BACK)
    ssh = AclEntrySpec(allow=True, protocol="6", from_port=22, to_port=22, cidr="0.0.0.0/0")
    async with network_cloud(clock=clock) as cloud:
        await cloud.node.give([guarded((ssh,), (ssh,))], [first, second])
        one, two = cloud.node.guest(first), cloud.node.guest(second)
        await cloud.node.settle()
        assert one.is_kept_from("10.0.1.11", 80)
        assert two.is_kept_from("10.0.0.11", 80)
        records = told(await window(cloud.node, clock))
        assert {key[:3] for key in records if key[3] == "10.0.0.11"} == {("eni-1", "out", "yes"), ("eni-2", "in", "no")}
        assert {key[:3] for key in records if key[3] == "10.0.1.11"} == {("eni-2", "out", "no")}


async def test_both_families_are_counted_alike() -> None:
    clock = ManualClock(START)
    one, two = "2001:db8:a::11", "2001:db8:a::12"
    first = port(1, "10.0.0.11", ipv6s=(one,))
    second = port(2, "10.0.0.12", ipv6s=(two,), groups=("sg-six",))
    ping6 = RuleSpec(protocol="icmpv6", cidr="::/0")
    six = group("sg-six", tcp(22, cidr="::/0"), ping6, egress=(*ALL_OUT, ANY6))
    async with network_cloud(clock=clock) as cloud:
        await cloud.node.give([vpc6(flow_logs=("vpc-a",))], [first, second], (OPEN6, six))
        here, there = cloud.node.guest(first), cloud.node.guest(second)
        here.configure6(one)
        there.configure6(two)
        await cloud.node.settle()
        for number in (22, 80):
            there.serve(number, "::")
        assert here.reaches(two, 22) == one
        assert here.is_kept_from(two, 80)
        assert here.ping(two)
        assert here.ping("2001:db8:a::1"), "the gateway's echo is no flow"
        seen = await window(cloud.node, clock)
        records = told(seen)
        forth, back = (one, two), (two, one)
        assert set(records) == {
            *(
                (who, way, "yes", *forth, known)
                for known in (0, 22)
                for who, way in (("eni-1", "out"), ("eni-2", "in"))
            ),
            *((who, way, "yes", *back, known) for known in (0, 22) for who, way in (("eni-2", "out"), ("eni-1", "in"))),
            ("eni-1", "out", "yes", *forth, 80),
            ("eni-2", "in", "no", *forth, 80),
        }
        assert records["eni-2", "out", "yes", *back, 22].tcp_flags & 18 == 18
        assert {each.protocol for each in seen.records} == {6, 58}
        assert seen.skipped == ()


async def test_across_nodes_each_tells_of_its_own_and_of_an_acl_that_keeps_a_packet_from_the_other() -> None:
    clock = ManualClock(START)
    first = port(1, "10.0.0.11", subnet_id=FRONT)
    second = port(2, "10.0.1.11", subnet_id=BACK)
    ssh = AclEntrySpec(allow=True, protocol="6", from_port=22, to_port=22, cidr="0.0.0.0/0")
    async with network_cloud(2, clock=clock) as cloud:
        here, there = cloud.nodes
        to, back = RemoteSpec(ip="10.0.1.11", node="n2"), RemoteSpec(ip="10.0.0.11", node="n1")
        await here.give([guarded((ssh,), (ALL,), remotes=(to,))], [first], (OPEN,), NODES)
        await there.give([guarded((ssh,), (ALL,), remotes=(back,))], [second], (OPEN,), NODES)
        one, two = here.guest(first), there.guest(second)
        await here.settle()
        await there.settle()
        two.serve(22)
        assert one.reaches("10.0.1.11", 22) == "10.0.0.11"
        assert one.is_kept_from("10.0.1.11", 80)
        mine = told(await window(here, clock))
        theirs = told(await ended(there))
        assert {key[:3] for key in mine if key[5] == 22} == {("eni-1", "out", "yes"), ("eni-1", "in", "yes")}
        assert {key[:3] for key in theirs if key[5] == 22} == {("eni-2", "out", "yes"), ("eni-2", "in", "yes")}
        assert {key[:3] for key in mine if key[5] == 80} == {("eni-1", "out", "yes"), ("vpc-a", "in", "no")}
        assert not [key for key in theirs if key[5] == 80]
