"""Public addresses: in, out, between guests, from node to node."""

from __future__ import annotations

import msgspec
import pytest

from tests.eucanetd.cloud import network_cloud
from tests.eucanetd.specs import OPEN, group, port, tcp, vpc
from tests.harness.topology import FARAWAY, INTERNET, ask

pytestmark = pytest.mark.host

PUBLIC_ONE, PUBLIC_TWO = "198.51.100.101", "198.51.100.102"
ONE = port(1, "10.0.0.11", public=(("10.0.0.11", PUBLIC_ONE),))
TWO = port(2, "10.0.0.12", public=(("10.0.0.12", PUBLIC_TWO),))
PLAIN = port(3, "10.0.0.13")


async def test_a_public_address_works_in_and_out_and_from_the_host_itself() -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [ONE, PLAIN])
        guest, plain = cloud.node.guest(ONE), cloud.node.guest(PLAIN)
        await cloud.node.settle()
        guest.serve(22)
        internet = cloud.net.internet
        internet.serve(80)
        assert internet.reaches(PUBLIC_ONE, 22) == INTERNET
        assert internet.ping(PUBLIC_ONE)
        assert guest.reaches(INTERNET, 80) == PUBLIC_ONE
        assert guest.reaches(FARAWAY, 80) == PUBLIC_ONE
        assert cloud.node.host.reaches(PUBLIC_ONE, 22) in (cloud.node.host.public, cloud.node.host.underlay)
        assert plain.is_kept_from(INTERNET, 80)


async def test_guests_of_one_vpc_meet_at_their_public_addresses_and_groups_see_those() -> None:
    public_only = group("sg-p", tcp(22, cidr=f"{PUBLIC_ONE}/32"))
    async with network_cloud() as cloud:
        two = msgspec.structs.replace(TWO, groups=("sg-p",))
        await cloud.node.give([vpc()], [ONE, two, PLAIN], (OPEN, public_only))
        first, second, plain = (cloud.node.guest(each) for each in (ONE, TWO, PLAIN))
        await cloud.node.settle()
        second.serve(22)
        assert first.reaches(PUBLIC_TWO, 22) == PUBLIC_ONE
        assert first.is_kept_from("10.0.0.12", 22)
        assert plain.is_kept_from(PUBLIC_TWO, 22)


async def test_a_guest_reaches_itself_at_its_public_address() -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [ONE])
        guest = cloud.node.guest(ONE)
        await cloud.node.settle()
        guest.serve(22)
        assert guest.reaches(PUBLIC_ONE, 22) == PUBLIC_ONE


async def test_an_address_that_moves_cuts_what_it_carried_and_serves_its_new_owner() -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [ONE, PLAIN])
        guest, other = cloud.node.guest(ONE), cloud.node.guest(PLAIN)
        await cloud.node.settle()
        guest.serve(22)
        other.serve(22)
        internet = cloud.net.internet
        internet.serve(80)
        with internet.connect(PUBLIC_ONE, 22) as inward, guest.connect(INTERNET, 80) as outward:
            ask(inward, "hello")
            ask(outward, "hello")
            moved = msgspec.structs.replace(PLAIN, public=(("10.0.0.13", PUBLIC_ONE),))
            renumbered = msgspec.structs.replace(ONE, public=(("10.0.0.11", PUBLIC_TWO),))
            await cloud.node.give([vpc()], [renumbered, moved])
            for connection in (inward, outward):
                connection.settimeout(1.0)
                with pytest.raises(OSError):
                    ask(connection, "still there?")
        assert internet.reaches(PUBLIC_ONE, 22) == INTERNET
        assert other.reaches(INTERNET, 80) == PUBLIC_ONE
        assert guest.reaches(INTERNET, 80) == PUBLIC_TWO


async def test_an_address_follows_its_guest_to_another_node() -> None:
    async with network_cloud(2) as cloud:
        here, there = cloud.nodes
        await here.give([vpc()], [ONE])
        guest = here.guest(ONE)
        await here.settle()
        assert cloud.net.internet.ping(PUBLIC_ONE), "and so the neighbours have the first node in their caches"
        guest.power_off()
        await here.give([], [])
        away = port(4, "10.0.0.14", public=(("10.0.0.14", PUBLIC_ONE),))
        await there.give([vpc()], [away])
        there.guest(away)
        await there.settle()
        assert cloud.net.internet.ping(PUBLIC_ONE)


