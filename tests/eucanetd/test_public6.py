"""IPv6 between guests and the world, and between nodes: routed, never translated, by the port's way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from eucapy.wire.network import PeeringSpec, PeerRouteSpec, PortSpec, RemoteSpec, VpcSpec
from tests.eucanetd.cloud import NetworkCloud, Node, network_cloud
from tests.eucanetd.specs import ALL_OUT, ANY6, OPEN6, group, port, vpc6
from tests.harness.topology import Guest, ask

pytestmark = pytest.mark.host

WORLD, FAR = "2001:db8:ff::fe", "2001:db8:fa::1"
IP1, IP2 = "2001:db8:a::11", "2001:db8:a::12"
ONE = port(1, "10.0.0.11", ipv6s=(IP1,), way6="internet")
TWO = port(2, "10.0.0.12", ipv6s=(IP2,))
NODES = {"n1": "10.8.0.1", "n2": "10.8.0.2"}


def host6(number: int) -> str:
    return f"2001:db8:ff::{number}"


@asynccontextmanager
async def cloud6(hosts: int = 1, **layout: Any) -> AsyncIterator[NetworkCloud]:
    """A cloud whose public network has IPv6: the guests' block is on the link, the world behind a router."""
    async with network_cloud(hosts, **{"public6": True, **layout}) as cloud:
        for number, host in enumerate(cloud.net.hosts, start=1):
            host.run("ip", "addr", "add", f"{host6(number)}/64", "dev", "eth1", "nodad")
            host.run("ip", "-6", "route", "add", "default", "via", WORLD)
        world = cloud.net.internet
        world.run("ip", "addr", "add", f"{WORLD}/64", "dev", "eth1", "nodad")
        world.run("ip", "addr", "add", f"{FAR}/128", "dev", "lo")
        for block in ("2001:db8:a::/56", "2001:db8:b::/56"):
            world.run("ip", "-6", "route", "add", block, "dev", "eth1")
        yield cloud


async def plugged(cloud: NetworkCloud, *specs: PortSpec, on: int = 0) -> list[Guest]:
    node = cloud.nodes[on]
    guests = [node.guest(spec) for spec in specs]
    for guest, spec in zip(guests, specs, strict=True):
        guest.configure6(*spec.ipv6s)
    await node.settle()
    return guests


async def test_a_guest_with_an_internet_gateway_speaks_with_the_world_under_its_own_address() -> None:
    async with cloud6() as cloud:
        await cloud.node.give([vpc6()], [ONE], (OPEN6,))
        (guest,) = await plugged(cloud, ONE)
        cloud.net.internet.serve(80, "::")
        guest.serve(22, "::")
        assert guest.reaches(FAR, 80) == IP1
        assert cloud.net.internet.reaches(IP1, 22) == WORLD
        assert cloud.net.internet.ping(IP1)


async def test_groups_hold_for_the_world_too() -> None:
    closed = group("sg-all", egress=(*ALL_OUT, ANY6))
    async with cloud6() as cloud:
        await cloud.node.give([vpc6()], [ONE], (closed,))
        (guest,) = await plugged(cloud, ONE)
        assert guest.ping(FAR)
        assert cloud.net.internet.gets_no_echo(IP1)


async def test_behind_an_egress_only_gateway_a_guest_begins_and_nobody_else() -> None:
    away = msgspec.structs.replace(ONE, way6="egress-only")
    async with cloud6() as cloud:
        await cloud.node.give([vpc6()], [away], (OPEN6,))
        (guest,) = await plugged(cloud, away)
        cloud.net.internet.serve(80, "::")
        guest.serve(22, "::")
        assert guest.reaches(FAR, 80) == IP1
        assert guest.ping(FAR)
        assert cloud.net.internet.gets_no_echo(IP1)
        assert cloud.net.internet.is_kept_from(IP1, 22)
        await cloud.node.give([vpc6()], [ONE], (OPEN6,))
        assert cloud.net.internet.reaches(IP1, 22) == WORLD


async def test_without_a_way_nothing_leaves_and_nothing_comes_and_what_stands_is_cut() -> None:
    async with cloud6() as cloud:
        await cloud.node.give([vpc6()], [ONE, TWO], (OPEN6,))
        first, second = await plugged(cloud, ONE, TWO)
        cloud.net.internet.serve(80, "::")
        assert second.gets_no_echo(FAR)
        assert cloud.net.internet.gets_no_echo(IP2)
        assert first.ping(IP2)
        with first.connect(FAR, 80) as connection:
            assert ask(connection, "before") == f"{IP1} before"
            none = msgspec.structs.replace(ONE, way6="")
            await cloud.node.give([vpc6()], [none, TWO], (OPEN6,))
            connection.settimeout(1)
            with pytest.raises(OSError):
                ask(connection, "after")
        assert first.gets_no_echo(FAR)


