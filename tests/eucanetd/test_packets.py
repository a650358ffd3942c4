"""What guests of one node can do and cannot, with real packets: groups, spoofing, isolation, the host."""

from __future__ import annotations

import msgspec
import pytest

from eucapy.run import RunError
from eucapy.wire.network import PortSpec, RuleSpec
from tests.eucanetd.cloud import network_cloud
from tests.eucanetd.specs import OPEN, PING, group, port, tcp, vpc
from tests.harness.topology import Guest, ask

pytestmark = pytest.mark.host

ONE, TWO = port(1, "10.0.0.11"), port(2, "10.0.0.12")


def in_groups(spec: PortSpec, *groups: str) -> PortSpec:
    return msgspec.structs.replace(spec, groups=groups)


async def test_two_guests_of_a_subnet_reach_each_other_and_their_gateway() -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [ONE, TWO])
        first, second = cloud.node.guest(ONE), cloud.node.guest(TWO)
        status = await cloud.node.settle()
        assert {each.plugged for each in status.ports.values()} == {True}
        second.serve(7)
        assert first.ping("10.0.0.12")
        assert first.reaches("10.0.0.12", 7) == "10.0.0.11"
        assert first.ping("10.0.0.1")
        assert first.gets_no_echo("10.0.0.99")


async def test_a_group_lets_in_only_what_its_rules_name_and_answers_always_pass() -> None:
    closed, ssh = group("sg-closed"), group("sg-ssh", tcp(22, cidr="10.0.0.0/24"))
    one, two = in_groups(ONE, "sg-closed"), in_groups(TWO, "sg-ssh")
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [one, two], (closed, ssh))
        first, second = cloud.node.guest(ONE), cloud.node.guest(TWO)
        await cloud.node.settle()
        for guest in (first, second):
            guest.serve(22)
            guest.serve(23)
        assert first.reaches("10.0.0.12", 22) == "10.0.0.11"
        assert first.is_kept_from("10.0.0.12", 23)
        assert first.gets_no_echo("10.0.0.12")
        assert second.is_kept_from("10.0.0.11", 22)


async def test_a_group_as_the_source_means_the_addresses_of_its_members() -> None:
    web = group("sg-web", members=("10.0.0.11",))
    data = group("sg-data", tcp(5432, group="sg-web"), members=("10.0.0.12",))
    other = group("sg-other", members=("10.0.0.13",))
    three = in_groups(port(3, "10.0.0.13"), "sg-other")
    async with network_cloud() as cloud:
        ports = [in_groups(ONE, "sg-web"), in_groups(TWO, "sg-data"), three]
        await cloud.node.give([vpc()], ports, (web, data, other))
        first, second, third = (cloud.node.guest(each) for each in (ONE, TWO, port(3, "10.0.0.13")))
        await cloud.node.settle()
        second.serve(5432)
        assert first.reaches("10.0.0.12", 5432) == "10.0.0.11"
        assert third.is_kept_from("10.0.0.12", 5432)

        joined = msgspec.structs.replace(web, members=("10.0.0.11", "10.0.0.13"))
        await cloud.node.give([vpc()], ports, (joined, data, other))
        assert third.reaches("10.0.0.12", 5432) == "10.0.0.13"


async def test_egress_rules_hold_a_guest_back() -> None:
    narrow = group("sg-narrow", egress=(tcp(80, cidr="10.0.0.12/32"),))
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [in_groups(ONE, "sg-narrow"), TWO], (narrow, OPEN))
        first, second = cloud.node.guest(ONE), cloud.node.guest(TWO)
        await cloud.node.settle()
        second.serve(80)
        second.serve(81)
        assert first.reaches("10.0.0.12", 80) == "10.0.0.11"
        assert first.is_kept_from("10.0.0.12", 81)
        assert first.gets_no_echo("10.0.0.12")


async def test_a_connection_outlives_the_rule_that_let_it_in_and_a_new_one_does_not() -> None:
    ssh, nothing = group("sg-x", tcp(22, cidr="0.0.0.0/0")), group("sg-x")
    ports = [in_groups(ONE, "sg-x"), in_groups(TWO, "sg-x")]
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], ports, (ssh,))
        first, second = cloud.node.guest(ONE), cloud.node.guest(TWO)
        await cloud.node.settle()
        second.serve(22)
        with first.connect("10.0.0.12", 22) as connection:
            assert ask(connection, "before") == "10.0.0.11 before"
            await cloud.node.give([vpc()], ports, (nothing,))
            assert ask(connection, "after") == "10.0.0.11 after"
            assert first.is_kept_from("10.0.0.12", 22)


