"""Signature Version 4, as botocore's own signers make it: accepted when right, refused in AWS's words when not."""

import datetime as dt
import hashlib
import json
from urllib.parse import urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from eucapy.aws import sigv4
from eucapy.aws.message import Outgoing
from tests.aws.edge import (
    FORM,
    KEY,
    REGION,
    SECRET,
    as_incoming,
    ask,
    changed,
    environment,
    form,
    fresh,
    now,
    signed,
    text,
)  # fmt: skip

URL = "http://ec2.localhost:8773/"
S3 = "http://localhost:8773"
JSON = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService.CreateKey"}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fresh()


def ec2(**options: object) -> AWSRequest:
    return signed("POST", URL, body=form("DescribeRegions"), headers=dict(FORM), **options)  # type: ignore[arg-type]


def sts(**options: object) -> AWSRequest:
    body = form("GetCallerIdentity", "2011-06-15")
    return signed("POST", "http://localhost:8773/", service="sts", body=body, headers=dict(FORM), **options)  # type: ignore[arg-type]


def kms(**options: object) -> AWSRequest:
    return signed("POST", "http://localhost:8773/", service="kms", body=b"{}", headers=dict(JSON), **options)  # type: ignore[arg-type]


def s3(path: str = "/", method: str = "GET", body: bytes = b"", **options: object) -> AWSRequest:
    return signed(method, S3 + path, service="s3", body=body, **options)  # type: ignore[arg-type]


def code(answer: Outgoing) -> tuple[int, str]:
    body = text(answer)
    if body.startswith("{"):
        return answer.status, json.loads(body)["__type"]
    return answer.status, body.partition("<Code>")[2].partition("</Code>")[0]


def message(answer: Outgoing) -> str:
    body = text(answer)
    return (
        json.loads(body)["message"]
        if body.startswith("{")
        else body.partition("<Message>")[2].partition("</Message>")[0]
    )


@pytest.mark.parametrize("make", [ec2, sts, kms, s3])
def test_a_right_signature_is_accepted(make: object) -> None:
    assert ask(make()).status == 200  # type: ignore[operator]
    assert environment.requests[0].identity.access_key_id == KEY
    assert environment.requests[0].identity.mechanism == "v4-header"


def test_the_identity_comes_from_the_credential() -> None:
    ask(sts(key="ASIATEMPORARY", token="the-token"))
    assert environment.requests[0].identity.principal == "role"


WRONG_SECRET = [
    (ec2, 401, "AuthFailure", "AWS was not able to validate the provided access credentials"),
    (sts, 403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. "
     "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."),
    (kms, 400, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided. "
     "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."),
    (s3, 403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. "
     "Check your key and signing method."),
]  # fmt: skip


@pytest.mark.parametrize(("make", "status", "name", "words"), WRONG_SECRET)
def test_a_wrong_secret_is_refused(make: object, status: int, name: str, words: str) -> None:
    answer = ask(make(secret="wrong"))  # type: ignore[operator]
    assert (code(answer), message(answer)) == ((status, name), words)
    assert not environment.requests


