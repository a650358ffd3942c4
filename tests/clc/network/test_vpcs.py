"""VPCs and subnets through boto3: the default world, own ones, attributes, limits of blocks, and what holds what."""

from __future__ import annotations

from typing import Any

import pytest

from eucapy.clc.ec2.regions import long_name, zone_id
from tests.clc.network.asking import (
    code,
    default_group,
    default_vpc,
    error,
    gateway,
    named,
    own_vpc,
    subnet,
)
from tests.harness.cloud import Cloud


def test_the_default_vpc_as_aws_makes_it(region: Cloud, account: str, ec2: Any) -> None:
    owner = region.account(account)["account_id"]
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    vpc_id = vpc["VpcId"]
    assert vpc == {
        "VpcId": vpc_id,
        "OwnerId": owner,
        "CidrBlock": "172.31.0.0/16",
        "CidrBlockAssociationSet": [
            {
                "AssociationId": f"vpc-cidr-assoc-{vpc_id[4:]}",
                "CidrBlock": "172.31.0.0/16",
                "CidrBlockState": {"State": "associated"},
            }
        ],
        "DhcpOptionsId": vpc["DhcpOptionsId"],
        "InstanceTenancy": "default",
        "IsDefault": True,
        "State": "available",
        "BlockPublicAccessStates": {"InternetGatewayBlockMode": "off"},
        "Tags": [],
    }
    places = {entry["AvailabilityZone"]: entry for entry in ec2.describe_subnets()["Subnets"]}
    assert {zone: entry["CidrBlock"] for zone, entry in places.items()} == {
        "us-east-1a": "172.31.0.0/20",
        "us-east-1b": "172.31.16.0/20",
        "us-east-1c": "172.31.32.0/20",
    }
    first = places["us-east-1a"]
    assert first == {
        "SubnetId": first["SubnetId"],
        "SubnetArn": f"arn:aws:ec2:us-east-1:{owner}:subnet/{first['SubnetId']}",
        "VpcId": vpc_id,
        "OwnerId": owner,
        "CidrBlock": "172.31.0.0/20",
        "AvailabilityZone": "us-east-1a",
        "AvailabilityZoneId": "use1-az6",
        "AvailableIpAddressCount": 4091,
        "DefaultForAz": True,
        "MapPublicIpOnLaunch": True,
        "MapCustomerOwnedIpOnLaunch": False,
        "AssignIpv6AddressOnCreation": False,
        "Ipv6CidrBlockAssociationSet": [],
        "Ipv6Native": False,
        "EnableDns64": False,
        "PrivateDnsNameOptionsOnLaunch": {
            "HostnameType": "ip-name",
            "EnableResourceNameDnsARecord": False,
            "EnableResourceNameDnsAAAARecord": False,
        },
        "BlockPublicAccessStates": {"InternetGatewayBlockMode": "off"},
        "State": "available",
        "Tags": [],
    }
    (attached,) = ec2.describe_internet_gateways()["InternetGateways"]
    assert attached["Attachments"] == [{"State": "available", "VpcId": vpc_id}]
    (table,) = ec2.describe_route_tables()["RouteTables"]
    assert table["Routes"] == [
        {
            "DestinationCidrBlock": "172.31.0.0/16",
            "GatewayId": "local",
            "Origin": "CreateRouteTable",
            "State": "active",
        },
        {
            "DestinationCidrBlock": "0.0.0.0/0",
            "GatewayId": attached["InternetGatewayId"],
            "Origin": "CreateRoute",
            "State": "active",
        },
    ]
    assert [entry["Main"] for entry in table["Associations"]] == [True]
    (acl,) = ec2.describe_network_acls(Filters=named(default="true"))["NetworkAcls"]
    assert {entry["SubnetId"] for entry in acl["Associations"]} == {entry["SubnetId"] for entry in places.values()}
    assert [(e["Egress"], e["RuleNumber"], e["RuleAction"]) for e in acl["Entries"]] == [
        (True, 100, "allow"),
        (True, 32767, "deny"),
        (False, 100, "allow"),
        (False, 32767, "deny"),
    ]
    (options,) = ec2.describe_dhcp_options(DhcpOptionsIds=[vpc["DhcpOptionsId"]])["DhcpOptions"]
    assert options["DhcpConfigurations"] == [
        {"Key": "domain-name", "Values": [{"Value": "ec2.internal"}]},
        {"Key": "domain-name-servers", "Values": [{"Value": "AmazonProvidedDNS"}]},
    ]