async def test_without_an_internet_gateway_nothing_comes_or_goes() -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [ONE])
        guest = cloud.node.guest(ONE)
        await cloud.node.settle()
        assert cloud.net.internet.ping(PUBLIC_ONE)
        await cloud.node.give([vpc(internet=False)], [ONE])
        assert cloud.net.internet.gets_no_echo(PUBLIC_ONE)
        assert guest.gets_no_echo(INTERNET)


async def test_vpcs_meet_only_at_public_addresses() -> None:
    theirs = port(2, "10.0.0.12", "vpc-b", groups=("sg-b",), public=(("10.0.0.12", PUBLIC_TWO),))
    groups = (OPEN, group("sg-b", tcp(22, cidr=f"{PUBLIC_ONE}/32"), vpc_id="vpc-b"))
    async with network_cloud() as cloud:
        await cloud.node.give([vpc(), vpc("vpc-b", 200)], [ONE, theirs], groups)
        first, second = cloud.node.guest(ONE), cloud.node.guest(theirs)
        await cloud.node.settle()
        second.serve(22)
        assert first.reaches(PUBLIC_TWO, 22) == PUBLIC_ONE
        assert first.is_kept_from("10.0.0.12", 22)


async def test_masquerade_lends_the_nodes_address_where_the_public_range_is_not_routed() -> None:
    unrouted = port(1, "10.0.0.11", public=(("10.0.0.11", "192.0.2.50"),))
    async with network_cloud(masquerade=True) as cloud:
        await cloud.node.give([vpc()], [unrouted])
        guest = cloud.node.guest(unrouted)
        await cloud.node.settle()
        cloud.net.internet.serve(80)
        guest.serve(22)
        assert guest.reaches(INTERNET, 80) == cloud.node.host.public
        assert cloud.node.host.ping("192.0.2.50")


async def test_guests_reach_the_hosts_ports_that_are_opened_to_them_and_no_others() -> None:
    async with network_cloud(host_ports=(8773,)) as cloud:
        await cloud.node.give([vpc()], [ONE])
        guest = cloud.node.guest(ONE)
        await cloud.node.settle()
        cloud.node.host.serve(8773)
        cloud.node.host.serve(22)
        assert guest.reaches(cloud.node.host.public, 8773) == PUBLIC_ONE
        assert guest.is_kept_from(cloud.node.host.public, 22)


async def test_a_firewall_of_the_hosts_own_that_forwards_nothing_is_passed_and_else_left_as_it_is() -> None:
    docker = "table ip filter {\n chain FORWARD {\n type filter hook forward priority filter; policy %s;\n }\n}\n"
    async with network_cloud() as cloud:
        host = cloud.node.host

        def ours() -> int:
            return host.run("nft", "list", "chain", "ip", "filter", "FORWARD").stdout.count("counter")

        host.run("nft", "-f", "-", stdin=docker % "drop")
        await cloud.node.give([vpc()], [ONE])
        guest = cloud.node.guest(ONE)
        status = await cloud.node.settle()
        assert status.ports["eni-1"].plugged
        assert cloud.net.internet.ping(PUBLIC_ONE)
        assert guest.ping(INTERNET)

        host.run("nft", "flush", "chain", "ip", "filter", "FORWARD")
        await cloud.node.settle()
        assert guest.ping(INTERNET), "what another has flushed is there again"
        host.run("nft", "-f", "-", stdin=docker % "accept")
        await cloud.node.settle()
        assert ours() == 0
        host.run("nft", "-f", "-", stdin=docker % "drop")
        await cloud.node.settle()
        assert ours() == 2
        await cloud.node.agent.close()
        await cloud.node.remove_everything()
        assert ours() == 0


async def test_a_second_private_address_has_a_public_one_of_its_own() -> None:
    both = (("10.0.0.11", PUBLIC_ONE), ("10.0.0.21", PUBLIC_TWO))
    two_addresses = msgspec.structs.replace(ONE, private_ips=("10.0.0.11", "10.0.0.21"), public=both)
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [two_addresses, PLAIN])
        guest, plain = cloud.node.guest(two_addresses), cloud.node.guest(PLAIN)
        guest.run("ip", "addr", "add", "10.0.0.21/32", "dev", "eth0")
        await cloud.node.settle()
        assert cloud.net.internet.ping(PUBLIC_ONE)
        assert cloud.net.internet.ping(PUBLIC_TWO)
        assert plain.ping("10.0.0.21")
        cloud.net.internet.serve(80)
        assert guest.reaches(INTERNET, 80) == PUBLIC_ONE
