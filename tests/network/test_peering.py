"""Peerings with real packets: VPCs that reach each other by private addresses, on one node and on two, and nothing further."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from eucapy.wire.network import AclEntrySpec, AclSpec, NatGatewaySpec, PeeringSpec, PeerRouteSpec, RemoteSpec, VpcSpec
from tests.eucanetd.cloud import NetworkCloud, network_cloud
from tests.eucanetd.specs import OPEN, group, port, tcp, vpc
from tests.harness.topology import Guest

pytestmark = pytest.mark.host

A, B, C = vpc("vpc-a", 100, "10.0"), vpc("vpc-b", 200, "10.1"), vpc("vpc-c", 300, "10.2")
FIRST = port(1, "10.0.0.11", "vpc-a", groups=("sg-a",))
SECOND = port(2, "10.1.0.12", "vpc-b", groups=("sg-b",))
THIRD = port(3, "10.2.0.13", "vpc-c", groups=("sg-c",))
ANY = OPEN.ingress
GROUPS = tuple(group(f"sg-{letter}", *ANY, vpc_id=f"vpc-{letter}") for letter in "abc")
NODES = {"n1": "10.8.0.1", "n2": "10.8.0.2"}
HTTP = 8080


def peered(one: VpcSpec, *others: VpcSpec, routes: bool = True, to: str = "", **more: Any) -> VpcSpec:
    """`one` with peerings to `others`, and routes to each from its subnet."""
    [subnet] = one.subnets
    found = tuple(
        PeeringSpec(
            vpc_id=other.vpc_id,
            vni=other.vni,
            cidrs=other.cidrs,
            routes=(PeerRouteSpec(subnet_id=subnet.subnet_id, to=to or other.cidrs[0]),) if routes else (),
        )
        for other in others
    )
    return msgspec.structs.replace(one, peerings=found, **more)


def far(node: str, *addresses: str) -> tuple[RemoteSpec, ...]:
    return tuple(RemoteSpec(ip=ip, node=node) for ip in addresses)


async def on_one_node(cloud: NetworkCloud, one: VpcSpec, two: VpcSpec, groups: Any = GROUPS) -> tuple[Guest, Guest]:
    await cloud.node.give([one, two], [FIRST, SECOND], groups)
    guests = cloud.node.guest(FIRST), cloud.node.guest(SECOND)
    await cloud.node.settle()
    for each in guests:
        each.serve(HTTP)
        each.serve(22)
    return guests


def echoes_come_to(guest: Guest) -> int:
    """How many echo requests have come to the guest."""
    names, values = guest.run("grep", "^Icmp:", "/proc/net/snmp").stdout.splitlines()
    return int(values.split()[names.split().index("InEchos")])


async def test_guests_of_peers_on_one_node_reach_each_other_by_private_addresses() -> None:
    async with network_cloud() as cloud:
        first, second = await on_one_node(cloud, peered(A, B), peered(B, A))
        assert first.reaches("10.1.0.12", HTTP) == "10.0.0.11"
        assert second.reaches("10.0.0.11", HTTP) == "10.1.0.12"
        assert first.ping("10.1.0.12")
        assert first.gets_no_echo("10.1.0.1"), "a peer's router is not reached"
        assert first.is_kept_from("10.1.0.2", 53), "nor its resolver"
        await cloud.node.settle()
        assert not cloud.node.agent.loop.last.changed  # type: ignore[union-attr]


async def test_guests_of_peers_on_two_nodes_reach_each_other() -> None:
    async with network_cloud(2) as cloud:
        here, there = cloud.nodes
        one, two = peered(A, B), peered(B, A)
        remote = msgspec.structs.replace
        await here.give([one, remote(two, remotes=far("n2", "10.1.0.12"))], [FIRST], GROUPS, NODES)
        await there.give([remote(one, remotes=far("n1", "10.0.0.11")), two], [SECOND], GROUPS, NODES)
        first, second = here.guest(FIRST), there.guest(SECOND)
        for node in cloud.nodes:
            await node.settle()
        for guest in (first, second):
            guest.serve(HTTP)
        assert first.reaches("10.1.0.12", HTTP) == "10.0.0.11"
        assert second.reaches("10.0.0.11", HTTP) == "10.1.0.12"
        assert first.ping("10.1.0.12")
        with first.connect("10.1.0.12", HTTP) as connection:
            connection.sendall(b"x" * 20000 + b"\n")
            got = b""
            while got.count(b"x") < 20000:
                got += connection.recv(65536)


async def test_without_a_route_back_there_are_no_answers() -> None:
    async with network_cloud() as cloud:
        first, second = await on_one_node(cloud, peered(A, B), peered(B, A, routes=False))
        assert first.is_kept_from("10.1.0.12", HTTP)
        assert first.gets_no_echo("10.1.0.12")
        assert second.is_kept_from("10.0.0.11", HTTP)
        assert echoes_come_to(second) == 1, "what was asked came"


async def test_routes_lead_to_the_blocks_that_they_name_and_no_further() -> None:
    async with network_cloud() as cloud:
        first, _ = await on_one_node(cloud, peered(A, B, to="10.1.0.0/28"), peered(B, A))
        assert first.reaches("10.1.0.12", HTTP) == "10.0.0.11"
        await cloud.node.give([peered(A, B, to="10.1.0.128/25"), peered(B, A)], [FIRST, SECOND], GROUPS)
        assert first.is_kept_from("10.1.0.12", HTTP)
        assert first.gets_no_echo("10.1.0.12")
        await cloud.node.give([peered(A, B, to="0.0.0.0/0"), peered(B, A)], [FIRST, SECOND], GROUPS)
        assert first.reaches("10.1.0.12", HTTP) == "10.0.0.11"
        cloud.net.internet.serve(80)
        assert first.is_kept_from("198.51.100.254", 80), "a peer is no way to the world"


async def test_a_subnet_goes_by_a_nat_gateway_elsewhere_and_by_a_peering() -> None:
    [subnet] = A.subnets
    gateway = NatGatewaySpec(gateway_id="nat-1", public_ip="198.51.100.110", node="n2", subnets=(subnet.subnet_id,))
    replace = msgspec.structs.replace
    async with network_cloud(2) as cloud:
        here, there = cloud.nodes
        await here.give([peered(A, B, nat_gateways=(gateway,)), peered(B, A)], [FIRST, SECOND], GROUPS, NODES)
        translating = peered(A, B, nat_gateways=(replace(gateway, node=""),), remotes=far("n1", "10.0.0.11"))
        behind = peered(B, A, remotes=far("n1", "10.1.0.12"))
        await there.give([translating, behind], [], GROUPS, NODES)
        first, second = here.guest(FIRST), here.guest(SECOND)
        for node in cloud.nodes:
            await node.settle()
        second.serve(HTTP)
        cloud.net.internet.serve(80)
        assert first.reaches("198.51.100.254", 80) == "198.51.100.110"
        assert first.reaches("203.0.113.1", 80) == "198.51.100.110"
        assert first.reaches("10.1.0.12", HTTP) == "10.0.0.11"


async def test_what_a_black_hole_is_about_goes_no_other_way() -> None:
    shown = msgspec.structs.replace(FIRST, public=(("10.0.0.11", "198.51.100.101"),))
    [subnet] = A.subnets
    hole = PeerRouteSpec(subnet_id=subnet.subnet_id, to="198.51.100.254/32")
    async with network_cloud() as cloud:
        await cloud.node.give([A], [shown], GROUPS)
        first = cloud.node.guest(shown)
        await cloud.node.settle()
        cloud.net.internet.serve(80)
        assert first.reaches("198.51.100.254", 80) == "198.51.100.101"
        await cloud.node.give([msgspec.structs.replace(A, black_holes=(hole,))], [shown], GROUPS)
        assert first.is_kept_from("198.51.100.254", 80)
        assert first.reaches("203.0.113.1", 80) == "198.51.100.101"


async def test_a_peers_peer_is_not_reached() -> None:
    async with network_cloud() as cloud:
        reach = "10.0.0.0/8"
        a, c = peered(A, B, to=reach), peered(C, B, to=reach)
        await cloud.node.give([a, peered(B, A, C), c], [FIRST, SECOND, THIRD], GROUPS)
        first, second, third = (cloud.node.guest(each) for each in (FIRST, SECOND, THIRD))
        await cloud.node.settle()
        for guest in (second, third):
            guest.serve(HTTP)
        assert first.reaches("10.1.0.12", HTTP) == "10.0.0.11"
        assert third.reaches("10.1.0.12", HTTP) == "10.2.0.13"
        assert first.is_kept_from("10.2.0.13", HTTP)
        assert third.gets_no_echo("10.0.0.11")


async def test_groups_of_the_peer_can_be_named_in_rules() -> None:
    web = group("sg-a", members=("10.0.0.11",))
    data = group("sg-b", tcp(HTTP, group="sg-a"), vpc_id="vpc-b")
    async with network_cloud() as cloud:
        first, second = await on_one_node(cloud, peered(A, B), peered(B, A), (web, data))
        assert first.reaches("10.1.0.12", HTTP) == "10.0.0.11"
        assert first.is_kept_from("10.1.0.12", 22)
        assert second.is_kept_from("10.0.0.11", 22)


async def test_the_acls_of_both_subnets_judge_what_crosses() -> None:
    everything = AclEntrySpec(allow=True, protocol="-1", cidr="0.0.0.0/0")
    no_ssh = AclEntrySpec(allow=False, protocol="tcp", from_port=22, to_port=22, cidr="10.0.0.0/8")
    [subnet] = B.subnets

    def guarded(**ways: Any) -> VpcSpec:
        acl = AclSpec(acl_id="acl-b", **{"ingress": (everything,), "egress": (everything,), **ways})
        return peered(B, A, subnets=(msgspec.structs.replace(subnet, acl="acl-b"),), acls=(acl,))

    async with network_cloud() as cloud:
        first, second = await on_one_node(cloud, peered(A, B), guarded(ingress=(no_ssh, everything)))
        assert first.reaches("10.1.0.12", HTTP) == "10.0.0.11"
        assert first.is_kept_from("10.1.0.12", 22)
        assert second.reaches("10.0.0.11", 22) == "10.1.0.12"
        await cloud.node.give([peered(A, B), guarded(egress=(no_ssh, everything))], [FIRST, SECOND], GROUPS)
        assert first.reaches("10.1.0.12", 22) == "10.0.0.11"
        assert second.is_kept_from("10.0.0.11", 22)


async def test_a_third_vpc_with_a_peers_addresses_is_not_met() -> None:
    twin = vpc("vpc-c", 300, "10.1")
    there = port(3, "10.1.0.12", "vpc-c", groups=("sg-c",))
    async with network_cloud() as cloud:
        await cloud.node.give([peered(A, B), peered(B, A), twin], [FIRST, SECOND, there], GROUPS)
        first, second, third = (cloud.node.guest(each) for each in (FIRST, SECOND, there))
        await cloud.node.settle()
        second.serve(HTTP)
        third.serve(22)
        assert first.reaches("10.1.0.12", HTTP) == "10.0.0.11"
        assert first.is_kept_from("10.1.0.12", 22)
        assert third.is_kept_from("10.0.0.11", HTTP)


async def test_what_a_peer_may_not_send_from_does_not_arrive() -> None:
    loose = msgspec.structs.replace(FIRST, source_dest_check=False)
    async with network_cloud() as cloud:
        await cloud.node.give([peered(A, B), peered(B, A, to="0.0.0.0/0")], [loose, SECOND], GROUPS)
        first, second = cloud.node.guest(loose), cloud.node.guest(SECOND)
        await cloud.node.settle()
        assert first.ping("10.1.0.12")

        before = echoes_come_to(second)
        first.run("ip", "addr", "add", "10.0.0.99/32", "dev", "lo")
        first.run("busybox", "ping", "-c", "1", "-W", "1", "-I", "10.0.0.99", "10.1.0.12", check=False)
        assert echoes_come_to(second) == before + 1, "another address of its VPC's"
        first.run("ip", "addr", "add", "10.9.0.99/32", "dev", "lo")
        first.run("busybox", "ping", "-c", "1", "-W", "1", "-I", "10.9.0.99", "10.1.0.12", check=False)
        assert echoes_come_to(second) == before + 1, "an address that is none of its VPC's"


async def test_a_peering_that_ends_leaves_nothing_behind() -> None:
    async with network_cloud() as cloud:
        first, second = await on_one_node(cloud, peered(A, B), peered(B, A))
        assert first.reaches("10.1.0.12", HTTP) == "10.0.0.11"
        await cloud.node.give([A, B], [FIRST, SECOND], GROUPS)
        assert first.is_kept_from("10.1.0.12", HTTP)
        assert second.gets_no_echo("10.0.0.11")
        seen = (await cloud.node.driver.observe()).things
        assert not [thing for thing in seen if getattr(thing, "name", "").startswith("peer")]
        await cloud.node.give([peered(A, B), peered(B, A)], [FIRST, SECOND], GROUPS)
        assert first.reaches("10.1.0.12", HTTP) == "10.0.0.11"
        await cloud.node.give([A], [FIRST], GROUPS)
        assert first.ping("10.0.0.1")


async def test_one_vpc_alone_opens_nothing() -> None:
    async with network_cloud() as cloud:
        first, second = await on_one_node(cloud, peered(A, B), B)
        assert first.is_kept_from("10.1.0.12", HTTP)
        assert second.is_kept_from("10.0.0.11", HTTP)


async def test_a_pair_that_somebody_removes_is_made_again() -> None:
    async with network_cloud() as cloud:
        first, second = await on_one_node(cloud, peered(A, B), peered(B, A))
        assert first.reaches("10.1.0.12", HTTP) == "10.0.0.11"
        inside = ("nsenter", f"--net=/run/netns/{cloud.node.layout.namespace('vpc-b')}")
        cloud.node.host.run(*inside, "ip", "link", "delete", "peer64")
        assert second.is_kept_from("10.0.0.11", HTTP)
        await cloud.node.settle()
        assert first.reaches("10.1.0.12", HTTP) == "10.0.0.11"
        assert second.reaches("10.0.0.11", HTTP) == "10.1.0.12"
