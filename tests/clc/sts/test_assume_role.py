"""AssumeRole: whom a role lets in, for how long, with which tags, policies and facts; and who is refused, in AWS's words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.clc.launching import error
from tests.clc.sts.granting import ALL, role, trust, with_credentials
from tests.harness.cloud import Cloud

SESSIONS = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


def account(cloud: Cloud, name: str = "eucalyptus") -> str:
    return cloud.account(name)["account_id"]


def denied(cloud: Cloud, arn: str, action: str = "sts:AssumeRole", name: str = "eucalyptus") -> tuple[str, str]:
    caller = f"arn:aws:iam::{account(cloud, name)}:user/admin"
    return "AccessDenied", f"User: {caller} is not authorized to perform: {action} on resource: {arn}"


def test_a_role_is_taken_on_for_an_hour_unless_asked_otherwise(cloud: Cloud) -> None:
    arn = role(cloud, "hour", trust({"AWS": account(cloud)}))
    sts = cloud.client("sts")
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="s-1")
    role_id = cloud.client("iam").get_role(RoleName="hour")["Role"]["RoleId"]
    assert answer["AssumedRoleUser"] == {
        "AssumedRoleId": f"{role_id}:s-1",
        "Arn": f"arn:aws:sts::{account(cloud)}:assumed-role/hour/s-1",
    }
    assert "PackedPolicySize" not in answer
    assert "SourceIdentity" not in answer
    lasts = answer["Credentials"]["Expiration"] - datetime.now(UTC)
    assert 3500 < lasts.total_seconds() <= 3600
    who = with_credentials(cloud, "sts", answer["Credentials"]).get_caller_identity()
    assert (who["Arn"], who["UserId"], who["Account"]) == (
        answer["AssumedRoleUser"]["Arn"],
        f"{role_id}:s-1",
        account(cloud),
    )


def test_how_long_a_session_may_last(cloud: Cloud) -> None:
    arn = role(cloud, "long", trust({"AWS": account(cloud)}), MaxSessionDuration=7200)
    sts = cloud.client("sts")

    def last(seconds: int) -> Any:
        return sts.assume_role(RoleArn=arn, RoleSessionName="s-1", DurationSeconds=seconds)

    lasts = last(7200)["Credentials"]["Expiration"] - datetime.now(UTC)
    assert 7100 < lasts.total_seconds() <= 7200
    assert error(last, seconds=7201) == (
        "ValidationError",
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    )
    assert error(last, seconds=899)[0] == "ValidationError"
    assert error(last, seconds=43201)[0] == "ValidationError"


def test_a_chain_of_roles_lasts_an_hour_at_most(cloud: Cloud) -> None:
    first = role(cloud, "first", trust({"AWS": account(cloud)}))
    second = role(cloud, "second", trust({"AWS": first}), MaxSessionDuration=43200)
    held = cloud.client("sts").assume_role(RoleArn=first, RoleSessionName="s-1")["Credentials"]
    chained = with_credentials(cloud, "sts", held)
    assert chained.assume_role(RoleArn=second, RoleSessionName="s-2", DurationSeconds=3600)["Credentials"]
    assert error(chained.assume_role, RoleArn=second, RoleSessionName="s-2", DurationSeconds=3601) == (
        "ValidationError",
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
    )
    assert error(cloud.client("sts").assume_role, RoleArn=second, RoleSessionName="s-2") == denied(cloud, second)


def test_who_is_not_trusted_is_refused_as_if_there_were_no_role(cloud: Cloud) -> None:
    cloud.user("somebody")
    closed = role(cloud, "closed", trust({"AWS": f"arn:aws:iam::{account(cloud)}:user/somebody"}))
    nowhere = f"arn:aws:iam::{account(cloud)}:role/nowhere"
    sts = cloud.client("sts")
    for arn in (closed, nowhere, "arn:aws:iam::000000000000:role/x", "arn:a:a:::aaaaaaaaaa"):
        assert error(sts.assume_role, RoleArn=arn, RoleSessionName="s-1") == denied(cloud, arn)


def test_a_role_of_another_path_is_another_role(cloud: Cloud) -> None:
    arn = role(cloud, "pathed", trust({"AWS": account(cloud)}), Path="/ci/")
    assert arn.endswith(":role/ci/pathed")
    sts = cloud.client("sts")
    assert sts.assume_role(RoleArn=arn, RoleSessionName="s-1")["AssumedRoleUser"]["Arn"].endswith("/pathed/s-1")
    wrong = arn.replace("/ci/", "/")
    assert error(sts.assume_role, RoleArn=wrong, RoleSessionName="s-1") == denied(cloud, wrong)


def test_another_account_needs_the_consent_of_both_sides_and_the_external_id(cloud: Cloud) -> None:
    other = account(cloud, "other")
    arn = role(cloud, "guarded", trust({"AWS": other}, StringEquals={"sts:ExternalId": "secret-1"}))
    theirs = cloud.client("sts", "other")
    refused = denied(cloud, arn, name="other")
    assert error(theirs.assume_role, RoleArn=arn, RoleSessionName="s-1") == refused
    assert error(theirs.assume_role, RoleArn=arn, RoleSessionName="s-1", ExternalId="secret-2") == refused
    answer = theirs.assume_role(RoleArn=arn, RoleSessionName="s-1", ExternalId="secret-1")
    assert with_credentials(cloud, "sts", answer["Credentials"]).get_caller_identity()["Account"] == account(cloud)


def test_a_user_without_rights_is_let_in_by_name_alone(cloud: Cloud) -> None:
    keys = cloud.user("poor")
    mine = role(cloud, "by-name", trust({"AWS": f"arn:aws:iam::{account(cloud)}:user/poor"}))
    everybodys = role(cloud, "by-account", trust({"AWS": account(cloud)}))
    sts = cloud.client("sts", keys=keys)
    assert sts.assume_role(RoleArn=mine, RoleSessionName="s-1")["Credentials"]
    code, message = error(sts.assume_role, RoleArn=everybodys, RoleSessionName="s-1")
    assert code == "AccessDenied"
    assert message.startswith(
        f"User: arn:aws:iam::{account(cloud)}:user/poor is not authorized to perform: sts:AssumeRole"
    )


def test_tags_go_along_and_down_the_chain_as_asked(cloud: Cloud) -> None:
    to_all = trust({"AWS": account(cloud)}, SESSIONS)
    first, second = role(cloud, "tagged-1", to_all), role(cloud, "tagged-2", to_all)
    red = role(
        cloud, "for-red", trust({"AWS": account(cloud)}, SESSIONS, StringEquals={"aws:PrincipalTag/team": "red"})
    )
    sts = cloud.client("sts")
    answer = sts.assume_role(
        RoleArn=first,
        RoleSessionName="s-1",
        Tags=[{"Key": "Team", "Value": "red"}, {"Key": "stage", "Value": "test"}],
        TransitiveTagKeys=["team"],
    )
    assert 0 < answer["PackedPolicySize"] < 100
    assert error(sts.assume_role, RoleArn=red, RoleSessionName="s-1") == denied(cloud, red)
    chained = with_credentials(cloud, "sts", answer["Credentials"])
    assert chained.assume_role(RoleArn=red, RoleSessionName="s-2")["Credentials"]
    onward = chained.assume_role(RoleArn=second, RoleSessionName="s-2", Tags=[{"Key": "stage", "Value": "live"}])
    assert with_credentials(cloud, "sts", onward["Credentials"]).assume_role(RoleArn=red, RoleSessionName="s-3")
    for key in ("Team", "team"):
        assert error(
            chained.assume_role, RoleArn=second, RoleSessionName="s-2", Tags=[{"Key": key, "Value": "blue"}]
        ) == (
            "InvalidParameterValue",
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the "
            "calling session.",
        )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]},
            ("InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."),
        ),
        (
            {"Tags": [{"Key": "a", "Value": "1"}], "TransitiveTagKeys": ["b"]},
            ("InvalidParameterValue", "The specified transitive tag key must be included in the requested tags."),
        ),
        ({"RoleArn": "nothing-valid-in-here"}, ("ValidationError", "nothing-valid-in-here is invalid")),
        ({"RoleArn": "arn::b:::something/test-role"}, ("ValidationError", "arn::b:::something/test-role is invalid")),
        ({"RoleArn": "arn:a::::something/test-role"}, ("ValidationError", "arn:a::::something/test-role is invalid")),
        ({"RoleArn": "arn:a:::something/test-role"}, ("ValidationError", "arn:a:::something/test-role is invalid")),
        ({"RoleArn": "arn:a:a::aaaaaaaaaa:"}, ("ValidationError", "arn:a:a::aaaaaaaaaa: is invalid")),
        (
            {"RoleSessionName": "Session1:2"},
            (
                "ValidationError",
                "1 validation error detected: Value 'Session1:2' at 'roleSessionName' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: [\\w+=,.@-]*",
            ),
        ),
    ],
)
def test_what_cannot_be_asked_for(cloud: Cloud, given: dict[str, Any], expected: tuple[str, str]) -> None:
    """The words are AWS's own, as recorded."""
    arn = f"arn:aws:iam::{account(cloud)}:role/any"
    assert error(cloud.client("sts").assume_role, **{"RoleArn": arn, "RoleSessionName": "s-1", **given}) == expected


