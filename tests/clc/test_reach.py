"""`eucapy network explain` and `draw`: they say what the reference says of random networks, and why in words."""

from __future__ import annotations

import ipaddress
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from eucapy.clc import reach, reach_facts, reach_picture
from eucapy.cli import main as command
from eucapy.cli.operator import Operator
from eucapy.wire.server import Listener
from tests.harness.cloud import Cloud
from tests.network import test_matrix as matrix
from tests.network.reference import OUTSIDE, PROTOCOLS, Asked, Passed, World, described
from tests.network.region import OUTSIDER

Run = Callable[..., tuple[int, str]]

KINDS = (("tcp", 22), ("tcp", 80), ("udp", 53), ("icmp", 8))
CLIENT_PORTS = (32768, 40000, 60999)


class Still:
    """A cloud without packets in place of the matrix's hosts."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.settle = cloud.settle

    def client(self) -> Any:
        return self._cloud.client("ec2")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("reach") / "cloud"
    with Cloud(folder, zones=("a",), public_ranges=["198.51.100.100-198.51.100.118"]) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def estate(cloud: Cloud) -> Any:
    return matrix.Estate(Still(cloud))  # type: ignore[arg-type]


def expected(world: World, origin: str, target: str, kind: tuple[str, int], source: str) -> bool:
    """The reference's word for the packet and, whatever port it was sent from, for its answer."""
    number = PROTOCOLS[kind[0]]
    verdict = world.path(origin, target, Asked(number, kind[1]), source)
    if not isinstance(verdict, Passed):
        return False
    answers = [Asked(number, 0)] if kind[0] == "icmp" else [Asked(number, port) for port in CLIENT_PORTS]
    return all(world.comes_back(origin, target, answer, source, verdict) for answer in answers)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(matrix.STORIES)
def test_it_says_what_the_reference_says(cloud: Cloud, estate: Any, story: Any) -> None:
    estate.reset()
    for change in itertools.chain(*story):
        getattr(estate, change[0])(*change[1:])
    cloud.settle()
    world = described(estate.ec2, [OUTSIDER])
    inside = {address for each in world.interfaces.values() for address in each.addresses}
    # What the internet gateway hands out has left the cloud: private addresses of other networks, too.
    world = replace(world, outside=frozenset({OUTSIDER, *matrix.UNASSIGNED, *inside}))
    vpcs = sorted({each.vpc for each in world.interfaces.values()})
    facts = cloud.run(cloud.dev.database.read(lambda tx: reach_facts.facts(tx, vpcs)))
    asked = 0
    for interface in [each for each in world.interfaces.values() if each.alive]:
        for target, kind in itertools.product(sorted({*world.addresses(), OUTSIDER, *matrix.UNASSIGNED}), KINDS):
            source = interface.addresses[0]
            way = reach.explain(facts, facts.ports[interface.id], source, target, reach.Asked(*kind))
            assert way.reached == expected(world, interface.id, target, kind, source), (interface, target, way)
            asked += 1
    for target, kind in itertools.product(sorted(world.addresses()), KINDS):
        way = reach.explain(facts, None, OUTSIDER, target, reach.Asked(*kind))
        assert way.reached == expected(world, OUTSIDE, target, kind, OUTSIDER), (target, way)
    assert asked > 300


