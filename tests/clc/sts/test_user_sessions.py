"""GetSessionToken, GetFederationToken, GetAccessKeyInfo: sessions of users, and whose a key is."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from eucapy.clc.guesses import MOST, WITHIN_S
from eucapy.clc.totp import STEP_S, shown_code
from tests.clc.launching import error
from tests.clc.sts.granting import ALL, role, trust, with_credentials
from tests.harness.cloud import Cloud


def lasts(answer: dict[str, Any]) -> float:
    return float((answer["Credentials"]["Expiration"] - datetime.now(UTC)).total_seconds())


def test_a_users_session_is_the_user_for_twelve_hours(cloud: Cloud) -> None:
    sts = cloud.client("sts")
    answer = sts.get_session_token()
    assert 43100 < lasts(answer) <= 43200
    assert with_credentials(cloud, "sts", answer["Credentials"]).get_caller_identity().items() >= {
        ("Arn", sts.get_caller_identity()["Arn"]),
        ("UserId", sts.get_caller_identity()["UserId"]),
    }
    assert 850 < lasts(sts.get_session_token(DurationSeconds=900)) <= 900
    for seconds in (899, 129601):
        assert error(sts.get_session_token, DurationSeconds=seconds)[0] == "ValidationError"


def test_a_federated_user_has_a_name_of_its_own(cloud: Cloud) -> None:
    account = cloud.account("eucalyptus")["account_id"]
    answer = cloud.client("sts").get_federation_token(Name="bob", Policy=json.dumps(ALL))
    assert answer["FederatedUser"] == {
        "FederatedUserId": f"{account}:bob",
        "Arn": f"arn:aws:sts::{account}:federated-user/bob",
    }
    assert 0 < answer["PackedPolicySize"] < 100
    assert cloud.client("sts").get_federation_token(Name="bob")["PackedPolicySize"] == 0
    who = with_credentials(cloud, "sts", answer["Credentials"]).get_caller_identity()
    assert (who["Arn"], who["UserId"]) == (answer["FederatedUser"]["Arn"], answer["FederatedUser"]["FederatedUserId"])


def test_sessions_make_no_sessions(cloud: Cloud) -> None:
    account = cloud.account("eucalyptus")["account_id"]
    arn = role(cloud, "maker", trust({"AWS": account}))
    sts = cloud.client("sts")
    for held in (
        sts.get_session_token(),
        sts.get_federation_token(Name="bob", Policy=json.dumps(ALL)),
        sts.assume_role(RoleArn=arn, RoleSessionName="s-1"),
    ):
        with_them = with_credentials(cloud, "sts", held["Credentials"])
        assert error(with_them.get_session_token) == (
            "AccessDenied",
            "Cannot call GetSessionToken with session credentials",
        )
        assert error(with_them.get_federation_token, Name="eve")[0] == "AccessDenied"
    bobs = sts.get_federation_token(Name="bob", Policy=json.dumps(ALL))["Credentials"]
    assert with_credentials(cloud, "ec2", bobs).describe_regions()["Regions"]
    assert (
        error(with_credentials(cloud, "sts", bobs).assume_role, RoleArn=arn, RoleSessionName="s-1")[0] == "AccessDenied"
    )


def test_sessions_of_users_do_not_reach_into_iam(cloud: Cloud) -> None:
    """Whatever they may do otherwise; with an MFA code a user's own does (see below)."""
    sts = cloud.client("sts")
    refused = ("InvalidClientTokenId", "The security token included in the request is invalid")
    for held in (sts.get_session_token(), sts.get_federation_token(Name="bob", Policy=json.dumps(ALL))):
        assert error(with_credentials(cloud, "iam", held["Credentials"]).list_users) == refused
        assert with_credentials(cloud, "ec2", held["Credentials"]).describe_regions()["Regions"]


def test_every_key_tells_its_account(cloud: Cloud) -> None:
    keys, account = cloud.account("eucalyptus"), cloud.account("eucalyptus")["account_id"]
    sts, other = cloud.client("sts"), cloud.client("sts", "other")
    temporary = sts.get_session_token()["Credentials"]["AccessKeyId"]
    for key in (keys["access_key_id"], temporary):
        assert other.get_access_key_info(AccessKeyId=key)["Account"] == account
    for unknown in ("AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"):
        assert error(sts.get_access_key_info, AccessKeyId=unknown)[0] == "InvalidClientTokenId"