def test_tags_without_leave_for_them_are_refused(cloud: Cloud) -> None:
    arn = role(cloud, "untagged", trust({"AWS": account(cloud)}))
    given = {"RoleArn": arn, "RoleSessionName": "s-1"}
    refused = error(cloud.client("sts").assume_role, **given, Tags=[{"Key": "a", "Value": "b"}])
    assert refused == denied(cloud, arn, "sts:TagSession")
    refused = error(cloud.client("sts").assume_role, **given, SourceIdentity="bob")
    assert refused == denied(cloud, arn, "sts:SetSourceIdentity")


def test_a_source_identity_stays_with_the_chain(cloud: Cloud) -> None:
    to_all = trust({"AWS": account(cloud)}, SESSIONS)
    first = role(cloud, "known-1", to_all)
    bobs = role(cloud, "known-2", trust({"AWS": account(cloud)}, SESSIONS, StringEquals={"aws:SourceIdentity": "bob"}))
    answer = cloud.client("sts").assume_role(RoleArn=first, RoleSessionName="s-1", SourceIdentity="bob")
    assert answer["SourceIdentity"] == "bob"
    chained = with_credentials(cloud, "sts", answer["Credentials"])
    assert chained.assume_role(RoleArn=bobs, RoleSessionName="s-2")["SourceIdentity"] == "bob"
    assert error(chained.assume_role, RoleArn=bobs, RoleSessionName="s-2", SourceIdentity="eve")[0] == "ValidationError"
    assert error(cloud.client("sts").assume_role, RoleArn=bobs, RoleSessionName="s-2") == denied(cloud, bobs)


