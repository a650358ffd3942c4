"""Network ACLs through the API: what one is born with, its entries, which subnets it guards, what the nodes are told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clc.network.asking import code, default_vpc, error, named, own_vpc, subnet
from tests.harness.cloud import Cloud

CLOSED = [
    {"CidrBlock": "0.0.0.0/0", "Egress": True, "Protocol": "-1", "RuleAction": "deny", "RuleNumber": 32767},
    {"CidrBlock": "0.0.0.0/0", "Egress": False, "Protocol": "-1", "RuleAction": "deny", "RuleNumber": 32767},
]
ABSENT = "acl-0123456789abcdef0"


@pytest.fixture
def vpc_id(ec2: Any) -> str:
    return own_vpc(ec2)


@pytest.fixture
def acl_id(ec2: Any, vpc_id: str) -> str:
    return str(ec2.create_network_acl(VpcId=vpc_id)["NetworkAcl"]["NetworkAclId"])


def entry(acl_id: str, number: int = 100, **given: Any) -> dict[str, Any]:
    base = {"Protocol": "-1", "RuleAction": "allow", "Egress": False, "CidrBlock": "10.0.0.0/16"}
    return {"NetworkAclId": acl_id, "RuleNumber": number, **base, **given}


def entries(ec2: Any, acl_id: str) -> list[dict[str, Any]]:
    (acl,) = ec2.describe_network_acls(NetworkAclIds=[acl_id])["NetworkAcls"]
    return list(acl["Entries"])


def guard(ec2: Any, subnet_id: str) -> dict[str, str]:
    """The subnet's association."""
    (acl,) = ec2.describe_network_acls(Filters=named(**{"association.subnet_id": subnet_id}))["NetworkAcls"]
    (found,) = (one for one in acl["Associations"] if one["SubnetId"] == subnet_id)
    assert found["NetworkAclId"] == acl["NetworkAclId"]
    return dict(found)


def test_a_new_acl_guards_nothing_and_lets_nothing_through(ec2: Any, vpc_id: str) -> None:
    tags = [{"Key": "Name", "Value": "mine"}]
    made = ec2.create_network_acl(VpcId=vpc_id, TagSpecifications=[{"ResourceType": "network-acl", "Tags": tags}])[
        "NetworkAcl"
    ]
    owner = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]["OwnerId"]
    assert made == {
        "Associations": [], "Entries": CLOSED, "IsDefault": False, "NetworkAclId": made["NetworkAclId"],
        "Tags": tags, "VpcId": vpc_id, "OwnerId": owner,
    }  # fmt: skip
    assert ec2.describe_network_acls(NetworkAclIds=[made["NetworkAclId"]])["NetworkAcls"] == [made]


def test_an_entry_is_kept_as_it_was_said(ec2: Any, acl_id: str) -> None:
    ec2.create_network_acl_entry(**entry(acl_id, 100, Protocol="6", PortRange={"From": 22, "To": 80}))
    ec2.create_network_acl_entry(**entry(acl_id, 90, Protocol="1", IcmpTypeCode={"Type": 8, "Code": -1}))
    ec2.create_network_acl_entry(**entry(acl_id, 100, Egress=True, RuleAction="deny", CidrBlock="10.9.8.7/8"))
    ec2.create_network_acl_entry(**entry(acl_id, 7, Protocol="udp", PortRange={"From": 53, "To": 53}))
    ec2.create_network_acl_entry(
        NetworkAclId=acl_id,
        RuleNumber=8,
        Protocol="50",
        RuleAction="allow",
        Egress=False,
        Ipv6CidrBlock="2001:DB8::/32",
    )
    inside = {"Egress": False, "RuleAction": "allow", "CidrBlock": "10.0.0.0/16"}
    assert entries(ec2, acl_id) == [
        {"Egress": True, "RuleAction": "deny", "CidrBlock": "10.0.0.0/8", "Protocol": "-1", "RuleNumber": 100},
        CLOSED[0],
        {**inside, "Protocol": "17", "PortRange": {"From": 53, "To": 53}, "RuleNumber": 7},
        {"Egress": False, "RuleAction": "allow", "Ipv6CidrBlock": "2001:db8::/32", "Protocol": "50", "RuleNumber": 8},
        {**inside, "Protocol": "1", "IcmpTypeCode": {"Type": 8, "Code": -1}, "RuleNumber": 90},
        {**inside, "Protocol": "6", "PortRange": {"From": 22, "To": 80}, "RuleNumber": 100},
        CLOSED[1],
    ]


