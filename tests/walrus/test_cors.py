"""Cross-origin rules: what they may be, whom a preflight lets through, and what other answers tell a browser."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from typing import Any

import pytest

from eucapy.walrus import cors
from tests.walrus.conftest import Refused
from tests.walrus.server import Store

HERE = "https://here.example"
Answer = tuple[int, dict[str, str], str]


def ask(store: Store, method: str, path: str, headers: Mapping[str, str]) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=20)
    try:
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text
    finally:
        connection.close()


def preflight(store: Store, path: str, origin: str, method: str = "GET", headers: str | None = None) -> Answer:
    given = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers is not None:
        given["Access-Control-Request-Headers"] = headers
    return ask(store, "OPTIONS", path, given)


def set_rules(s3: Any, bucket: str, *rules: Mapping[str, Any]) -> None:
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": list(rules)})


def rule(origins: list[str], methods: list[str], **more: Any) -> dict[str, Any]:
    return {"AllowedOrigins": origins, "AllowedMethods": methods, **more}


def test_rules_are_kept_as_they_were_put_and_go(s3: Any, bucket: str, refused: Refused) -> None:
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)
    rules = [
        rule(["*.get", "http://x:80"], ["GET", "PUT"], ID="first", AllowedHeaders=["X-Amz-*"], MaxAgeSeconds=3000),
        rule([""], ["HEAD"], ExposeHeaders=["ETag"]),
    ]
    set_rules(s3, bucket, *rules)
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
    for _ in range(2):
        answer = s3.delete_bucket_cors(Bucket=bucket)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)


@pytest.mark.parametrize(
    ("wrong", "code", "text"),
    [
        ([], "MalformedXML", "not well-formed"),
        ([rule(["*"], [])], "MalformedXML", "not well-formed"),
        ([rule([], ["GET"])], "MalformedXML", "not well-formed"),
        ([rule(["*"], ["PATCH"])], "InvalidRequest", "Unsupported method is PATCH"),
        ([rule(["http://*.*"], ["GET"])], "InvalidRequest", 'AllowedOrigin "http://*.*" can not have more than one'),
        ([rule(["*"], ["GET"], AllowedHeaders=["*-*"])], "InvalidRequest", 'AllowedHeader "*-*" can not have more'),
        ([rule(["*"], ["GET"], ExposeHeaders=["*"])], "InvalidRequest", 'ExposeHeader "*" contains wildcard'),
        ([rule(["*"], ["GET"])] * 101, "InvalidRequest", "allowed limit of 100 rules"),
    ],
)
def test_what_is_no_rule_is_refused(
    s3: Any, bucket: str, refused: Refused, wrong: list[Any], code: str, text: str
) -> None:
    with refused(code, 400) as caught:
        set_rules(s3, bucket, *wrong)
    assert text in caught.value.response["Error"]["Message"]


def test_a_preflight_is_answered_from_the_rules_alone(s3: Any, store: Store, bucket: str) -> None:
    more = {
        "AllowedHeaders": ["X-Amz-*", "authorization"],
        "ExposeHeaders": ["ETag", "x-amz-id-2"],
        "MaxAgeSeconds": 30,
    }
    set_rules(s3, bucket, rule([HERE], ["GET", "PUT"], **more))
    status, said, body = preflight(store, f"/{bucket}/no-such-key", HERE, "PUT", "x-AMZ-date,Authorization")
    assert (status, body) == (200, "")
    assert {name: value for name, value in said.items() if name.startswith("access-control") or name == "vary"} == {
        "access-control-allow-origin": HERE,
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "x-amz-date, authorization",
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "ETag, x-amz-id-2",
        "access-control-max-age": "30",
        "vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    }


def test_a_preflight_for_a_presigned_url_needs_no_signature_of_its_own(s3: Any, store: Store, bucket: str) -> None:
    set_rules(s3, bucket, rule(["*"], ["PUT"]))
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    status, said, _ = preflight(store, url[url.index(f"/{bucket}") :], HERE, "PUT")
    assert (status, said["access-control-allow-origin"]) == (200, "*")
    assert "access-control-allow-credentials" not in said


@pytest.mark.parametrize(
    ("origin", "method", "headers"),
    [("http://elsewhere", "GET", None), (HERE, "DELETE", None), (HERE, "GET", "x-other"), (HERE + "/", "GET", None)],
)
def test_a_preflight_that_no_rule_fits_is_refused(
    s3: Any, store: Store, bucket: str, origin: str, method: str, headers: str | None
) -> None:
    set_rules(s3, bucket, rule([HERE], ["GET"], AllowedHeaders=["x-one"]))
    for path, kind in ((f"/{bucket}/k", "OBJECT"), (f"/{bucket}", "BUCKET")):
        status, said, body = preflight(store, path, origin, method, headers)
        assert status == 403
        assert not [name for name in said if name.startswith("access-control")]
        assert "<Code>AccessForbidden</Code><Message>CORSResponse: This CORS request is not allowed." in body
        assert f"<Method>{method}</Method><ResourceType>{kind}</ResourceType>" in body


def test_a_preflight_says_what_is_missing(s3: Any, store: Store, bucket: str) -> None:
    path = f"/{bucket}/k"
    cases = [
        (path, {}, 400, "Insufficient information. Origin request header needed."),
        (path, {"Origin": HERE}, 403, "CORSResponse: CORS is not enabled for this bucket."),
        ("/no-such-bucket-here/k", {"Origin": HERE}, 403, "CORSResponse: Bucket not found"),
        ("/", {"Origin": HERE}, 403, "CORSResponse: Bucket not found"),
    ]
    for where, given, status, text in cases:
        answer = ask(store, "OPTIONS", where, given)
        assert answer[0] == status
        assert f"<Message>{text}</Message>" in answer[2]
    set_rules(s3, bucket, rule(["*"], ["GET"]))
    for given in ({"Origin": HERE}, {"Origin": HERE, "Access-Control-Request-Method": "PATCH"}):
        status, _, body = ask(store, "OPTIONS", path, given)
        assert status == 400
        assert re.search("Invalid Access-Control-Request-Method: (null|PATCH)<", body)


def test_answers_and_errors_carry_what_the_rule_allows(s3: Any, store: Store, bucket: str) -> None:
    set_rules(s3, bucket, rule([HERE], ["GET"]), rule(["https://put.example"], ["PUT"]))
    path = f"/{bucket}/secret"
    status, said, _ = ask(store, "GET", path, {"Origin": HERE, "X-Other": "is not asked about"})
    assert (status, said.get("access-control-allow-origin")) == (403, HERE)
    assert said["access-control-allow-methods"] == "GET"
    for method, given in (
        ("GET", {"Origin": "https://put.example"}),
        ("GET", {"Origin": HERE, "Access-Control-Request-Method": "PUT"}),
        ("GET", {"Origin": HERE, "Access-Control-Request-Headers": "x-other"}),
        ("PUT", {"Origin": HERE}),
        ("GET", {}),
    ):
        _, said, _ = ask(store, method, path, given)
        assert not [name for name in said if name.startswith("access-control") or name == "vary"]
    _, said, _ = ask(store, "GET", path, {"Origin": HERE, "Authorization": "AWS unknown:key"})
    assert said["access-control-allow-origin"] == HERE


@pytest.mark.parametrize(
    ("pattern", "fits", "not_these"),
    [
        ("*suffix", ["suffix", "foo.suffix"], ["foo.suffix.get"]),
        ("start*end", ["startend", "start1end", "start/.end"], ["0start12end"]),
        ("prefix*", ["prefix", "prefix.suffix"], ["bla.prefix"]),
        ("a.b", ["a.b"], ["axb", "A.b"]),
        ("*", ["", "null", "http://x"], []),
    ],
)
def test_a_wildcard_stands_for_any_text_and_nothing_else_does(
    pattern: str, fits: list[str], not_these: list[str]
) -> None:
    rules = cors.of_configuration({"CORSRules": [rule([pattern], ["GET"])]})
    assert [cors.choose(rules, origin, "GET", []) is not None for origin in fits + not_these] == [True] * len(fits) + [
        False
    ] * len(not_these)
