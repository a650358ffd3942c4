"""Rules about groups of peered VPCs: who may be named, how it is shown, when it is stale, and what nodes are told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clc.network.asking import code, error, named, own_vpc, subnet
from tests.harness.cloud import Cloud


@pytest.fixture
def one(ec2: Any) -> str:
    return own_vpc(ec2, "10.1.0.0/16")


@pytest.fixture
def two(ec2: Any) -> str:
    return own_vpc(ec2, "10.2.0.0/16")


@pytest.fixture
def peering(ec2: Any, one: str, two: str) -> str:
    return peer(ec2, one, ec2, two)


def peer(asks: Any, vpc_id: str, accepts: Any, other: str) -> str:
    owner = accepts.describe_vpcs(VpcIds=[other])["Vpcs"][0]["OwnerId"]
    made = asks.create_vpc_peering_connection(VpcId=vpc_id, PeerVpcId=other, PeerOwnerId=owner)
    peering_id = str(made["VpcPeeringConnection"]["VpcPeeringConnectionId"])
    accepts.accept_vpc_peering_connection(VpcPeeringConnectionId=peering_id)
    return peering_id


def group(ec2: Any, vpc_id: str, name: str = "web") -> str:
    return str(ec2.create_security_group(GroupName=name, Description="of the test", VpcId=vpc_id)["GroupId"])


def about(other: str, **more: str) -> list[dict[str, Any]]:
    return [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": other, **more}]}]


def pairs(ec2: Any, group_id: str) -> list[dict[str, Any]]:
    (found,) = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    return [pair for permission in found["IpPermissions"] for pair in permission["UserIdGroupPairs"]]


def stale(ec2: Any, vpc_id: str) -> dict[str, list[str]]:
    found = ec2.describe_stale_security_groups(VpcId=vpc_id)["StaleSecurityGroupSet"]
    return {
        each["GroupId"]: [pair["GroupId"] for one in each["StaleIpPermissions"] for pair in one["UserIdGroupPairs"]]
        for each in found
    }


def references(ec2: Any, group_id: str) -> list[dict[str, Any]]:
    return list(ec2.describe_security_group_references(GroupId=[group_id])["SecurityGroupReferenceSet"])


def test_a_rule_may_name_a_group_of_a_peer(ec2: Any, one: str, two: str, peering: str) -> None:
    ours, theirs = group(ec2, one), group(ec2, two)
    (rule,) = ec2.authorize_security_group_ingress(GroupId=ours, IpPermissions=about(theirs))["SecurityGroupRules"]
    info = rule["ReferencedGroupInfo"]
    shown = {
        "GroupId": theirs,
        "UserId": rule["GroupOwnerId"],
        "VpcId": two,
        "VpcPeeringConnectionId": peering,
        "PeeringStatus": "active",
    }
    assert info == shown
    assert pairs(ec2, ours) == [shown]
    (described,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])[
        "SecurityGroupRules"
    ]
    assert described["ReferencedGroupInfo"] == shown
    assert references(ec2, theirs) == [{"GroupId": theirs, "ReferencingVpcId": one, "VpcPeeringConnectionId": peering}]
    assert references(ec2, ours) == [] and stale(ec2, one) == {}
    assert code(ec2.authorize_security_group_ingress, GroupId=ours, IpPermissions=about(theirs)) == (
        "InvalidPermission.Duplicate"
    )


def test_without_a_peering_that_is_active_there_is_no_such_group(region: Cloud, ec2: Any, one: str, two: str) -> None:
    ours, theirs = group(ec2, one), group(ec2, two)
    apart = "InvalidGroup.NotFound"
    assert code(ec2.authorize_security_group_ingress, GroupId=ours, IpPermissions=about(theirs)) == apart
    ec2.create_vpc_peering_connection(VpcId=one, PeerVpcId=two)
    assert code(ec2.authorize_security_group_ingress, GroupId=ours, IpPermissions=about(theirs)) == apart
    stranger = region.client("ec2", "far-stranger")
    foreign = group(stranger, own_vpc(stranger, "10.9.0.0/16"), "foreign")
    assert error(ec2.authorize_security_group_ingress, GroupId=ours, IpPermissions=about(foreign)) == (
        "InvalidGroup.NotFound",
        f"The security group '{foreign}' does not exist",
    )
    stranger.delete_security_group(GroupId=foreign)


def test_a_group_of_another_account_is_named_with_or_without_its_owner(
    region: Cloud, account: str, ec2: Any, one: str
) -> None:
    friend = region.client("ec2", f"friend-of-{account}")
    there = own_vpc(friend, "10.8.0.0/16")
    peering_id = peer(ec2, one, friend, there)
    ours, theirs = group(ec2, one), group(friend, there)
    owner = friend.describe_vpcs(VpcIds=[there])["Vpcs"][0]["OwnerId"]
    ec2.authorize_security_group_ingress(GroupId=ours, IpPermissions=about(theirs, UserId=owner))
    ec2.authorize_security_group_egress(GroupId=ours, IpPermissions=about(theirs))
    assert pairs(ec2, ours)[0]["UserId"] == owner
    wrong = about(theirs, UserId="999999999999")
    assert code(ec2.revoke_security_group_ingress, GroupId=ours, IpPermissions=wrong) == "InvalidGroup.NotFound"
    # Whoever has the group is not kept from deleting it by others' rules.
    friend.delete_security_group(GroupId=theirs)
    assert stale(ec2, one) == {ours: [theirs]}
    friend.delete_vpc_peering_connection(VpcPeeringConnectionId=peering_id)


def test_a_rule_is_stale_when_the_peering_has_ended_and_can_be_revoked_by_what_it_says(
    ec2: Any, one: str, two: str, peering: str
) -> None:
    ours, theirs = group(ec2, one), group(ec2, two)
    ec2.authorize_security_group_ingress(GroupId=ours, IpPermissions=about(theirs))
    assert [pair["PeeringStatus"] for pair in pairs(ec2, ours)] == ["active"]
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)
    assert [pair["PeeringStatus"] for pair in pairs(ec2, ours)] == ["deleted"]
    assert stale(ec2, one) == {ours: [theirs]}
    assert references(ec2, theirs) == []
    ec2.delete_security_group(GroupId=theirs)
    assert stale(ec2, one) == {ours: [theirs]}
    ec2.revoke_security_group_ingress(GroupId=ours, IpPermissions=about(theirs))
    assert pairs(ec2, ours) == [] and stale(ec2, one) == {}


def test_the_end_of_the_other_vpc_makes_rules_stale(ec2: Any, one: str, two: str, peering: str) -> None:
    ours, theirs = group(ec2, one), group(ec2, two)
    ec2.authorize_security_group_ingress(GroupId=ours, IpPermissions=about(theirs))
    assert [pair["PeeringStatus"] for pair in pairs(ec2, ours)] == ["active"]
    ec2.delete_security_group(GroupId=theirs)
    ec2.delete_vpc(VpcId=two)
    assert [pair["PeeringStatus"] for pair in pairs(ec2, ours)] == ["deleted"]


def told(region: Cloud, group_id: str) -> list[tuple[str, tuple[str, ...]]]:
    """(the group that a rule names, its members as the node knows them), of what lets in."""
    found = []
    for zone in region.dev.zones.values():
        for node in zone.nodes.values():
            spec = node.eucanetd._keeper.spec
            if spec is not None and group_id in spec.groups:
                rules = [rule for rule in spec.groups[group_id].ingress if rule.group]
                found += [(rule.group, spec.groups[rule.group].members) for rule in rules]
    return found


def test_nodes_know_the_members_for_as_long_as_the_peering_is_active(
    region: Cloud, ec2: Any, image: str, one: str, two: str, peering: str
) -> None:
    ours, theirs = group(ec2, one), group(ec2, two)
    ec2.authorize_security_group_ingress(GroupId=ours, IpPermissions=about(theirs))
    for vpc_id, block, address, member in (
        (one, "10.1.1.0/24", "10.1.1.10", ours),
        (two, "10.2.1.0/24", "10.2.1.10", theirs),
    ):
        ec2.run_instances(
            ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1, SubnetId=subnet(ec2, vpc_id, block),
            PrivateIpAddress=address, SecurityGroupIds=[member],
        )  # fmt: skip
    for vpc_id, block in ((one, "10.2.0.0/16"), (two, "10.1.0.0/16")):
        (table,) = ec2.describe_route_tables(Filters=named(vpc_id=vpc_id))["RouteTables"]
        route = {"RouteTableId": table["RouteTableId"], "DestinationCidrBlock": block}
        ec2.create_route(**route, VpcPeeringConnectionId=peering)
    region.settle()
    assert told(region, ours) == [(theirs, ("10.2.1.10",))]
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)
    region.settle()
    assert told(region, ours) == []
    again = peer(ec2, one, ec2, two)
    for vpc_id, block in ((one, "10.2.0.0/16"), (two, "10.1.0.0/16")):
        (table,) = ec2.describe_route_tables(Filters=named(vpc_id=vpc_id))["RouteTables"]
        route = {"RouteTableId": table["RouteTableId"], "DestinationCidrBlock": block}
        ec2.replace_route(**route, VpcPeeringConnectionId=again)
    region.settle()
    assert told(region, ours) == [], "what has become stale stays it"
    ec2.revoke_security_group_ingress(GroupId=ours, IpPermissions=about(theirs))
    ec2.authorize_security_group_ingress(GroupId=ours, IpPermissions=about(theirs))
    region.settle()
    assert told(region, ours) == [(theirs, ("10.2.1.10",))]
