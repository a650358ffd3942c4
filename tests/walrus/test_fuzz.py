"""Every parser of the store against documents, headers, queries, forms and chunks that nobody should send.

What is made follows the service model: the tags, headers and parameters that the operation knows, with values it does not
expect. Whatever such a request means, it is an error of its sender: nothing is answered with 500, and the store goes on.
`EUCAPY_FUZZ=20` asks twenty times as much.
"""

from __future__ import annotations

import base64
import json
import os
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eucapy.aws.models import Operation
from eucapy.walrus.s3.registry import s3 as service
from tests.walrus.server import KEY, SECRET, Store
from tests.walrus.signing import Signer

TIMES = int(os.environ.get("EUCAPY_FUZZ", "1"))
QUIET = settings(
    max_examples=60 * TIMES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    deadline=None,
)
OPERATIONS = [service.model.operation(name) for name in sorted(service.actions())]
WITH_DOCUMENT = [
    operation
    for operation in OPERATIONS
    if operation.input is not None
    and (payload := operation.input.serialization.get("payload"))
    and isinstance(operation.input.members[payload], StructureShape)
]
# What parsers stumble over: borders of numbers, other calendars, half escapes, names of everything and nothing.
ODD = (
    "", " ", "0", "-1", "1", "1.5", "1e99", "NaN", "9" * 30, "-" + "9" * 30, "2147483648", "٣", "true", "TRUE", "maybe",
    "null", "None", "*", "/", "//", "..", "a" * 1100, "é", "\u2028", "😀", "%", "%zz", "%00", "%ff", "a%2Fb", "a b", "+",
    '"', "'", "<", "&amp;", "]]>", "{}", "[]", "bytes=0-0", "bytes=-0", "bytes=5-1", "bytes=" + "9" * 30 + "-",
    "2026-01-01", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-02-30T00:00:00.000Z",
    "Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 99 Jan 2026 99:99:99 GMT", "Enabled", "COMPLIANCE", "AES256", "aws:kms", "url",
    "arn:aws:s3:::b", "arn:aws:sqs:us-east-1:111122223333:q", "arn:", ":::::", "id=x", "k=v&k=v", "fuzzed/k", "/fuzzed/k",
    "fuzzed/k?versionId=null", "fuzzed/k?versionId=%", "?", "AAAA", "AAAAAA==", "====", "gzip,aws-chunked",
)  # fmt: skip
VALUES = st.sampled_from(ODD) | st.text(max_size=8)
HEADER_VALUES = st.sampled_from([v for v in ODD if v.isascii() and v.isprintable()]) | st.text(
    st.characters(min_codepoint=32, max_codepoint=126), max_size=8
)


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    """What is tested here does not depend on the database."""
    return sqlite_store


@pytest.fixture
def fuzzed(store: Store) -> str:
    """A bucket that has been through everything, with an object."""
    store.s3.create_bucket(Bucket="fuzzed")
    store.s3.put_object(Bucket="fuzzed", Key="k", Body=b"hello")
    return "fuzzed"


def ask(
    store: Store, method: str, path: str, query: str = "", body: bytes = b"", headers: dict[str, str] | None = None
) -> None:
    """Send it signed, and hold what all of these tests promise."""
    status, answer, said = Signer(store.port).request(method, path, query, body, extra=headers)
    assert status < 500 or status == 501, (method, path, query, headers, body, answer)
    assert "x-amz-request-id" in said
    assert SECRET.encode() not in answer


def address(operation: Operation, extra: dict[str, str], bucket: str = "fuzzed") -> tuple[str, str]:
    """(path, canonical query) of an operation, with parameters beside those that name it."""
    path, _, literals = operation.uri.partition("?")
    path = path.replace("{Bucket}", bucket).replace("{Key+}", "k")
    pairs = [tuple(part.partition("=")[::2]) for part in literals.split("&") if part]
    named = {name for name, _ in pairs}
    pairs += [(name, value) for name, value in extra.items() if name not in named]
    return path, "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs))


@st.composite
def documents(draw: st.DrawFn, shape: Shape, tag: str, depth: int = 0) -> str:
    """An element for `shape`, more or less: members are left out, repeated, empty, or hold what they should not."""
    odd = draw(st.integers(0, 15))
    if odd == 0 or depth > 6:
        return f"<{tag}>{draw(VALUES.map(printable))}</{tag}>"
    if odd == 1:
        return f"<{tag}/>" * draw(st.integers(0, 2))
    inside = ""
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            if depth > 1 and not draw(st.booleans()):
                continue
            inner = member.serialization.get("name", name).rpartition(":")[2]
            if isinstance(member, ListShape):
                item = member.member.serialization.get("name", "member")
                flat = member.serialization.get("flattened")
                count = draw(st.integers(0, 2))
                items = "".join(
                    draw(documents(member.member, inner if flat else item, depth + 1)) for _ in range(count)
                )
                inside += items if flat else f"<{inner}>{items}</{inner}>"
            elif not isinstance(member, MapShape):
                inside += draw(documents(member, inner, depth + 1))
        return f"<{tag}>{inside}</{tag}>"
    values = list(shape.metadata.get("enum", ()))
    text = draw(st.sampled_from(values) if values and odd < 12 else VALUES.map(printable))
    return f"<{tag}>{escape(text)}</{tag}>"


