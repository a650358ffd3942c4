"""Users, groups, roles, instance profiles: how they are named, shown, changed, and what keeps them from being deleted."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from eucapy.clc.iam.access_keys import new_access_key
from eucapy.clc.store import accounts
from tests.clc.iam.asked import TRUST, allowing, error, trusting
from tests.harness.cloud import Cloud


def names(answer: dict[str, Any], member: str, name: str) -> list[str]:
    return [each[name] for each in answer[member]]


def test_a_user_is_shown_as_it_was_made(iam: Any, number: str) -> None:
    made = iam.create_user(UserName="Bob", Path="/team/", Tags=[{"Key": "cost", "Value": "7"}])["User"]
    assert re.fullmatch("AIDA[A-Z2-7]{17}", made["UserId"])
    assert made["Arn"] == f"arn:aws:iam::{number}:user/team/Bob"
    got = iam.get_user(UserName="Bob")["User"]
    assert got == made and got["Tags"] == [{"Key": "cost", "Value": "7"}]
    (listed,) = (user for user in iam.list_users()["Users"] if user["UserName"] == "Bob")
    assert listed == {key: value for key, value in made.items() if key != "Tags"}
    assert names(iam.list_users(PathPrefix="/team/"), "Users", "UserName") == ["Bob"]


def test_a_name_is_taken_whatever_its_case_and_found_by_its_letters(iam: Any) -> None:
    iam.create_user(UserName="Bob")
    assert error(iam.create_user, UserName="BOB") == ("EntityAlreadyExists", "User with name BOB already exists.")
    assert error(iam.get_user, UserName="bob") == ("NoSuchEntity", "The user with name bob cannot be found.")
    iam.create_user(UserName="ann")
    taken = ("EntityAlreadyExists", "User with name ANN already exists.")
    assert error(iam.update_user, UserName="Bob", NewUserName="ANN") == taken
    iam.update_user(UserName="Bob", NewUserName="BOB", NewPath="/x/")
    assert iam.get_user(UserName="BOB")["User"]["Path"] == "/x/"


def test_a_user_that_is_not_named_is_the_caller(iam: Any) -> None:
    assert iam.get_user()["User"]["UserName"] == "admin"
    assert len(iam.list_access_keys()["AccessKeyMetadata"]) == 1


def test_a_renamed_user_keeps_its_keys_and_powers(shared: Cloud, account: str, iam: Any) -> None:
    iam.create_user(UserName="before")
    iam.put_user_policy(UserName="before", PolicyName="p", PolicyDocument=allowing("iam:ListUsers"))
    made = iam.create_access_key(UserName="before")["AccessKey"]
    keys = {"access_key_id": made["AccessKeyId"], "secret_access_key": made["SecretAccessKey"]}
    assert shared.client("iam", keys=keys).list_users()["Users"]
    iam.update_user(UserName="before", NewUserName="after", NewPath="/new/")
    assert shared.client("sts", keys=keys).get_caller_identity()["Arn"].endswith(":user/new/after")
    assert shared.client("iam", keys=keys).list_users()["Users"]


def test_what_a_user_has_keeps_it_from_being_deleted(iam: Any, number: str) -> None:
    iam.create_user(UserName="u")
    iam.create_group(GroupName="g")
    key = iam.create_access_key(UserName="u")["AccessKey"]["AccessKeyId"]
    iam.create_login_profile(UserName="u", Password="Some-thing1")
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=allowing("s3:*"))
    iam.attach_user_policy(UserName="u", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.add_user_to_group(GroupName="g", UserName="u")
    ladder: list[tuple[str, Any, dict[str, str]]] = [
        ("must delete access keys first.", iam.delete_access_key, {"UserName": "u", "AccessKeyId": key}),
        ("must delete login profile first.", iam.delete_login_profile, {"UserName": "u"}),
        (
            "must detach all policies first.",
            iam.detach_user_policy,
            {"UserName": "u", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
        ),
        ("must delete policies first.", iam.delete_user_policy, {"UserName": "u", "PolicyName": "p"}),
        ("must remove users from group first.", iam.remove_user_from_group, {"GroupName": "g", "UserName": "u"}),
    ]
    for text, undo, params in ladder:
        assert error(iam.delete_user, UserName="u") == ("DeleteConflict", f"Cannot delete entity, {text}")
        undo(**params)
    iam.delete_user(UserName="u")
    assert error(iam.get_user, UserName="u")[0] == "NoSuchEntity"


def test_a_group_knows_its_users_page_by_page(iam: Any) -> None:
    iam.create_group(GroupName="devs", Path="/x/")
    for name in ("c", "a", "b"):
        iam.create_user(UserName=name)
        for _twice in range(2):
            iam.add_user_to_group(GroupName="devs", UserName=name)
    pages = iam.get_paginator("get_group").paginate(GroupName="devs", PaginationConfig={"PageSize": 2})
    assert [names(page, "Users", "UserName") for page in pages] == [["a", "b"], ["c"]]
    assert names(iam.list_groups_for_user(UserName="a"), "Groups", "GroupName") == ["devs"]
    assert error(iam.delete_group, GroupName="devs") == (
        "DeleteConflict", "Cannot delete entity, must remove users from group first.",
    )  # fmt: skip
    absent = ("NoSuchEntity", "The group with name nobody cannot be found.")
    assert error(iam.add_user_to_group, GroupName="nobody", UserName="a") == absent
    for number in range(9):
        iam.create_group(GroupName=f"g{number}")
        iam.add_user_to_group(GroupName=f"g{number}", UserName="a")
    iam.create_group(GroupName="one-more")
    assert error(iam.add_user_to_group, GroupName="one-more", UserName="a") == (
        "LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10",
    )  # fmt: skip


def test_a_role_is_shown_differently_by_each_call_as_in_aws(iam: Any) -> None:
    made = iam.create_role(
        RoleName="r", AssumeRolePolicyDocument=TRUST, Description="d", Tags=[{"Key": "a", "Value": ""}]
    )["Role"]
    assert set(made) == {
        "Path", "RoleName", "RoleId", "Arn", "CreateDate", "AssumeRolePolicyDocument", "Tags",
    }  # fmt: skip
    assert made["AssumeRolePolicyDocument"] == json.loads(TRUST)
    got = iam.get_role(RoleName="r")["Role"]
    assert (got["MaxSessionDuration"], got["RoleLastUsed"], got["Description"]) == (3600, {}, "d")
    (listed,) = iam.list_roles()["Roles"]
    assert "Tags" not in listed and "RoleLastUsed" not in listed and listed["MaxSessionDuration"] == 3600
    iam.update_role(RoleName="r", MaxSessionDuration=7200)
    got = iam.get_role(RoleName="r")["Role"]
    assert (got["MaxSessionDuration"], got["Description"]) == (7200, "d")
    for length in (3599, 43201):
        code = error(iam.update_role, RoleName="r", MaxSessionDuration=length)[0]
        assert code == "ValidationError"


@pytest.mark.parametrize(
    "document",
    [
        "{",
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Principal": "*"}]}',
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}',
        allowing("sts:AssumeRole"),
    ],
)
def test_what_is_no_trust_policy_is_malformed(iam: Any, document: str) -> None:
    assert error(iam.create_role, RoleName="r", AssumeRolePolicyDocument=document)[0] == "MalformedPolicyDocument"
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    assert error(iam.update_assume_role_policy, RoleName="r", PolicyDocument=document)[0] == "MalformedPolicyDocument"
    assert iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"] == json.loads(TRUST)


def test_a_role_trusts_nobody_that_is_not_there(iam: Any, number: str) -> None:
    arn = f"arn:aws:iam::{number}:user/team/bob"
    document = trusting({"AWS": arn})
    refused = ("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{arn}"')
    assert error(iam.create_role, RoleName="r", AssumeRolePolicyDocument=document) == refused
    iam.create_user(UserName="bob")
    assert error(iam.create_role, RoleName="r", AssumeRolePolicyDocument=document) == refused
    iam.update_user(UserName="bob", NewPath="/team/")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=document)
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=trusting({"AWS": f"arn:aws:iam::{number}:root"}))


def test_an_instance_profile_has_one_role(iam: Any, number: str) -> None:
    made = iam.create_instance_profile(InstanceProfileName="p", Path="/web/")["InstanceProfile"]
    assert made["Arn"] == f"arn:aws:iam::{number}:instance-profile/web/p" and made["Roles"] == []
    for name in ("one", "two"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="one")
    assert error(iam.add_role_to_instance_profile, InstanceProfileName="p", RoleName="two") == (
        "LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
    )  # fmt: skip
    got = iam.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]
    assert [role["RoleName"] for role in got["Roles"]] == ["one"] and got["Tags"] == []
    held = "Cannot delete entity, must remove roles from instance profile first."
    assert error(iam.delete_role, RoleName="one") == ("DeleteConflict", held)
    assert error(iam.delete_instance_profile, InstanceProfileName="p") == ("DeleteConflict", held)
    assert error(iam.remove_role_from_instance_profile, InstanceProfileName="p", RoleName="two") == (
        "NoSuchEntity", "Role two in Instance Profile p cannot be found.",
    )  # fmt: skip
    assert names(iam.list_instance_profiles_for_role(RoleName="one"), "InstanceProfiles", "InstanceProfileName") == [
        "p"
    ]
    iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="one")
    iam.delete_instance_profile(InstanceProfileName="p")
    iam.delete_role(RoleName="one")


def test_a_services_role_is_changed_by_nobody_and_deleted_by_asking(iam: Any, number: str) -> None:
    made = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="mine")["Role"]
    name = "AWSServiceRoleForAutoScaling_mine"
    assert made["Arn"] == f"arn:aws:iam::{number}:role/aws-service-role/autoscaling.amazonaws.com/{name}"
    assert iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"] == json.loads(
        trusting({"Service": "autoscaling.amazonaws.com"})
    )
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert [each["PolicyName"] for each in attached] == ["AutoScalingServiceRolePolicy"]
    for refused, params in (
        (iam.delete_role, {}),
        (iam.update_role, {"Description": "x"}),
        (iam.put_role_policy, {"PolicyName": "p", "PolicyDocument": allowing("s3:*")}),
        (iam.detach_role_policy, {"PolicyArn": attached[0]["PolicyArn"]}),
        (iam.put_role_permissions_boundary, {"PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess"}),
    ):
        assert error(refused, RoleName=name, **params)[0] == "UnmodifiableEntity"
    assert error(iam.create_service_linked_role, AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="mine") == (
        "InvalidInput", f"Service role name {name} has been taken in this account, please try a different suffix.",
    )  # fmt: skip
    assert error(iam.create_service_linked_role, AWSServiceName="ssm.amazonaws.com", CustomSuffix="x") == (
        "InvalidInput", "Custom suffix is not allowed for ssm.amazonaws.com",
    )  # fmt: skip
    for service, role in (
        ("accountdiscovery.ssm.amazonaws.com", "AWSServiceRoleForAmazonSSM_AccountDiscovery"),
        ("other-thing.amazonaws.com", "AWSServiceRoleForOtherThing"),
    ):
        assert iam.create_service_linked_role(AWSServiceName=service)["Role"]["RoleName"] == role
    task = iam.delete_service_linked_role(RoleName=name)["DeletionTaskId"]
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    assert error(iam.get_role, RoleName=name)[0] == "NoSuchEntity"


def test_accounts_do_not_see_each_other(shared: Cloud, iam: Any) -> None:
    iam.create_user(UserName="ours")
    iam.create_role(RoleName="ours", AssumeRolePolicyDocument=TRUST)
    stranger = shared.client("iam", "stranger")
    assert error(stranger.get_user, UserName="ours")[0] == "NoSuchEntity"
    assert error(stranger.delete_role, RoleName="ours")[0] == "NoSuchEntity"
    stranger.create_user(UserName="ours")
    stranger.delete_user(UserName="ours")
    assert iam.get_user(UserName="ours")


def test_pages_end_and_a_marker_is_nobodys_guess(iam: Any) -> None:
    for number in range(5):
        iam.create_role(RoleName=f"r{number}", AssumeRolePolicyDocument=TRUST)
    pages = iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 2})
    assert [names(page, "Roles", "RoleName") for page in pages] == [["r0", "r1"], ["r2", "r3"], ["r4"]]
    assert error(iam.list_roles, Marker="banana") == ("ValidationError", "Invalid Marker.")
    for most in (0, 1001):
        assert error(iam.list_roles, MaxItems=most)[0] == "ValidationError"


def test_trust_follows_a_renamed_user_and_ends_with_a_deleted_one(shared: Cloud, iam: Any, number: str) -> None:
    """Else whoever may make a user could take the place of one that was trusted."""

    def trusted() -> list[str]:
        document = iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"]
        return list(document["Statement"][0]["Principal"]["AWS"])

    arn, other = f"arn:aws:iam::{number}:user/bob", f"arn:aws:iam::{number}:user/bobby"
    user_id = iam.create_user(UserName="bob")["User"]["UserId"]
    iam.create_user(UserName="bobby")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trusting({"AWS": [arn, other]}))
    iam.update_user(UserName="bob", NewUserName="rob", NewPath="/x/")
    assert trusted() == [f"arn:aws:iam::{number}:user/x/rob", other]
    iam.create_user(UserName="bob")
    keys = iam.create_access_key(UserName="bob")["AccessKey"]
    bob = {"access_key_id": keys["AccessKeyId"], "secret_access_key": keys["SecretAccessKey"]}
    sts = shared.client("sts", keys=bob)
    role = f"arn:aws:iam::{number}:role/r"
    assert error(sts.assume_role, RoleArn=role, RoleSessionName="session")[0] == "AccessDenied"
    iam.delete_user(UserName="rob")
    assert trusted() == [user_id, other]
    iam.create_user(UserName="rob", Path="/x/")
    assert trusted() == [user_id, other]
    again = error(iam.update_assume_role_policy, RoleName="r", PolicyDocument=trusting({"AWS": user_id}))
    assert again == ("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{user_id}"')
    keys = iam.create_access_key(UserName="bobby")["AccessKey"]
    bobby = {"access_key_id": keys["AccessKeyId"], "secret_access_key": keys["SecretAccessKey"]}
    assert shared.client("sts", keys=bobby).assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]


def test_the_root_user_may_do_all_once_it_has_a_key(shared: Cloud, account: str, iam: Any, number: str) -> None:
    """It is in no list of users, no name finds it, and it signs only with a key that somebody made for it."""
    clc = shared.dev.clc
    key_id, secret = new_access_key()
    shared.run(
        shared.dev.database.write(
            lambda tx: accounts.insert_key(tx, number, number, key_id, clc.seal.seal(secret.encode()), 0.0)
        )
    )
    keys = {"access_key_id": key_id, "secret_access_key": secret}
    root = shared.client("iam", keys=keys)
    identity = shared.client("sts", keys=keys).get_caller_identity()
    assert (identity["Arn"], identity["UserId"]) == (f"arn:aws:iam::{number}:root", number)
    user = root.get_user()["User"]
    assert (user["Arn"], user["UserId"], "UserName" in user) == (f"arn:aws:iam::{number}:root", number, False)
    assert names(root.list_users(), "Users", "UserName") == ["admin"]
    root.create_user(UserName="root")
    assert error(iam.get_user, UserName="<root>")[0] == "ValidationError"
    assert root.get_account_summary()["SummaryMap"]["AccountAccessKeysPresent"] == 1
    assert [held["AccessKeyId"] for held in root.list_access_keys()["AccessKeyMetadata"]] == [key_id]
    root.delete_access_key(AccessKeyId=key_id)
    assert error(root.get_user)[0] == "InvalidClientTokenId"


@pytest.mark.parametrize("spelled", ["\\/", "\\u002f"])
def test_no_spelling_of_a_name_lets_its_next_bearer_inherit_trust(
    shared: Cloud, iam: Any, number: str, spelled: str
) -> None:
    """JSON may write a slash in other ways, and some libraries always do."""
    role_id = iam.create_role(RoleName="caller", AssumeRolePolicyDocument=TRUST)["Role"]["RoleId"]
    document = trusting({"AWS": f"arn:aws:iam::{number}:role/caller"}).replace("/", spelled)
    iam.create_role(RoleName="trusting", AssumeRolePolicyDocument=document)
    iam.delete_role(RoleName="caller")
    iam.create_role(RoleName="caller", AssumeRolePolicyDocument=TRUST)
    shown = iam.get_role(RoleName="trusting")["Role"]["AssumeRolePolicyDocument"]
    assert shown["Statement"][0]["Principal"]["AWS"] == role_id
