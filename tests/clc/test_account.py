"""The account in IAM: its alias, and what it has of what it may have."""

from __future__ import annotations

import pytest

from tests.clc.launching import error
from tests.harness.cloud import Cloud


def test_an_account_has_no_alias_until_it_is_given_one_and_then_that_one(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    assert iam.list_account_aliases()["AccountAliases"] == []
    iam.create_account_alias(AccountAlias="blue-sky")
    assert iam.list_account_aliases()["AccountAliases"] == ["blue-sky"]
    iam.create_account_alias(AccountAlias="green")
    listed = iam.list_account_aliases()
    assert (listed["AccountAliases"], listed["IsTruncated"]) == (["green"], False)
    iam.delete_account_alias(AccountAlias="green")
    assert iam.list_account_aliases()["AccountAliases"] == []


def test_an_alias_belongs_to_one_account_of_the_cloud(cloud: Cloud) -> None:
    iam, stranger = cloud.client("iam"), cloud.client("iam", "lab")
    iam.create_account_alias(AccountAlias="ours")
    taken = ("EntityAlreadyExists", "The account alias ours already exists.")
    assert error(stranger.create_account_alias, AccountAlias="ours") == taken
    assert error(iam.create_account_alias, AccountAlias="ours") == taken
    absent = ("NoSuchEntity", "The account alias ours cannot be found.")
    assert error(stranger.delete_account_alias, AccountAlias="ours") == absent
    assert iam.list_account_aliases()["AccountAliases"] == ["ours"]
    assert stranger.list_account_aliases()["AccountAliases"] == []


@pytest.mark.parametrize("alias", ["ab", "-ab", "ab-", "a--b", "Ab1", "a" * 64, "a.b"])
def test_what_cannot_be_an_alias(cloud: Cloud, alias: str) -> None:
    assert error(cloud.client("iam").create_account_alias, AccountAlias=alias)[0] == "ValidationError"


def test_the_summary_counts_what_there_is(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    before = iam.get_account_summary()["SummaryMap"]
    iam.create_user(UserName="one-more")
    after = iam.get_account_summary()["SummaryMap"]
    assert (before["Users"], after["Users"]) == (1, 2)
    assert after == {**before, "Users": 2}
    assert (after["UsersQuota"], after["AccessKeysPerUserQuota"], after["Roles"]) == (5000, 2, 0)


def test_pages_of_users_and_a_marker_that_nobody_made(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    for name in ("bob", "carol", "dave"):
        iam.create_user(UserName=name)
    pages = iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 2})
    assert [[user["UserName"] for user in page["Users"]] for page in pages] == [["admin", "bob"], ["carol", "dave"]]
    assert error(iam.list_users, Marker="banana") == ("ValidationError", "Invalid Marker.")
    stolen = iam.list_users(MaxItems=2)["Marker"]
    assert error(cloud.client("iam", "lab").list_users, Marker=stolen)[0] == "ValidationError"
