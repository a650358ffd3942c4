"""NAT gateways with real packets: out under one address from whatever node, nothing in, and a move to another node."""

from __future__ import annotations

import pytest

from eucapy.drivers.network.model import Route, SourceRule
from eucapy.wire.network import NatGatewaySpec, RemoteSpec, SubnetSpec, VpcSpec
from tests.eucanetd.cloud import network_cloud
from tests.eucanetd.specs import OPEN, port, vpc
from tests.harness.topology import FARAWAY, INTERNET

pytestmark = pytest.mark.host

INSIDE, OUTSIDE = "subnet-inside", "subnet-outside"
GATEWAY = "198.51.100.110"
GUEST = port(1, "10.0.1.11", subnet_id=INSIDE)
PEER = port(2, "10.0.1.12", subnet_id=INSIDE)
SHOWN = port(3, "10.0.0.11", subnet_id=OUTSIDE, public=(("10.0.0.11", "198.51.100.103"),))
NODES = {"n1": "10.8.0.1", "n2": "10.8.0.2"}


def with_gateway(node: str, *remotes: tuple[str, str]) -> VpcSpec:
    """10.0.1.0/24 behind a NAT gateway on `node`, "" being the one that is told."""
    subnets = (
        SubnetSpec(subnet_id=OUTSIDE, cidr="10.0.0.0/24", gateway="10.0.0.1"),
        SubnetSpec(subnet_id=INSIDE, cidr="10.0.1.0/24", gateway="10.0.1.1"),
    )
    gateway = NatGatewaySpec(gateway_id="nat-1", public_ip=GATEWAY, node=node, subnets=(INSIDE,))
    far = tuple(RemoteSpec(ip=ip, node=name) for ip, name in remotes)
    return vpc(subnets=subnets, nat_gateways=(gateway,), remotes=far)


async def test_guests_of_the_gateways_node_leave_under_its_address_and_nothing_comes_in() -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([with_gateway("")], [GUEST, PEER, SHOWN])
        guest, peer, shown = (cloud.node.guest(each) for each in (GUEST, PEER, SHOWN))
        await cloud.node.settle()
        internet = cloud.net.internet
        internet.serve(80)
        for each in (guest, shown):
            each.serve(22)
        assert guest.reaches(INTERNET, 80) == GATEWAY
        assert peer.reaches(FARAWAY, 80) == GATEWAY
        assert guest.ping(INTERNET)
        assert shown.reaches(INTERNET, 80) == "198.51.100.103"
        assert guest.reaches("10.0.0.11", 22) == "10.0.1.11", "within the VPC nothing is translated"
        assert guest.reaches("198.51.100.103", 22) == GATEWAY
        assert internet.is_kept_from(GATEWAY, 22)
        internet.run("ip", "route", "add", "10.0.1.0/24", "via", cloud.node.host.public)
        assert internet.is_kept_from("10.0.1.11", 22)
        assert guest.is_kept_from(cloud.node.host.underlay, 8773)


async def test_guests_of_other_nodes_go_by_the_gateways_node_which_needs_no_guest_of_its_own() -> None:
    async with network_cloud(2) as cloud:
        here, there = cloud.nodes
        await here.give([with_gateway("n2")], [GUEST], (OPEN,), NODES)
        await there.give([with_gateway("", ("10.0.1.11", "n1"))], [], (OPEN,), NODES)
        guest = here.guest(GUEST)
        await here.settle()
        await there.settle()
        cloud.net.internet.serve(80)
        assert guest.reaches(INTERNET, 80) == GATEWAY
        assert guest.ping(FARAWAY)
        assert guest.ping("10.0.1.1")
        assert guest.gets_no_echo("10.0.0.99")


async def test_a_gateway_that_moves_takes_new_connections_and_leaves_nothing_behind() -> None:
    async with network_cloud(2) as cloud:
        here, there = cloud.nodes
        await here.give([with_gateway("n2")], [GUEST], (OPEN,), NODES)
        await there.give([with_gateway("", ("10.0.1.11", "n1"))], [], (OPEN,), NODES)
        guest = here.guest(GUEST)
        await here.settle()
        await there.settle()
        cloud.net.internet.serve(80)
        assert guest.reaches(INTERNET, 80) == GATEWAY
        await there.give([], [], (OPEN,), NODES)
        await here.give([with_gateway("")], [GUEST], (OPEN,), NODES)
        assert guest.reaches(INTERNET, 80) == GATEWAY
        assert not (await there.driver.observe()).namespaces
        seen = (await here.driver.observe()).things
        assert not [thing for thing in seen if isinstance(thing, SourceRule)]
        assert not [thing for thing in seen if isinstance(thing, Route) and thing.table]


async def test_without_a_gateway_there_is_no_way_out() -> None:
    async with network_cloud(2) as cloud:
        here, _there = cloud.nodes
        await here.give([with_gateway("nowhere")], [GUEST], (OPEN,), NODES)
        guest = here.guest(GUEST)
        await here.settle()
        cloud.net.internet.serve(80)
        assert guest.is_kept_from(INTERNET, 80)
