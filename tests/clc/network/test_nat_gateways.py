"""NAT gateways through the API: from making to forgetting, routes to them, their interface, and the node that translates."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from eucapy.clc.reconcilers.nat_gateways import LOST_S, NatGateways, choose
from eucapy.clc.store import hosts, nat_gateways
from tests.clc.network.asking import code, error, gateway, named, own_vpc, subnet
from tests.harness.cloud import Cloud

ABSENT = "nat-0123456789abcdef0"


@pytest.fixture
def vpc_id(ec2: Any) -> str:
    return own_vpc(ec2)


@pytest.fixture
def place(ec2: Any, vpc_id: str) -> str:
    """A subnet that leads to the internet."""
    subnet_id = subnet(ec2, vpc_id)
    table = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet_id)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway(ec2, vpc_id))
    return subnet_id


@pytest.fixture
def make(region: Cloud, ec2: Any) -> Any:
    """`make(subnet)` is a new NAT gateway, come to rest; its address is released with the test."""
    made: list[tuple[str, str]] = []

    def create(subnet_id: str, settle: bool = True, **given: Any) -> Any:
        allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
        answer = ec2.create_nat_gateway(SubnetId=subnet_id, AllocationId=allocation, **given)["NatGateway"]
        made.append((answer["NatGatewayId"], allocation))
        if settle:
            region.settle()
            return shown(ec2, answer["NatGatewayId"])
        return answer

    yield create
    for gateway_id, _ in made:
        ec2.delete_nat_gateway(NatGatewayId=gateway_id)
    region.settle()
    for _, allocation in made:
        ec2.release_address(AllocationId=allocation)


def shown(ec2: Any, gateway_id: str) -> dict[str, Any]:
    (found,) = ec2.describe_nat_gateways(NatGatewayIds=[gateway_id])["NatGateways"]
    return dict(found)


def default_route(ec2: Any, table: str) -> tuple[str | None, str]:
    (found,) = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    (route,) = (one for one in found["Routes"] if one["DestinationCidrBlock"] == "0.0.0.0/0")
    assert "GatewayId" not in route
    return route.get("NatGatewayId"), route["State"]


def test_a_gateway_is_pending_then_available_and_has_an_interface_of_its_own(
    ec2: Any, vpc_id: str, place: str, make: Callable[..., Any]
) -> None:
    tags = [{"Key": "Name", "Value": "out"}]
    new = make(place, settle=False, TagSpecifications=[{"ResourceType": "natgateway", "Tags": tags}])
    assert (new["State"], new["VpcId"], new["SubnetId"], new["Tags"]) == ("pending", vpc_id, place, tags)
    found = make(place)
    assert (found["State"], found["ConnectivityType"]) == ("available", "public")
    (address,) = found["NatGatewayAddresses"]
    (held,) = ec2.describe_addresses(AllocationIds=[address["AllocationId"]])["Addresses"]
    assert address == {
        "AllocationId": held["AllocationId"], "AssociationId": held["AssociationId"], "PublicIp": held["PublicIp"],
        "NetworkInterfaceId": held["NetworkInterfaceId"], "PrivateIp": held["PrivateIpAddress"], "IsPrimary": True,
        "Status": "succeeded",
    }  # fmt: skip
    wanted = named(interface_type="nat_gateway", requester_managed="true", status="in-use")
    found_interfaces = ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]
    interface = next(o for o in found_interfaces if o["NetworkInterfaceId"] == address["NetworkInterfaceId"])
    assert (interface["InterfaceType"], interface["RequesterManaged"], interface["Status"], interface["Groups"]) == (
        "nat_gateway", True, "in-use", [],
    )  # fmt: skip
    assert interface["Description"] == f"Interface for NAT Gateway {found['NatGatewayId']}"
    mine = {"NetworkInterfaceId": address["NetworkInterfaceId"]}
    assert code(ec2.delete_network_interface, **mine) == "InvalidParameterValue"
    assert code(ec2.disassociate_address, AssociationId=held["AssociationId"]) == "OperationNotPermitted"
    assert code(ec2.associate_address, AllocationId=held["AllocationId"], **mine, PrivateIpAddress="10.0.1.9") != ""
    assert code(ec2.delete_subnet, SubnetId=place) == "DependencyViolation"
    assert error(ec2.create_nat_gateway, SubnetId=place, AllocationId=held["AllocationId"]) == (
        "Resource.AlreadyAssociated",
        f"Elastic IP address [{held['AllocationId']}] is already associated",
    )


def test_a_deleted_gateway_frees_its_address_and_is_shown_for_an_hour(
    region: Cloud, ec2: Any, vpc_id: str, place: str, make: Callable[..., Any]
) -> None:
    found = make(place)
    gateway_id, allocation = found["NatGatewayId"], found["NatGatewayAddresses"][0]["AllocationId"]
    table = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=gateway_id)
    assert default_route(ec2, table) == (gateway_id, "active")
    wanted = named(**{"route.nat_gateway_id": gateway_id})
    assert [one["RouteTableId"] for one in ec2.describe_route_tables(Filters=wanted)["RouteTables"]] == [table]
    assert ec2.describe_route_tables(Filters=named(**{"route.gateway_id": gateway_id}))["RouteTables"] == []
    assert ec2.delete_nat_gateway(NatGatewayId=gateway_id)["NatGatewayId"] == gateway_id
    assert shown(ec2, gateway_id)["State"] == "deleting"
    assert default_route(ec2, table) == (gateway_id, "blackhole")
    region.settle()
    gone = shown(ec2, gateway_id)
    assert gone["State"] == "deleted" and gone["DeleteTime"] >= gone["CreateTime"]
    (address,) = ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
    assert "AssociationId" not in address
    refused = code(ec2.create_route, RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=gateway_id)
    assert refused == "InvalidNatGatewayID.NotFound"
    again = make(place)
    ec2.replace_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=again["NatGatewayId"])
    assert default_route(ec2, table) == (again["NatGatewayId"], "active")


def test_a_gateway_without_an_internet_gateway_fails_and_says_why(
    region: Cloud, ec2: Any, vpc_id: str, make: Callable[..., Any]
) -> None:
    found = make(subnet(ec2, vpc_id))
    assert (found["State"], found["FailureCode"], found["FailureMessage"]) == (
        "failed", "Gateway.NotAttached", f"Network {vpc_id} has no Internet gateway attached",
    )  # fmt: skip
    assert ec2.describe_network_interfaces(Filters=named(vpc_id=vpc_id))["NetworkInterfaces"] == []


def test_a_private_gateway_needs_no_address_and_takes_none(region: Cloud, ec2: Any, vpc_id: str, place: str) -> None:
    made = ec2.create_nat_gateway(SubnetId=place, ConnectivityType="private", PrivateIpAddress="10.0.1.77")
    gateway_id = made["NatGateway"]["NatGatewayId"]
    region.settle()
    found = shown(ec2, gateway_id)
    assert found["State"] == "available"
    assert [(one["PrivateIp"], one.get("PublicIp")) for one in found["NatGatewayAddresses"]] == [("10.0.1.77", None)]
    allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
    given = {"SubnetId": place, "ConnectivityType": "private", "AllocationId": allocation}
    assert code(ec2.create_nat_gateway, **given) == "InvalidParameterValue"
    ec2.release_address(AllocationId=allocation)
    assert code(ec2.create_nat_gateway, SubnetId=place) == "MissingParameter"
    assert code(ec2.create_nat_gateway, SubnetId=place, AllocationId="eipalloc-0123456789abcdef0") == (
        "InvalidAllocationID.NotFound"
    )
    assert error(ec2.delete_nat_gateway, NatGatewayId=ABSENT) == (
        "NatGatewayNotFound", f"The Nat Gateway {ABSENT} was not found",
    )  # fmt: skip


def test_filters_and_another_account(
    region: Cloud, ec2: Any, vpc_id: str, place: str, make: Callable[..., Any]
) -> None:
    gateway_id = make(place)["NatGatewayId"]
    for name, yes, no in [
        ("nat-gateway-id", gateway_id, ABSENT), ("state", "available", "failed"), ("subnet-id", place, "subnet-1"),
        ("vpc-id", vpc_id, "vpc-1"),
    ]:  # fmt: skip
        for value, found in ((yes, [gateway_id]), (no, [])):
            answer = ec2.describe_nat_gateways(Filter=[{"Name": name, "Values": [value]}])["NatGateways"]
            assert [one["NatGatewayId"] for one in answer if one["NatGatewayId"] == gateway_id] == found, name
    stranger = region.client("ec2", "a-stranger")
    assert code(stranger.delete_nat_gateway, NatGatewayId=gateway_id) == "NatGatewayNotFound"


def test_the_node_of_the_zone_with_the_fewest_gateways_is_chosen() -> None:
    hosts: list[Any] = [SimpleNamespace(name=name, zone=zone) for name, zone in (("b", "1"), ("a", "1"), ("c", "2"))]
    assert choose(hosts, "1", {}) == "a"
    assert choose(hosts, "1", {"a": 1}) == "b"
    assert choose(hosts, "1", {"a": 1, "b": 1}) == "a"
    assert choose(hosts, "3", {}) == ""


def test_another_node_takes_over_when_the_one_that_translates_is_lost(
    region: Cloud, ec2: Any, place: str, make: Callable[..., Any]
) -> None:
    gateway_id = make(place)["NatGatewayId"]
    database = region.dev.database

    def node() -> str:
        rows = region.run(database.read(nat_gateways.every))
        return next(row.node for row in rows if row.id == gateway_id)

    def away(since: float | None) -> None:
        values = {"reachable": since is None, "unreachable_since": since}
        region.run(database.write(lambda tx: hosts.put(tx, first, values, known=True)))

    loop = NatGateways(database, region.clock, lambda _name: None)
    first = node()
    try:
        away(region.clock.time() - LOST_S + 5)
        region.run(loop())
        assert node() == first, "a short silence is no loss"
        away(region.clock.time() - LOST_S - 5)
        region.run(loop())
        assert node() not in ("", first)
    finally:
        away(None)