def attribute(ec2: Any, vpc_id: str, name: str) -> bool:
    answer = ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=name)
    return bool(answer[name[0].upper() + name[1:]]["Value"])


def test_a_new_vpc_is_born_with_table_acl_and_group(ec2: Any) -> None:
    made = ec2.create_vpc(CidrBlock="10.1.2.3/16")["Vpc"]
    assert (made["State"], made["CidrBlock"], made["IsDefault"]) == ("pending", "10.1.0.0/16", False)
    assert "BlockPublicAccessStates" not in made  # as recorded of AWS: DescribeVpcs shows it
    vpc_id = made["VpcId"]
    ec2.get_waiter("vpc_available").wait(VpcIds=[vpc_id], WaiterConfig={"Delay": 0, "MaxAttempts": 1})
    assert len(ec2.describe_route_tables(Filters=named(vpc_id=vpc_id))["RouteTables"]) == 1
    assert len(ec2.describe_network_acls(Filters=named(vpc_id=vpc_id))["NetworkAcls"]) == 1
    assert default_group(ec2, vpc_id)
    assert ec2.describe_subnets(Filters=named(vpc_id=vpc_id))["Subnets"] == []
    assert [attribute(ec2, vpc_id, name) for name in ("enableDnsSupport", "enableDnsHostnames")] == [True, False]
    assert attribute(ec2, vpc_id, "enableNetworkAddressUsageMetrics") is False
    ec2.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames={"Value": True})
    assert attribute(ec2, vpc_id, "enableDnsHostnames") is True
    assert attribute(ec2, default_vpc(ec2), "enableDnsHostnames") is True