@pytest.fixture
def run(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Runs a command; its status and what it printed."""

    async def listen() -> tuple[Listener, int]:
        listener = Listener(cloud.dev.clc.operator_port(), "127.0.0.1", 0)
        return listener, await listener.start()

    listener, port = cloud.run(listen())
    monkeypatch.setattr(Operator, "of", lambda *_: Operator(f"http://127.0.0.1:{port}", None))

    def run(*arguments: str, verb: str = "explain") -> tuple[int, str]:
        capsys.readouterr()
        status = command.main(["--data", str(tmp_path), "network", verb, *arguments])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    yield run
    cloud.run(listener.stop())


@pytest.fixture
def fresh(cloud: Cloud, estate: Any) -> Any:
    """The matrix's beginning: guests 0, 3 and 6 have public addresses, and groups let in their own."""
    estate.reset()
    cloud.settle()
    return estate


def test_what_lets_a_packet_is_told_step_by_step(fresh: Any, run: Run) -> None:
    first, second = fresh.instances[:2]
    group = fresh.groups[0][0]
    status, said = run(first, second, "--port", "22")
    assert (status, said.splitlines()[0]) == (0, "tcp 22 from 10.0.0.10 to 10.0.0.11: gets there")
    assert "groups let out" in said
    assert f"all from {group}" in said
    assert "ACL" not in said  # the same subnet
    across = fresh.instances[2]
    status, said = run(first, across, "--protocol", "icmp")
    assert status == 0
    assert [line.split("  ")[1][2:].strip() for line in said.splitlines()[1:]] == [
        "groups let out", "ACL, the packet out", "route", "ACL, the packet in", "groups let in",
        "ACL, the answer out", "ACL, the answer in",
    ]  # fmt: skip


def test_every_refusal_on_the_way_is_told(fresh: Any, run: Run) -> None:
    fresh.guard(1, True)
    fresh.entry(0, True, 50, ("tcp", 1024, 40000), "0.0.0.0/0", False)
    fresh.empty(False, 0, 0)
    status, said = run(fresh.instances[0], fresh.instances[2], "--port", "80", "--json")
    answer = json.loads(said)
    refusals = [(step["what"], step["because"]) for step in answer["steps"] if step["passes"] is False]
    assert (status, answer["reached"]) == (3, False)
    assert refusals == [
        ("groups let in", f"no rule of {fresh.groups[0][0]} is about tcp 80 from 10.0.0.10"),
        ("ACL, the answer out", "entry 50 denies it for ports 32768-40000"),
    ]


def test_the_internet_gets_in_by_what_is_open_to_all(fresh: Any, run: Run) -> None:
    target = fresh.instances[0]
    status, said = run("internet", target, "--port", "443")
    assert status == 3
    assert "x groups let in" in said
    fresh.rule(True, False, 0, 0, ("tcp", 443, 443), "198.51.100.0/24")
    assert run("internet", target, "--port", "443")[0] == 3
    assert run("198.51.100.7", target, "--port", "443")[0] == 0
    fresh.rule(True, False, 0, 0, ("tcp", 443, 443), "0.0.0.0/0")
    status, said = run("internet", target, "--port", "443")
    assert status == 0
    assert "the way back: 0.0.0.0/0 leads to igw-" in said
    fresh.gateway(0, False)


def test_a_peers_guest_is_reached_where_both_have_routes(fresh: Any, run: Run) -> None:
    ec2, one, two = fresh.ec2, fresh.gateways[0][1], fresh.gateways[2][1]
    guest, other = fresh.instances[0], fresh.instances[7]
    fresh.rule(True, False, 2, 0, ("tcp", 22, 22), "10.0.0.0/16")
    asked = ec2.create_vpc_peering_connection(VpcId=one, PeerVpcId=two)["VpcPeeringConnection"]
    peering = asked["VpcPeeringConnectionId"]
    there = {"RouteTableId": fresh.tables[0][0], "DestinationCidrBlock": "10.1.0.0/16"}
    back = {"RouteTableId": fresh.tables[5][0], "DestinationCidrBlock": "10.0.0.0/16"}
    for way in (there, back):
        ec2.create_route(**way, VpcPeeringConnectionId=peering)
    status, said = run(guest, "10.1.1.10", "--port", "22")
    assert (status, f"leads to {peering}, which is not active" in said) == (3, True)
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    status, said = run(guest, other, "--port", "22")
    assert (status, said.splitlines()[0]) == (0, "tcp 22 from 10.0.0.10 to 10.1.1.10: gets there")
    assert f"the way back: 10.0.0.0/16 leads to {peering}" in said
    assert run(guest, other, "--port", "80")[0] == 3, "its groups are asked"
    ec2.delete_route(**back)
    assert run(guest, other, "--port", "22")[0] == 3
    listed = ec2.create_managed_prefix_list(
        PrefixListName="back", AddressFamily="IPv4", MaxEntries=2, Entries=[{"Cidr": "10.0.0.0/24"}]
    )["PrefixList"]["PrefixListId"]
    by_list = {"RouteTableId": fresh.tables[5][0], "DestinationPrefixListId": listed}
    ec2.create_route(**by_list, VpcPeeringConnectionId=peering)
    status, said = run(guest, other, "--port", "22")
    assert (status, f"the way back: 10.0.0.0/24 leads to {peering}" in said) == (0, True)
    ec2.delete_route(**by_list)
    assert run(guest, other, "--port", "22")[0] == 3
    ec2.delete_managed_prefix_list(PrefixListId=listed)
    ec2.delete_route(**there)
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)
    assert run(guest, other, "--port", "22")[0] != 0


