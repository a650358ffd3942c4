"""What dual-stack guests of a node can do and cannot, with real packets: groups, spoofing, isolation, outside."""

from __future__ import annotations

import msgspec
import pytest

from eucapy.wire.network import AclEntrySpec, AclSpec, PortSpec, RuleSpec, SubnetSpec
from tests.eucanetd.cloud import NetworkCloud, network_cloud
from tests.eucanetd.specs import ALL_OUT, ANY6, OPEN6, group, port, tcp, vpc6
from tests.harness.topology import GATEWAY6, Guest, ask

pytestmark = pytest.mark.host

IP1, IP2 = "2001:db8:a::11", "2001:db8:a::12"
ONE, TWO = port(1, "10.0.0.11", ipv6s=(IP1,)), port(2, "10.0.0.12", ipv6s=(IP2,))


def in_groups(spec: PortSpec, *groups: str) -> PortSpec:
    return msgspec.structs.replace(spec, groups=groups)


def started(cloud: NetworkCloud, spec: PortSpec) -> Guest:
    """With addresses of both families by hand."""
    guest = cloud.node.guest(spec)
    guest.configure6(*spec.ipv6s)
    return guest


@pytest.mark.parametrize("logged", [(), ("vpc-a",)])
async def test_two_guests_of_a_subnet_reach_each_other_and_their_gateway(logged: tuple[str, ...]) -> None:
    """Also where flows are counted, which those of IPv6 are not."""
    async with network_cloud() as cloud:
        await cloud.node.give([vpc6(flow_logs=logged)], [ONE, TWO], (OPEN6,))
        first, second = started(cloud, ONE), started(cloud, TWO)
        status = await cloud.node.settle()
        assert {each.plugged for each in status.ports.values()} == {True}
        second.serve(7, "::")
        assert first.ping(IP2)
        assert first.reaches(IP2, 7) == IP1
        assert first.ping("2001:db8:a::1")
        assert first.ping(f"{GATEWAY6}%eth0")
        assert first.ping("10.0.0.12")
        assert first.gets_no_echo("2001:db8:a::99")


async def test_a_group_lets_in_only_what_its_rules_name_of_each_family_and_answers_always_pass() -> None:
    four = group("sg-four", RuleSpec(protocol="-1", cidr="0.0.0.0/0"), egress=(*ALL_OUT, ANY6))
    ssh = group("sg-ssh", tcp(22, cidr="2001:db8:a::11/128"), egress=(*ALL_OUT, ANY6))
    one, two = in_groups(ONE, "sg-four"), in_groups(TWO, "sg-ssh")
    async with network_cloud() as cloud:
        await cloud.node.give([vpc6()], [one, two], (four, ssh))
        first, second = started(cloud, one), started(cloud, two)
        await cloud.node.settle()
        for guest in (first, second):
            for number in (22, 23):
                guest.serve(number, "::")
        assert first.reaches(IP2, 22) == IP1
        assert first.is_kept_from(IP2, 23)
        assert first.gets_no_echo(IP2)
        assert second.ping("10.0.0.11"), "of IPv4 everything passes"
        assert second.gets_no_echo(IP1)
        assert second.is_kept_from(IP1, 22)


async def test_everything_out_means_one_family() -> None:
    async with network_cloud() as cloud:
        out4 = msgspec.structs.replace(OPEN6, egress=ALL_OUT)
        await cloud.node.give([vpc6()], [ONE, TWO], (out4,))
        first, second = started(cloud, ONE), started(cloud, TWO)
        await cloud.node.settle()
        assert first.ping("10.0.0.12")
        assert first.gets_no_echo(IP2)
        out6 = msgspec.structs.replace(OPEN6, egress=(ANY6,))
        await cloud.node.give([vpc6()], [ONE, TWO], (out6,))
        assert second.ping(IP1)
        assert second.gets_no_echo("10.0.0.11")


async def test_a_group_as_the_source_means_the_addresses_of_its_members_of_both_families() -> None:
    web = group("sg-web", members=("10.0.0.11", IP1), egress=(*ALL_OUT, ANY6))
    data = group("sg-data", tcp(5432, group="sg-web"), members=("10.0.0.12", IP2))
    three = port(3, "10.0.0.13", ipv6s=("2001:db8:a::13",), groups=("sg-web",))
    async with network_cloud() as cloud:
        ports = [in_groups(ONE, "sg-web"), in_groups(TWO, "sg-data"), three]
        await cloud.node.give([vpc6()], ports, (web, data))
        first, second, third = (started(cloud, each) for each in ports)
        await cloud.node.settle()
        second.serve(5432, "::")
        assert first.reaches(IP2, 5432) == IP1
        assert third.is_kept_from(IP2, 5432)
        joined = msgspec.structs.replace(web, members=("10.0.0.11", IP1, "2001:db8:a::13"))
        await cloud.node.give([vpc6()], ports, (joined, data))
        assert third.reaches(IP2, 5432) == "2001:db8:a::13"


