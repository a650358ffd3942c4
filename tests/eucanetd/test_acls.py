"""Network ACLs with real packets: between subnets, each way on its own, on one node and across two."""

from __future__ import annotations

from typing import Any

import pytest

from eucapy.wire.network import AclEntrySpec, AclSpec, RemoteSpec, SubnetSpec, VpcSpec
from tests.eucanetd.cloud import network_cloud
from tests.eucanetd.specs import OPEN, port, vpc
from tests.harness.topology import INTERNET

pytestmark = pytest.mark.host

FRONT, BACK = "subnet-front", "subnet-back"
ONE = port(1, "10.0.0.11", subnet_id=FRONT)
NEAR = port(3, "10.0.0.12", subnet_id=FRONT)
TWO = port(2, "10.0.1.11", subnet_id=BACK)
NODES = {"n1": "10.8.0.1", "n2": "10.8.0.2"}
ALL = AclEntrySpec(allow=True, protocol="-1", cidr="0.0.0.0/0")
ANSWERS = AclEntrySpec(allow=True, protocol="6", from_port=1024, to_port=65535, cidr="0.0.0.0/0")


def tcp(number: int, cidr: str = "0.0.0.0/0", *, allow: bool = True) -> AclEntrySpec:
    return AclEntrySpec(allow=allow, protocol="6", from_port=number, to_port=number, cidr=cidr)


def guarded(ingress: tuple[AclEntrySpec, ...], egress: tuple[AclEntrySpec, ...], **more: Any) -> VpcSpec:
    """10.0.0.0/24 is open, 10.0.1.0/24 guarded."""
    subnets = (
        SubnetSpec(subnet_id=FRONT, cidr="10.0.0.0/24", gateway="10.0.0.1"),
        SubnetSpec(subnet_id=BACK, cidr="10.0.1.0/24", gateway="10.0.1.1", acl="acl-back"),
    )
    return vpc(subnets=subnets, acls=(AclSpec(acl_id="acl-back", ingress=ingress, egress=egress),), **more)


async def test_what_enters_and_what_leaves_a_subnet_is_judged_without_memory() -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([guarded((tcp(22), tcp(23)), (ANSWERS,))], [ONE, TWO])
        first, second = cloud.node.guest(ONE), cloud.node.guest(TWO)
        await cloud.node.settle()
        for guest in (first, second):
            guest.serve(22)
            guest.serve(80)
        assert first.reaches("10.0.1.11", 22) == "10.0.0.11"
        assert first.is_kept_from("10.0.1.11", 80), "no entry lets it in"
        assert second.is_kept_from("10.0.0.11", 22), "no entry lets it out"
        assert second.ping("10.0.1.1"), "the gateway is no other subnet"
        await cloud.node.give([guarded((tcp(22), tcp(23)), ())], [ONE, TWO])
        assert first.is_kept_from("10.0.1.11", 22), "the answer is judged too"


async def test_a_connection_that_stands_is_cut_by_a_rule_that_goes() -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([guarded((tcp(22),), (ALL,))], [ONE, TWO])
        first, second = cloud.node.guest(ONE), cloud.node.guest(TWO)
        await cloud.node.settle()
        second.serve(22)
        with first.connect("10.0.1.11", 22) as connection:
            connection.settimeout(1)
            connection.sendall(b"before\n")
            assert b"before" in connection.recv(100)
            await cloud.node.give([guarded((), (ALL,))], [ONE, TWO])
            connection.sendall(b"after\n")
            with pytest.raises(TimeoutError):
                connection.recv(100)


async def test_the_first_entry_that_matches_decides() -> None:
    entries = (tcp(22, "10.0.0.11/32", allow=False), tcp(22, "10.0.0.0/24"), tcp(22, allow=False))
    async with network_cloud() as cloud:
        await cloud.node.give([guarded(entries, (ALL,))], [ONE, NEAR, TWO])
        first, near, second = (cloud.node.guest(each) for each in (ONE, NEAR, TWO))
        await cloud.node.settle()
        second.serve(22)
        assert first.is_kept_from("10.0.1.11", 22)
        assert near.reaches("10.0.1.11", 22) == "10.0.0.12"