def printable(text: str) -> str:
    return escape("".join(c for c in text if c.isprintable()))


@QUIET
@given(data=st.data())
def test_no_document_breaks_a_configuration(store: Store, fuzzed: str, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(WITH_DOCUMENT))
    assert operation.input is not None
    shape = operation.input.members[operation.input.serialization["payload"]]
    tag = shape.serialization.get("name", operation.input.serialization["payload"])
    document = data.draw(documents(shape, tag)).encode("utf-8", "replace")
    if data.draw(st.integers(0, 9)) == 0:
        at = data.draw(st.integers(0, len(document)))
        document = document[:at] + data.draw(st.binary(max_size=4)) + document[at:]
    ids = {"uploadId": "x", "id": "x"} if "{Key+}" in operation.uri or operation.name.endswith("Configuration") else {}
    path, query = address(operation, ids)
    sums = {"Content-MD5": md5_of(document)} if operation.shape.http_checksum else {}
    ask(store, operation.http_method, path, query, document, sums)


def md5_of(body: bytes) -> str:
    import hashlib

    return base64.b64encode(hashlib.md5(body).digest()).decode()


@QUIET
@given(data=st.data())
def test_no_header_or_parameter_breaks_an_operation(store: Store, fuzzed: str, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(OPERATIONS))
    headers: dict[str, str] = {}
    extra: dict[str, str] = {}
    for name, member in (operation.input.members if operation.input is not None else {}).items():
        wire = member.serialization.get("name", name)
        place = member.serialization.get("location")
        if place == "header" and wire.lower() not in ("content-length", "host") and data.draw(st.integers(0, 3)) == 0:
            headers[wire] = data.draw(st.sampled_from(values_of(member)) | HEADER_VALUES)
        elif place == "headers" and data.draw(st.booleans()):
            headers[wire + "name"] = data.draw(HEADER_VALUES)
        elif place == "querystring" and (wire in ("uploadId", "partNumber") or data.draw(st.booleans())):
            extra[wire] = data.draw(st.sampled_from(values_of(member)) | VALUES)
    path, query = address(operation, encodable(extra), data.draw(st.sampled_from(["fuzzed", "nowhere"])))
    body = data.draw(st.binary(max_size=40)) if operation.http_method in ("PUT", "POST") else b""
    ask(store, operation.http_method, path, query, body, headers)


def values_of(shape: Shape) -> list[str]:
    return list(shape.metadata.get("enum", ())) or ["1"]


def encodable(values: dict[str, str]) -> dict[str, str]:
    return {name: value.encode("utf-8", "replace").decode() for name, value in values.items()}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(VALUES, inner, max_size=3),
    max_leaves=8,
)
POLICY_PARTS = st.fixed_dictionaries(
    {},
    optional={
        "Version": st.sampled_from(["2012-10-17", "2008-10-17"]) | JSON,
        "Statement": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "Sid": VALUES, "Effect": st.sampled_from(["Allow", "Deny"]) | JSON,
                    "Principal": st.just("*") | st.just({"AWS": "*"}) | JSON, "NotPrincipal": JSON,
                    "Action": st.just("s3:*") | JSON, "NotAction": JSON, "Resource": st.just("arn:aws:s3:::fuzzed/*") | JSON,
                    "Condition": st.dictionaries(
                        st.sampled_from(["StringLike", "IpAddress", "NumericLessThan", "DateGreaterThan", "Null",
                                         "ForAllValues:StringEquals", "BoolIfExists"]) | VALUES,
                        st.dictionaries(st.sampled_from(["aws:SourceIp", "s3:prefix", "aws:CurrentTime"]) | VALUES, JSON,
                                        max_size=2) | JSON,
                        max_size=2,
                    ) | JSON,
                },
            ),
            max_size=2,
        ) | JSON,
    },
)  # fmt: skip