def test_a_list_opens_what_it_holds(fresh: Any, run: Run) -> None:
    fresh.by_list(True, False, 0, 0, ("tcp", 443, 443))
    assert run("198.51.100.7", fresh.instances[0], "--port", "443")[0] == 3
    fresh.entry_of_list("198.51.100.0/24", True)
    status, said = run("198.51.100.7", fresh.instances[0], "--port", "443")
    assert (status, f"tcp 443 from {fresh.list}" in said) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("i-0123456789abcdef0", "internet", "--port", "1"), "there is no i-0123456789abcdef0"),
        (("internet", "192.0.2.1", "--port", "1"), "one of the two must be"),
        (("internet", "banana", "--port", "1"), "'banana' is no instance"),
        (("internet", "192.0.2.1", "--port", "70000"), "tcp needs a port"),
    ],
)
def test_what_is_no_question_is_refused(run: Run, arguments: tuple[str, ...], said: str) -> None:
    status, printed = run(*arguments)
    assert status == 1
    assert said in printed


def test_between_networks_without_a_public_address_there_is_no_way(fresh: Any, run: Run) -> None:
    status, said = run(fresh.instances[0], fresh.instances[5], "--port", "22")
    assert status == 1
    assert "no public address, and is not in the VPC" in said


@pytest.fixture
def drawn(fresh: Any, run: Run) -> Callable[..., tuple[int, str]]:
    """`eucapy network draw` of the estate's first VPC."""
    return lambda *more: run(fresh.gateways[0][1], *more, verb="draw")


def test_a_network_is_drawn_with_who_reaches_whom(fresh: Any, drawn: Run) -> None:
    fresh.guard(1, True)
    fresh.entry(0, False, 50, ("tcp", 22, 22), "0.0.0.0/0", False)
    fresh.rule(True, False, 0, 0, ("tcp", 22, 22), "0.0.0.0/0")
    status, said = drawn()
    assert status == 0
    assert f"{fresh.gateways[0][0]} ── the internet" in said
    for number, instance in enumerate(fresh.instances[:4], 1):
        assert f"[{number}] {instance}" in said
    table = [line.split() for line in said.splitlines()[said.splitlines().index("who reaches whom, tcp 22:") + 1 :]]
    assert table == [
        ["1", "2", "3", "4"],
        ["1", "-", "+", "x", "x"],
        ["2", "+", "-", "x", "x"],
        ["3", "+", "+", "-", "+"],
        ["4", "+", "+", "+", "-"],
        ["internet", "+", "x", "x", "x"],
    ]


def test_the_picture_is_whole_xml_with_every_guest_and_names_as_text(fresh: Any, drawn: Run, tmp_path: Path) -> None:
    path = tmp_path / "vpc.svg"
    assert drawn("--svg", str(path)) == (0, "")
    words = [element.text for element in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    for number, instance in enumerate(fresh.instances[:4], 1):
        assert f"[{number}] {instance}" in words
    assert "reached by 2, 3, 4" in words


def test_what_there_is_not_is_not_drawn(run: Run) -> None:
    status, said = run("vpc-0123456789abcdef0", verb="draw")
    assert (status, "there is no vpc-0123456789abcdef0" in said) == (1, True)


def test_a_network_of_many_is_drawn_without_the_table(fresh: Any, drawn: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach_picture, "MOST_COMPARED", 3)
    status, said = drawn()
    assert (status, "too many guests" in said, fresh.instances[0] in said) == (0, True, True)


def test_a_drawn_network_shows_whom_it_is_peered_with(fresh: Any, run: Run) -> None:
    ec2 = fresh.ec2
    one, other = fresh.gateways[0][1], fresh.gateways[2][1]
    made = ec2.create_vpc_peering_connection(VpcId=one, PeerVpcId=other)["VpcPeeringConnection"]
    peering = made["VpcPeeringConnectionId"]
    assert peering not in run(one, verb="draw")[1]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    assert f"├─ {peering} ── {other}" in run(one, verb="draw")[1]
    assert f"├─ {peering} ── {one}" in run(other, verb="draw")[1]
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)