async def test_icmp_is_judged_by_type_and_within_a_subnet_nothing_is() -> None:
    echo = AclEntrySpec(allow=True, protocol="1", from_port=8, to_port=-1, cidr="0.0.0.0/0")
    answer = AclEntrySpec(allow=True, protocol="1", from_port=0, to_port=-1, cidr="0.0.0.0/0")
    neighbour = port(4, "10.0.1.12", subnet_id=BACK)
    async with network_cloud() as cloud:
        await cloud.node.give([guarded((echo,), (answer,))], [ONE, TWO, neighbour])
        first, second, beside = (cloud.node.guest(each) for each in (ONE, TWO, neighbour))
        await cloud.node.settle()
        second.serve(22)
        assert first.ping("10.0.1.11")
        assert second.gets_no_echo("10.0.0.11")
        assert beside.ping("10.0.1.11")
        assert beside.reaches("10.0.1.11", 22) == "10.0.1.12"


async def test_a_public_address_does_not_go_round_the_acl() -> None:
    public = port(2, "10.0.1.11", subnet_id=BACK, public=(("10.0.1.11", "198.51.100.102"),))
    async with network_cloud() as cloud:
        await cloud.node.give([guarded((tcp(22), ANSWERS), (ANSWERS, tcp(80)))], [public])
        guest = cloud.node.guest(public)
        await cloud.node.settle()
        internet = cloud.net.internet
        for number in (22, 23):
            guest.serve(number)
        for number in (80, 81):
            internet.serve(number)
        assert internet.reaches("198.51.100.102", 22) == INTERNET
        assert internet.is_kept_from("198.51.100.102", 23)
        assert guest.reaches(INTERNET, 80) == "198.51.100.102"
        assert guest.is_kept_from(INTERNET, 81)


async def test_acls_hold_across_nodes_and_for_a_guest_that_claims_to_be_in_the_other_subnet() -> None:
    router = port(1, "10.0.0.11", subnet_id=FRONT, source_dest_check=False)
    async with network_cloud(2) as cloud:
        here, there = cloud.nodes
        far = (RemoteSpec(ip="10.0.1.11", node="n2"), RemoteSpec(ip="10.0.1.12", node="n2"))
        beside = port(4, "10.0.1.13", subnet_id=BACK)
        await here.give([guarded((tcp(22),), (ANSWERS,), remotes=far)], [router, beside], (OPEN,), NODES)
        back = (RemoteSpec(ip="10.0.0.11", node="n1"), RemoteSpec(ip="10.0.1.13", node="n1"))
        await there.give([guarded((tcp(22),), (ANSWERS,), remotes=back)], [TWO], (OPEN,), NODES)
        first, second, neighbour = here.guest(router), there.guest(TWO), here.guest(beside)
        await here.settle()
        await there.settle()
        for number in (22, 80):
            second.serve(number)
        assert first.reaches("10.0.1.11", 22) == "10.0.0.11"
        assert first.is_kept_from("10.0.1.11", 80)
        assert neighbour.reaches("10.0.1.11", 80) == "10.0.1.13", "one subnet, two nodes"
        first.run("ip", "addr", "add", "10.0.1.99/32", "dev", "eth0")
        before = _echoes(second)
        first.run("busybox", "ping", "-c1", "-W1", "-I", "10.0.1.99", "10.0.1.11", check=False)
        assert _echoes(second) == before
        assert neighbour.ping("10.0.1.11")
        assert _echoes(second) == before + 1


def _echoes(guest: Any) -> int:
    """How many echo requests the guest has got."""
    rows = [line.split() for line in guest.run("cat", "/proc/net/snmp").stdout.splitlines()]
    names, values = [row for row in rows if row[0] == "Icmp:"]
    return int(values[names.index("InEchos")])
