"""Security groups through boto3: the default one, new ones, their names, filters and pages, and who may delete them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clc.network.asking import code, default_group, default_vpc, error, named, own_vpc, subnet
from tests.harness.cloud import Cloud


def group(ec2: Any, name: str = "web", **given: Any) -> str:
    return str(ec2.create_security_group(GroupName=name, Description="servers", **given)["GroupId"])


def names(answer: dict[str, Any]) -> list[str]:
    return sorted(entry["GroupName"] for entry in answer["SecurityGroups"])


def test_every_account_begins_with_the_default_group(region: Cloud, account: str, ec2: Any) -> None:
    owner = region.account(account)["account_id"]
    (seen,) = ec2.describe_security_groups()["SecurityGroups"]
    group_id = seen["GroupId"]
    assert seen == {
        "GroupId": group_id,
        "GroupName": "default",
        "Description": "default VPC security group",
        "OwnerId": owner,
        "VpcId": default_vpc(ec2),
        "SecurityGroupArn": f"arn:aws:ec2:us-east-1:{owner}:security-group/{group_id}",
        "Tags": [],
        "IpPermissions": [
            {
                "IpProtocol": "-1",
                "IpRanges": [],
                "Ipv6Ranges": [],
                "PrefixListIds": [],
                "UserIdGroupPairs": [{"GroupId": group_id, "UserId": owner}],
            }
        ],
        "IpPermissionsEgress": [
            {
                "IpProtocol": "-1",
                "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
                "Ipv6Ranges": [],
                "PrefixListIds": [],
                "UserIdGroupPairs": [],
            }
        ],
    }


def test_a_new_group_lets_everything_out_and_nothing_in(ec2: Any) -> None:
    group_id = group(ec2)
    (seen,) = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    assert seen["IpPermissions"] == []
    assert seen["IpPermissionsEgress"][0]["IpRanges"] == [{"CidrIp": "0.0.0.0/0"}]


def test_a_group_is_made_with_its_tags(ec2: Any) -> None:
    tags = [{"Key": "env", "Value": "prod"}, {"Key": "team", "Value": ""}]
    made = ec2.create_security_group(
        GroupName="web", Description="d", TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}]
    )
    assert made["Tags"] == tags
    assert ec2.describe_security_groups(GroupIds=[made["GroupId"]])["SecurityGroups"][0]["Tags"] == tags


def test_the_waiter_for_groups_ends(ec2: Any) -> None:
    ec2.get_waiter("security_group_exists").wait(GroupIds=[group(ec2)], WaiterConfig={"Delay": 0, "MaxAttempts": 1})


def test_a_name_is_unique_in_its_vpc_alone(ec2: Any) -> None:
    group(ec2)
    vpc_id = default_vpc(ec2)
    assert error(ec2.create_security_group, GroupName="web", Description="d") == (
        "InvalidGroup.Duplicate",
        f"The security group 'web' already exists for VPC '{vpc_id}'",
    )
    assert group(ec2, VpcId=own_vpc(ec2)).startswith("sg-")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sg-web", "Value (sg-web) for parameter GroupName is invalid. Group names may not be in the format sg-*."),
        ("default", "Cannot use reserved security group name: default"),
        (
            "wéb",
            "Value (wéb) for parameter GroupName is invalid. Character sets beyond ASCII are not supported.",
        ),
        (
            "a%b",
            "Invalid security group name. Valid names are strings less than 256 characters from the following set:  "
            "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
        ),
        (
            "x" * 256,
            "Invalid security group name. Valid names are strings less than 256 characters from the following set:  "
            "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
        ),
    ],
)
def test_a_name_that_ec2_does_not_take(ec2: Any, name: str, message: str) -> None:
    assert error(ec2.create_security_group, GroupName=name, Description="d") == ("InvalidParameterValue", message)


def test_a_description_that_ec2_does_not_take(ec2: Any) -> None:
    assert error(ec2.create_security_group, GroupName="web", Description="<>") == (
        "InvalidParameterValue",
        "Invalid security group description. Valid descriptions are strings less than 256 characters from the following "
        "set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
    )


def test_a_vpc_that_does_not_exist_has_no_groups(ec2: Any) -> None:
    assert error(ec2.create_security_group, GroupName="web", Description="d", VpcId="vpc-0123456789abcdef0") == (
        "InvalidVpcID.NotFound",
        "The vpc ID 'vpc-0123456789abcdef0' does not exist",
    )


def test_without_a_default_vpc_the_vpc_must_be_named(ec2: Any) -> None:
    vpc_id = default_vpc(ec2)
    for entry in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=entry["SubnetId"])
    (attached,) = ec2.describe_internet_gateways()["InternetGateways"]
    ec2.detach_internet_gateway(InternetGatewayId=attached["InternetGatewayId"], VpcId=vpc_id)
    ec2.delete_vpc(VpcId=vpc_id)
    assert error(ec2.create_security_group, GroupName="web", Description="d") == (
        "VPCIdNotSpecified",
        "No default VPC for this user",
    )


def test_the_default_group_stays(ec2: Any) -> None:
    group_id = default_group(ec2)
    message = f'the specified group: "{group_id}" name: "default" cannot be deleted by a user'
    assert error(ec2.delete_security_group, GroupId=group_id) == ("CannotDelete", message)
    assert error(ec2.delete_security_group, GroupName="default") == ("CannotDelete", message)


def test_a_group_goes_by_id_or_by_name(ec2: Any) -> None:
    first, _ = group(ec2, "first"), group(ec2, "second")
    answer = ec2.delete_security_group(GroupId=first)
    assert (answer["Return"], answer["GroupId"]) == (True, first)
    ec2.delete_security_group(GroupName="second")
    assert names(ec2.describe_security_groups()) == ["default"]
    assert error(ec2.delete_security_group, GroupId=first) == (
        "InvalidGroup.NotFound",
        f"The security group '{first}' does not exist",
    )
    assert error(ec2.delete_security_group, GroupName="second") == (
        "InvalidGroup.NotFound",
        f"The security group 'second' does not exist in default VPC '{default_vpc(ec2)}'",
    )
    assert code(ec2.delete_security_group) == "MissingParameter"
    assert code(ec2.delete_security_group, GroupId="sg-x") == "InvalidGroupId.Malformed"


def test_a_group_that_another_one_refers_to_stays(ec2: Any) -> None:
    web, database = group(ec2, "web"), group(ec2, "database")
    permission = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": web}]}
    ec2.authorize_security_group_ingress(GroupId=database, IpPermissions=[permission])
    assert error(ec2.delete_security_group, GroupId=web) == (
        "DependencyViolation",
        f"resource {web} has a dependent object",
    )
    ec2.revoke_security_group_ingress(GroupId=database, IpPermissions=[permission])
    ec2.delete_security_group(GroupId=web)


def test_a_group_that_refers_to_itself_goes(ec2: Any) -> None:
    web = group(ec2)
    permission = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": web}]}
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission])
    ec2.delete_security_group(GroupId=web)
    assert names(ec2.describe_security_groups()) == ["default"]


def test_a_group_in_use_stays(ec2: Any) -> None:
    web, vpc_id = group(ec2), default_vpc(ec2)
    place = ec2.describe_subnets(Filters=named(vpc_id=vpc_id))["Subnets"][0]["SubnetId"]
    interface = ec2.create_network_interface(SubnetId=place, Groups=[web])["NetworkInterface"]["NetworkInterfaceId"]
    assert code(ec2.delete_security_group, GroupId=web) == "DependencyViolation"
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    ec2.delete_security_group(GroupId=web)


def test_another_accounts_groups_are_nobodys_business(region: Cloud, ec2: Any) -> None:
    web = group(ec2)
    other = region.client("ec2", "stranger")
    assert code(other.describe_security_groups, GroupIds=[web]) == "InvalidGroup.NotFound"
    assert code(other.delete_security_group, GroupId=web) == "InvalidGroup.NotFound"
    permission = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    assert (
        code(other.authorize_security_group_ingress, GroupId=web, IpPermissions=[permission]) == "InvalidGroup.NotFound"
    )


def test_every_filter_of_the_documentation(region: Cloud, account: str, ec2: Any) -> None:
    web, database = group(ec2, "web"), group(ec2, "database")
    owner, vpc_id = region.account(account)["account_id"], default_vpc(ec2)
    ec2.authorize_security_group_ingress(
        GroupId=web,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 80,
                "ToPort": 81,
                "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
                "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}],
                "UserIdGroupPairs": [{"GroupId": database}],
            }
        ],
    )
    ec2.authorize_security_group_egress(
        GroupId=database,
        IpPermissions=[{"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "UserIdGroupPairs": [{"GroupId": web}]}],
    )
    ec2.create_tags(Resources=[web], Tags=[{"Key": "tier", "Value": "front"}])
    for name, value, found in [
        ("description", "servers", ["database", "web"]),
        ("group-id", web, ["web"]),
        ("group-name", "d*", ["database", "default"]),
        ("ip-permission.cidr", "10.0.0.0/8", ["web"]),
        ("ip-permission.ipv6-cidr", "2001:db8::/32", ["web"]),
        ("ip-permission.from-port", "80", ["web"]),
        ("ip-permission.to-port", "81", ["web"]),
        ("ip-permission.group-id", database, ["web"]),
        ("ip-permission.group-name", "database", ["web"]),
        ("ip-permission.protocol", "tcp", ["web"]),
        ("ip-permission.user-id", owner, ["default", "web"]),
        ("ip-permission.prefix-list-id", "pl-0123456789abcdef0", []),
        ("egress.ip-permission.cidr", "0.0.0.0/0", ["database", "default", "web"]),
        ("egress.ip-permission.from-port", "53", ["database"]),
        ("egress.ip-permission.to-port", "53", ["database"]),
        ("egress.ip-permission.group-id", web, ["database"]),
        ("egress.ip-permission.group-name", "web", ["database"]),
        ("egress.ip-permission.protocol", "udp", ["database"]),
        ("egress.ip-permission.user-id", owner, ["database"]),
        ("owner-id", owner, ["database", "default", "web"]),
        ("vpc-id", vpc_id, ["database", "default", "web"]),
        ("tag:tier", "fr*t", ["web"]),
        ("tag-key", "tier", ["web"]),
    ]:
        answer = ec2.describe_security_groups(Filters=[{"Name": name, "Values": [value]}])
        assert (name, names(answer)) == (name, found)
    assert error(ec2.describe_security_groups, Filters=named(colour="red")) == (
        "InvalidParameterValue",
        "The filter 'colour' is invalid",
    )


def test_groups_are_described_by_name_in_the_default_vpc(ec2: Any) -> None:
    group(ec2)
    group(ec2, VpcId=own_vpc(ec2))
    assert len(ec2.describe_security_groups(GroupNames=["web"])["SecurityGroups"]) == 1
    assert error(ec2.describe_security_groups, GroupNames=["nope"]) == (
        "InvalidGroup.NotFound",
        f"The security group 'nope' does not exist in default VPC '{default_vpc(ec2)}'",
    )


def test_an_id_that_exists_and_a_filter_that_excludes_it_answer_nothing(ec2: Any) -> None:
    web = group(ec2)
    assert ec2.describe_security_groups(GroupIds=[web], Filters=named(group_name="other"))["SecurityGroups"] == []


def test_pages_cover_every_group_once(ec2: Any) -> None:
    made = {group(ec2, f"group-{number}") for number in range(11)}
    pages = list(ec2.get_paginator("describe_security_groups").paginate(PaginationConfig={"PageSize": 5}))
    seen = [entry["GroupId"] for page in pages for entry in page["SecurityGroups"]]
    assert [len(page["SecurityGroups"]) for page in pages] == [5, 5, 2]
    assert set(seen) == made | {default_group(ec2)}
    assert code(ec2.describe_security_groups, NextToken="nonsense") == "InvalidNextToken"
    assert error(ec2.describe_security_groups, MaxResults=4) == (
        "InvalidParameterValue",
        "Value ( 4 ) for parameter maxResults is invalid. Expecting a value greater than 5.",
    )


def test_dry_run_makes_nothing(ec2: Any) -> None:
    assert code(ec2.create_security_group, GroupName="web", Description="d", DryRun=True) == "DryRunOperation"
    assert names(ec2.describe_security_groups()) == ["default"]


def test_the_groups_that_a_vpc_can_use_are_its_own(ec2: Any) -> None:
    vpc_id = own_vpc(ec2)
    web = group(ec2, VpcId=vpc_id)
    found = ec2.get_security_groups_for_vpc(VpcId=vpc_id)["SecurityGroupForVpcs"]
    assert {entry["GroupId"] for entry in found} == {web, default_group(ec2, vpc_id)}
    assert {entry["PrimaryVpcId"] for entry in found} == {vpc_id}


def test_no_group_is_stale_and_none_is_referred_to_from_a_peer(ec2: Any) -> None:
    assert ec2.describe_stale_security_groups(VpcId=default_vpc(ec2))["StaleSecurityGroupSet"] == []
    web = group(ec2)
    assert ec2.describe_security_group_references(GroupId=[web])["SecurityGroupReferenceSet"] == []
    missing = "sg-0123456789abcdef0"
    assert code(ec2.describe_security_group_references, GroupId=[missing]) == "InvalidGroup.NotFound"


def test_the_subnet_of_another_vpc_takes_no_group_of_this_one(ec2: Any) -> None:
    web, vpc_id = group(ec2), own_vpc(ec2)
    place = subnet(ec2, vpc_id)
    assert error(ec2.create_network_interface, SubnetId=place, Groups=[web]) == (
        "InvalidParameter",
        f"Security group {web} and subnet {place} belong to different networks.",
    )
