"""Routes to prefix lists through boto3, in EC2's words, and what they come to on the nodes."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import pytest

from eucapy.clc.store.route_tables import spread
from tests.clc.network.asking import code, error, gateway, own_vpc, subnet
from tests.harness.cloud import Cloud

_numbers = itertools.count(1)


class Peered(NamedTuple):
    """A VPC of 10.1.0.0/16 with a table of its own, and a peering of it with one of 10.2.0.0/16."""

    vpc: str
    table: str
    peering: str


@pytest.fixture
def peered(ec2: Any) -> Peered:
    one, two = own_vpc(ec2, "10.1.0.0/16"), own_vpc(ec2, "10.2.0.0/16")
    made = ec2.create_vpc_peering_connection(VpcId=one, PeerVpcId=two)["VpcPeeringConnection"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=made["VpcPeeringConnectionId"])
    table = ec2.create_route_table(VpcId=one)["RouteTable"]["RouteTableId"]
    return Peered(one, table, made["VpcPeeringConnectionId"])


def listed(ec2: Any, *blocks: str, most: int = 5, family: str = "IPv4") -> str:
    made = ec2.create_managed_prefix_list(
        PrefixListName=f"list-{next(_numbers)}",
        MaxEntries=most,
        AddressFamily=family,
        Entries=[{"Cidr": block} for block in blocks],
    )
    return str(made["PrefixList"]["PrefixListId"])


def to_list(ec2: Any, peered: Peered, list_id: str) -> None:
    ec2.create_route(RouteTableId=peered.table, DestinationPrefixListId=list_id, VpcPeeringConnectionId=peered.peering)


def shown(ec2: Any, table: str) -> list[dict[str, Any]]:
    (found,) = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    return [route for route in found["Routes"] if route.get("GatewayId") != "local"]


def test_a_route_to_a_list_comes_and_goes(ec2: Any, peered: Peered) -> None:
    list_id = listed(ec2, "10.2.0.0/16")
    to_list(ec2, peered, list_id)
    route = {
        "DestinationPrefixListId": list_id,
        "VpcPeeringConnectionId": peered.peering,
        "Origin": "CreateRoute",
        "State": "active",
    }
    assert shown(ec2, peered.table) == [route]
    for name, value, wanted in [
        ("route.destination-prefix-list-id", list_id, [peered.table]),
        ("route.destination-prefix-list-id", "pl-*", [peered.table]),
        ("route.destination-prefix-list-id", "10.*", []),
        ("route.destination-cidr-block", list_id, []),
        ("route.destination-ipv6-cidr-block", list_id, []),
    ]:
        found = ec2.describe_route_tables(Filters=[{"Name": name, "Values": [value]}])["RouteTables"]
        assert [one["RouteTableId"] for one in found] == wanted, (name, value)
    given = {"RouteTableId": peered.table, "DestinationPrefixListId": list_id}
    assert error(ec2.create_route, **given, VpcPeeringConnectionId=peered.peering) == (
        "RouteAlreadyExists",
        f"The route identified by {list_id} already exists.",
    )
    ec2.replace_route(**given, VpcPeeringConnectionId=peered.peering)
    ec2.delete_route(**given)
    assert shown(ec2, peered.table) == []
    assert error(ec2.delete_route, **given) == (
        "InvalidRoute.NotFound",
        f"no route with destination-prefix-list-id {list_id} in route table {peered.table}",
    )
    assert code(ec2.replace_route, **given, VpcPeeringConnectionId=peered.peering) == "InvalidParameterValue"


def test_what_a_list_cannot_lead_to_is_refused(region: Cloud, ec2: Any, peered: Peered) -> None:
    list_id, door = listed(ec2, "10.2.0.0/16"), gateway(ec2, peered.vpc)
    outgoing = ec2.create_egress_only_internet_gateway(VpcId=peered.vpc)["EgressOnlyInternetGateway"]
    way = {"RouteTableId": peered.table, "VpcPeeringConnectionId": peered.peering}
    elsewhere = listed(region.client("ec2", "stranger"), "10.2.0.0/16")
    for given, said in [
        ({**way, "DestinationPrefixListId": "pl-0123456789abcdef0"}, "InvalidPrefixListID.NotFound"),
        ({**way, "DestinationPrefixListId": elsewhere}, "InvalidPrefixListID.NotFound"),
        ({**way, "DestinationPrefixListId": "pl-x"}, "InvalidPrefixListId.Malformed"),
        (
            {**way, "DestinationPrefixListId": list_id, "DestinationCidrBlock": "10.2.0.0/16"},
            "InvalidParameterCombination",
        ),
        (
            {**way, "DestinationPrefixListId": list_id, "DestinationIpv6CidrBlock": "2001:db8::/32"},
            "InvalidParameterCombination",
        ),
        (
            {"RouteTableId": peered.table, "DestinationPrefixListId": list_id, "GatewayId": door},
            "UnsupportedOperation",
        ),
        (
            {
                "RouteTableId": peered.table,
                "DestinationPrefixListId": list_id,
                "EgressOnlyInternetGatewayId": outgoing["EgressOnlyInternetGatewayId"],
            },
            "UnsupportedOperation",
        ),
    ]:
        assert code(ec2.create_route, **given) == said, given
    assert shown(ec2, peered.table) == []
    to_list(ec2, peered, list_id)
    given = {"RouteTableId": peered.table, "DestinationPrefixListId": list_id}
    assert code(ec2.replace_route, **given, GatewayId=door) == "UnsupportedOperation"
    assert shown(ec2, peered.table)[0]["VpcPeeringConnectionId"] == peered.peering


def test_a_list_weighs_in_a_table_what_it_may_have(ec2: Any, peered: Peered) -> None:
    large, small = listed(ec2, most=48), listed(ec2, most=2)
    to_list(ec2, peered, large)
    way = {"RouteTableId": peered.table, "VpcPeeringConnectionId": peered.peering}
    assert code(ec2.create_route, **way, DestinationPrefixListId=small) == "RouteLimitExceeded"
    ec2.create_route(**way, DestinationCidrBlock="10.9.0.0/16")
    assert code(ec2.create_route, **way, DestinationCidrBlock="10.8.0.0/16") == "RouteLimitExceeded"
    failed = ec2.modify_managed_prefix_list(PrefixListId=large, MaxEntries=49)["PrefixList"]
    assert (failed["State"], failed["MaxEntries"]) == ("modify-failed", 48)
    assert peered.table in failed["StateMessage"]
    ec2.delete_route(RouteTableId=peered.table, DestinationCidrBlock="10.9.0.0/16")
    grown = ec2.modify_managed_prefix_list(PrefixListId=large, MaxEntries=49)["PrefixList"]
    assert (grown["State"], grown["MaxEntries"]) == ("modify-complete", 49)
    six = listed(ec2, most=49, family="IPv6")
    to_list(ec2, peered, six)  # the other family is counted by itself
    ec2.create_route(**way, DestinationIpv6CidrBlock="2001:db8::/32")
    assert code(ec2.create_route, **way, DestinationIpv6CidrBlock="2001:db9::/32") == "RouteLimitExceeded"
    failed = ec2.modify_managed_prefix_list(PrefixListId=six, MaxEntries=50)["PrefixList"]
    assert (failed["State"], failed["MaxEntries"]) == ("modify-failed", 49)


def test_a_list_that_a_route_names_is_not_deleted(ec2: Any, peered: Peered) -> None:
    list_id = listed(ec2, "10.2.0.0/16")
    to_list(ec2, peered, list_id)
    associated = ec2.get_managed_prefix_list_associations(PrefixListId=list_id)["PrefixListAssociations"]
    assert [one["ResourceId"] for one in associated] == [peered.table]
    failed = ec2.delete_managed_prefix_list(PrefixListId=list_id)["PrefixList"]
    assert failed["State"] == "delete-failed"
    assert peered.table in failed["StateMessage"]
    ec2.delete_route_table(RouteTableId=peered.table)
    assert ec2.get_managed_prefix_list_associations(PrefixListId=list_id)["PrefixListAssociations"] == []
    assert ec2.delete_managed_prefix_list(PrefixListId=list_id)["PrefixList"]["State"] == "delete-complete"


@pytest.mark.parametrize(
    ("leads", "wanted"),
    [
        ({}, {}),
        ({"pl-1": "pcx-1"}, {"10.2.0.0/16": "pcx-1", "10.3.0.0/16": "pcx-1"}),
        ({"10.2.0.0/16": "pcx-9", "pl-1": "pcx-1"}, {"10.2.0.0/16": "pcx-9", "10.3.0.0/16": "pcx-1"}),
        ({"pl-2": "pcx-2", "pl-1": "pcx-1"}, {"10.2.0.0/16": "pcx-1", "10.3.0.0/16": "pcx-1", "10.3.4.0/24": "pcx-2"}),
        ({"10.2.0.0/15": "local", "pl-2": "pcx-2"}, {"10.2.0.0/15": "local"}),
        ({"10.3.0.0/17": "local", "pl-2": "pcx-2"}, {"10.3.0.0/17": "local", "10.3.0.0/16": "pcx-2"}),
        ({"pl-3": "pcx-3"}, {"169.0.0.0/8": "pcx-3", "2001:db8::/32": "pcx-3"}),
        ({"::/0": "local", "pl-3": "pcx-3"}, {"::/0": "local", "169.0.0.0/8": "pcx-3"}),
        ({"pl-4": "pcx-4"}, {}),
    ],
)
def test_a_table_leads_where_its_lists_say(leads: dict[str, str], wanted: dict[str, str]) -> None:
    lists = {
        "pl-1": ("10.2.0.0/16", "10.3.0.0/16"),
        "pl-2": ("10.3.0.0/16", "10.3.4.0/24"),
        "pl-3": ("169.254.169.254/32", "169.254.0.0/16", "169.0.0.0/8", "fd00:ec2::254/128", "2001:db8::/32"),
        "pl-4": (),
    }
    spread_out = {block: to for block, to in spread(leads.items(), lists) if not block.startswith("pl-")}
    assert spread_out == wanted


def told(region: Cloud, vpc_id: str) -> tuple[set[str], set[str]]:
    """What the nodes are to send to peers of the VPC's, and what nowhere."""
    specs = [node.eucanetd._keeper.spec for zone in region.dev.zones.values() for node in zone.nodes.values()]
    vpcs = [spec.vpcs[vpc_id] for spec in specs if spec is not None and vpc_id in spec.vpcs]
    assert vpcs
    (vpc,) = {one.vpc_id: one for one in vpcs}.values()
    return {route.to for peer in vpc.peerings for route in peer.routes}, {route.to for route in vpc.black_holes}