async def test_a_public_address_of_ipv4_that_moves_cuts_nothing_of_ipv6() -> None:
    both = msgspec.structs.replace(ONE, public=(("10.0.0.11", "198.51.100.101"),))
    async with cloud6() as cloud:
        await cloud.node.give([vpc6()], [both], (OPEN6,))
        (guest,) = await plugged(cloud, both)
        cloud.net.internet.serve(80, "::")
        assert guest.ping("198.51.100.254")
        with guest.connect(FAR, 80) as connection:
            assert ask(connection, "before") == f"{IP1} before"
            await cloud.node.give([vpc6()], [ONE], (OPEN6,))
            assert guest.gets_no_echo("198.51.100.254")
            assert ask(connection, "after") == f"{IP1} after"


async def test_on_a_node_that_lets_no_ipv6_out_it_stays_in_the_vpc() -> None:
    async with cloud6(public6=False) as cloud:
        await cloud.node.give([vpc6()], [ONE, TWO], (OPEN6,))
        first, _ = await plugged(cloud, ONE, TWO)
        assert first.ping(IP2)
        assert first.gets_no_echo(FAR)
        assert first.gets_no_echo(host6(1))
        assert cloud.net.internet.gets_no_echo(IP1)
        assert cloud.node.host.run("cat", "/proc/sys/net/ipv6/conf/all/forwarding").stdout == "0\n"


async def test_the_nodes_are_out_of_reach() -> None:
    """From an address that speaks with the world, so that nothing but the guards stand between: this host's, and the other's,
    which knows guests by their blocks."""
    async with cloud6(2) as cloud:
        await cloud.nodes[0].give([vpc6()], [ONE], (OPEN6,), NODES)
        await cloud.nodes[1].give([vpc6()], [TWO], (OPEN6,), NODES)
        (guest,) = await plugged(cloud, ONE)
        assert guest.ping(FAR)
        for number, host in enumerate(cloud.net.hosts, start=1):
            host.serve(8773, "::")
            told = host.run("ip", "-6", "-o", "addr", "show", "dev", "eth1", "scope", "link").stdout.split()[3]
            for address in (host6(number), f"{told.partition('/')[0]}%eth0"):
                assert guest.gets_no_echo(address)
                assert guest.is_kept_from(address, 8773)
        assert cloud.net.internet.ping(host6(1))
        assert cloud.net.hosts[0].ping(host6(2)), "nodes are neighbours as ever"


async def test_guests_of_two_vpcs_meet_outside_and_their_groups_see_their_own_addresses() -> None:
    other = port(3, "10.0.0.12", "vpc-b", ipv6s=("2001:db8:b::12",), way6="internet", groups=("sg-b",))
    both = (OPEN6, group("sg-b", ANY6, egress=(*ALL_OUT, ANY6), vpc_id="vpc-b"))
    async with cloud6() as cloud:
        await cloud.node.give([vpc6(), vpc6("vpc-b", 200, block6="2001:db8:b")], [ONE, TWO, other], both)
        first, second, third = await plugged(cloud, ONE, TWO, other)
        third.serve(7, "::")
        assert first.reaches("2001:db8:b::12", 7) == IP1
        assert second.gets_no_echo("2001:db8:b::12")
        assert third.gets_no_echo(IP2)


async def test_too_large_is_said_by_nobody_who_is_a_host() -> None:
    async with cloud6() as cloud:
        await cloud.node.give([vpc6()], [ONE], (OPEN6,))
        (guest,) = await plugged(cloud, ONE)
        assert guest.ping(FAR)
        cloud.node.host.run("ip", "link", "set", "eth1", "mtu", "1300")
        guest.run("busybox", "ping", "-c2", "-W1", "-s", "1340", FAR, check=False)
        assert "mtu 1300" in guest.run("ip", "-6", "route", "get", FAR).stdout


async def test_an_address_that_moves_is_announced_by_its_new_node() -> None:
    moved = msgspec.structs.replace(ONE, tap="tap9")
    async with cloud6(2) as cloud:
        await cloud.nodes[0].give([vpc6()], [ONE], (OPEN6,), NODES)
        (guest,) = await plugged(cloud, ONE)
        assert cloud.net.internet.ping(IP1)
        guest.power_off()
        await cloud.nodes[0].give([vpc6()], [], (OPEN6,), NODES)
        await cloud.nodes[1].give([vpc6()], [moved], (OPEN6,), NODES)
        await plugged(cloud, moved, on=1)
        mac = cloud.net.hosts[1].run("ip", "-o", "link", "show", "eth1").stdout.split("link/ether ")[1].split()[0]
        assert mac in cloud.net.internet.run("ip", "-6", "neigh", "show", IP1).stdout
        assert cloud.net.internet.ping(IP1)