def test_an_entry_is_known_by_direction_and_number(ec2: Any, acl_id: str) -> None:
    ec2.create_network_acl_entry(**entry(acl_id))
    assert error(ec2.create_network_acl_entry, **entry(acl_id)) == (
        "NetworkAclEntryAlreadyExists",
        "The network acl entry identified by 100 already exists.",
    )
    ec2.replace_network_acl_entry(**entry(acl_id, Protocol="6", PortRange={"From": 1, "To": 2}))
    assert entries(ec2, acl_id)[1]["PortRange"] == {"From": 1, "To": 2}
    ec2.replace_network_acl_entry(**entry(acl_id, RuleAction="deny"))
    assert "PortRange" not in entries(ec2, acl_id)[1]
    for gone, given in [
        (ec2.replace_network_acl_entry, entry(acl_id, Egress=True)),
        (ec2.delete_network_acl_entry, {"NetworkAclId": acl_id, "RuleNumber": 100, "Egress": True}),
    ]:
        assert error(gone, **given) == ("InvalidNetworkAclEntry.NotFound", "no egress entry with number 100")
    ec2.delete_network_acl_entry(NetworkAclId=acl_id, RuleNumber=100, Egress=False)
    assert entries(ec2, acl_id) == CLOSED


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        ({"RuleNumber": 0}, "InvalidParameterValue"),
        ({"RuleNumber": 32767}, "InvalidParameterValue"),
        ({"Protocol": "6"}, "MissingParameter"),
        ({"Protocol": "6", "PortRange": {"From": 1}}, "MissingParameter"),
        ({"Protocol": "17", "PortRange": {"From": 9, "To": 1}}, "InvalidParameterValue"),
        ({"Protocol": "6", "PortRange": {"From": 1, "To": 65536}}, "InvalidParameterValue"),
        ({"Protocol": "1"}, "MissingParameter"),
        ({"Protocol": "1", "IcmpTypeCode": {"Type": 256, "Code": 0}}, "InvalidParameterValue"),
        ({"Protocol": "256"}, "InvalidParameterValue"),
        ({"Protocol": "horse"}, "InvalidParameterValue"),
        ({"CidrBlock": "10.0.0.0"}, "InvalidParameterValue"),
        ({"Ipv6CidrBlock": "::/0"}, "InvalidParameterCombination"),
        ({"CidrBlock": ""}, "MissingParameter"),
        ({"RuleAction": "maybe"}, "InvalidParameterValue"),
    ],
)
def test_an_entry_that_is_none_is_refused(ec2: Any, acl_id: str, wrong: dict[str, Any], refusal: str) -> None:
    assert code(ec2.create_network_acl_entry, **{**entry(acl_id), **wrong}) == refusal


def test_the_last_entry_is_nobodys_to_change(ec2: Any, acl_id: str) -> None:
    assert error(ec2.delete_network_acl_entry, NetworkAclId=acl_id, RuleNumber=32767, Egress=True) == (
        "InvalidParameterValue",
        "Value (32767) for parameter ruleNumber is invalid. Rulenumber must be in range 1..32766",
    )


def test_twenty_entries_a_direction_and_no_more(ec2: Any, acl_id: str) -> None:
    for number in range(1, 20):
        ec2.create_network_acl_entry(**entry(acl_id, number))
    assert code(ec2.create_network_acl_entry, **entry(acl_id, 20)) == "NetworkAclEntryLimitExceeded"
    ec2.create_network_acl_entry(**entry(acl_id, 20, Egress=True))


def test_a_subnet_is_born_under_the_default_acl_and_moves(ec2: Any, vpc_id: str, acl_id: str) -> None:
    subnet_id = subnet(ec2, vpc_id)
    before = guard(ec2, subnet_id)
    (default,) = ec2.describe_network_acls(Filters=named(vpc_id=vpc_id, default="true"))["NetworkAcls"]
    assert before["NetworkAclId"] == default["NetworkAclId"]
    moved = ec2.replace_network_acl_association(AssociationId=before["NetworkAclAssociationId"], NetworkAclId=acl_id)[
        "NewAssociationId"
    ]
    assert guard(ec2, subnet_id) == {
        "NetworkAclAssociationId": moved, "NetworkAclId": acl_id, "SubnetId": subnet_id
    }  # fmt: skip
    assert moved != before["NetworkAclAssociationId"]
    assert error(
        ec2.replace_network_acl_association,
        AssociationId=before["NetworkAclAssociationId"],
        NetworkAclId=default["NetworkAclId"],
    ) == ("InvalidAssociationID.NotFound", f"The association ID '{before['NetworkAclAssociationId']}' does not exist")
    assert error(ec2.delete_network_acl, NetworkAclId=acl_id) == (
        "DependencyViolation",
        f"The networkAcl '{acl_id}' has dependencies and cannot be deleted.",
    )
    ec2.delete_subnet(SubnetId=subnet_id)
    ec2.delete_network_acl(NetworkAclId=acl_id)
    assert code(ec2.describe_network_acls, NetworkAclIds=[acl_id]) == "InvalidNetworkAclID.NotFound"