UNKNOWN_KEY = [
    (ec2, 401, "AuthFailure", "AWS was not able to validate the provided access credentials"),
    (sts, 403, "InvalidClientTokenId", "The security token included in the request is invalid."),
    (kms, 400, "UnrecognizedClientException", "The security token included in the request is invalid."),
    (s3, 403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
]


@pytest.mark.parametrize(("make", "status", "name", "words"), UNKNOWN_KEY)
@pytest.mark.parametrize("key", ["AKIANOBODY", "AKIAINACTIVE"])
def test_an_unknown_or_inactive_key_is_refused(make: object, status: int, name: str, words: str, key: str) -> None:
    answer = ask(make(key=key))  # type: ignore[operator]
    assert code(answer) == (status, name)
    assert message(answer).rstrip(".") == words.rstrip(".")


def test_s3_names_the_key_that_it_does_not_know() -> None:
    assert "<AWSAccessKeyId>AKIANOBODY</AWSAccessKeyId>" in text(ask(s3(key="AKIANOBODY")))


def test_s3_shows_what_it_signed() -> None:
    body = text(ask(s3(secret="wrong")))
    for name in ("StringToSign", "SignatureProvided", "StringToSignBytes", "CanonicalRequest", "CanonicalRequestBytes"):
        assert f"<{name}>" in body
    assert "<RequestId>0123456789ABCDEF</RequestId><HostId>" in body


@pytest.mark.parametrize(
    ("make", "status", "name"),
    [
        (ec2, 400, "MissingParameter"), (sts, 403, "MissingAuthenticationToken"),
        (kms, 400, "MissingAuthenticationTokenException"), (s3, 403, "AccessDenied"),
    ],
)  # fmt: skip
def test_nobody_may_ask_nothing(make: object, status: int, name: str) -> None:
    sent = as_incoming(make())  # type: ignore[operator]
    bare = {k: v for k, v in sent.headers.items() if not k.lower().startswith(("authorization", "x-amz-date"))}
    assert code(ask(changed(sent, headers=type(sent.headers)(bare)))) == (status, name)


def test_a_temporary_credential_needs_its_token() -> None:
    assert ask(sts(key="ASIATEMPORARY", token="the-token")).status == 200
    assert code(ask(sts(key="ASIATEMPORARY", token="another"))) == (403, "InvalidClientTokenId")
    assert code(ask(sts(key="ASIATEMPORARY"))) == (403, "InvalidClientTokenId")
    assert code(ask(s3(key="ASIATEMPORARY", token="another"))) == (400, "InvalidToken")


@pytest.mark.parametrize(
    ("make", "status", "name"),
    [
        (ec2, 400, "RequestExpired"),
        (sts, 403, "ExpiredToken"),
        (kms, 400, "ExpiredTokenException"),
        (s3, 400, "ExpiredToken"),
    ],
)
def test_an_expired_credential_is_refused(make: object, status: int, name: str) -> None:
    assert code(ask(make(key="ASIAEXPIRED", token="the-token"))) == (status, name)  # type: ignore[operator]


@pytest.mark.parametrize("shift", [-16 * 60, 16 * 60])
@pytest.mark.parametrize(
    ("make", "status", "name"),
    [
        (ec2, 400, "RequestExpired"), (sts, 403, "SignatureDoesNotMatch"), (kms, 400, "InvalidSignatureException"),
        (s3, 403, "RequestTimeTooSkewed"),
    ],
)  # fmt: skip
def test_a_clock_that_is_off_is_refused(make: object, status: int, name: str, shift: int) -> None:
    assert code(ask(make(), at=now() + shift)) == (status, name)  # type: ignore[operator]


@pytest.mark.parametrize("shift", [-14 * 60, 14 * 60])
def test_a_clock_that_is_a_little_off_is_accepted(shift: int) -> None:
    assert ask(sts(), at=now() + shift).status == 200


def test_the_words_about_the_clock() -> None:
    late = ask(sts(), at=now() + 3600)
    assert message(late).startswith("Signature expired: 20") and message(late).endswith(" - 15 min.)")
    early = ask(sts(), at=now() - 3600)
    assert message(early).startswith("Signature not yet current: 20")
    body = text(ask(s3(), at=now() + 3600))
    assert "<MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>" in body and "<ServerTime>" in body


def test_another_region_is_answered_as_aws_does() -> None:
    assert code(ask(ec2(region="eu-west-1"))) == (401, "AuthFailure")
    assert message(ask(sts(region="eu-west-1"))) == "Credential should be scoped to a valid region. "
    body = text(ask(s3(region="eu-west-1")))
    assert "AuthorizationHeaderMalformed" in body
    assert "the region 'eu-west-1' is wrong; expecting 'us-east-1'" in body and "<Region>us-east-1</Region>" in body


@pytest.mark.parametrize("region", ["undefined-PID", "localhost", "eucalyptus"])
def test_a_client_without_a_region_is_let_in(region: str) -> None:
    assert ask(ec2(region=region)).status == 200


def test_the_scope_of_another_service_is_refused() -> None:
    answer = ask(signed("POST", URL, service="kms", body=form("DescribeRegions"), headers=dict(FORM)))
    assert code(answer)[1] == "AuthFailure"


def test_a_changed_body_is_refused() -> None:
    sent = as_incoming(ec2())
    assert code(ask(changed(sent, body=sent.body + b"&DryRun=true"))) == (401, "AuthFailure")


def test_a_changed_path_header_or_query_is_refused() -> None:
    sent = as_incoming(s3("/b/k?x=1"))
    assert code(ask(changed(sent, path="/b/l")))[1] == "SignatureDoesNotMatch"
    assert code(ask(changed(sent, query="x=2")))[1] == "SignatureDoesNotMatch"
    headers = sent.headers.copy()  # type: ignore[attr-defined]
    headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    assert code(ask(changed(sent, headers=headers)))[1] == "SignatureDoesNotMatch"


def test_s3_refuses_headers_that_were_not_signed() -> None:
    sent = as_incoming(s3("/b/k"))
    headers = sent.headers.copy()  # type: ignore[attr-defined]
    headers["x-amz-acl"] = "public-read"
    body = text(ask(changed(sent, headers=headers)))
    assert "There were headers present in the request which were not signed" in body
    assert "<HeadersNotSigned>x-amz-acl</HeadersNotSigned>" in body


def test_the_host_must_be_signed() -> None:
    sent = as_incoming(sts())
    headers = sent.headers.copy()  # type: ignore[attr-defined]
    headers["Authorization"] = headers["Authorization"].replace("host;", "")
    assert code(ask(changed(sent, headers=headers))) == (403, "SignatureDoesNotMatch")
    assert "'Host' or ':authority' must be a 'SignedHeader'" in message(ask(changed(sent, headers=headers)))


def test_the_target_must_be_signed() -> None:
    sent = as_incoming(kms())
    headers = sent.headers.copy()  # type: ignore[attr-defined]
    headers["Authorization"] = headers["Authorization"].replace(";x-amz-target", "")
    assert code(ask(changed(sent, headers=headers))) == (400, "InvalidSignatureException")
    assert "'X-Amz-Target' must be" in message(ask(changed(sent, headers=headers)))


def test_two_signatures_are_one_too_many() -> None:
    sent = as_incoming(s3("/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256"))
    assert code(ask(sent)) == (400, "InvalidArgument")
    assert message(ask(sent)).startswith("Only one auth mechanism allowed")


def test_an_incomplete_header_is_told_what_it_lacks() -> None:
    sent = as_incoming(sts())
    headers = sent.headers.copy()  # type: ignore[attr-defined]
    headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/sts/aws4_request"
    answer = ask(changed(sent, headers=headers))
    assert code(answer) == (400, "IncompleteSignature")
    assert message(answer).startswith(
        "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."
    )


@pytest.mark.parametrize("header", ["Basic abc", "AWS4-HMAC-SHA512 x", "Bearer z"])
def test_other_ways_to_authenticate_are_refused(header: str) -> None:
    sent = as_incoming(s3())
    headers = sent.headers.copy()  # type: ignore[attr-defined]
    headers["Authorization"] = header
    assert code(ask(changed(sent, headers=headers))) == (400, "InvalidArgument")


# --- S3's payloads


def test_s3_needs_the_payloads_hash() -> None:
    sent = as_incoming(signed("GET", S3 + "/", service="s3", signer=auth.SigV4Auth))
    assert code(ask(sent)) == (400, "InvalidRequest")
    assert message(ask(sent)) == "Missing required header for this request: x-amz-content-sha256"


def test_a_payload_that_is_not_what_was_hashed_is_refused() -> None:
    sent = as_incoming(s3("/b/k", "PUT", b"body"))
    assert ask(sent).status == 200
    answer = ask(changed(sent, body=b"bodz"))
    assert code(answer) == (400, "XAmzContentSHA256Mismatch")
    assert f"<S3ComputedContentSHA256>{hashlib.sha256(b'bodz').hexdigest()}</S3ComputedContentSHA256>" in text(answer)
    assert ("b", "k") in environment.objects and environment.objects["b", "k"] == b"body"


# --- presigned


def presigned(path: str, expires: int = 60, service: str = "s3", method: str = "GET") -> AWSRequest:
    request = AWSRequest(method, S3 + path)
    request.headers["Host"] = urlsplit(S3).netloc
    kind = auth.S3SigV4QueryAuth if service == "s3" else auth.SigV4QueryAuth
    kind(Credentials(KEY, SECRET), service, REGION, expires=expires).add_auth(request)
    return request


def test_a_presigned_url_is_accepted_until_it_expires() -> None:
    environment.objects["b", "a key+~ä"] = b"data"
    url = "/b/a%20key%2B~%C3%A4?response-content-type=a%2Fb"
    answer = ask(presigned(url))
    assert (answer.status, answer.body) == (200, b"data")
    assert environment.requests[0].identity.mechanism == "v4-query"
    late = ask(presigned(url), at=now() + 61)
    assert (code(late), message(late)) == ((403, "AccessDenied"), "Request has expired")
    assert "<X-Amz-Expires>60</X-Amz-Expires>" in text(late) and "<ServerTime>" in text(late)


def test_a_presigned_url_lives_a_week_at_most() -> None:
    body = text(ask(presigned("/b/k", expires=604801)))
    assert "AuthorizationQueryParametersError" in body and "must be less than 604800 seconds" in body


def test_a_presigned_url_for_another_key_is_refused() -> None:
    sent = as_incoming(presigned("/b/k"))
    assert code(ask(changed(sent, path="/b/other")))[1] == "SignatureDoesNotMatch"


def test_sts_takes_presigned_requests() -> None:
    request = presigned("/?Action=GetCallerIdentity&Version=2011-06-15", service="sts")
    assert ask(request).status == 200


@pytest.mark.parametrize(
    ("path", "single", "wanted"),
    [("/", True, "/"), ("/a%20b", True, "/a%20b"), ("/a%20b", False, "/a%2520b"), ("/a/../b", False, "/b"),
     ("/a//b/", False, "/a/b/"), ("/a//b", True, "/a//b"), ("/~%7e", True, "/~~")],
)  # fmt: skip
def test_canonical_paths(path: str, single: bool, wanted: str) -> None:
    assert sigv4.canonical_path(path, single) == wanted


def test_the_date_header_serves_where_x_amz_date_is_missing() -> None:
    sent = as_incoming(sts())
    signature = sigv4.parse(sent)
    assert signature is not None
    headers = sent.headers.copy()  # type: ignore[attr-defined]
    del headers["X-Amz-Date"]
    headers["Date"] = dt.datetime.fromtimestamp(signature.time, dt.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    again = sigv4.parse(changed(sent, headers=headers))
    assert again is not None and again.timestamp == signature.timestamp