@QUIET
@given(policy=POLICY_PARTS | JSON)
def test_no_policy_breaks_its_bucket(store: Store, fuzzed: str, policy: Any) -> None:
    store.s3.create_bucket(Bucket="fuzzed-policy")
    ask(store, "PUT", "/fuzzed-policy", "policy=", json.dumps(policy).encode())
    ask(store, "GET", "/fuzzed-policy/k")
    ask(store, "GET", "/fuzzed-policy", "policyStatus=")
    ask(store, "DELETE", "/fuzzed-policy", "policy=")


@QUIET
@given(
    fields=st.dictionaries(
        st.sampled_from(["key", "policy", "acl", "tagging", "success_action_status", "success_action_redirect", "x-amz-date",
                         "x-amz-credential", "x-amz-algorithm", "x-amz-signature", "AWSAccessKeyId", "signature",
                         "x-amz-meta-a", "Content-Type", "x-amz-checksum-crc32", "x-amz-server-side-encryption"]) | VALUES,
        VALUES,
        max_size=8,
    ),
    policy=st.none() | st.fixed_dictionaries({}, optional={"expiration": VALUES, "conditions": JSON}) | JSON,
    cut=st.integers(0, 40),
    with_file=st.booleans(),
)  # fmt: skip
def test_no_form_breaks_an_upload(
    store: Store, fuzzed: str, fields: dict[str, str], policy: Any, cut: int, with_file: bool
) -> None:
    if policy is not None:
        fields = {**fields, "policy": base64.b64encode(json.dumps(policy).encode()).decode()}
    body = b""
    for name, value in fields.items():
        head = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        body += head.encode("utf-8", "replace")
    if with_file:
        body += b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nbytes\r\n--b--\r\n'
    body = body[: len(body) - cut]
    host = {"Host": f"127.0.0.1:{store.port}", "Content-Type": "multipart/form-data; boundary=b"}
    status, answer, _ = Signer(store.port).send("POST", "/fuzzed", host, body)
    assert status < 500 or status == 501, (body, answer)


@QUIET
@given(
    pieces=st.lists(st.binary(min_size=1, max_size=30), max_size=4),
    at=st.integers(0, 400),
    removed=st.integers(0, 12),
    added=st.binary(max_size=6),
    trailer=st.none() | st.tuples(st.sampled_from(["x-amz-checksum-crc32", "x-amz-checksum-sha256"]), HEADER_VALUES),
    told=st.integers(-3, 3),
)
def test_no_chunks_break_an_upload(
    store: Store, fuzzed: str, pieces: list[bytes], at: int, removed: int, added: bytes, trailer: Any, told: int
) -> None:
    """Well-formed chunks, then spoilt at one place: taken whole, or refused, and then nothing is stored."""
    signer = Signer(store.port)
    payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer is not None else "")
    size = max(0, sum(map(len, pieces)) + told)
    extra = {"x-amz-decoded-content-length": str(size)}
    if trailer is not None:
        extra["x-amz-trailer"] = trailer[0]
    headers = signer.headers("PUT", "/fuzzed/chunks", "", payload, extra)
    body = signer.chunks(pieces, trailer)
    spoilt = body[:at] + added + body[at + removed :]
    store.s3.delete_object(Bucket="fuzzed", Key="chunks")
    status, answer, _ = signer.send("PUT", "/fuzzed/chunks", headers, spoilt)
    assert status < 500, (spoilt, answer)
    listed = store.s3.list_objects_v2(Bucket="fuzzed", Prefix="chunks").get("Contents", [])
    if status == 200:
        assert store.s3.get_object(Bucket="fuzzed", Key="chunks")["Body"].read() == b"".join(pieces)
    else:
        assert listed == []


@QUIET
@given(
    parts=st.dictionaries(
        st.sampled_from(["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders",
                         "X-Amz-Signature", "X-Amz-Security-Token", "AWSAccessKeyId", "Signature", "Expires"]),
        VALUES | st.sampled_from([KEY, "AWS4-HMAC-SHA256", f"{KEY}/20260101/us-east-1/s3/aws4_request", "host",
                                  "20260101T000000Z"]),
    ),
    authorization=st.none() | HEADER_VALUES | HEADER_VALUES.map(lambda text: f"AWS4-HMAC-SHA256 Credential={text}")
    | HEADER_VALUES.map(lambda text: f"AWS {text}"),
)  # fmt: skip
def test_no_signature_breaks_the_check(
    store: Store, fuzzed: str, parts: dict[str, str], authorization: str | None
) -> None:
    query = "&".join(f"{name}={quote(value)}" for name, value in encodable(parts).items())
    headers = {"Host": f"127.0.0.1:{store.port}"} | ({"Authorization": authorization} if authorization else {})
    status, answer, _ = Signer(store.port).send("GET", f"/fuzzed/k?{query}", headers, b"")
    assert 400 <= status < 500, (query, authorization, answer)