async def test_icmpv6_types_are_told_apart_and_a_connection_outlives_its_rule() -> None:
    echo = RuleSpec(protocol="icmpv6", from_port=128, to_port=-1, cidr=f"{IP1}/128")
    everything = (*ALL_OUT, ANY6)
    ports = [in_groups(ONE, "sg-x"), in_groups(TWO, "sg-x")]
    async with network_cloud() as cloud:
        await cloud.node.give([vpc6()], ports, (group("sg-x", echo, egress=everything),))
        first, second = started(cloud, ONE), started(cloud, TWO)
        await cloud.node.settle()
        second.serve(22, "::")
        assert first.ping(IP2)
        assert second.gets_no_echo(IP1)
        assert first.is_kept_from(IP2, 22)
        await cloud.node.give([vpc6()], ports, (group("sg-x", tcp(22, cidr="::/0"), egress=everything),))
        assert first.gets_no_echo(IP2)
        with first.connect(IP2, 22) as connection:
            assert ask(connection, "before") == f"{IP1} before"
            await cloud.node.give([vpc6()], ports, (group("sg-x", egress=everything),))
            assert ask(connection, "after") == f"{IP1} after"
            assert first.is_kept_from(IP2, 22)


async def test_an_acl_judges_both_families_in_the_order_of_its_entries() -> None:
    here = vpc6()
    ssh6 = AclEntrySpec(allow=False, protocol="6", from_port=22, to_port=22, cidr="::/0")
    all6, all4 = (AclEntrySpec(allow=True, protocol="-1", cidr=block) for block in ("::/0", "0.0.0.0/0"))
    far = SubnetSpec(
        subnet_id="subnet-far", cidr="10.0.1.0/24", gateway="10.0.1.1", cidr6="2001:db8:a:1::/64", acl="acl-a"
    )
    two = port(2, "10.0.1.12", ipv6s=("2001:db8:a:1::12",), subnet_id="subnet-far")

    guests: list[Guest] = []
    async with network_cloud() as cloud:
        for ingress, ping6, ssh, ping4 in (
            ((all4,), False, False, True),
            ((all6,), True, True, False),
            ((ssh6, all6, all4), True, False, True),
            ((all6, ssh6), True, True, False),
        ):
            acl = AclSpec(acl_id="acl-a", ingress=ingress, egress=(all4, all6))
            spec = msgspec.structs.replace(here, subnets=(*here.subnets, far), acls=(acl,))
            await cloud.node.give([spec], [ONE, two], (OPEN6,))
            if not guests:
                guests = [started(cloud, ONE), started(cloud, two)]
                await cloud.node.settle()
                guests[1].serve(22, "::")
            first = guests[0]
            assert (first.ping if ping6 else first.gets_no_echo)("2001:db8:a:1::12")
            assert (first.reaches if ssh else first.is_kept_from)("2001:db8:a:1::12", 22)
            assert (first.ping if ping4 else first.gets_no_echo)("10.0.1.12")


def echoes(guest: Guest) -> int:
    """How many questions for an echo the guest has got over IPv6."""
    rows = [line.split() for line in guest.run("cat", "/proc/net/snmp6").stdout.splitlines()]
    return next(int(row[1]) for row in rows if row[0] == "Icmp6InEchos")


@pytest.mark.parametrize("check", [True, False])
async def test_a_guest_that_routes_for_others_is_let_through_when_its_check_is_off(check: bool) -> None:
    router = msgspec.structs.replace(ONE, source_dest_check=check)
    async with network_cloud() as cloud:
        await cloud.node.give([vpc6()], [router, TWO], (OPEN6,))
        first, second = started(cloud, router), started(cloud, TWO)
        await cloud.node.settle()
        assert first.ping(IP2)
        first.run("ip", "addr", "add", "2001:db8:a::77/128", "dev", "eth0", "nodad")
        # The answer has nowhere to go (no port has that address); whether the question arrives is what is asked.
        foreign = ("busybox", "ping", "-c1", "-W1", "-I", "2001:db8:a::77", IP2)
        before = echoes(second)
        first.run(*foreign, check=False)
        assert echoes(second) - before == (0 if check else 1)
        first.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:99")
        before = echoes(second)
        first.run(*foreign, check=False)
        assert echoes(second) == before, "with its own MAC address only"
