"""Signature Version 2: the Query services' form and S3's two, as botocore still signs them, and as boto 2 did."""

import base64
import hmac
from urllib.parse import quote, urlencode

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from multidict import CIMultiDict

from tests.aws.edge import FORM, KEY, SECRET, as_incoming, ask, changed, environment, fresh, now, text


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fresh()


def query(digest: str = "sha256", method: str = "POST", secret: str = SECRET, **more: str) -> AWSRequest:
    """A Query request as boto 2 sent it; signed apart from our code."""
    params = {
        "Action": "DescribeInstances", "Version": "2014-10-01", "AWSAccessKeyId": KEY, "SignatureVersion": "2",
        "SignatureMethod": f"Hmac{digest.upper()}", "Timestamp": "2026-01-01T00:00:00Z", "InstanceId.1": "i-1 ~*/ä", **more,
    }  # fmt: skip
    canonical = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(params.items()))
    signature = hmac.new(secret.encode(), f"{method}\nec2.localhost:8773\n/\n{canonical}".encode(), digest).digest()
    params["Signature"] = base64.b64encode(signature).decode()
    headers = {"Host": "ec2.localhost:8773"}
    if method == "GET":
        return AWSRequest(method, "http://ec2.localhost:8773/?" + urlencode(params), headers=headers)
    return AWSRequest(
        method, "http://ec2.localhost:8773/", data=urlencode(params).encode(), headers={**FORM, **headers}
    )


AT = 1767225600.0


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_signature_is_accepted(digest: str, method: str) -> None:
    answer = ask(query(digest, method), at=AT)
    assert answer.status == 200
    assert 'xmlns="http://ec2.amazonaws.com/doc/2014-10-01/"' in text(answer)
    assert environment.requests[0].params == {"InstanceIds": ["i-1 ~*/ä"]}
    assert environment.requests[0].identity.mechanism == "v2-header"


@pytest.mark.parametrize(
    ("request_", "at"),
    [
        (query(secret="wrong"), AT), (query(SignatureVersion="1"), AT), (query(SignatureMethod="HmacMD5"), AT),
        (query(), AT + 1000), (query(Timestamp="soon"), AT), (query(AWSAccessKeyId="AKIANOBODY"), AT),
    ],
    ids=["secret", "version 1", "md5", "late", "no time", "key"],
)  # fmt: skip
def test_a_query_signature_is_refused(request_: AWSRequest, at: float) -> None:
    answer = ask(request_, at=at)
    assert answer.status in (400, 401)
    assert "<Code>AuthFailure</Code>" in text(answer) or "<Code>RequestExpired</Code>" in text(answer)
    assert not environment.requests


def test_a_parameter_that_was_added_is_refused() -> None:
    sent = as_incoming(query(), at=AT)
    assert ask(changed(sent, body=sent.body + b"&DryRun=true")).status == 401


def s3(method: str, url: str, host: str = "localhost", secret: str = SECRET, body: bytes = b"") -> AWSRequest:
    request = AWSRequest(method, url, data=body, headers={"Host": host, "x-amz-meta-b": " 2 ", "x-amz-meta-a": "1"})
    request.context["auth_path"] = None
    auth.HmacV1Auth(Credentials(KEY, secret)).add_auth(request)
    return request


def test_s3s_header_is_accepted() -> None:
    assert ask(s3("PUT", "http://localhost/b/a%20key?acl=&x=1".replace("acl=&", ""), body=b"data")).status == 200
    assert environment.objects["b", "a key"] == b"data"
    assert environment.requests[0].identity.mechanism == "v2-header"


def test_s3s_header_signs_subresources() -> None:
    sent = as_incoming(s3("PUT", "http://localhost/b/k?partNumber=1&uploadId=u%2Bu", body=b"part"))
    assert ask(sent).status == 200
    assert environment.requests[0].action == "UploadPart"
    assert ask(changed(sent, query="partNumber=2&uploadId=u%2Bu")).status == 403


@pytest.mark.parametrize("date", ["", "Tue, 07 Jul 1950 21:53:04 GMT", "yesterday"])
def test_s3s_header_needs_a_date_that_can_be_one(date: str) -> None:
    sent = as_incoming(s3("PUT", "http://localhost/b/k", body=b"data"))
    answer = ask(changed(sent, headers=CIMultiDict(sent.headers, **{"x-amz-date": date})))
    assert answer.status == 403
    assert "AWS authentication requires a valid Date or x-amz-date header" in text(answer)


def test_s3s_header_in_a_virtual_host() -> None:
    request = AWSRequest("PUT", "http://bucket.localhost/k", data=b"v", headers={"Host": "bucket.localhost"})
    request.auth_path = "/bucket/k"
    auth.HmacV1Auth(Credentials(KEY, SECRET)).add_auth(request)
    assert ask(request).status == 200
    assert environment.objects["bucket", "k"] == b"v"


def test_s3s_wrong_header_is_refused() -> None:
    body = text(ask(s3("GET", "http://localhost/b/k", secret="wrong")))
    assert "<Code>SignatureDoesNotMatch</Code>" in body and "<StringToSign>GET" in body
    sent = as_incoming(s3("GET", "http://localhost/b/k"))
    headers = sent.headers.copy()  # type: ignore[attr-defined]
    headers["Authorization"] = "AWS nonsense"
    assert "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature" in text(
        ask(changed(sent, headers=headers))
    )


def test_a_session_token_in_s3s_presigned_url_is_signed_as_a_header_is() -> None:
    """boto 3 makes such links by default. A token that was put in, changed or taken out later counts as a change."""
    environment.objects["b", "k"] = b"data"
    request = AWSRequest("GET", "http://localhost/b/k", headers={"Host": "localhost"})
    auth.HmacV1QueryAuth(Credentials("ASIATEMPORARY", SECRET, "the-token"), expires=60).add_auth(request)
    sent = as_incoming(request)
    assert "x-amz-security-token=the-token" in sent.query
    assert ask(sent).body == b"data"
    assert ask(changed(sent, query=sent.query.replace("the-token", "another"))).status in (400, 403)
    assert ask(changed(sent, query=f"{sent.query}&x-amz-acl=public-read")).status == 403


def test_s3s_presigned_url_is_accepted_until_it_expires() -> None:
    environment.objects["b", "k"] = b"data"
    request = AWSRequest("GET", "http://localhost/b/k?response-content-type=a%2Fb", headers={"Host": "localhost"})
    auth.HmacV1QueryAuth(Credentials(KEY, SECRET), expires=60).add_auth(request)
    sent = as_incoming(request)
    assert "Signature=" in sent.query and "X-Amz" not in sent.query
    assert ask(sent).body == b"data"
    late = ask(changed(sent, now=now() + 61))
    assert late.status == 403 and "<Message>Request has expired</Message>" in text(late) and "<Expires>" in text(late)
    assert ask(changed(sent, path="/b/other")).status == 403