def test_an_acl_guards_subnets_of_its_own_vpc_only(ec2: Any, vpc_id: str, acl_id: str) -> None:
    (place, *_) = ec2.describe_subnets(Filters=named(vpc_id=default_vpc(ec2)))["Subnets"]
    held = guard(ec2, place["SubnetId"])["NetworkAclAssociationId"]
    refused = code(ec2.replace_network_acl_association, AssociationId=held, NetworkAclId=acl_id)
    assert refused == "InvalidParameterValue"


def test_the_default_acl_cannot_be_deleted_and_goes_with_its_vpc(ec2: Any, vpc_id: str, acl_id: str) -> None:
    (default,) = ec2.describe_network_acls(Filters=named(vpc_id=vpc_id, default="true"))["NetworkAcls"]
    assert code(ec2.delete_network_acl, NetworkAclId=default["NetworkAclId"]) == "InvalidParameterValue"
    assert code(ec2.delete_vpc, VpcId=vpc_id) == "DependencyViolation", "an ACL of its own"
    ec2.delete_network_acl(NetworkAclId=acl_id)
    ec2.delete_vpc(VpcId=vpc_id)
    assert ec2.describe_network_acls(Filters=named(vpc_id=vpc_id))["NetworkAcls"] == []


def test_filters_look_into_the_entries(ec2: Any, acl_id: str) -> None:
    ec2.create_network_acl_entry(**entry(acl_id, 77, Protocol="6", PortRange={"From": 22, "To": 80}))
    ec2.create_network_acl_entry(**entry(acl_id, 78, Protocol="1", IcmpTypeCode={"Type": 8, "Code": 3}, Egress=True))

    def found(**wanted: str) -> bool:
        filters = [{"Name": name.replace("__", ".").replace("_", "-"), "Values": [v]} for name, v in wanted.items()]
        return acl_id in {a["NetworkAclId"] for a in ec2.describe_network_acls(Filters=filters)["NetworkAcls"]}

    for yes, no in [
        ({"entry__cidr": "10.0.*"}, {"entry__cidr": "10.1.*"}),
        ({"entry__port_range__from": "22"}, {"entry__port_range__from": "23"}),
        ({"entry__port_range__to": "80"}, {"entry__port_range__to": "81"}),
        ({"entry__icmp__type": "8"}, {"entry__icmp__type": "9"}),
        ({"entry__icmp__code": "3"}, {"entry__icmp__code": "4"}),
        ({"entry__protocol": "tcp"}, {"entry__protocol": "udp"}),
        ({"entry__protocol": "6"}, {"entry__protocol": "7"}),
        ({"entry__rule_number": "77"}, {"entry__rule_number": "79"}),
        ({"entry__rule_action": "allow"}, {"entry__rule_action": "refuse"}),
        ({"entry__egress": "true"}, {"entry__egress": "yes"}),
        ({"default": "false"}, {"default": "true"}),
        ({"network_acl_id": acl_id}, {"network_acl_id": ABSENT}),
        ({"entry__ipv6_cidr": "*"}, {"entry__ipv6_cidr": "::/0"}),
    ]:
        assert found(**yes), yes
        assert not found(**no), no


def test_what_another_account_has_does_not_exist(region: Cloud, acl_id: str) -> None:
    stranger = region.client("ec2", "a-stranger")
    for call, given in [
        (stranger.delete_network_acl, {"NetworkAclId": acl_id}),
        (stranger.create_network_acl_entry, entry(acl_id)),
        (stranger.describe_network_acls, {"NetworkAclIds": [acl_id]}),
    ]:
        assert error(call, **given) == (
            "InvalidNetworkAclID.NotFound",
            f"The networkAcl ID '{acl_id}' does not exist",
        )
