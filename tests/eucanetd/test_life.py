"""Comings and goings: taps, agents, hosts, VPCs; and that nothing moves that need not."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from eucapy.drivers.network import netns
from eucapy.drivers.network.base import NetworkDriver
from eucapy.drivers.network.model import Step
from eucapy.wire.contract import Cursor
from eucapy.wire.network import NetworkStatus
from tests.eucanetd.cloud import Node, network_cloud
from tests.eucanetd.specs import group, port, tcp, vpc
from tests.harness.topology import ask

pytestmark = pytest.mark.host

ONE, TWO = port(1, "10.0.0.11"), port(2, "10.0.0.12")


def taken(driver: NetworkDriver) -> list[Step]:
    """The list that every step of the driver from now on is noted in."""
    steps: list[Step] = []
    apply = driver.apply

    async def noting(todo: list[Step]) -> None:
        steps.extend(todo)
        await apply(todo)

    driver.apply = noting  # type: ignore[method-assign, assignment]
    return steps


async def until(node: Node, what: str, plugged: bool) -> NetworkStatus:
    """Follow the status as the cloud does, until the port is (un)plugged."""
    seen = Cursor()
    async with asyncio.timeout(20):
        while True:
            status = await node.agent.get_status(seen, 20)
            if what in status.ports and status.ports[what].plugged is plugged:
                return status
            seen = status.cursor


async def test_a_tap_that_appears_later_is_adopted_and_one_that_goes_is_reported_without_being_asked() -> None:
    async with network_cloud() as cloud:
        node = cloud.node
        status = await node.give([vpc()], [ONE])
        assert not status.ports["eni-1"].plugged
        node.agent.open()
        guest = await asyncio.to_thread(node.guest, ONE)
        await until(node, "eni-1", plugged=True)
        assert await asyncio.to_thread(guest.ping, "10.0.0.1")
        await asyncio.to_thread(guest.power_off)
        await until(node, "eni-1", plugged=False)


async def test_nothing_is_touched_when_nothing_changed_not_even_by_a_new_agent() -> None:
    async with network_cloud() as cloud:
        node = cloud.node
        public = msgspec.structs.replace(ONE, public=(("10.0.0.11", "198.51.100.101"),))
        await node.give([vpc()], [public, TWO])
        node.guest(ONE)
        await node.settle()
        steps = taken(node.driver)
        await node.settle()
        assert steps == []
        await node.restart()
        steps = taken(node.driver)
        await node.settle()
        assert steps == []


async def test_a_connection_survives_the_agents_death_and_every_change_around_it() -> None:
    async with network_cloud() as cloud:
        node = cloud.node
        await node.give([vpc()], [ONE, TWO])
        first, second = node.guest(ONE), node.guest(TWO)
        await node.settle()
        second.serve(7)
        with first.connect("10.0.0.12", 7) as connection:
            await node.agent.close()
            assert ask(connection, "alone") == "10.0.0.11 alone"
            await node.restart()
            await node.settle()
            assert ask(connection, "again") == "10.0.0.11 again"
            three = port(3, "10.0.0.13", groups=("sg-new",))
            renamed = vpc(names=(("x", "10.0.0.13"),))
            await node.give([renamed], [ONE, TWO, three], (group("sg-new"), group("sg-all", tcp(7, cidr="0.0.0.0/0"))))
            assert ask(connection, "with a third") == "10.0.0.11 with a third"


async def test_a_guest_that_the_spec_forgot_keeps_its_network_until_it_ends() -> None:
    async with network_cloud() as cloud:
        node = cloud.node
        await node.give([vpc()], [ONE, TWO])
        first, second = node.guest(ONE), node.guest(TWO)
        await node.settle()
        status = await node.give([], [], ())
        assert set(status.strangers) == {"eni-1", "eni-2"}
        await node.restart()
        await node.settle()
        assert first.ping("10.0.0.12")
        first.power_off()
        second.power_off()
        status = await node.settle()
        assert (status.strangers, status.ports, status.vpcs) == ((), {}, ())
        assert not netns.exists(node.layout.namespace("vpc-a"))


async def test_a_namespace_that_nobody_remembers_is_left_alone_and_reported() -> None:
    async with network_cloud() as cloud:
        node = cloud.node
        strange = node.layout.namespace("vpc-strange")
        node.host.run("ip", "netns", "add", strange)
        status = await node.give([vpc()], [])
        assert status.strangers == (strange,)
        assert netns.exists(strange)


async def test_everything_is_rebuilt_after_the_host_has_lost_it() -> None:
    async with network_cloud() as cloud:
        node = cloud.node
        await node.give([vpc()], [ONE, TWO])
        first = node.guest(ONE)
        await node.settle()
        first.power_off()
        await node.agent.close()
        await node.remove_everything()
        node.host.run("nft", "flush", "ruleset")
        await node.restart()
        again, second = node.guest(ONE), node.guest(TWO)
        await node.settle()
        assert again.ping("10.0.0.12")
        assert second.ping("10.0.0.11")


async def test_what_others_undo_is_done_again() -> None:
    async with network_cloud() as cloud:
        node = cloud.node
        await node.give([vpc()], [ONE, TWO])
        first = node.guest(ONE)
        node.guest(TWO)
        await node.settle()
        inside = ["nsenter", f"--net=/run/netns/{node.layout.namespace('vpc-a')}"]
        node.host.run(*inside, "nft", "flush", "ruleset")
        node.host.run(*inside, "ip", "route", "flush", "table", "main")
        node.host.run(*inside, "ip", "link", "del", "dev", "transit")
        node.host.run(*inside, "ip", "link", "set", TWO.tap, "down")
        node.host.run(*inside, "sysctl", "-q", "-w", "net.ipv4.ip_forward=0")
        status = await node.settle()
        assert status.ports["eni-2"].plugged
        assert first.ping("10.0.0.12")


async def test_the_operators_own_rules_and_routes_stay() -> None:
    async with network_cloud() as cloud:
        node = cloud.node
        node.host.run("nft", "-f", "-", stdin="table inet operators {\n chain c {\n }\n}\n")
        node.host.run("ip", "route", "add", "192.0.2.0/24", "via", "198.51.100.254")
        await node.give([vpc()], [ONE])
        await node.give([], [])
        assert "inet operators" in node.host.run("nft", "list", "tables").stdout
        assert "192.0.2.0/24" in node.host.run("ip", "route").stdout


async def test_two_clouds_on_one_machine_leave_each_other_alone() -> None:
    """The same VNI, addresses and names on both; only prefix and transit block differ, as in their configurations."""
    async with network_cloud() as cloud:
        here = cloud.node
        other = Node(here.host, cloud.net, here.folder.parent / "other", underlay="", transit="241.0.0.0/8")
        mine = port(1, "10.0.0.11", public=(("10.0.0.11", "198.51.100.101"),))
        theirs = port(2, "10.0.0.11", public=(("10.0.0.11", "198.51.100.102"),))
        try:
            await here.give([vpc()], [mine])
            await other.give([vpc()], [theirs])
            first, second = here.guest(mine), other.guest(theirs)
            for _ in range(2):
                for node in (here, other):
                    status = await node.settle()
                    assert status.strangers == ()
            noted = [taken(here.driver), taken(other.driver)]
            for node in (here, other):
                await node.settle()
            assert noted == [[], []]
            second.serve(22)
            assert cloud.net.internet.ping("198.51.100.101")
            assert cloud.net.internet.ping("198.51.100.102")
            assert first.reaches("198.51.100.102", 22) == "198.51.100.101"
            await other.give([], [])
            second.power_off()
            await other.settle()
            assert cloud.net.internet.ping("198.51.100.101")
            assert cloud.net.internet.gets_no_echo("198.51.100.102")
        finally:
            await other.close()


async def test_a_vpc_that_makes_no_sense_is_its_own_trouble_alone() -> None:
    async with network_cloud() as cloud:
        bad = vpc("vpc-b", 200, cidrs=("nonsense",))
        theirs = port(3, "10.0.0.13", "vpc-b")
        status = await cloud.node.give([vpc(), bad], [ONE, TWO, theirs])
        first = cloud.node.guest(ONE)
        cloud.node.guest(TWO)
        status = await cloud.node.settle()
        assert first.ping("10.0.0.12")
        assert status.ports["eni-1"].plugged
        fault = status.ports["eni-3"].fault
        assert fault is not None and (fault.code, fault.final) == ("InvalidSpec", True)