async def test_what_a_host_learned_from_its_router_it_keeps() -> None:
    """Who forwards believes no router, unless told so."""
    async with cloud6() as cloud:
        setting = "/proc/sys/net/ipv6/conf/{}/accept_ra"
        for link, value in (("eth0", "0"), ("eth1", "1")):
            cloud.node.host.run("sh", "-c", f"echo {value} > {setting.format(link)}")
        await cloud.node.give([vpc6()], [ONE], (OPEN6,))
        assert cloud.node.host.run("cat", setting.format("eth0"), setting.format("eth1")).stdout == "0\n2\n"


def remotes(*pairs: tuple[str, str]) -> tuple[RemoteSpec, ...]:
    return tuple(RemoteSpec(ip=ip, node=node) for ip, node in pairs)


async def test_guests_of_two_nodes_reach_each_other_with_full_sized_packets() -> None:
    async with cloud6(2, public6=False) as cloud:
        await cloud.nodes[0].give([vpc6(remotes=remotes((IP2, "n2"), ("10.0.0.12", "n2")))], [ONE], (OPEN6,), NODES)
        await cloud.nodes[1].give([vpc6(remotes=remotes((IP1, "n1"), ("10.0.0.11", "n1")))], [TWO], (OPEN6,), NODES)
        (first,), (second,) = await plugged(cloud, ONE), await plugged(cloud, TWO, on=1)
        for guest in (first, second):
            guest.run("ip", "link", "set", "eth0", "mtu", "1450")
        second.serve(7, "::")
        assert first.ping(IP2)
        assert first.reaches(IP2, 7) == IP1
        assert first.run("busybox", "ping", "-c1", "-W2", "-s", "1402", IP2, check=False).status == 0
        assert first.ping("10.0.0.12")


def peered(spec: VpcSpec, other: VpcSpec, *to: str) -> VpcSpec:
    """With a peering, and routes to these blocks."""
    subnet = spec.subnets[0].subnet_id
    peering = PeeringSpec(
        vpc_id=other.vpc_id,
        vni=other.vni,
        cidrs=(*other.cidrs, *other.cidrs6),
        routes=tuple(PeerRouteSpec(subnet_id=subnet, to=block) for block in to),
    )
    return msgspec.structs.replace(spec, peerings=(peering,))


@pytest.mark.parametrize("nodes", [1, 2])
async def test_peers_reach_each_other_by_the_routes_of_both(nodes: int) -> None:
    a, b = vpc6(), vpc6("vpc-b", 200, "10.9", "2001:db8:b")
    theirs = port(2, "10.9.0.12", "vpc-b", ipv6s=("2001:db8:b::12",), groups=("sg-b",))
    groups = (OPEN6, group("sg-b", *OPEN6.ingress, egress=OPEN6.egress, vpc_id="vpc-b"))
    async with cloud6(nodes, public6=False) as cloud:

        async def lay_out(*to_a: str) -> None:
            away, back = peered(a, b, "2001:db8:b::/56"), peered(b, a, *to_a)
            for number, node in enumerate(cloud.nodes):
                first_here, second_here = number == 0, number == nodes - 1
                vpcs = [
                    msgspec.structs.replace(away, remotes=() if first_here else remotes((IP1, "n1"))),
                    msgspec.structs.replace(back, remotes=() if second_here else remotes(("2001:db8:b::12", "n2"))),
                ]
                await node.give(vpcs, [*([ONE] * first_here), *([theirs] * second_here)], groups, NODES)

        await lay_out("2001:db8:a::/56")
        (first,), (second,) = await plugged(cloud, ONE), await plugged(cloud, theirs, on=nodes - 1)
        await settled(cloud.nodes)
        second.serve(7, "::")
        assert first.reaches("2001:db8:b::12", 7) == IP1
        assert second.ping(IP1)
        await lay_out()
        assert first.gets_no_echo("2001:db8:b::12")
        assert second.gets_no_echo(IP1)


async def settled(nodes: Sequence[Node]) -> None:
    for node in nodes:
        await node.settle()


async def test_a_firewall_of_the_hosts_own_lets_guests_pass_and_what_others_switch_off_is_switched_on_again() -> None:
    closed = "table ip6 filter {\n chain FORWARD {\n type filter hook forward priority 0; policy drop;\n }\n}\n"
    async with cloud6() as cloud:
        cloud.node.host.run("nft", "-f", "-", stdin=closed)
        await cloud.node.give([vpc6()], [ONE], (OPEN6,))
        (guest,) = await plugged(cloud, ONE)
        assert guest.ping(FAR)
        for setting, wrong in (("conf/eth1/proxy_ndp", "0"), ("conf/all/forwarding", "0")):
            path = f"/proc/sys/net/ipv6/{setting}"
            cloud.node.host.run("sh", "-c", f"echo {wrong} > {path}")
            await cloud.node.settle()
            assert cloud.node.host.run("cat", path).stdout == "1\n"
        cloud.net.internet.run("ip", "-6", "neigh", "flush", "dev", "eth1")
        assert cloud.net.internet.ping(IP1)