@pytest.mark.parametrize(
    ("given", "code_", "message"),
    [
        ({"CidrBlock": "10.0.0.0/15"}, "InvalidVpc.Range", "The CIDR '10.0.0.0/15' is invalid."),
        ({"CidrBlock": "10.0.0.0/29"}, "InvalidVpc.Range", "The CIDR '10.0.0.0/29' is invalid."),
        (
            {"CidrBlock": "10.0.0.0"},
            "InvalidParameterValue",
            "Value (10.0.0.0) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
        ),
        ({}, "MissingParameter", "Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided."),
        (
            {"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "dedicated"},
            "UnsupportedTenancy",
            "The tenancy value dedicated is not supported.",
        ),
        (
            {"CidrBlock": "10.0.0.0/16", "Ipv6Pool": "ipv6pool-ec2-0123456789abcdef0"},
            "UnsupportedOperation",
            "IPv6 addresses of pools of your own are not supported.",
        ),
    ],
)
def test_a_vpc_that_cannot_be(ec2: Any, given: dict[str, Any], code_: str, message: str) -> None:
    assert error(ec2.create_vpc, **given) == (code_, message)


def test_a_vpc_goes_with_what_it_was_born_with_and_not_before_the_rest_is_gone(ec2: Any) -> None:
    vpc_id = own_vpc(ec2)
    kept = ("DependencyViolation", f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
    place, door = subnet(ec2, vpc_id), gateway(ec2, vpc_id)
    table = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
    group = ec2.create_security_group(GroupName="web", Description="d", VpcId=vpc_id)["GroupId"]
    assert error(ec2.delete_vpc, VpcId=vpc_id) == kept
    ec2.delete_subnet(SubnetId=place)
    assert error(ec2.delete_vpc, VpcId=vpc_id) == kept
    ec2.detach_internet_gateway(InternetGatewayId=door, VpcId=vpc_id)
    assert error(ec2.delete_vpc, VpcId=vpc_id) == kept
    ec2.delete_route_table(RouteTableId=table)
    assert error(ec2.delete_vpc, VpcId=vpc_id) == kept
    ec2.delete_security_group(GroupId=group)
    ec2.create_tags(Resources=[vpc_id, default_group(ec2, vpc_id)], Tags=[{"Key": "a", "Value": "b"}])
    ec2.delete_vpc(VpcId=vpc_id)
    assert error(ec2.describe_vpcs, VpcIds=[vpc_id]) == (
        "InvalidVpcID.NotFound",
        f"The vpc ID '{vpc_id}' does not exist",
    )
    for describe, result in [
        (ec2.describe_route_tables, "RouteTables"),
        (ec2.describe_network_acls, "NetworkAcls"),
        (ec2.describe_security_groups, "SecurityGroups"),
    ]:
        assert describe(Filters=named(vpc_id=vpc_id))[result] == []
    assert ec2.describe_tags()["Tags"] == []


def test_the_default_vpc_can_be_deleted_and_made_again(ec2: Any) -> None:
    assert error(ec2.create_default_vpc)[0] == "DefaultVpcAlreadyExists"
    vpc_id = default_vpc(ec2)
    for entry in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=entry["SubnetId"])
    (attached,) = ec2.describe_internet_gateways()["InternetGateways"]
    ec2.detach_internet_gateway(InternetGatewayId=attached["InternetGatewayId"], VpcId=vpc_id)
    ec2.delete_vpc(VpcId=vpc_id)
    assert code(ec2.create_default_subnet, AvailabilityZone="us-east-1a") == "DefaultVpcDoesNotExist"
    made = ec2.create_default_vpc()["Vpc"]
    assert made["IsDefault"] is True
    assert len(ec2.describe_subnets(Filters=named(vpc_id=made["VpcId"]))["Subnets"]) == 3


def test_a_default_subnet_comes_back_in_its_zone(ec2: Any) -> None:
    (old,) = ec2.describe_subnets(Filters=named(availability_zone="us-east-1b"))["Subnets"]
    assert error(ec2.create_default_subnet, AvailabilityZone="us-east-1b") == (
        "DefaultSubnetAlreadyExistsInAvailabilityZone",
        f"'{old['SubnetId']}' is already the default subnet in us-east-1b.",
    )
    ec2.delete_subnet(SubnetId=old["SubnetId"])
    made = ec2.create_default_subnet(AvailabilityZoneId="use1-az1")["Subnet"]
    assert (made["CidrBlock"], made["DefaultForAz"], made["MapPublicIpOnLaunch"]) == ("172.31.16.0/20", True, True)


def test_vpcs_are_found_by_every_filter(region: Cloud, account: str, ec2: Any) -> None:
    vpc_id, owner = own_vpc(ec2), region.account(account)["account_id"]
    ec2.create_tags(Resources=[vpc_id], Tags=[{"Key": "Name", "Value": "lab"}])
    for name, value, found in [
        ("vpc-id", vpc_id, 1),
        ("cidr", "10.0.*", 1),
        ("cidrBlock", "10.0.0.0/16", 1),
        ("cidr-block-association.cidr-block", "10.0.0.0/16", 1),
        ("cidr-block-association.association-id", f"vpc-cidr-assoc-{vpc_id[4:]}", 1),
        ("cidr-block-association.state", "associated", 2),
        ("is-default", "false", 1),
        ("isDefault", "true", 1),
        ("owner-id", owner, 2),
        ("state", "available", 2),
        ("state", "pending", 0),
        ("tag:Name", "lab", 1),
        ("tag-key", "Name", 1),
        ("ipv6-cidr-block-association.state", "associated", 0),
    ]:
        answer = ec2.describe_vpcs(Filters=[{"Name": name, "Values": [value]}])
        assert (name, len(answer["Vpcs"])) == (name, found)
    (first,) = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"]
    assert len(ec2.describe_vpcs(Filters=named(dhcp_options_id=first["DhcpOptionsId"]))["Vpcs"]) == 2


def test_a_subnet_lies_inside_its_vpc_and_touches_no_other(ec2: Any) -> None:
    vpc_id = own_vpc(ec2)
    subnet(ec2, vpc_id, "10.0.0.0/20")
    for block, refused in [
        ("10.0.8.0/24", ("InvalidSubnet.Conflict", "The CIDR '10.0.8.0/24' conflicts with another subnet")),
        ("10.1.0.0/24", ("InvalidSubnet.Range", "The CIDR '10.1.0.0/24' is invalid.")),
        ("10.0.32.0/29", ("InvalidSubnet.Range", "The CIDR '10.0.32.0/29' is invalid.")),
        ("10.0.0.0/8", ("InvalidSubnet.Range", "The CIDR '10.0.0.0/8' is invalid.")),
    ]:
        assert error(ec2.create_subnet, VpcId=vpc_id, CidrBlock=block) == refused
    assert error(ec2.create_subnet, VpcId=vpc_id, CidrBlock="10.0.64.0/24", AvailabilityZone="us-east-1z") == (
        "InvalidParameterValue",
        "Value (us-east-1z) for parameter availabilityZone is invalid. Subnets can currently only be created in the "
        "following availability zones: us-east-1a, us-east-1b, us-east-1c.",
    )


def test_a_subnet_without_a_zone_goes_where_the_vpc_has_fewest(ec2: Any) -> None:
    vpc_id = own_vpc(ec2)
    zones = [
        ec2.create_subnet(VpcId=vpc_id, CidrBlock=f"10.0.{number}.0/24")["Subnet"]["AvailabilityZone"]
        for number in range(4)
    ]
    assert zones == ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1a"]


def test_free_addresses_are_counted(ec2: Any) -> None:
    place = subnet(ec2, own_vpc(ec2), "10.0.0.0/28")
    ec2.get_waiter("subnet_available").wait(SubnetIds=[place], WaiterConfig={"Delay": 0, "MaxAttempts": 1})

    def free() -> int:
        return int(ec2.describe_subnets(SubnetIds=[place])["Subnets"][0]["AvailableIpAddressCount"])

    assert free() == 11
    made = ec2.create_network_interface(SubnetId=place, SecondaryPrivateIpAddressCount=2)["NetworkInterface"]
    assert free() == 8
    found = ec2.describe_subnets(Filters=named(available_ip_address_count="8"))["Subnets"]
    assert [entry["SubnetId"] for entry in found] == [place]
    assert error(ec2.delete_subnet, SubnetId=place) == (
        "DependencyViolation",
        f"The subnet '{place}' has dependencies and cannot be deleted.",
    )
    ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])
    assert free() == 11
    ec2.delete_subnet(SubnetId=place)
    assert code(ec2.describe_subnets, SubnetIds=[place]) == "InvalidSubnetID.NotFound"


