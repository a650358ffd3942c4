"""Policies: managed ones and their versions, AWS's own, inline ones, boundaries, attachments, and tags."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eucapy.aws import policygrammar
from eucapy.clc.iam import managed
from tests.clc.iam.asked import TRUST, allowing, error
from tests.harness.cloud import Cloud

READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def keys_of(iam: Any, user: str) -> dict[str, str]:
    made = iam.create_access_key(UserName=user)["AccessKey"]
    return {"access_key_id": made["AccessKeyId"], "secret_access_key": made["SecretAccessKey"]}


def test_a_policy_is_shown_as_it_was_made(iam: Any, number: str) -> None:
    made = iam.create_policy(PolicyName="P", Path="/a/b/", PolicyDocument=allowing("s3:*"), Description="d")["Policy"]
    assert made["Arn"] == f"arn:aws:iam::{number}:policy/a/b/P" and "Description" not in made and "Tags" not in made
    got = iam.get_policy(PolicyArn=made["Arn"])["Policy"]
    assert {**made, "Description": "d", "Tags": []} == got
    assert error(iam.create_policy, PolicyName="p", PolicyDocument=allowing("s3:*")) == (
        "EntityAlreadyExists", "A policy called p already exists. Duplicate names are not allowed.",
    )  # fmt: skip
    absent = f"arn:aws:iam::{number}:policy/P"  # without its path
    assert error(iam.get_policy, PolicyArn=absent) == ("NoSuchEntity", f"Policy {absent} was not found.")


def test_five_versions_one_default_and_no_number_twice(iam: Any, number: str) -> None:
    arn = iam.create_policy(PolicyName="p", PolicyDocument=allowing("s3:A"))["Policy"]["Arn"]
    for action in "BCDE":
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=allowing(f"s3:{action}"), SetAsDefault=action == "C")
    assert error(iam.create_policy_version, PolicyArn=arn, PolicyDocument=allowing("s3:F"))[0] == "LimitExceeded"
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [(each["VersionId"], each["IsDefaultVersion"]) for each in versions] == [
        ("v5", False), ("v4", False), ("v3", True), ("v2", False), ("v1", False),
    ]  # fmt: skip
    pages = iam.get_paginator("list_policy_versions").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 2})
    assert [each["VersionId"] for page in pages for each in page["Versions"]] == ["v5", "v4", "v3", "v2", "v1"]
    assert error(iam.delete_policy_version, PolicyArn=arn, VersionId="v3") == (
        "DeleteConflict", "Cannot delete the default version of a policy.",
    )  # fmt: skip
    iam.delete_policy_version(PolicyArn=arn, VersionId="v5")
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=allowing("s3:F"))["PolicyVersion"]
    assert made["VersionId"] == "v6"
    got = iam.get_policy_version(PolicyArn=arn, VersionId="v6")["PolicyVersion"]
    assert got["Document"] == json.loads(allowing("s3:F")) and not got["IsDefaultVersion"]
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v6")
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v6"
    assert error(iam.delete_policy, PolicyArn=arn)[0] == "DeleteConflict"
    for version in ("v1", "v2", "v3", "v4"):
        iam.delete_policy_version(PolicyArn=arn, VersionId=version)
    iam.delete_policy(PolicyArn=arn)
    gone = ("NoSuchEntity", f"Policy {arn} version v6 does not exist or is not attachable.")
    assert error(iam.get_policy_version, PolicyArn=arn, VersionId="v6") == gone


def test_a_change_of_the_default_version_holds_for_the_next_request(shared: Cloud, iam: Any) -> None:
    arn = iam.create_policy(PolicyName="p", PolicyDocument=allowing("iam:ListUsers"))["Policy"]["Arn"]
    iam.create_user(UserName="u")
    iam.create_group(GroupName="g")
    iam.attach_group_policy(GroupName="g", PolicyArn=arn)
    user = shared.client("iam", keys=keys_of(iam, "u"))
    assert error(user.list_users)[0] == "AccessDenied"
    iam.add_user_to_group(GroupName="g", UserName="u")
    assert user.list_users()["Users"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=allowing("s3:*"), SetAsDefault=True)
    assert error(user.list_users)[0] == "AccessDenied"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    assert user.list_users()["Users"]
    iam.put_user_permissions_boundary(UserName="u", PermissionsBoundary="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    assert error(user.list_users)[0] == "AccessDenied"
    iam.delete_user_permissions_boundary(UserName="u")
    assert user.list_users()["Users"]
    iam.detach_group_policy(GroupName="g", PolicyArn=arn)
    assert error(user.list_users)[0] == "AccessDenied"
    iam.put_user_policy(UserName="u", PolicyName="i", PolicyDocument=allowing("iam:ListUsers"))
    assert user.list_users()["Users"]
    iam.delete_user_policy(UserName="u", PolicyName="i")
    assert error(user.list_users)[0] == "AccessDenied"


@pytest.mark.parametrize("kind", ["user", "group", "role"])
def test_attached_and_inline_policies_of_each_kind(iam: Any, kind: str) -> None:
    name = {f"{kind.capitalize()}Name": "x"}
    more = {"AssumeRolePolicyDocument": TRUST} if kind == "role" else {}
    getattr(iam, f"create_{kind}")(**name, **more)
    attach, detach = getattr(iam, f"attach_{kind}_policy"), getattr(iam, f"detach_{kind}_policy")
    attached = getattr(iam, f"list_attached_{kind}_policies")
    arn = iam.create_policy(PolicyName="p", Path="/a/", PolicyDocument=allowing("s3:*"))["Policy"]["Arn"]
    for _twice in range(2):
        attach(**name, PolicyArn=arn)
    attach(**name, PolicyArn=READ_ONLY)
    assert [each["PolicyName"] for each in attached(**name)["AttachedPolicies"]] == ["p", "ReadOnlyAccess"]
    assert [each["PolicyName"] for each in attached(**name, PathPrefix="/a/")["AttachedPolicies"]] == ["p"]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    held = {"group": "PolicyGroups", "role": "PolicyRoles", "user": "PolicyUsers"}
    entities = iam.list_entities_for_policy(PolicyArn=arn)
    assert {member: len(entities[member]) for member in held.values()} == {
        member: int(of == kind) for of, member in held.items()
    }
    assert iam.list_entities_for_policy(PolicyArn=arn, EntityFilter="LocalManagedPolicy")[held[kind]]
    other = "User" if kind == "role" else "Role"
    assert not iam.list_entities_for_policy(PolicyArn=arn, EntityFilter=other)[held[kind]]
    assert error(iam.delete_policy, PolicyArn=arn) == (
        "DeleteConflict", "Cannot delete a policy attached to entities.",
    )  # fmt: skip
    detach(**name, PolicyArn=arn)
    assert error(detach, **name, PolicyArn=arn) == ("NoSuchEntity", f"Policy {arn} was not found.")
    absent = arn + "-not"
    assert error(attach, **name, PolicyArn=absent) == (
        "NoSuchEntity", f"Policy {absent} does not exist or is not attachable.",
    )  # fmt: skip
    assert error(attach, **name, PolicyArn="p" * 20) == ("ValidationError", "Invalid ARN:  Could not be parsed!")
    wrong = "arn:aws:s3:::not-a-policy"
    assert error(attach, **name, PolicyArn=wrong) == ("ValidationError", f"ARN {wrong} is not valid.")
    put, get = getattr(iam, f"put_{kind}_policy"), getattr(iam, f"get_{kind}_policy")
    put(**name, PolicyName="i", PolicyDocument=allowing("s3:A"))
    put(**name, PolicyName="i", PolicyDocument=allowing("s3:B"))
    assert get(**name, PolicyName="i")["PolicyDocument"] == json.loads(allowing("s3:B"))
    assert getattr(iam, f"list_{kind}_policies")(**name)["PolicyNames"] == ["i"]
    most = {"user": 2048, "group": 5120, "role": 10240}[kind]
    large = allowing(*(f"s3:Get{number:04d}" for number in range(most // 13)))
    assert error(put, **name, PolicyName="large", PolicyDocument=large) == (
        "LimitExceeded", f"Maximum policy size of {most} bytes exceeded for {kind} x",
    )  # fmt: skip
    assert error(put, **name, PolicyName="i", PolicyDocument='{"Version":')[0] == "MalformedPolicyDocument"
    delete = getattr(iam, f"delete_{kind}_policy")
    delete(**name, PolicyName="i")
    assert error(delete, **name, PolicyName="i") == (
        "NoSuchEntity", f"The {kind} policy with name i cannot be found.",
    )  # fmt: skip


def test_ten_policies_each_and_white_space_costs_nothing(iam: Any) -> None:
    iam.create_user(UserName="u")
    arns = [
        iam.create_policy(PolicyName=f"p{number}", PolicyDocument=allowing("s3:*"))["Policy"]["Arn"]
        for number in range(11)
    ]
    for arn in arns[:10]:
        iam.attach_user_policy(UserName="u", PolicyArn=arn)
    refused = ("LimitExceeded", "Cannot exceed quota for PoliciesPerUser: 10")
    assert error(iam.attach_user_policy, UserName="u", PolicyArn=arns[10]) == refused
    wide = json.dumps(json.loads(allowing(*(f"s3:Get{number:03d}" for number in range(450)))), indent=8)
    assert len(wide) > 6144 > policygrammar.size(wide)
    iam.create_policy(PolicyName="wide", PolicyDocument=wide)
    large = allowing(*(f"s3:Get{number:04d}" for number in range(480)))
    assert error(iam.create_policy, PolicyName="large", PolicyDocument=large) == (
        "LimitExceeded", "Cannot exceed quota for PolicySize: 6144",
    )  # fmt: skip


def test_boundaries_are_shown_and_counted(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="b", PolicyDocument=allowing("s3:*"))["Policy"]["Arn"]
    shown = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    made = iam.create_user(UserName="u", PermissionsBoundary=arn)["User"]
    assert made["PermissionsBoundary"] == shown
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    iam.put_role_permissions_boundary(RoleName="r", PermissionsBoundary=arn)
    assert iam.get_role(RoleName="r")["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
    assert iam.get_policy(PolicyArn=arn)["Policy"]["PermissionsBoundaryUsageCount"] == 2
    assert error(iam.delete_policy, PolicyArn=arn)[0] == "DeleteConflict"
    entities = iam.list_entities_for_policy(PolicyArn=arn, PolicyUsageFilter="PermissionsBoundary")
    assert (len(entities["PolicyUsers"]), len(entities["PolicyRoles"])) == (1, 1)
    assert iam.list_entities_for_policy(PolicyArn=arn, PolicyUsageFilter="PermissionsPolicy")["PolicyUsers"] == []
    filtered = iam.list_policies(PolicyUsageFilter="PermissionsBoundary")["Policies"]
    assert [each["Arn"] for each in filtered] == [arn]
    assert error(iam.create_user, UserName="v", PermissionsBoundary=arn + "-not") == (
        "NoSuchEntity", f"Scope ARN: {arn}-not does not exist or is not attachable.",
    )  # fmt: skip


def test_which_policies_speak_of_a_service(iam: Any, number: str) -> None:
    iam.create_user(UserName="u", Path="/x/")
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName="u")
    iam.attach_user_policy(UserName="u", PolicyArn="arn:aws:iam::aws:policy/PowerUserAccess")  # a NotAction
    iam.put_user_policy(UserName="u", PolicyName="mine", PolicyDocument=allowing("S3:Get*", "ec2:Run*"))
    iam.put_group_policy(GroupName="g", PolicyName="ours", PolicyDocument=allowing("iam:GetUser"))
    arn = f"arn:aws:iam::{number}:user/x/u"
    answer = iam.list_policies_granting_service_access(Arn=arn, ServiceNamespaces=["s3", "iam", "ec2", "sqs"])
    found = {
        each["ServiceNamespace"]: [policy["PolicyName"] for policy in each["Policies"]]
        for each in answer["PoliciesGrantingServiceAccess"]
    }
    assert found == {
        "ec2": ["PowerUserAccess", "mine"],
        "iam": ["PowerUserAccess", "ours"],  # it allows iam:ListRoles
        "s3": ["PowerUserAccess", "mine"],
        "sqs": ["PowerUserAccess"],
    }
    inline = answer["PoliciesGrantingServiceAccess"][1]["Policies"][1]
    assert (inline["PolicyType"], inline["EntityType"], inline["EntityName"]) == ("INLINE", "GROUP", "g")
    absent = f"arn:aws:iam::{number}:user/u"
    refused = error(iam.list_policies_granting_service_access, Arn=absent, ServiceNamespaces=["s3"])
    assert refused == ("NoSuchEntity", "The user with name u cannot be found.")


# --- AWS's own --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", managed.every().values(), ids=lambda policy: policy.name)
def test_each_of_awss_policies_is_one_that_iam_would_take(policy: managed.Managed) -> None:
    parsed = policygrammar.identity(policy.document)
    assert parsed.statements and policy.description and policy.updated_at >= policy.created_at
    assert managed.document(policy.arn) == policy.document


def test_awss_policies_are_listed_read_and_left_alone(iam: Any) -> None:
    named = {
        each["PolicyName"]: each["Arn"]
        for page in iam.get_paginator("list_policies").paginate(Scope="AWS", PaginationConfig={"PageSize": 7})
        for each in page["Policies"]
    }
    assert len(named) == len(managed.every())
    assert named["AdministratorAccess"] == "arn:aws:iam::aws:policy/AdministratorAccess"
    assert named["ViewOnlyAccess"] == "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"
    attached = iam.list_policies(OnlyAttached=True)["Policies"]
    assert [each["PolicyName"] for each in attached] == ["AdministratorAccess"]
    got = iam.get_policy(PolicyArn=READ_ONLY)["Policy"]
    assert got["Description"] and got["Tags"] == []
    (version,) = iam.list_policy_versions(PolicyArn=READ_ONLY)["Versions"]
    assert (version["VersionId"], version["IsDefaultVersion"]) == (got["DefaultVersionId"], True)
    document = iam.get_policy_version(PolicyArn=READ_ONLY, VersionId=version["VersionId"])["PolicyVersion"]["Document"]
    assert "ec2:Describe*" in document["Statement"][0]["Action"]
    for call, params in (
        (iam.delete_policy, {}),
        (iam.create_policy_version, {"PolicyDocument": allowing("s3:*")}),
        (iam.set_default_policy_version, {"VersionId": "v1"}),
        (iam.tag_policy, {"Tags": [{"Key": "a", "Value": "b"}]}),
    ):
        assert error(call, PolicyArn=READ_ONLY, **params)[0] == "AccessDenied"


# --- tags -------------------------------------------------------------------------------------------------------------


def tagged(iam: Any, number: str) -> list[tuple[str, str, str, bool]]:
    """(operations' noun, its member, its value, whether keys fold) of one of each kind."""
    iam.create_user(UserName="u")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName="p")
    serial = iam.create_virtual_mfa_device(VirtualMFADeviceName="m")["VirtualMFADevice"]["SerialNumber"]
    arn = iam.create_policy(PolicyName="p", PolicyDocument=allowing("s3:*"))["Policy"]["Arn"]
    issuer = iam.create_open_id_connect_provider(Url="https://id.example.com")["OpenIDConnectProviderArn"]
    return [
        ("user", "UserName", "u", True),
        ("role", "RoleName", "r", True),
        ("instance_profile", "InstanceProfileName", "p", False),
        ("mfa_device", "SerialNumber", serial, False),
        ("policy", "PolicyArn", arn, False),
        ("open_id_connect_provider", "OpenIDConnectProviderArn", issuer, False),
    ]