@pytest.fixture
def dual(cloud: Cloud, estate: Any) -> Iterator[dict[str, str]]:
    """Two guests of a dual-stack VPC, in two subnets: `open`'s leads to an internet gateway, `shut`'s to an egress-only one."""
    ec2 = cloud.client("ec2")
    image = ec2.describe_images(Owners=["self"])["Images"][0]["ImageId"]
    vpc = ec2.create_vpc(CidrBlock="10.44.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    (shown,) = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
    block = ipaddress.IPv6Network(shown["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"])
    door = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=door, VpcId=vpc)
    way = ec2.create_egress_only_internet_gateway(VpcId=vpc)["EgressOnlyInternetGateway"]
    outgoing = way["EgressOnlyInternetGatewayId"]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    group = ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"][0]["GroupId"]
    ping6 = {"IpProtocol": "icmpv6", "FromPort": -1, "ToPort": -1, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ping6, ssh])
    found = {"vpc": vpc, "outgoing": outgoing, "door": door, "group": group}
    for number, (name, to) in enumerate(
        (("open", {"GatewayId": door}), ("shut", {"EgressOnlyInternetGatewayId": outgoing}))
    ):
        six = str(list(itertools.islice(block.subnets(new_prefix=64), number + 1))[-1])
        place = ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.44.{number}.0/24", Ipv6CidrBlock=six, AvailabilityZone="us-east-1a"
        )["Subnet"]["SubnetId"]
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationIpv6CidrBlock="::/0", **to)
        ec2.associate_route_table(RouteTableId=table, SubnetId=place)
        ran = ec2.run_instances(
            ImageId=image, InstanceType="t2.nano", MinCount=1, MaxCount=1, SubnetId=place, Ipv6AddressCount=1
        )["Instances"][0]
        found[name], found[f"{name} at"] = (
            ran["InstanceId"],
            ran["NetworkInterfaces"][0]["Ipv6Addresses"][0]["Ipv6Address"],
        )
    cloud.settle()
    yield found
    ec2.terminate_instances(InstanceIds=[found["open"], found["shut"]])
    cloud.settle()


def test_ipv6_is_explained_as_ipv4_is_without_translations(dual: dict[str, str], run: Run) -> None:
    status, said = run(dual["open"], dual["shut at"], "--protocol", "icmp")
    assert (status, said.splitlines()[0]) == (
        0,
        f"icmpv6 echo from {dual['open at']} to {dual['shut at']}: gets there",
    )
    assert "is local" in said
    assert "translation" not in said
    for source in ("internet", "2001:db8::7"):
        status, said = run(source, dual["open at"], "--port", "22")
        assert status == 0, said
        status, said = run(source, dual["shut at"], "--port", "22")
        assert status == 3
        assert f"::/0 leads to {dual['outgoing']}, which lets nothing in" in said
        assert run(source, dual["open at"], "--port", "23")[0] == 3
    assert run(dual["shut"], "2001:db8::7", "--port", "443")[0] == 0


def test_an_acl_of_ipv4_alone_keeps_ipv6_out_and_ipv4_is_explained_beside_it(
    cloud: Cloud, dual: dict[str, str], run: Run
) -> None:
    ec2 = cloud.client("ec2")
    assert run(dual["open"], dual["shut"], "--port", "22")[0] == 0, "between instances IPv4 is asked about"
    (acl,) = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [dual["vpc"]]}])["NetworkAcls"]
    ec2.delete_network_acl_entry(NetworkAclId=acl["NetworkAclId"], RuleNumber=101, Egress=False)
    status, said = run(dual["open"], dual["shut at"], "--port", "22")
    assert status == 3
    assert "entry 32768 denies it" in said
    assert run(dual["open"], dual["shut"], "--port", "22")[0] == 0


def test_families_do_not_mix_and_a_drawing_shows_both(dual: dict[str, str], run: Run) -> None:
    status, said = run(dual["open at"], "10.44.1.5", "--port", "22")
    assert status != 0
    assert "are of different families" in said
    status, said = run(dual["vpc"], "--port", "22", verb="draw")
    assert status == 0
    assert dual["open at"] in said
    assert f"out by {dual['door']}" in said or dual["door"] in said