def test_session_policies_are_judged_and_weighed(cloud: Cloud) -> None:
    arn = role(cloud, "limited", trust({"AWS": account(cloud)}))
    sts = cloud.client("sts")
    given: dict[str, Any] = {"RoleArn": arn, "RoleSessionName": "s-1"}
    assert error(sts.assume_role, **given, Policy="{")[0] == "MalformedPolicyDocument"
    assert error(sts.assume_role, **given, Policy=json.dumps(ALL) + " " * 2048)[0] == "ValidationError"
    answer = sts.assume_role(
        **given, Policy=json.dumps(ALL), PolicyArns=[{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]
    )
    assert 0 < answer["PackedPolicySize"] < 100
    assert (
        error(sts.assume_role, **given, PolicyArns=[{"arn": "arn:aws:iam::aws:user/ReadOnlyAccess"}])[0]
        == "ValidationError"
    )


def test_tags_that_do_not_fit_are_refused_with_their_size(cloud: Cloud) -> None:
    import secrets

    arn = role(cloud, "heavy", trust({"AWS": account(cloud)}, SESSIONS))
    tags = [{"Key": f"k{number}", "Value": secrets.token_hex(128)} for number in range(50)]
    code, message = error(cloud.client("sts").assume_role, RoleArn=arn, RoleSessionName="s-1", Tags=tags)
    assert code == "PackedPolicyTooLarge"
    assert message.startswith("Packed size of session tags consumes ")
    assert message.endswith("% of allotted space.")


def test_the_root_user_assumes_no_role(cloud: Cloud) -> None:
    from eucapy.clc.context import ROOT
    from eucapy.clc.sessions import Session, Sessions

    arn = role(cloud, "not-for-root", trust({"AWS": account(cloud)}))
    root = Session(ROOT, account(cloud), account(cloud), "", 0, 2**40)
    issued = Sessions(cloud.dev.clc.seal).issue(root)
    sts = with_credentials(
        cloud,
        "sts",
        {"AccessKeyId": issued.access_key_id, "SecretAccessKey": issued.secret, "SessionToken": issued.token},
    )
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{account(cloud)}:root"
    assert error(sts.assume_role, RoleArn=arn, RoleSessionName="s-1") == (
        "AccessDenied",
        "Roles may not be assumed by root accounts.",
    )
