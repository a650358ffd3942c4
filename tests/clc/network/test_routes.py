"""Internet gateways, route tables, routes, DHCP options and what does not exist, through boto3."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clc.network.asking import code, default_vpc, error, gateway, named, own_vpc, subnet, without_metadata


@pytest.fixture
def vpc_id(ec2: Any) -> str:
    return own_vpc(ec2)


def table(ec2: Any, vpc_id: str) -> str:
    return str(ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"])


def main_table(ec2: Any, vpc_id: str) -> dict[str, Any]:
    wanted = [{"Name": "association.main", "Values": ["true"]}, *named(vpc_id=vpc_id)]
    (found,) = ec2.describe_route_tables(Filters=wanted)["RouteTables"]
    return dict(found)


def routes(ec2: Any, table_id: str) -> dict[str, tuple[str, str]]:
    (found,) = ec2.describe_route_tables(RouteTableIds=[table_id])["RouteTables"]
    return {route["DestinationCidrBlock"]: (route["GatewayId"], route["State"]) for route in found["Routes"]}


def test_a_gateway_is_attached_to_one_vpc_and_a_vpc_to_one_gateway(ec2: Any, vpc_id: str) -> None:
    door = gateway(ec2, vpc_id)
    second = ec2.create_internet_gateway()["InternetGateway"]
    assert second["Attachments"] == []
    other = second["InternetGatewayId"]
    assert error(ec2.attach_internet_gateway, InternetGatewayId=door, VpcId=default_vpc(ec2)) == (
        "Resource.AlreadyAssociated",
        f"resource {door} is already attached to network {vpc_id}",
    )
    assert error(ec2.attach_internet_gateway, InternetGatewayId=other, VpcId=vpc_id) == (
        "InvalidParameterValue",
        f"Network {vpc_id} already has an internet gateway attached",
    )
    assert error(ec2.detach_internet_gateway, InternetGatewayId=other, VpcId=vpc_id) == (
        "Gateway.NotAttached",
        f"resource {other} is not attached to network {vpc_id}",
    )
    assert error(ec2.delete_internet_gateway, InternetGatewayId=door) == (
        "DependencyViolation",
        f"The internetGateway '{door}' has dependencies and cannot be deleted.",
    )
    ec2.detach_internet_gateway(InternetGatewayId=door, VpcId=vpc_id)
    ec2.delete_internet_gateway(InternetGatewayId=door)
    assert error(ec2.describe_internet_gateways, InternetGatewayIds=[door]) == (
        "InvalidInternetGatewayID.NotFound",
        f"The internetGateway ID '{door}' does not exist",
    )
    waiter = ec2.get_waiter("internet_gateway_exists")
    waiter.wait(InternetGatewayIds=[other], WaiterConfig={"Delay": 0, "MaxAttempts": 1})


def test_gateways_are_found_by_their_vpc(ec2: Any, vpc_id: str) -> None:
    door = gateway(ec2, vpc_id)
    for name, value, found in [
        ("attachment.vpc-id", vpc_id, 1),
        ("attachment.state", "available", 2),
        ("internet-gateway-id", door, 1),
    ]:
        answer = ec2.describe_internet_gateways(Filters=[{"Name": name, "Values": [value]}])
        assert (name, len(answer["InternetGateways"])) == (name, found)


def test_a_route_to_the_internet_comes_and_goes(ec2: Any, vpc_id: str) -> None:
    door, own = gateway(ec2, vpc_id), table(ec2, vpc_id)
    answer = ec2.create_route(RouteTableId=own, DestinationCidrBlock="0.0.0.0/0", GatewayId=door)
    assert answer["Return"] is True
    assert routes(ec2, own) == {"10.0.0.0/16": ("local", "active"), "0.0.0.0/0": (door, "active")}
    assert error(ec2.create_route, RouteTableId=own, DestinationCidrBlock="0.0.0.0/0", GatewayId=door) == (
        "RouteAlreadyExists",
        "The route identified by 0.0.0.0/0 already exists.",
    )
    ec2.replace_route(RouteTableId=own, DestinationCidrBlock="0.0.0.0/0", GatewayId=door)
    ec2.detach_internet_gateway(InternetGatewayId=door, VpcId=vpc_id)
    assert routes(ec2, own)["0.0.0.0/0"] == (door, "blackhole")
    found = ec2.describe_route_tables(Filters=[{"Name": "route.state", "Values": ["blackhole"]}])["RouteTables"]
    assert [entry["RouteTableId"] for entry in found] == [own]
    ec2.delete_route(RouteTableId=own, DestinationCidrBlock="0.0.0.0/0")
    assert error(ec2.delete_route, RouteTableId=own, DestinationCidrBlock="0.0.0.0/0") == (
        "InvalidRoute.NotFound",
        f"no route with destination-cidr-block 0.0.0.0/0 in route table {own}",
    )
    assert error(ec2.delete_route, RouteTableId=own, DestinationCidrBlock="10.0.0.0/16") == (
        "InvalidParameterValue",
        f"cannot remove local route 10.0.0.0/16 in route table {own}",
    )


def test_routes_that_no_packet_could_take_are_refused(ec2: Any, vpc_id: str) -> None:
    own, door = table(ec2, vpc_id), gateway(ec2, vpc_id)
    foreign = ec2.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [default_vpc(ec2)]}])
    other = foreign["InternetGateways"][0]["InternetGatewayId"]
    interface = ec2.create_network_interface(SubnetId=subnet(ec2, vpc_id))["NetworkInterface"]["NetworkInterfaceId"]
    for given, code_ in [
        ({"NatGatewayId": "nat-0123456789abcdef0"}, "InvalidNatGatewayID.NotFound"),
        ({"TransitGatewayId": "tgw-0123456789abcdef0"}, "InvalidTransitGatewayID.NotFound"),
        ({"VpcPeeringConnectionId": "pcx-0123456789abcdef0"}, "InvalidVpcPeeringConnectionID.NotFound"),
        ({"GatewayId": "vgw-0123456789abcdef0"}, "InvalidVpnGatewayID.NotFound"),
        ({"GatewayId": "igw-0123456789abcdef0"}, "InvalidInternetGatewayID.NotFound"),
        ({"NetworkInterfaceId": interface}, "UnsupportedOperation"),
        ({"NetworkInterfaceId": "eni-0123456789abcdef0"}, "InvalidNetworkInterfaceID.NotFound"),
        ({"InstanceId": "i-0123456789abcdef0"}, "InvalidInstanceID.NotFound"),
        ({"GatewayId": other}, "InvalidParameterValue"),
        ({}, "MissingParameter"),
    ]:
        assert code(ec2.create_route, RouteTableId=own, DestinationCidrBlock="0.0.0.0/0", **given) == code_
    assert code(ec2.create_route, RouteTableId=own, DestinationCidrBlock="8.8.8.0/24", GatewayId=door) == (
        "UnsupportedOperation"
    )
    assert error(ec2.create_route, RouteTableId=own, DestinationCidrBlock="10.0.9.0/24", GatewayId=door) == (
        "InvalidParameterValue",
        "The destination CIDR block 10.0.9.0/24 is equal to or more specific than one of this VPC's CIDR blocks. "
        "This route can target only an interface or an instance.",
    )
    assert error(ec2.replace_route, RouteTableId=own, DestinationCidrBlock="9.9.9.0/24", GatewayId=door) == (
        "InvalidParameterValue",
        "There is no route defined for '9.9.9.0/24' in the route table. Use CreateRoute instead.",
    )
    assert routes(ec2, own) == {"10.0.0.0/16": ("local", "active")}


def test_a_subnet_has_one_table_and_can_change_it(ec2: Any, vpc_id: str) -> None:
    place, first, second = subnet(ec2, vpc_id), table(ec2, vpc_id), table(ec2, vpc_id)
    answer = ec2.associate_route_table(RouteTableId=first, SubnetId=place)
    assert answer["AssociationState"] == {"State": "associated"}
    held = answer["AssociationId"]
    assert ec2.associate_route_table(RouteTableId=first, SubnetId=place)["AssociationId"] == held
    assert code(ec2.associate_route_table, RouteTableId=second, SubnetId=place) == "Resource.AlreadyAssociated"
    assert error(ec2.delete_route_table, RouteTableId=first) == (
        "DependencyViolation",
        f"The routeTable '{first}' has dependencies and cannot be deleted.",
    )
    moved = ec2.replace_route_table_association(AssociationId=held, RouteTableId=second)["NewAssociationId"]
    found = ec2.describe_route_tables(Filters=[{"Name": "association.subnet-id", "Values": [place]}])["RouteTables"]
    assert [entry["RouteTableId"] for entry in found] == [second]
    ec2.delete_route_table(RouteTableId=first)
    ec2.disassociate_route_table(AssociationId=moved)
    assert error(ec2.disassociate_route_table, AssociationId=moved) == (
        "InvalidAssociationID.NotFound",
        f"The association ID '{moved}' does not exist",
    )
    ec2.delete_route_table(RouteTableId=second)


def test_the_main_table_can_change_and_stays_while_it_is_main(ec2: Any, vpc_id: str) -> None:
    old, new = main_table(ec2, vpc_id), table(ec2, vpc_id)
    association = old["Associations"][0]["RouteTableAssociationId"]
    assert code(ec2.delete_route_table, RouteTableId=old["RouteTableId"]) == "DependencyViolation"
    assert error(ec2.disassociate_route_table, AssociationId=association) == (
        "InvalidParameterValue",
        f"cannot disassociate the main route table association {association}",
    )
    ec2.replace_route_table_association(AssociationId=association, RouteTableId=new)
    assert main_table(ec2, vpc_id)["RouteTableId"] == new
    ec2.delete_route_table(RouteTableId=old["RouteTableId"])


def test_a_deleted_subnet_leaves_no_association(ec2: Any, vpc_id: str) -> None:
    place, own = subnet(ec2, vpc_id), table(ec2, vpc_id)
    ec2.associate_route_table(RouteTableId=own, SubnetId=place)
    ec2.delete_subnet(SubnetId=place)
    ec2.delete_route_table(RouteTableId=own)


def test_route_tables_are_found_by_every_filter(ec2: Any, vpc_id: str) -> None:
    door, own, place = gateway(ec2, vpc_id), table(ec2, vpc_id), subnet(ec2, vpc_id)
    held = ec2.associate_route_table(RouteTableId=own, SubnetId=place)["AssociationId"]
    ec2.create_route(RouteTableId=own, DestinationCidrBlock="0.0.0.0/0", GatewayId=door)
    ec2.create_tags(Resources=[own], Tags=[{"Key": "Name", "Value": "public"}])
    for name, value, found in [
        ("route-table-id", own, 1),
        ("vpc-id", vpc_id, 2),
        ("association.route-table-association-id", held, 1),
        ("association.route-table-id", own, 1),
        ("association.subnet-id", place, 1),
        ("association.main", "false", 1),
        ("association.main", "true", 2),
        ("route.destination-cidr-block", "0.0.0.0/0", 2),
        ("route.gateway-id", door, 1),
        ("route.gateway-id", "local", 3),
        ("route.origin", "CreateRoute", 2),
        ("route.state", "active", 3),
        ("route.nat-gateway-id", "*", 0),
        ("tag:Name", "public", 1),
    ]:
        answer = ec2.describe_route_tables(Filters=[{"Name": name, "Values": [value]}])
        assert (name, len(answer["RouteTables"])) == (name, found)


def test_dhcp_options_are_made_given_to_a_vpc_and_deleted(ec2: Any, vpc_id: str) -> None:
    made = ec2.create_dhcp_options(
        DhcpConfigurations=[
            {"Key": "domain-name", "Values": ["lab.example"]},
            {"Key": "domain-name-servers", "Values": ["192.0.2.53", "192.0.2.54"]},
        ]
    )["DhcpOptions"]
    options_id = made["DhcpOptionsId"]
    assert made["DhcpConfigurations"] == [
        {"Key": "domain-name", "Values": [{"Value": "lab.example"}]},
        {"Key": "domain-name-servers", "Values": [{"Value": "192.0.2.53"}, {"Value": "192.0.2.54"}]},
    ]
    ec2.associate_dhcp_options(DhcpOptionsId=options_id, VpcId=vpc_id)
    assert error(ec2.delete_dhcp_options, DhcpOptionsId=options_id) == (
        "DependencyViolation",
        f"The dhcpOptions '{options_id}' has dependencies and cannot be deleted.",
    )
    found = ec2.describe_dhcp_options(Filters=named(value="192.0.2.54"))["DhcpOptions"]
    assert [entry["DhcpOptionsId"] for entry in found] == [options_id]
    ec2.associate_dhcp_options(DhcpOptionsId="default", VpcId=vpc_id)
    assert ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]["DhcpOptionsId"] == "default"
    ec2.delete_dhcp_options(DhcpOptionsId=options_id)
    assert error(ec2.describe_dhcp_options, DhcpOptionsIds=[options_id]) == (
        "InvalidDhcpOptionID.NotFound",
        f"The dhcpOption ID '{options_id}' does not exist",
    )


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("colour", ["red"]),
        ("domain-name", ["two words"]),
        ("domain-name-servers", ["nonsense"]),
        ("domain-name-servers", ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"]),
        ("domain-name-servers", ["AmazonProvidedDNS", "192.0.2.1"]),
        ("netbios-node-type", ["3"]),
    ],
)
def test_dhcp_options_that_no_guest_could_use(ec2: Any, key: str, values: list[str]) -> None:
    given = [{"Key": key, "Values": values}]
    assert code(ec2.create_dhcp_options, DhcpConfigurations=given) == "InvalidParameterValue"


def test_what_cannot_be_made_is_described_as_absent(ec2: Any) -> None:
    for describe, result in [
        (ec2.describe_nat_gateways, "NatGateways"),
        (ec2.describe_vpc_endpoints, "VpcEndpoints"),
        (ec2.describe_egress_only_internet_gateways, "EgressOnlyInternetGateways"),
        (ec2.describe_prefix_lists, "PrefixLists"),
        (ec2.describe_vpn_gateways, "VpnGateways"),
        (ec2.describe_transit_gateways, "TransitGateways"),
        (ec2.describe_flow_logs, "FlowLogs"),
    ]:
        assert without_metadata(describe()) == {result: []}
    assert error(ec2.describe_nat_gateways, NatGatewayIds=["nat-0123456789abcdef0"]) == (
        "NatGatewayNotFound",
        "The Nat Gateway nat-0123456789abcdef0 was not found",
    )


def test_what_packets_cannot_honour_has_no_action(ec2: Any, vpc_id: str) -> None:
    for call, given in [
        (ec2.create_vpc_endpoint, {"VpcId": vpc_id, "ServiceName": "com.amazonaws.us-east-1.s3"}),
    ]:
        assert code(call, **given) == "InvalidAction"


def test_account_attributes_name_the_default_vpc(ec2: Any) -> None:
    answer = ec2.describe_account_attributes(AttributeNames=["default-vpc", "supported-platforms"])
    assert [(a["AttributeName"], a["AttributeValues"]) for a in answer["AccountAttributes"]] == [
        ("default-vpc", [{"AttributeValue": default_vpc(ec2)}]),
        ("supported-platforms", [{"AttributeValue": "VPC"}]),
    ]
    every = ec2.describe_account_attributes()["AccountAttributes"]
    names = [one["AttributeName"] for one in every]
    assert len(names) == 6
    # libcloud asks by the names that the API reference has and the model's enum has not.
    assert ec2.describe_account_attributes(AttributeNames=names)["AccountAttributes"] == every
    assert code(ec2.describe_account_attributes, AttributeNames=["max-horses"]) == "InvalidParameterValue"


def test_every_id_is_long_for_good(ec2: Any) -> None:
    assert all(status["UseLongIds"] for status in ec2.describe_id_format()["Statuses"])
    assert ec2.describe_id_format(Resource="vpc")["Statuses"] == [{"Resource": "vpc", "UseLongIds": True}]
    assert ec2.describe_aggregate_id_format()["UseLongIdsAggregated"] is True
    ec2.modify_id_format(Resource="vpc", UseLongIds=True)
    assert code(ec2.modify_id_format, Resource="vpc", UseLongIds=False) == "InvalidParameterValue"