def test_subnets_are_found_by_every_filter(region: Cloud, account: str, ec2: Any) -> None:
    vpc_id, owner = own_vpc(ec2), region.account(account)["account_id"]
    place = subnet(ec2, vpc_id, zone="us-east-1c")
    ec2.create_tags(Resources=[place], Tags=[{"Key": "Name", "Value": "lab"}])
    for name, value, found in [
        ("subnet-id", place, 1),
        ("subnet-arn", f"arn:aws:ec2:us-east-1:{owner}:subnet/{place}", 1),
        ("vpc-id", vpc_id, 1),
        ("availability-zone", "us-east-1c", 2),
        ("availabilityZone", "us-east-1?", 4),
        ("availability-zone-id", "use1-az2", 2),
        ("cidr-block", "10.0.1.0/24", 1),
        ("cidr", "172.31.*", 3),
        ("default-for-az", "true", 3),
        ("defaultForAz", "false", 1),
        ("map-public-ip-on-launch", "true", 3),
        ("ipv6-native", "true", 0),
        ("outpost-arn", "*", 0),
        ("owner-id", owner, 4),
        ("state", "available", 4),
        ("tag:Name", "lab", 1),
    ]:
        answer = ec2.describe_subnets(Filters=[{"Name": name, "Values": [value]}])
        assert (name, len(answer["Subnets"])) == (name, found)


def test_launches_get_public_addresses_where_the_subnet_says_so(ec2: Any) -> None:
    place = subnet(ec2, own_vpc(ec2))
    ec2.modify_subnet_attribute(SubnetId=place, MapPublicIpOnLaunch={"Value": True})
    assert ec2.describe_subnets(SubnetIds=[place])["Subnets"][0]["MapPublicIpOnLaunch"] is True
    ec2.modify_subnet_attribute(SubnetId=place, AssignIpv6AddressOnCreation={"Value": False})
    assert code(ec2.modify_subnet_attribute, SubnetId=place, EnableDns64={"Value": True}) == "InvalidParameterValue"
    assert code(ec2.modify_subnet_attribute, SubnetId=place) == "MissingParameter"


def test_vpcs_of_others_are_not_there(region: Cloud, ec2: Any) -> None:
    other = region.client("ec2", "stranger")
    vpc_id = default_vpc(ec2)
    assert code(other.describe_vpcs, VpcIds=[vpc_id]) == "InvalidVpcID.NotFound"
    assert code(other.create_subnet, VpcId=vpc_id, CidrBlock="172.31.200.0/24") == "InvalidVpcID.NotFound"
    assert code(other.delete_vpc, VpcId=vpc_id) == "InvalidVpcID.NotFound"
    assert code(ec2.describe_vpcs, VpcIds=["vpc-x"]) == "InvalidVpcID.Malformed"


def test_zones_have_the_ids_and_names_that_aws_gives_them() -> None:
    assert [zone_id("us-east-1", index) for index in range(3)] == ["use1-az6", "use1-az1", "use1-az2"]
    assert [zone_id(name, 0) for name in ("us-gov-west-1", "ap-northeast-2", "eu-central-1")] == [
        "usgw1-az1",
        "apne2-az1",
        "euc1-az1",
    ]
    assert long_name("us-east-1") == "US East (N. Virginia)"
    assert long_name("my-lab") == "my-lab"
