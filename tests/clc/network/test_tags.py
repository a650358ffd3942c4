"""Tags through boto3, on every kind of resource; EC2's limits; DescribeTags with its filters and pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eucapy import ids
from eucapy.clc.store import owners
from tests.clc.network.asking import code, default_group, default_vpc, error, named, own_vpc, without_metadata
from tests.harness.cloud import Cloud

Run = Callable[..., str]
ABSENT = "0123456789abcdef0"


def tag(key: str, value: str = "") -> dict[str, str]:
    return {"Key": key, "Value": value}


def tags_of(ec2: Any, resource_id: str) -> dict[str, str]:
    found = ec2.describe_tags(Filters=named(resource_id=resource_id))["Tags"]
    return {entry["Key"]: entry["Value"] for entry in found}


def test_a_tag_is_set_changed_and_removed(ec2: Any) -> None:
    vpc_id = default_vpc(ec2)
    ec2.create_tags(Resources=[vpc_id], Tags=[tag("Name", "lab"), tag("empty")])
    ec2.create_tags(Resources=[vpc_id], Tags=[tag("Name", "field")])
    assert tags_of(ec2, vpc_id) == {"Name": "field", "empty": ""}
    assert ec2.describe_vpcs()["Vpcs"][0]["Tags"] == [tag("Name", "field"), tag("empty")]
    ec2.delete_tags(Resources=[vpc_id], Tags=[tag("Name", "lab")])
    assert tags_of(ec2, vpc_id) == {"Name": "field", "empty": ""}, "it does not have that value"
    ec2.delete_tags(Resources=[vpc_id], Tags=[{"Key": "Name"}])
    assert tags_of(ec2, vpc_id) == {"empty": ""}
    ec2.delete_tags(Resources=[vpc_id], Tags=[tag("empty", "")])
    assert tags_of(ec2, vpc_id) == {}


def test_without_tags_all_are_removed(ec2: Any) -> None:
    vpc_id = default_vpc(ec2)
    ec2.create_tags(Resources=[vpc_id], Tags=[tag("a"), tag("b")])
    ec2.delete_tags(Resources=[vpc_id])
    assert tags_of(ec2, vpc_id) == {}


def test_every_kind_with_tags_has_a_table() -> None:
    taggable = {kind.prefix for kind in ids.KINDS.values() if kind.resource_type}
    assert taggable <= set(owners.TABLES)


def test_every_resource_of_an_account_takes_tags(ec2: Any, run: Run) -> None:
    vpc_id = default_vpc(ec2)
    instance_id = run()
    (reservation,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    instance = reservation["Instances"][0]
    volume_id = instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
    rules = ec2.describe_security_group_rules()["SecurityGroupRules"]
    resources = {
        "instance": instance_id,
        "volume": volume_id,
        "snapshot": ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"],
        "network-interface": instance["NetworkInterfaces"][0]["NetworkInterfaceId"],
        "vpc": vpc_id,
        "subnet": ec2.describe_subnets()["Subnets"][0]["SubnetId"],
        "security-group": default_group(ec2),
        "security-group-rule": rules[0]["SecurityGroupRuleId"],
        "route-table": ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"],
        "internet-gateway": ec2.describe_internet_gateways()["InternetGateways"][0]["InternetGatewayId"],
        "egress-only-internet-gateway": ec2.create_egress_only_internet_gateway(VpcId=vpc_id)[
            "EgressOnlyInternetGateway"
        ]["EgressOnlyInternetGatewayId"],
        "network-acl": ec2.describe_network_acls()["NetworkAcls"][0]["NetworkAclId"],
        "dhcp-options": ec2.describe_dhcp_options()["DhcpOptions"][0]["DhcpOptionsId"],
        "elastic-ip": allocation,
        "natgateway": private_nat(ec2),
        "vpc-peering-connection": peering(ec2, vpc_id),
        "key-pair": ec2.create_key_pair(KeyName="key", KeyType="ed25519")["KeyPairId"],
    }
    ec2.create_tags(Resources=list(resources.values()), Tags=[tag("mark", "1")])
    found = ec2.describe_tags(Filters=named(key="mark"))["Tags"]
    assert {entry["ResourceType"]: entry["ResourceId"] for entry in found} == resources
    ec2.delete_tags(Resources=list(resources.values()))
    assert ec2.describe_tags()["Tags"] == []
    ec2.release_address(AllocationId=allocation)


def peering(ec2: Any, vpc_id: str) -> str:
    other = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    made = ec2.create_vpc_peering_connection(VpcId=vpc_id, PeerVpcId=other)
    return str(made["VpcPeeringConnection"]["VpcPeeringConnectionId"])


def private_nat(ec2: Any) -> str:
    subnet_id = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    return str(ec2.create_nat_gateway(SubnetId=subnet_id, ConnectivityType="private")["NatGateway"]["NatGatewayId"])


@pytest.mark.parametrize(
    ("resource_id", "code_", "message"),
    [
        (f"i-{ABSENT}", "InvalidInstanceID.NotFound", f"The instance ID 'i-{ABSENT}' does not exist"),
        (f"vol-{ABSENT}", "InvalidVolume.NotFound", f"The volume 'vol-{ABSENT}' does not exist."),
        (f"sg-{ABSENT}", "InvalidGroup.NotFound", f"The security group 'sg-{ABSENT}' does not exist"),
        (f"vpc-{ABSENT}", "InvalidVpcID.NotFound", f"The vpc ID 'vpc-{ABSENT}' does not exist"),
        ("nonsense", "InvalidID", "The ID 'nonsense' is not valid"),
        (f"eipassoc-{ABSENT}", "InvalidID", f"The ID 'eipassoc-{ABSENT}' is not valid"),
    ],
)
def test_what_does_not_exist_takes_no_tags(ec2: Any, resource_id: str, code_: str, message: str) -> None:
    both = [default_vpc(ec2), resource_id]
    assert error(ec2.create_tags, Resources=both, Tags=[tag("a")]) == (code_, message)
    assert ec2.describe_tags()["Tags"] == [], "all or nothing"


def test_another_accounts_resources_take_no_tags(region: Cloud, ec2: Any) -> None:
    other = region.client("ec2", "stranger")
    vpc_id = default_vpc(ec2)
    assert code(other.create_tags, Resources=[vpc_id], Tags=[tag("a")]) == "InvalidVpcID.NotFound"
    ec2.create_tags(Resources=[vpc_id], Tags=[tag("secret", "1")])
    assert tags_of(other, vpc_id) == {}
    assert code(other.delete_tags, Resources=[vpc_id]) == "InvalidVpcID.NotFound"
    assert tags_of(ec2, vpc_id) == {"secret": "1"}


@pytest.mark.parametrize(
    ("tags", "code_", "message"),
    [
        (
            [tag("aws:mine", "x")],
            "InvalidParameterValue",
            "Tag keys starting with 'aws:' are reserved for internal use",
        ),
        ([tag("k" * 129)], "InvalidParameterValue", "Tag key exceeds the maximum length of 128 characters"),
        ([tag("k", "v" * 257)], "InvalidParameterValue", "Tag value exceeds the maximum length of 256 characters"),
        ([tag("k", "1"), tag("k", "2")], "InvalidParameterValue", "Duplicate tag key 'k' specified."),
        (
            [tag(f"k{number}") for number in range(51)],
            "TagLimitExceeded",
            "The maximum number of Tags for a resource has been reached.",
        ),
    ],
)
def test_tags_that_cannot_be(ec2: Any, tags: list[dict[str, str]], code_: str, message: str) -> None:
    vpc_id = default_vpc(ec2)
    assert error(ec2.create_tags, Resources=[vpc_id], Tags=tags) == (code_, message)
    specification = [{"ResourceType": "security-group", "Tags": tags}]
    assert error(ec2.create_security_group, GroupName="g", Description="d", TagSpecifications=specification) == (
        code_,
        message,
    )


def test_fifty_tags_and_no_more(ec2: Any) -> None:
    vpc_id = default_vpc(ec2)
    ec2.create_tags(Resources=[vpc_id], Tags=[tag(f"k{number}") for number in range(50)])
    ec2.create_tags(Resources=[vpc_id], Tags=[tag("k1", "changed"), tag("k2", "too")])
    assert code(ec2.create_tags, Resources=[vpc_id], Tags=[tag("one more")]) == "TagLimitExceeded"
    assert len(tags_of(ec2, vpc_id)) == 50


def test_longest_key_and_value_and_any_characters(ec2: Any) -> None:
    vpc_id = default_vpc(ec2)
    given = {"k" * 128: "v" * 256, "größe & <tiefe>": "“ja” +-=._:/@ 字", "AWSome": "fine"}
    ec2.create_tags(Resources=[vpc_id], Tags=[tag(key, value) for key, value in given.items()])
    assert tags_of(ec2, vpc_id) == given


@pytest.mark.parametrize(
    ("specification", "code_", "message"),
    [
        (
            {"ResourceType": "volume", "Tags": [tag("a")]},
            "InvalidParameterValue",
            "'volume' is not a valid taggable resource type for this operation.",
        ),
        ({"ResourceType": "security-group"}, "InvalidParameterValue", "Tag specification must have at least one tag"),
        ({"Tags": [tag("a")]}, "InvalidParameter", "Tag specification resource type must have a value"),
    ],
)
def test_tag_specifications_that_ec2_refuses(ec2: Any, specification: dict[str, Any], code_: str, message: str) -> None:
    assert error(ec2.create_security_group, GroupName="g", Description="d", TagSpecifications=[specification]) == (
        code_,
        message,
    )


def test_tags_are_described_by_every_filter_and_in_pages(ec2: Any) -> None:
    first, second = default_vpc(ec2), own_vpc(ec2)
    group_id = default_group(ec2, first)
    for resource_id in (first, second, group_id):
        ec2.create_tags(Resources=[resource_id], Tags=[tag(f"key{number}", f"{number}") for number in range(4)])
    for name, value, found in [
        ("key", "key1", 3),
        ("key", "key?", 12),
        ("value", "2", 3),
        ("resource-id", first, 4),
        ("resource-type", "vpc", 8),
        ("resource-type", "security-group", 4),
        ("tag:key1", "1", 3),
        ("tag:key1", "2", 0),
    ]:
        answer = ec2.describe_tags(Filters=[{"Name": name, "Values": [value]}])
        assert (name, len(answer["Tags"])) == (name, found)
    pages = list(ec2.get_paginator("describe_tags").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["Tags"]) for page in pages] == [5, 5, 2]
    seen = {(entry["ResourceId"], entry["Key"]) for page in pages for entry in page["Tags"]}
    assert len(seen) == 12
    assert without_metadata(ec2.describe_tags(MaxResults=1000)).keys() == {"Tags"}


def test_a_deleted_resources_tags_are_gone(ec2: Any) -> None:
    vpc_id = own_vpc(ec2)
    ec2.create_tags(Resources=[vpc_id], Tags=[tag("a")])
    ec2.delete_vpc(VpcId=vpc_id)
    assert ec2.describe_tags()["Tags"] == []
