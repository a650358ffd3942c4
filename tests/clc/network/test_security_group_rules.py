"""Rules through boto3: authorize, revoke, modify, describe; in both forms; with EC2's refusals to the letter."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clc.network.asking import code, default_group, error, named, own_vpc
from tests.harness.cloud import Cloud

EVERYWHERE = [{"CidrIp": "0.0.0.0/0"}]


@pytest.fixture
def web(ec2: Any) -> str:
    return str(ec2.create_security_group(GroupName="web", Description="d")["GroupId"])


def permission(protocol: str = "tcp", first: int | None = 22, last: int | None = 22, **peers: Any) -> dict[str, Any]:
    ports = {"FromPort": first, "ToPort": last} if first is not None else {}
    return {"IpProtocol": protocol, **ports, **(peers or {"IpRanges": EVERYWHERE})}


def ingress(ec2: Any, group_id: str) -> Any:
    return ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]["IpPermissions"]


def rules(ec2: Any, group_id: str, is_egress: bool = False) -> list[Any]:
    found = ec2.describe_security_group_rules(Filters=named(group_id=group_id))["SecurityGroupRules"]
    return [rule for rule in found if rule["IsEgress"] is is_egress]


def test_each_peer_of_a_permission_is_a_rule(region: Cloud, account: str, ec2: Any, web: str) -> None:
    owner = region.account(account)["account_id"]
    answer = ec2.authorize_security_group_ingress(
        GroupId=web,
        IpPermissions=[
            permission(
                IpRanges=[{"CidrIp": "10.0.0.0/8", "Description": "office"}],
                Ipv6Ranges=[{"CidrIpv6": "::/0"}],
                UserIdGroupPairs=[{"GroupId": web}],
            )
        ],
        TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": [{"Key": "why", "Value": "ssh"}]}],
    )
    assert answer["Return"] is True
    shared = {
        "GroupId": web,
        "GroupOwnerId": owner,
        "IsEgress": False,
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "Tags": [{"Key": "why", "Value": "ssh"}],
    }
    made = [rule["SecurityGroupRuleId"] for rule in answer["SecurityGroupRules"]]
    own = [
        {
            "SecurityGroupRuleId": rule_id,
            "SecurityGroupRuleArn": f"arn:aws:ec2:us-east-1:{owner}:security-group-rule/{rule_id}",
        }
        for rule_id in made
    ]
    assert answer["SecurityGroupRules"] == [
        {**shared, **own[0], "CidrIpv4": "10.0.0.0/8", "Description": "office"},
        {**shared, **own[1], "CidrIpv6": "::/0"},
        {**shared, **own[2], "ReferencedGroupInfo": {"GroupId": web, "UserId": owner}},
    ]
    assert ingress(ec2, web) == [
        {
            "IpProtocol": "tcp",
            "FromPort": 22,
            "ToPort": 22,
            "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "office"}],
            "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
            "PrefixListIds": [],
            "UserIdGroupPairs": [{"GroupId": web, "UserId": owner}],
        }
    ]
    assert {rule["SecurityGroupRuleId"]: rule for rule in rules(ec2, web)} == {
        rule["SecurityGroupRuleId"]: rule for rule in answer["SecurityGroupRules"]
    }


def test_the_flat_parameters_of_old_do_the_same(ec2: Any, web: str) -> None:
    ec2.authorize_security_group_ingress(GroupName="web", IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="10.0.0.0/8")
    assert ingress(ec2, web)[0]["IpRanges"] == [{"CidrIp": "10.0.0.0/8"}]
    ec2.revoke_security_group_ingress(GroupName="web", IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="10.0.0.0/8")
    assert ingress(ec2, web) == []


def test_a_source_groups_name_alone_opens_everything_to_it(ec2: Any, web: str) -> None:
    ec2.authorize_security_group_ingress(GroupId=web, SourceSecurityGroupName="default")
    assert {(p["IpProtocol"], p["FromPort"], p["ToPort"]) for p in ingress(ec2, web)} == {
        ("tcp", 0, 65535),
        ("udp", 0, 65535),
        ("icmp", -1, -1),
    }
    assert {p["UserIdGroupPairs"][0]["GroupId"] for p in ingress(ec2, web)} == {default_group(ec2)}


def test_addresses_become_canonical(ec2: Any, web: str) -> None:
    ec2.authorize_security_group_ingress(
        GroupId=web,
        IpPermissions=[
            permission(IpRanges=[{"CidrIp": "100.68.0.18/18"}], Ipv6Ranges=[{"CidrIpv6": "2001:DB8:0::1/32"}])
        ],
    )
    (seen,) = ingress(ec2, web)
    assert seen["IpRanges"] == [{"CidrIp": "100.68.0.0/18"}]
    assert seen["Ipv6Ranges"] == [{"CidrIpv6": "2001:db8::/32"}]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (permission("6", 80, 81), ("tcp", 80, 81)),
        (permission("17", 53, 53), ("udp", 53, 53)),
        (permission("TCP", 1, 2), ("tcp", 1, 2)),
        (permission("tcp", 0, 65535), ("tcp", 0, 65535)),
        (permission("icmp", 8, -1), ("icmp", 8, -1)),
        (permission("1", -1, -1), ("icmp", -1, -1)),
        (permission("icmpv6", None, None, Ipv6Ranges=[{"CidrIpv6": "::/0"}]), ("icmpv6", -1, -1)),
        (permission("-1", None, None), ("-1", -1, -1)),
        (permission("-1", 22, 22), ("-1", -1, -1)),
        (permission("50", 22, 22), ("50", -1, -1)),
    ],
)
def test_protocols_and_ports_as_they_are_kept(
    ec2: Any, web: str, given: dict[str, Any], stored: tuple[str, int, int]
) -> None:
    answer = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[given])
    (rule,) = answer["SecurityGroupRules"]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == stored


PORTS = "Invalid value 'Must specify both from and to ports with {}.' for portRange."


@pytest.mark.parametrize(
    ("given", "code_", "message"),
    [
        (permission("tcp", None, None), "InvalidParameterValue", PORTS.format("TCP/UDP")),
        (permission("tcp", -1, 22), "InvalidParameterValue", "TCP/UDP (from) port (-1) out of range"),
        (permission("udp", 80, 70000), "InvalidParameterValue", "TCP/UDP (to) port (70000) out of range"),
        (permission("tcp", 80, 70), "InvalidParameterValue", "Invalid TCP/UDP port range (80:70)"),
        (permission("icmp", None, None), "InvalidParameterValue", PORTS.format("ICMP")),
        (permission("icmp", 256, 0), "InvalidParameterValue", "ICMP type (256) out of range"),
        (permission("icmp", 8, 65535), "InvalidParameterValue", "ICMP code (65535) out of range"),
        (
            permission("all", None, None),
            "InvalidParameterValue",
            "Invalid value 'all' for IP protocol. Unknown protocol.",
        ),
        (permission("256", 1, 1), "InvalidParameterValue", "Invalid value '256' for IP protocol. Unknown protocol."),
        (
            permission(IpRanges=[{"CidrIp": "10.0.0.0/33"}]),
            "InvalidParameterValue",
            "CIDR block 10.0.0.0/33 is malformed",
        ),
        (permission(IpRanges=[{"CidrIp": "10.0.0.1"}]), "InvalidParameterValue", "CIDR block 10.0.0.1 is malformed"),
        (permission(IpRanges=[{"CidrIp": "::/0"}]), "InvalidParameterValue", "CIDR block ::/0 is malformed"),
        (
            permission(Ipv6Ranges=[{"CidrIpv6": "2001:db8::/129"}]),
            "InvalidParameterValue",
            "CIDR block 2001:db8::/129 is malformed",
        ),
        (
            permission(UserIdGroupPairs=[{"GroupId": "sg-0123456789abcdef0"}]),
            "InvalidGroup.NotFound",
            "The security group 'sg-0123456789abcdef0' does not exist",
        ),
        (
            permission(PrefixListIds=[{"PrefixListId": "pl-0123456789abcdef0"}]),
            "InvalidPrefixListID.NotFound",
            "The prefix list ID 'pl-0123456789abcdef0' does not exist",
        ),
        (
            permission(IpRanges=[{"CidrIp": "10.0.0.0/8", "Description": "<b>"}]),
            "InvalidParameterValue",
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  "
            "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
        ),
    ],
)
def test_a_permission_that_ec2_refuses(ec2: Any, web: str, given: dict[str, Any], code_: str, message: str) -> None:
    good = permission("tcp", 443, 443)
    refused = error(ec2.authorize_security_group_ingress, GroupId=web, IpPermissions=[good, given])
    assert refused == (code_, message)
    assert ingress(ec2, web) == [], "all or nothing"


def test_a_request_that_names_no_permission(ec2: Any, web: str) -> None:
    assert error(ec2.authorize_security_group_ingress, GroupId=web) == (
        "MissingParameter",
        "The request must contain the parameter ipPermissions",
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (permission(), "peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW"),
        (permission("-1", None, None), "peer: 0.0.0.0/0, ALL, ALLOW"),
        (permission("icmp", -1, -1), "peer: 0.0.0.0/0, ICMP, type: ALL, code: ALL, ALLOW"),
        (permission("icmp", 8, 0), "peer: 0.0.0.0/0, ICMP, type: 8, code: 0, ALLOW"),
    ],
)
def test_a_rule_that_is_there_already(ec2: Any, web: str, given: dict[str, Any], words: str) -> None:
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[given])
    described = {**given, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "other words"}]}
    assert error(ec2.authorize_security_group_ingress, GroupId=web, IpPermissions=[described]) == (
        "InvalidPermission.Duplicate",
        f'the specified rule "{words}" already exists',
    )


def test_the_same_permission_twice_in_a_request(ec2: Any, web: str) -> None:
    twice = permission(IpRanges=[{"CidrIp": "10.0.0.0/8"}, {"CidrIp": "10.1.0.0/8"}])
    assert error(ec2.authorize_security_group_ingress, GroupId=web, IpPermissions=[twice]) == (
        "InvalidParameterValue",
        "The same permission must not appear multiple times",
    )


def test_a_group_of_another_vpc_is_no_peer(ec2: Any, web: str) -> None:
    vpc_id = own_vpc(ec2)
    there = ec2.create_security_group(GroupName="there", Description="d", VpcId=vpc_id)["GroupId"]
    pair = permission(UserIdGroupPairs=[{"GroupId": there}])
    assert error(ec2.authorize_security_group_ingress, GroupId=web, IpPermissions=[pair]) == (
        "InvalidGroup.NotFound",
        "You have specified two resources that belong to different networks.",
    )


def test_sixty_rules_of_each_direction_and_no_more(ec2: Any, web: str) -> None:
    sixty = [permission(IpRanges=[{"CidrIp": f"10.{number}.0.0/16"} for number in range(60)])]
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=sixty)
    ec2.authorize_security_group_egress(GroupId=web, IpPermissions=[permission()])
    one_more = error(ec2.authorize_security_group_ingress, GroupId=web, IpPermissions=[permission()])
    assert one_more == (
        "RulesPerSecurityGroupLimitExceeded",
        "The maximum number of rules per security group has been reached.",
    )


def test_revoking_takes_rules_by_what_they_say(ec2: Any, web: str) -> None:
    ec2.authorize_security_group_ingress(
        GroupId=web, IpPermissions=[permission(IpRanges=[{"CidrIp": "10.0.0.0/8", "Description": "office"}])]
    )
    (rule,) = rules(ec2, web)
    answer = ec2.revoke_security_group_ingress(
        GroupId=web, IpPermissions=[permission(IpRanges=[{"CidrIp": "10.0.0.0/8"}])]
    )
    assert answer["Return"] is True
    assert answer["RevokedSecurityGroupRules"] == [
        {
            "SecurityGroupRuleId": rule["SecurityGroupRuleId"],
            "GroupId": web,
            "IsEgress": False,
            "IpProtocol": "tcp",
            "FromPort": 22,
            "ToPort": 22,
            "CidrIpv4": "10.0.0.0/8",
            "Description": "office",
        }
    ]
    assert rules(ec2, web) == []


def test_revoking_takes_rules_by_id(ec2: Any, web: str) -> None:
    (rule,) = rules(ec2, web, is_egress=True)
    rule_id = rule["SecurityGroupRuleId"]
    assert code(ec2.revoke_security_group_ingress, GroupId=web, SecurityGroupRuleIds=[rule_id]) == (
        "InvalidSecurityGroupRuleId.NotFound"
    )
    ec2.revoke_security_group_egress(GroupId=web, SecurityGroupRuleIds=[rule_id])
    assert rules(ec2, web, is_egress=True) == []
    assert error(ec2.revoke_security_group_egress, GroupId=web, SecurityGroupRuleIds=[rule_id]) == (
        "InvalidSecurityGroupRuleId.NotFound",
        f"The security group rule ID '{rule_id}' does not exist",
    )
    assert code(ec2.revoke_security_group_egress, GroupId=web, SecurityGroupRuleIds=["sgr-1"]) == (
        "InvalidSecurityGroupRuleId.Malformed"
    )


def test_revoking_what_is_not_there_is_an_error_outside_the_default_vpc(ec2: Any) -> None:
    there = ec2.create_security_group(GroupName="there", Description="d", VpcId=own_vpc(ec2))["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=there, IpPermissions=[permission()])
    both = [permission(), permission("tcp", 80, 80)]
    assert error(ec2.revoke_security_group_ingress, GroupId=there, IpPermissions=both) == (
        "InvalidPermission.NotFound",
        "The specified rule does not exist in this security group.",
    )
    assert len(rules(ec2, there)) == 1, "nothing is revoked"


def test_revoking_what_is_not_there_is_told_in_the_default_vpc(ec2: Any, web: str) -> None:
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission()])
    answer = ec2.revoke_security_group_ingress(GroupId=web, IpPermissions=[permission(), permission("tcp", 80, 80)])
    (unknown,) = answer["UnknownIpPermissions"]
    assert (answer["Return"], unknown["FromPort"], unknown["IpRanges"]) == (True, 80, EVERYWHERE)
    assert rules(ec2, web) == []


def test_a_rule_is_changed_in_place(ec2: Any, web: str) -> None:
    answer = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission(), permission("tcp", 80, 80)])
    first, second = (rule["SecurityGroupRuleId"] for rule in answer["SecurityGroupRules"])
    wanted = {"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "CidrIpv4": "10.0.0.0/8", "Description": "names"}
    ec2.modify_security_group_rules(
        GroupId=web, SecurityGroupRules=[{"SecurityGroupRuleId": first, "SecurityGroupRule": wanted}]
    )
    (seen,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=[first])["SecurityGroupRules"]
    assert {name: seen[name] for name in wanted} == wanted
    assert ingress(ec2, web)[-1]["FromPort"] == 80, "the other one is as it was"
    assert second != first


def test_two_rules_change_places(ec2: Any, web: str) -> None:
    answer = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission(), permission("tcp", 80, 80)])
    first, second = (rule["SecurityGroupRuleId"] for rule in answer["SecurityGroupRules"])

    def update(rule_id: str, port: int) -> dict[str, Any]:
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIpv4": "0.0.0.0/0"}
        return {"SecurityGroupRuleId": rule_id, "SecurityGroupRule": rule}

    ec2.modify_security_group_rules(GroupId=web, SecurityGroupRules=[update(first, 80), update(second, 22)])
    assert {rule["SecurityGroupRuleId"]: rule["FromPort"] for rule in rules(ec2, web)} == {first: 80, second: 22}
    assert error(ec2.modify_security_group_rules, GroupId=web, SecurityGroupRules=[update(first, 22)]) == (
        "InvalidParameterValue",
        "The same permission must not appear multiple times",
    )


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        (
            {"IpProtocol": "-1", "CidrIpv4": "0.0.0.0/0", "CidrIpv6": "::/0"},
            (
                "InvalidParameterCombination",
                "Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified",
            ),
        ),
        (
            {"IpProtocol": "udp", "FromPort": 5, "ToPort": 6},
            (
                "MissingParameter",
                "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId",
            ),
        ),
        (
            {"IpProtocol": "udp", "ToPort": 6, "CidrIpv4": "0.0.0.0/0"},
            (
                "InvalidParameterValue",
                "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.",
            ),
        ),
    ],
)
def test_a_rule_is_replaced_by_a_whole_one(
    ec2: Any, web: str, wanted: dict[str, Any], refusal: tuple[str, str]
) -> None:
    (made,) = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission()])["SecurityGroupRules"]
    update = {"SecurityGroupRuleId": made["SecurityGroupRuleId"], "SecurityGroupRule": wanted}
    assert error(ec2.modify_security_group_rules, GroupId=web, SecurityGroupRules=[update]) == refusal
    assert [rule["FromPort"] for rule in rules(ec2, web)] == [made["FromPort"]]


def test_descriptions_change_by_permission_and_by_id(ec2: Any, web: str) -> None:
    made = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission()])["SecurityGroupRules"]
    rule_id = made[0]["SecurityGroupRuleId"]
    described = permission(IpRanges=[{"CidrIp": "0.0.0.0/0", "Description": "ssh"}])
    ec2.update_security_group_rule_descriptions_ingress(GroupId=web, IpPermissions=[described])
    assert rules(ec2, web)[0]["Description"] == "ssh"
    assert ingress(ec2, web)[0]["IpRanges"] == described["IpRanges"]
    ec2.update_security_group_rule_descriptions_ingress(
        GroupId=web, SecurityGroupRuleDescriptions=[{"SecurityGroupRuleId": rule_id, "Description": "shell"}]
    )
    assert rules(ec2, web)[0]["Description"] == "shell"
    ec2.update_security_group_rule_descriptions_ingress(GroupId=web, IpPermissions=[permission()])
    assert "Description" not in rules(ec2, web)[0]
    other = permission("tcp", 80, 80)
    assert error(ec2.update_security_group_rule_descriptions_egress, GroupId=web, IpPermissions=[other]) == (
        "InvalidPermission.NotFound",
        "The specified rule does not exist in this security group.",
    )


def test_rules_are_found_by_group_id_and_tag(ec2: Any, web: str) -> None:
    made = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[permission()])["SecurityGroupRules"]
    rule_id = made[0]["SecurityGroupRuleId"]
    ec2.create_tags(Resources=[rule_id], Tags=[{"Key": "why", "Value": "ssh"}])

    def found(name: str, value: str) -> list[str]:
        answer = ec2.describe_security_group_rules(Filters=[{"Name": name, "Values": [value]}])
        return [rule["SecurityGroupRuleId"] for rule in answer["SecurityGroupRules"]]

    assert rule_id in found("group-id", web)
    assert found("security-group-rule-id", rule_id) == [rule_id]
    assert found("tag:why", "ssh") == [rule_id]
    (seen,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule_id])["SecurityGroupRules"]
    assert seen["Tags"] == [{"Key": "why", "Value": "ssh"}]
    ec2.revoke_security_group_ingress(GroupId=web, SecurityGroupRuleIds=[rule_id])
    assert ec2.describe_tags(Filters=named(resource_id=rule_id))["Tags"] == []