def test_nodes_hold_routes_to_the_blocks_that_the_list_has_now(
    region: Cloud, ec2: Any, image: str, peered: Peered
) -> None:
    place = subnet(ec2, peered.vpc, "10.1.1.0/24")
    ec2.associate_route_table(RouteTableId=peered.table, SubnetId=place)
    list_id = listed(ec2, "10.2.1.0/24", "10.1.7.0/24", "192.0.2.0/24")
    to_list(ec2, peered, list_id)
    ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.nano", SubnetId=place)
    region.settle()
    assert told(region, peered.vpc) == ({"10.2.1.0/24", "192.0.2.0/24"}, set())
    ec2.modify_managed_prefix_list(
        PrefixListId=list_id,
        CurrentVersion=1,
        AddEntries=[{"Cidr": "10.2.2.0/24"}],
        RemoveEntries=[{"Cidr": "192.0.2.0/24"}],
    )
    region.settle()
    assert told(region, peered.vpc) == ({"10.2.1.0/24", "10.2.2.0/24"}, set())
    ec2.restore_managed_prefix_list_version(PrefixListId=list_id, PreviousVersion=1, CurrentVersion=2)
    region.settle()
    assert told(region, peered.vpc) == ({"10.2.1.0/24", "192.0.2.0/24"}, set())
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peered.peering)
    region.settle()
    assert told(region, peered.vpc) == (set(), {"10.2.1.0/24", "192.0.2.0/24"})
    ec2.delete_route(RouteTableId=peered.table, DestinationPrefixListId=list_id)
    region.settle()
    assert told(region, peered.vpc) == (set(), set())
