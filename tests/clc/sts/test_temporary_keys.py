"""Temporary credentials on every service: they end to the second, with their role, and without their token they are nothing."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.clc.launching import error
from tests.clc.sts.granting import role, trust, with_credentials
from tests.harness.cloud import Cloud

CALLS: dict[str, Callable[[Any], Any]] = {
    "sts": lambda client: client.get_caller_identity(),
    "ec2": lambda client: client.describe_regions(),
    "iam": lambda client: client.list_users(),
    "s3": lambda client: client.list_buckets(),
}
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def assumed(cloud: Cloud, name: str, seconds: int = 900) -> dict[str, Any]:
    """Credentials of a new role that may do everything."""
    arn = role(cloud, name, trust({"AWS": cloud.account("eucalyptus")["account_id"]}), allowed=None)
    cloud.client("iam").attach_role_policy(RoleName=name, PolicyArn=ADMINISTRATOR)
    answer = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="s-1", DurationSeconds=seconds)
    return dict(answer["Credentials"])


def test_they_end_to_the_second(cloud: Cloud) -> None:
    """The edge tells the end in each service's words; time is the cloud's."""
    held = assumed(cloud, "brief")
    ends = held["Expiration"].timestamp()
    shift = cloud.clock.shift_s
    try:
        for service, call in CALLS.items():
            assert call(with_credentials(cloud, service, held)), service
        cloud.clock.shift_s = shift + 900 - 30
        assert cloud.clock.time() < ends
        for service, call in CALLS.items():
            assert call(with_credentials(cloud, service, held)), service
        cloud.clock.shift_s = shift + 900 + 1
        expected = {
            "sts": ("ExpiredToken", "The security token included in the request is expired"),
            "iam": ("ExpiredToken", "The security token included in the request is expired"),
            "ec2": ("RequestExpired", "Request has expired."),
        }
        for service, words in expected.items():
            assert error(CALLS[service], client=with_credentials(cloud, service, held)) == words
    finally:
        cloud.clock.shift_s = shift


async def test_the_second_of_the_end_is_the_first_without() -> None:
    """Exactly: a moment before it they count, from it on they do not."""
    from eucapy.aws.authenticate import Authenticator
    from eucapy.aws.credentials import Credential
    from eucapy.aws.refusals import Refused

    async def lookup(access_key_id: str, token: str | None) -> Credential:
        return Credential(access_key_id, "secret", "1", session_token="token", expires=1000)

    authenticator = Authenticator(lookup, "us-east-1")
    assert await authenticator.credential("ASIAX", "token", 999.999)
    with pytest.raises(Refused, match="expired token"):
        await authenticator.credential("ASIAX", "token", 1000.0)


def test_they_die_with_their_role(cloud: Cloud) -> None:
    held, iam = assumed(cloud, "mortal"), cloud.client("iam")
    for service, call in CALLS.items():
        assert call(with_credentials(cloud, service, held)), service
    iam.detach_role_policy(RoleName="mortal", PolicyArn=ADMINISTRATOR)
    iam.delete_role(RoleName="mortal")
    expected = {
        "sts": "InvalidClientTokenId",
        "iam": "InvalidClientTokenId",
        "ec2": "AuthFailure",
        "s3": "InvalidAccessKeyId",
    }
    for service, code in expected.items():
        assert error(CALLS[service], client=with_credentials(cloud, service, held))[0] == code
    role(cloud, "mortal", trust({"AWS": cloud.account("eucalyptus")["account_id"]}))  # another one of the same name
    assert error(CALLS["sts"], client=with_credentials(cloud, "sts", held))[0] == "InvalidClientTokenId"


def test_without_the_token_or_with_anothers_they_are_nothing(cloud: Cloud) -> None:
    held, other = assumed(cloud, "tokens"), cloud.client("sts").get_session_token()["Credentials"]
    for service, without, foreign in (
        ("sts", "InvalidClientTokenId", "InvalidClientTokenId"),
        ("ec2", "AuthFailure", "AuthFailure"),
        ("s3", "InvalidAccessKeyId", "InvalidToken"),
    ):
        for token, code in ((None, without), (other["SessionToken"], foreign), ("x", foreign)):
            client = with_credentials(cloud, service, {**held, "SessionToken": token})
            assert error(CALLS[service], client=client)[0] == code, (service, token)
    lasting = cloud.account("eucalyptus")
    mixed = {
        "AccessKeyId": lasting["access_key_id"],
        "SecretAccessKey": lasting["secret_access_key"],
        "SessionToken": held["SessionToken"],
    }
    assert error(CALLS["sts"], client=with_credentials(cloud, "sts", mixed))[0] == "InvalidClientTokenId"


def test_the_object_store_takes_them_in_headers_and_in_links(cloud: Cloud) -> None:
    s3 = with_credentials(cloud, "s3", assumed(cloud, "objects"))
    s3.create_bucket(Bucket="temporary")
    s3.put_object(Bucket="temporary", Key="k", Body=b"content")
    assert s3.get_object(Bucket="temporary", Key="k")["Body"].read() == b"content"
    link = s3.generate_presigned_url("get_object", {"Bucket": "temporary", "Key": "k"})
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"content"
    stripped = link.replace("security-token=", "security-nothing=")
    assert stripped != link
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(stripped)
    assert refused.value.code == 403
    refused.value.close()
