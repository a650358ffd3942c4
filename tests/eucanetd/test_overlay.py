"""Two nodes: what is one subnet to guests is two hosts and VXLAN between them."""

from __future__ import annotations

import pytest

from eucapy.wire.network import RemoteSpec
from tests.eucanetd.cloud import NetworkCloud, network_cloud
from tests.eucanetd.specs import OPEN, group, port, tcp, vpc

pytestmark = pytest.mark.host

ONE, TWO = port(1, "10.0.0.11"), port(2, "10.0.0.12")
NODES = {"n1": "10.8.0.1", "n2": "10.8.0.2"}


async def lay_out(cloud: NetworkCloud, groups: tuple = (OPEN,), one: object = ONE, two: object = TWO) -> None:  # type: ignore[type-arg]
    here, there = cloud.nodes
    await here.give([vpc(remotes=(RemoteSpec(ip="10.0.0.12", node="n2"),))], [one], groups, NODES)  # type: ignore[list-item]
    await there.give([vpc(remotes=(RemoteSpec(ip="10.0.0.11", node="n1"),))], [two], groups, NODES)  # type: ignore[list-item]


async def test_guests_of_one_subnet_on_two_nodes_reach_each_other() -> None:
    async with network_cloud(2) as cloud:
        await lay_out(cloud)
        here, there = cloud.nodes
        first, second = here.guest(ONE), there.guest(TWO)
        await here.settle()
        await there.settle()
        second.serve(7)
        assert first.reaches("10.0.0.12", 7) == "10.0.0.11"
        assert second.ping("10.0.0.11")


async def test_full_packets_pass_and_larger_ones_are_answered_with_the_size_that_fits() -> None:
    async with network_cloud(2) as cloud:
        await lay_out(cloud)
        here, there = cloud.nodes
        first, second = here.guest(ONE), there.guest(TWO)
        await here.settle()
        await there.settle()
        first.run("ip", "link", "set", "eth0", "mtu", "1450")
        second.run("ip", "link", "set", "eth0", "mtu", "1450")
        assert first.run("busybox", "ping", "-c1", "-W1", "-s", str(1450 - 28), "10.0.0.12", check=False).status == 0
        second.serve(7)
        with first.connect("10.0.0.12", 7) as connection:
            connection.sendall(b"x" * 20000 + b"\n")
            got = b""
            while got.count(b"x") < 20000:
                got += connection.recv(65536)


async def test_groups_hold_across_nodes() -> None:
    web = group("sg-web", members=("10.0.0.11",))
    data = group("sg-data", tcp(5432, group="sg-web"), members=("10.0.0.12",))
    one, two = port(1, "10.0.0.11", groups=("sg-web",)), port(2, "10.0.0.12", groups=("sg-data",))
    async with network_cloud(2) as cloud:
        await lay_out(cloud, (web, data), one, two)
        here, there = cloud.nodes
        first, second = here.guest(one), there.guest(two)
        await here.settle()
        await there.settle()
        for number in (5432, 22):
            first.serve(number)
            second.serve(number)
        assert first.reaches("10.0.0.12", 5432) == "10.0.0.11"
        assert first.is_kept_from("10.0.0.12", 22)
        assert first.gets_no_echo("10.0.0.12")
        assert second.is_kept_from("10.0.0.11", 22)


async def test_two_vpcs_with_the_same_addresses_share_the_underlay_and_nothing_else() -> None:
    theirs = port(3, "10.0.0.12", "vpc-b", groups=("sg-b",))
    groups = (OPEN, group("sg-b", *OPEN.ingress, vpc_id="vpc-b"))
    async with network_cloud(2) as cloud:
        here, there = cloud.nodes
        remote = (RemoteSpec(ip="10.0.0.12", node="n2"),)
        await here.give([vpc(remotes=remote)], [ONE], groups, NODES)
        await there.give([vpc(), vpc("vpc-b", 200)], [theirs], groups, NODES)
        first = here.guest(ONE)
        third = there.guest(theirs)
        await here.settle()
        await there.settle()
        third.serve(7)
        assert first.is_kept_from("10.0.0.12", 7)
        assert first.gets_no_echo("10.0.0.12")


async def test_an_address_that_moves_to_another_node_is_followed() -> None:
    async with network_cloud(2) as cloud:
        await lay_out(cloud)
        here, there = cloud.nodes
        first, second = here.guest(ONE), there.guest(TWO)
        await here.settle()
        await there.settle()
        assert first.ping("10.0.0.12")
        second.power_off()
        await there.give(
            [vpc(remotes=(RemoteSpec(ip="10.0.0.11", node="n1"), RemoteSpec(ip="10.0.0.12", node="n1")))], []
        )
        await here.give([vpc()], [ONE, TWO], nodes=NODES)
        here.guest(TWO)
        await here.settle()
        assert first.ping("10.0.0.12")


async def test_vxlan_from_a_host_that_is_no_node_is_not_heard() -> None:
    async with network_cloud(2) as cloud:
        await lay_out(cloud)
        here, there = cloud.nodes
        first, second = here.guest(ONE), there.guest(TWO)
        await here.settle()
        await there.settle()
        assert first.ping("10.0.0.12")
        await there.give([vpc(remotes=(RemoteSpec(ip="10.0.0.11", node="n1"),))], [TWO], nodes={"n2": "10.8.0.2"})
        assert first.gets_no_echo("10.0.0.12")
        assert second.ping("10.0.0.1")