async def test_icmp_types_and_other_protocols_are_told_apart() -> None:
    echo = RuleSpec(protocol="icmp", from_port=8, to_port=-1, cidr="10.0.0.11/32")
    ports = [in_groups(ONE, "sg-x"), in_groups(TWO, "sg-x")]
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], ports, (group("sg-x", echo),))
        first, second = cloud.node.guest(ONE), cloud.node.guest(TWO)
        await cloud.node.settle()
        second.serve(22)
        assert first.ping("10.0.0.12")
        assert second.gets_no_echo("10.0.0.11")
        assert first.is_kept_from("10.0.0.12", 22)


async def test_a_guest_cannot_speak_as_another() -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [ONE, TWO])
        first, second = cloud.node.guest(ONE), cloud.node.guest(TWO)
        await cloud.node.settle()
        assert first.ping("10.0.0.12")

        first.run("ip", "addr", "add", "10.0.0.77/32", "dev", "eth0")
        assert first.run("busybox", "ping", "-c1", "-W1", "-I", "10.0.0.77", "10.0.0.12", check=False).status != 0
        first.run("ip", "addr", "del", "10.0.0.77/32", "dev", "eth0")

        first.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:99")
        assert first.gets_no_echo("10.0.0.12")
        first.run("ip", "link", "set", "eth0", "address", ONE.mac)
        first.run("ip", "route", "replace", "default", "via", "10.0.0.1")
        assert first.ping("10.0.0.12")
        counters = cloud.node.host  # the drops were counted, and counted as spoofed
        listed = counters.run(
            "nsenter", f"--net=/run/netns/{cloud.node.layout.namespace('vpc-a')}", "nft", "list", "counters"
        ).stdout
        assert "packets 0" not in listed.split("counter spoofed")[1].split("}")[0]
        assert second.ping("10.0.0.11")


async def test_a_guest_that_routes_for_others_is_let_through_when_its_check_is_off() -> None:
    router = msgspec.structs.replace(ONE, source_dest_check=False)
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [router, TWO])
        first, second = cloud.node.guest(ONE), cloud.node.guest(TWO)
        await cloud.node.settle()
        assert first.ping("10.0.0.12"), "a router asks for its neighbours under its own address"
        first.run("ip", "addr", "add", "10.0.0.77/32", "dev", "eth0")
        # The answer has nowhere to go (no port has 10.0.0.77); that the question arrives is what is asked.
        before = received(second)
        first.run("busybox", "ping", "-c1", "-W1", "-I", "10.0.0.77", "10.0.0.12", check=False)
        assert received(second) > before


def received(guest: Guest) -> int:
    """How many ICMP messages the guest has got."""
    rows = [line.split() for line in guest.run("cat", "/proc/net/snmp").stdout.splitlines()]
    return next(int(row[1]) for row in rows if row[0] == "Icmp:" and row[1].isdigit())


async def test_vpcs_with_the_same_addresses_know_nothing_of_each_other() -> None:
    here, there = vpc("vpc-a", 100), vpc("vpc-b", 200)
    mine, yours = port(1, "10.0.0.11"), port(2, "10.0.0.12")
    theirs = port(3, "10.0.0.12", "vpc-b", groups=("sg-b",))
    both = (OPEN, group("sg-b", RuleSpec(protocol="-1", cidr="0.0.0.0/0"), vpc_id="vpc-b"))
    async with network_cloud() as cloud:
        await cloud.node.give([here, there], [mine, theirs], both)
        first, third = cloud.node.guest(mine), cloud.node.guest(theirs)
        await cloud.node.settle()
        third.serve(7)
        assert first.gets_no_echo("10.0.0.12")
        await cloud.node.give([here, there], [mine, yours, theirs], both)
        second = cloud.node.guest(yours)
        await cloud.node.settle()
        second.serve(7)
        assert first.reaches("10.0.0.12", 7) == "10.0.0.11"
        with pytest.raises(RunError):
            third.run("busybox", "ping", "-c1", "-W1", "10.0.0.11")


async def test_the_host_and_what_is_behind_it_are_out_of_reach() -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [ONE])
        guest = cloud.node.guest(ONE)
        await cloud.node.settle()
        cloud.node.host.serve(8773)
        cloud.net.internet.serve(80)
        for address in (cloud.node.host.underlay, cloud.node.host.public, cloud.node.layout.transit_gateway):
            assert guest.gets_no_echo(address)
            assert guest.is_kept_from(address, 8773)
        own_end = cloud.node.layout.transit_address(100)
        assert guest.gets_no_echo(own_end)
        assert guest.is_kept_from(cloud.net.internet.public, 80), "without a public address there is no internet"


async def test_a_guest_that_waits_for_adoption_is_deaf_to_the_host() -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [ONE], (group("sg-all", PING),))
        guest = cloud.node.guest(ONE)
        cloud.node.host.run("ip", "addr", "add", "10.0.0.1/24", "dev", ONE.tap)
        assert guest.gets_no_echo("10.0.0.1")
        await cloud.node.settle()
        assert guest.ping("10.0.0.1")
