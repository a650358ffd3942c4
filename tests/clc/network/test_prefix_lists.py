"""Customers' prefix lists through boto3, in EC2's words, and what they come to on the nodes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.clc.network.asking import code, default_group, error, named
from tests.harness.cloud import Cloud

_numbers = itertools.count(1)
BLOCKS = [{"Cidr": "10.1.0.0/16", "Description": "office"}, {"Cidr": "192.0.2.0/24"}]


def listed(ec2: Any, entries: Any = BLOCKS, most: int = 5, family: str = "IPv4", **more: Any) -> dict[str, Any]:
    name = f"list-{next(_numbers)}"
    made = ec2.create_managed_prefix_list(
        PrefixListName=name, MaxEntries=most, AddressFamily=family, Entries=entries, **more
    )
    return dict(made["PrefixList"])


def entries(ec2: Any, list_id: str, **more: Any) -> list[Any]:
    return list(ec2.get_managed_prefix_list_entries(PrefixListId=list_id, **more)["Entries"])


def shown(ec2: Any, list_id: str) -> dict[str, Any]:
    (found,) = ec2.describe_managed_prefix_lists(PrefixListIds=[list_id])["PrefixLists"]
    return dict(found)


def group(ec2: Any) -> str:
    return str(ec2.create_security_group(GroupName=f"group-{next(_numbers)}", Description="d")["GroupId"])


def permission(list_id: str, port: int = 22) -> list[dict[str, Any]]:
    peer = [{"PrefixListId": list_id, "Description": "by list"}]
    return [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "PrefixListIds": peer}]


def allow(ec2: Any, group_id: str, list_id: str, port: int = 22) -> Any:
    return ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=permission(list_id, port))


def test_a_list_is_what_it_was_made_of(region: Cloud, account: str, ec2: Any) -> None:
    tags = [{"Key": "env", "Value": "test"}]
    made = listed(ec2, TagSpecifications=[{"ResourceType": "prefix-list", "Tags": tags}])
    owner, list_id = region.account(account)["account_id"], made["PrefixListId"]
    assert made == {
        "PrefixListId": list_id,
        "AddressFamily": "IPv4",
        "State": "create-complete",
        "PrefixListArn": f"arn:aws:ec2:us-east-1:{owner}:prefix-list/{list_id}",
        "PrefixListName": made["PrefixListName"],
        "MaxEntries": 5,
        "Version": 1,
        "Tags": tags,
        "OwnerId": owner,
    }
    assert shown(ec2, list_id) == made
    assert entries(ec2, list_id) == BLOCKS
    by_name = ec2.describe_managed_prefix_lists(Filters=named(prefix_list_name=made["PrefixListName"], owner_id=owner))
    assert by_name["PrefixLists"] == [made]
    ec2.create_tags(Resources=[list_id], Tags=[{"Key": "more", "Value": "yes"}])
    assert len(ec2.describe_managed_prefix_lists(Filters=[{"Name": "tag:more", "Values": ["yes"]}])["PrefixLists"]) == 1


def test_every_change_of_entries_is_a_version_that_can_be_read_and_restored(ec2: Any) -> None:
    list_id = listed(ec2)["PrefixListId"]
    changed = ec2.modify_managed_prefix_list(
        PrefixListId=list_id,
        CurrentVersion=1,
        AddEntries=[{"Cidr": "10.2.0.0/16"}, {"Cidr": "192.0.2.0/24", "Description": "now described"}],
        RemoveEntries=[{"Cidr": "10.1.0.0/16"}],
    )["PrefixList"]
    assert (changed["Version"], changed["State"]) == (2, "modify-complete")
    described = [{"Cidr": "192.0.2.0/24", "Description": "now described"}, {"Cidr": "10.2.0.0/16"}]
    assert entries(ec2, list_id) == described
    assert entries(ec2, list_id, TargetVersion=1) == BLOCKS
    renamed = ec2.modify_managed_prefix_list(PrefixListId=list_id, PrefixListName="other")["PrefixList"]
    assert (renamed["Version"], renamed["PrefixListName"]) == (2, "other")
    restored = ec2.restore_managed_prefix_list_version(PrefixListId=list_id, PreviousVersion=1, CurrentVersion=2)
    assert (restored["PrefixList"]["Version"], restored["PrefixList"]["State"]) == (3, "restore-complete")
    assert entries(ec2, list_id) == BLOCKS
    assert entries(ec2, list_id, TargetVersion=2) == described


def test_of_two_who_change_the_same_version_one_is_told(ec2: Any) -> None:
    list_id = listed(ec2)["PrefixListId"]
    change = {"PrefixListId": list_id, "CurrentVersion": 1, "AddEntries": [{"Cidr": "10.9.0.0/16"}]}
    ec2.modify_managed_prefix_list(**change)
    stale = ("PrefixListVersionMismatch", "The prefix list has the incorrect version number.")
    assert error(ec2.modify_managed_prefix_list, **change) == stale
    back = {"PrefixListId": list_id, "PreviousVersion": 1, "CurrentVersion": 1}
    assert error(ec2.restore_managed_prefix_list_version, **back) == stale


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"PrefixListName": "com.amazonaws.mine"}, "InvalidParameterValue"),
        ({"PrefixListName": ""}, "MissingParameter"),
        ({"AddressFamily": "IPv5"}, "InvalidParameterValue"),
        ({"MaxEntries": 0}, "InvalidParameterValue"),
        ({"MaxEntries": 1001}, "InvalidParameterValue"),
        ({"MaxEntries": 1}, "PrefixListMaxEntriesExceeded"),
        ({"Entries": [{"Cidr": "10.0.0.0"}]}, "InvalidParameterValue"),
        ({"Entries": [{"Cidr": "2001:db8::/32"}]}, "InvalidParameterValue"),
        ({"Entries": [{"Cidr": "10.0.0.0/8"}, {"Cidr": "10.0.0.1/8"}]}, "InvalidParameterValue"),
        ({"Entries": [{"Cidr": "10.0.0.0/8", "Description": "x" * 256}]}, "InvalidParameterValue"),
        ({"MaxEntries": 200, "Entries": [{"Cidr": f"10.0.{n}.0/24"} for n in range(101)]}, "InvalidParameterValue"),
    ],
)
def test_what_is_no_list_is_refused_and_leaves_nothing(ec2: Any, given: dict[str, Any], said: str) -> None:
    whole = {"PrefixListName": "mine", "MaxEntries": 5, "AddressFamily": "IPv4", "Entries": BLOCKS, **given}
    assert code(ec2.create_managed_prefix_list, **whole) == said
    assert ec2.describe_managed_prefix_lists()["PrefixLists"] == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"AddEntries": [{"Cidr": "10.9.0.0/16"}], "MaxEntries": 9}, "InvalidParameterCombination"),
        ({"AddEntries": [{"Cidr": f"10.{n}.0.0/16"} for n in range(2, 6)]}, "PrefixListMaxEntriesExceeded"),
        ({"RemoveEntries": [{"Cidr": "10.200.0.0/16"}]}, "InvalidPrefixListModification"),
        (
            {"RemoveEntries": [{"Cidr": "10.1.0.0/16"}], "AddEntries": [{"Cidr": "10.1.0.0/16"}]},
            "InvalidParameterValue",
        ),
        ({"MaxEntries": 1}, "InvalidParameterValue"),
        ({"PrefixListName": "com.aws.mine"}, "InvalidParameterValue"),
        ({"IpamPrefixListResolverSyncEnabled": True}, "UnsupportedOperation"),
    ],
)
def test_a_change_that_cannot_be_changes_nothing(ec2: Any, given: dict[str, Any], said: str) -> None:
    before = listed(ec2)
    assert code(ec2.modify_managed_prefix_list, PrefixListId=before["PrefixListId"], **given) == said
    assert shown(ec2, before["PrefixListId"]) == before
    assert entries(ec2, before["PrefixListId"]) == BLOCKS


def test_a_list_of_another_account_does_not_exist(region: Cloud, ec2: Any) -> None:
    list_id = listed(ec2)["PrefixListId"]
    stranger = region.client("ec2", "stranger")
    missing = ("InvalidPrefixListID.NotFound", f"The prefix list ID '{list_id}' does not exist")
    for call in (
        stranger.delete_managed_prefix_list,
        stranger.get_managed_prefix_list_entries,
        stranger.get_managed_prefix_list_associations,
        stranger.modify_managed_prefix_list,
    ):
        assert error(call, PrefixListId=list_id) == missing
    groups = default_group(stranger)
    refused = error(
        stranger.authorize_security_group_ingress,
        GroupId=groups,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
            *permission(list_id),
        ],
    )
    assert refused == missing
    (held,) = stranger.describe_security_groups(GroupIds=[groups])["SecurityGroups"]
    assert [rule["IpProtocol"] for rule in held["IpPermissions"]] == ["-1"]


def test_a_rule_names_a_list_wherever_rules_are_shown(ec2: Any) -> None:
    list_id, web = listed(ec2)["PrefixListId"], group(ec2)
    (rule,) = allow(ec2, web, list_id)["SecurityGroupRules"]
    assert (rule["PrefixListId"], rule["Description"]) == (list_id, "by list")
    assert not {"ReferencedGroupInfo", "CidrIpv4"} & set(rule)
    (held,) = ec2.describe_security_groups(GroupIds=[web])["SecurityGroups"]
    assert held["IpPermissions"][0]["PrefixListIds"] == [{"PrefixListId": list_id, "Description": "by list"}]
    assert held["IpPermissions"][0]["UserIdGroupPairs"] == []
    found = ec2.describe_security_groups(Filters=[{"Name": "ip-permission.prefix-list-id", "Values": [list_id]}])
    assert [one["GroupId"] for one in found["SecurityGroups"]] == [web]
    assert (
        ec2.describe_security_groups(Filters=[{"Name": "ip-permission.group-id", "Values": ["pl-*"]}])["SecurityGroups"]
        == []
    )
    assert code(ec2.authorize_security_group_ingress, GroupId=web, IpPermissions=permission(list_id)) == (
        "InvalidPermission.Duplicate"
    )
    associated = ec2.get_managed_prefix_list_associations(PrefixListId=list_id)["PrefixListAssociations"]
    assert [(one["ResourceId"], one["ResourceOwner"]) for one in associated] == [(web, held["OwnerId"])]
    revoked = ec2.revoke_security_group_ingress(GroupId=web, IpPermissions=permission(list_id))
    assert revoked["RevokedSecurityGroupRules"][0]["PrefixListId"] == list_id
    assert "ReferencedGroupId" not in revoked["RevokedSecurityGroupRules"][0]
    assert ec2.get_managed_prefix_list_associations(PrefixListId=list_id)["PrefixListAssociations"] == []


def test_a_rule_can_come_to_name_a_list(ec2: Any) -> None:
    list_id, web = listed(ec2)["PrefixListId"], group(ec2)
    plain = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    made = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=plain)["SecurityGroupRules"][0]
    wanted = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "PrefixListId": list_id}
    entry = {"SecurityGroupRuleId": made["SecurityGroupRuleId"], "SecurityGroupRule": wanted}
    ec2.modify_security_group_rules(GroupId=web, SecurityGroupRules=[entry])
    ids = [made["SecurityGroupRuleId"]]
    (rule,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=ids)["SecurityGroupRules"]
    assert rule["PrefixListId"] == list_id


def test_a_list_weighs_in_a_group_what_it_may_have(ec2: Any) -> None:
    large, small, web = listed(ec2, most=59)["PrefixListId"], listed(ec2, most=2)["PrefixListId"], group(ec2)
    allow(ec2, web, large)
    full = "RulesPerSecurityGroupLimitExceeded"
    assert code(ec2.authorize_security_group_ingress, GroupId=web, IpPermissions=permission(small)) == full
    plain = [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    made = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=plain)["SecurityGroupRules"][0]
    wanted = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "PrefixListId": small}
    entry = {"SecurityGroupRuleId": made["SecurityGroupRuleId"], "SecurityGroupRule": wanted}
    assert code(ec2.modify_security_group_rules, GroupId=web, SecurityGroupRules=[entry]) == full
    (rule,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=[made["SecurityGroupRuleId"]])[
        "SecurityGroupRules"
    ]
    assert rule["CidrIpv4"] == "10.0.0.0/8"
    out = [{**plain[0], "IpRanges": [{"CidrIp": f"10.{n}.0.0/16"} for n in range(59)]}]
    ec2.authorize_security_group_egress(GroupId=web, IpPermissions=out)  # the other direction is counted by itself


def test_a_list_grows_only_as_far_as_its_groups_can_bear(ec2: Any) -> None:
    list_id, web = listed(ec2, most=5)["PrefixListId"], group(ec2)
    allow(ec2, web, list_id, 22)
    allow(ec2, web, list_id, 80)
    assert ec2.modify_managed_prefix_list(PrefixListId=list_id, MaxEntries=30)["PrefixList"]["MaxEntries"] == 30
    failed = ec2.modify_managed_prefix_list(PrefixListId=list_id, MaxEntries=31)["PrefixList"]
    assert (failed["State"], failed["MaxEntries"], failed["Version"]) == ("modify-failed", 30, 1)
    assert web in failed["StateMessage"]
    assert (
        ec2.modify_managed_prefix_list(PrefixListId=list_id, MaxEntries=29)["PrefixList"]["State"] == "modify-complete"
    )
    assert "StateMessage" not in shown(ec2, list_id)


def test_a_list_that_a_rule_names_is_not_deleted(ec2: Any) -> None:
    list_id, web = listed(ec2)["PrefixListId"], group(ec2)
    allow(ec2, web, list_id)
    failed = ec2.delete_managed_prefix_list(PrefixListId=list_id)["PrefixList"]
    assert failed["State"] == "delete-failed"
    assert web in failed["StateMessage"]
    assert entries(ec2, list_id) == BLOCKS
    ec2.delete_security_group(GroupId=web)
    assert ec2.delete_managed_prefix_list(PrefixListId=list_id)["PrefixList"]["State"] == "delete-complete"
    gone = ("InvalidPrefixListID.NotFound", f"The prefix list ID '{list_id}' does not exist")
    assert error(ec2.describe_managed_prefix_lists, PrefixListIds=[list_id]) == gone


def test_pages_of_entries_show_the_version_that_they_began_with(ec2: Any) -> None:
    many = [{"Cidr": f"10.{n}.0.0/16"} for n in range(7)]
    list_id, other = listed(ec2, many, most=9)["PrefixListId"], listed(ec2)["PrefixListId"]
    first = ec2.get_managed_prefix_list_entries(PrefixListId=list_id, MaxResults=4)
    ec2.modify_managed_prefix_list(PrefixListId=list_id, CurrentVersion=1, RemoveEntries=[many[0]])
    token = first["NextToken"]
    second = ec2.get_managed_prefix_list_entries(PrefixListId=list_id, MaxResults=4, NextToken=token)
    assert first["Entries"] + second["Entries"] == many
    assert "NextToken" not in second
    assert code(ec2.get_managed_prefix_list_entries, PrefixListId=other, NextToken=token) == "InvalidParameterValue"
    assert code(ec2.get_managed_prefix_list_entries, PrefixListId=list_id, TargetVersion=3) == "InvalidParameterValue"


def told(region: Cloud, group_id: str) -> set[tuple[str, int]]:
    """What the nodes hold of the group's rules for what comes in: block and port."""
    specs = [node.eucanetd._keeper.spec for zone in region.dev.zones.values() for node in zone.nodes.values()]
    groups = [spec.groups[group_id] for spec in specs if spec is not None and group_id in spec.groups]
    assert groups
    return {(rule.cidr, rule.from_port) for one in groups for rule in one.ingress}


def test_nodes_hold_the_blocks_that_the_list_has_now(region: Cloud, ec2: Any, image: str) -> None:
    list_id, web = listed(ec2)["PrefixListId"], group(ec2)
    six = listed(ec2, [{"Cidr": "2001:db8::/32"}], family="IPv6")["PrefixListId"]
    allow(ec2, web, list_id, 22)
    allow(ec2, web, six, 23)
    ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.nano", SecurityGroupIds=[web])
    region.settle()
    assert told(region, web) == {("10.1.0.0/16", 22), ("192.0.2.0/24", 22)}
    ec2.modify_managed_prefix_list(
        PrefixListId=list_id,
        CurrentVersion=1,
        AddEntries=[{"Cidr": "10.7.0.0/16"}],
        RemoveEntries=[{"Cidr": "10.1.0.0/16"}],
    )
    region.settle()
    assert told(region, web) == {("10.7.0.0/16", 22), ("192.0.2.0/24", 22)}
    ec2.restore_managed_prefix_list_version(PrefixListId=list_id, PreviousVersion=1, CurrentVersion=2)
    region.settle()
    assert told(region, web) == {("10.1.0.0/16", 22), ("192.0.2.0/24", 22)}