def test_a_token_is_as_long_as_its_taker_can_test_with(cloud: Cloud) -> None:
    answer = cloud.client("sts").get_session_token(MinimumSessionTokenSize=4096)
    assert (len(answer["Credentials"]["SessionToken"]), answer["SessionTokenSize"]) == (4096, 4096)
    assert with_credentials(cloud, "sts", answer["Credentials"]).get_caller_identity()["Account"]


def test_an_mfa_code_counts_once_and_is_told_to_trust_policies(cloud: Cloud) -> None:
    keys, account = cloud.user("careful", "all"), cloud.account("eucalyptus")["account_id"]
    iam = cloud.client("iam")
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName="careful")["VirtualMFADevice"]
    seed, serial = base64.b32decode(made["Base32StringSeed"]), made["SerialNumber"]

    def code(steps: int = 0) -> str:
        return str(shown_code(seed, int(cloud.clock.time()) // STEP_S + steps))

    iam.enable_mfa_device(
        UserName="careful", SerialNumber=serial, AuthenticationCode1=code(-1), AuthenticationCode2=code()
    )
    guarded = role(cloud, "guarded", trust({"AWS": account}, Bool={"aws:MultiFactorAuthPresent": "true"}), allowed=None)
    sts = cloud.client("sts", keys=keys)
    given = {"RoleArn": guarded, "RoleSessionName": "s-1"}
    assert error(sts.assume_role, **given)[0] == "AccessDenied"
    no_device = error(sts.get_session_token, SerialNumber=f"arn:aws:iam::{account}:mfa/nobody", TokenCode="123456")
    assert no_device[0] == "AccessDenied"
    assert no_device[1].startswith("MultiFactorAuthentication failed, unable to validate MFA code.")
    wrong = error(sts.get_session_token, SerialNumber=serial, TokenCode=code(-20))
    assert wrong[0] == "AccessDenied"
    assert wrong[1].startswith("MultiFactorAuthentication failed with invalid MFA one time pass code.")
    arabic = error(sts.get_session_token, SerialNumber=serial, TokenCode="\u0661\u0662\u0663\u0664\u0665\u0666")
    assert arabic[0] in ("AccessDenied", "ValidationError")
    shift = cloud.clock.shift_s
    try:
        cloud.clock.shift_s += STEP_S
        now = code()
        held = sts.get_session_token(SerialNumber=serial, TokenCode=now)["Credentials"]
        assert error(sts.get_session_token, SerialNumber=serial, TokenCode=now)[0] == "AccessDenied"
        assert with_credentials(cloud, "sts", held).assume_role(**given)["Credentials"]
        assert with_credentials(cloud, "iam", held).list_users()["Users"]
        cloud.clock.shift_s += STEP_S
        assert sts.assume_role(**given, SerialNumber=serial, TokenCode=code())["Credentials"]
        guess = next(one for one in ("000000", "111111", "222222", "333333") if one not in (code(-1), code(), code(1)))
        for _ in range(MOST):
            assert error(sts.get_session_token, SerialNumber=serial, TokenCode=guess)[0] == "AccessDenied"
        cloud.clock.shift_s += STEP_S
        assert error(sts.get_session_token, SerialNumber=serial, TokenCode=code())[0] == "AccessDenied", (
            "too many guesses"
        )
        cloud.clock.shift_s += WITHIN_S
        assert sts.get_session_token(SerialNumber=serial, TokenCode=code())["Credentials"]
    finally:
        cloud.clock.shift_s = shift


@pytest.mark.parametrize("given", [{"SerialNumber": "arn:aws:iam::1:mfa/x"}, {"TokenCode": "123456"}])
def test_half_a_code_is_none(cloud: Cloud, given: dict[str, str]) -> None:
    assert error(cloud.client("sts").get_session_token, **given)[0] == "ValidationError"
