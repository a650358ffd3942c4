"""Browser uploads: botocore's own presigned forms are accepted, and every condition of a policy holds."""

import asyncio
import base64
import json
from typing import Any

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from eucapy.aws.errors import ApiError
from eucapy.aws.postpolicy import check_policy, post_identity
from tests.aws.edge import KEY, SECRET, chain, now


def form(
    conditions: list[Any], kind: Any = auth.S3SigV4PostAuth, secret: str = SECRET, **fields: str
) -> dict[str, str]:
    request = AWSRequest("POST", "http://localhost/b")
    policy = {"expiration": "2030-01-01T00:00:00Z", "conditions": [{"bucket": "b"}, *conditions]}
    request.context["s3-presign-post-fields"] = dict(fields)
    request.context["s3-presign-post-policy"] = policy
    arguments = (
        (Credentials(KEY, secret), "s3", "us-east-1") if kind is auth.S3SigV4PostAuth else (Credentials(KEY, secret),)
    )
    kind(*arguments).add_auth(request)
    return {name.lower(): str(value) for name, value in request.context["s3-presign-post-fields"].items()}


def who(fields: dict[str, str]) -> Any:
    return asyncio.run(post_identity(chain.authenticator, fields, now()))


@pytest.mark.parametrize(("kind", "mechanism"), [(auth.S3SigV4PostAuth, "v4-post"), (auth.HmacV1PostAuth, "v2-post")])
def test_a_signed_form_is_accepted(kind: Any, mechanism: str) -> None:
    fields = form([["starts-with", "$key", "user/"], {"acl": "private"}], kind, key="user/x", acl="private")
    assert who(fields).mechanism == mechanism
    assert check_policy(fields, bucket="b", now=now()).high is None


@pytest.mark.parametrize("kind", [auth.S3SigV4PostAuth, auth.HmacV1PostAuth])
def test_a_form_signed_wrongly_is_refused(kind: Any) -> None:
    with pytest.raises(ApiError) as error:
        who(form([], kind, secret="wrong"))
    assert error.value.code == "SignatureDoesNotMatch"


def test_a_form_without_a_policy_is_nobodys() -> None:
    assert who({"key": "x"}).anonymous


def test_a_signature_without_a_policy_is_refused() -> None:
    fields = form([])
    del fields["policy"]
    with pytest.raises(ApiError, match="must contain a field named 'policy'"):
        who(fields)


def refused(fields: dict[str, str], bucket: str = "b", at: float | None = None) -> ApiError:
    with pytest.raises(ApiError) as error:
        check_policy(fields, bucket=bucket, now=at if at is not None else now())
    return error.value


def test_each_condition_holds() -> None:
    fields = form([["starts-with", "$key", "user/"], {"acl": "private"}], key="other/x", acl="private")
    assert refused(fields).text == (
        'Invalid according to Policy: Policy Condition failed: ["starts-with", "$key", "user/"]'
    )
    fields = form([["starts-with", "$key", ""], {"acl": "private"}], key="x", acl="public-read")
    assert refused(fields).text == 'Invalid according to Policy: Policy Condition failed: ["eq", "$acl", "private"]'
    assert "bucket" in refused(form([]), bucket="another").text


def test_a_field_that_no_condition_covers_is_refused() -> None:
    fields = form([["starts-with", "$key", ""]], key="x")
    check_policy({**fields, "x-ignore-this": "1"}, bucket="b", now=now())
    assert refused({**fields, "acl": "x"}).text == "Invalid according to Policy: Extra input fields: acl"


def test_a_policy_expires() -> None:
    assert refused(form([]), at=2_000_000_000.0).text == "Invalid according to Policy: Policy expired."


def test_the_size_of_the_file() -> None:
    lengths = check_policy(form([["content-length-range", 10, 20]]), bucket="b", now=now())
    lengths.check(15)
    for size, wanted in ((9, "EntityTooSmall"), (21, "EntityTooLarge")):
        with pytest.raises(ApiError) as error:
            lengths.check(size)
        assert error.value.code == wanted and error.value.fields["ProposedSize"] == size


UNTIL = {"expiration": "2030-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "policy",
    ["", "no base64!", base64.b64encode(b"[]").decode(), base64.b64encode(b"{}").decode(),
     base64.b64encode(json.dumps({"expiration": "soon", "conditions": []}).encode()).decode(),
     base64.b64encode(json.dumps({**UNTIL, "conditions": [["like", "$key", "x"]]}).encode()).decode(),
     base64.b64encode(json.dumps({**UNTIL, "conditions": [5]}).encode()).decode()],
)  # fmt: skip
def test_a_broken_policy_is_refused(policy: str) -> None:
    assert refused({"policy": policy}).code == "InvalidPolicyDocument"