def test_tags_of_everything_that_has_them(iam: Any, number: str) -> None:
    for noun, member, value, folds in tagged(iam, number):
        name = {member: value}
        tag, untag, held = (getattr(iam, call.format(noun)) for call in ("tag_{}", "untag_{}", "list_{}_tags"))
        tag(**name, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
        tag(**name, Tags=[{"Key": "A", "Value": "2"}])
        pairs = [(each["Key"], each["Value"]) for each in held(**name)["Tags"]]
        expected = [("A", "2"), ("b", "")] if folds else [("A", "2"), ("a", "1"), ("b", "")]
        assert pairs == expected, noun
        first = held(**name, MaxItems=1)
        assert first["IsTruncated"] and held(**name, Marker=first["Marker"])["Tags"][0]["Key"] == expected[1][0]
        code, text = error(tag, **name, Tags=[{"Key": "c", "Value": ""}, {"Key": "c", "Value": "x"}])
        assert code == "InvalidInput" and text.startswith("Duplicate tag keys found.")
        many = [{"Key": f"k{each}", "Value": ""} for each in range(50)]
        assert error(tag, **name, Tags=many) == (
            "LimitExceeded", "The number of tags has reached the maximum limit.",
        )  # fmt: skip
        untag(**name, TagKeys=["A", "b", "a", "never"])
        assert held(**name)["Tags"] == []
        assert error(tag, **name, Tags=[{"Key": "aws:x", "Value": "y"}])[0] == "ValidationError"
