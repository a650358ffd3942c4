"""Clients that lie, stall, forge and probe: each gets S3's refusal, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eucapy.walrus import receiving
from tests.harness.waiting import wait_until
from tests.walrus.server import KEY, Store
from tests.walrus.signing import Signer, path_of


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    """What is tested here does not depend on the database."""
    return sqlite_store


def code_of(answer: bytes) -> str:
    return answer.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


DENIED, NO_SUCH = (403, "AccessDenied"), (405, "MethodNotAllowed")


@pytest.mark.parametrize(
    ("method", "service", "on_bucket", "on_object"),
    [
        ("GET", DENIED, DENIED, DENIED),
        ("HEAD", (405, ""), (403, ""), (403, "")),
        ("PUT", NO_SUCH, DENIED, DENIED),
        ("DELETE", NO_SUCH, DENIED, DENIED),
        # Forms come to the bucket, and are known by their type before anybody is asked for; nothing is posted to an object.
        ("POST", NO_SUCH, (412, "PreconditionFailed"), NO_SUCH),
        ("PATCH", NO_SUCH, NO_SUCH, NO_SUCH),
    ],
)
def test_nobody_gets_in_without_a_signature(
    store: Store,
    s3: Any,
    bucket: str,
    method: str,
    service: tuple[int, str],
    on_bucket: tuple[int, str],
    on_object: tuple[int, str],
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret")
    for path, refusal in (("/", service), (path_of(bucket), on_bucket), (path_of(bucket, "k"), on_object)):
        status, answer, _ = Signer(store.port).send(method, path, {"Host": f"127.0.0.1:{store.port}"}, b"")
        assert (status, code_of(answer)) == refusal, path
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"secret"


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [
        ("POST", "uploads", b""),
        ("GET", "acl", b""),
        ("PUT", "acl", b""),
        ("PUT", "tagging", b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"),
        ("DELETE", "tagging", b""),
        ("GET", "versionId=null", b""),
        ("DELETE", "uploadId=x", b""),
        ("PUT", "partNumber=1&uploadId=x", b"part"),
        (
            "POST",
            "uploadId=x",
            b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>",
        ),
    ],
)
def test_nobody_gets_at_an_objects_parts_without_a_signature(
    store: Store, s3: Any, bucket: str, method: str, query: str, body: bytes
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret")
    path = f"{path_of(bucket, 'k')}?{query}"
    status, answer, _ = Signer(store.port).send(method, path, {"Host": f"127.0.0.1:{store.port}"}, body)
    assert (status, code_of(answer)) == DENIED


@pytest.mark.parametrize(
    ("signer", "code"),
    [
        ({"secret": "not the secret"}, "SignatureDoesNotMatch"),
        ({"key": "AKIANOBODYKNOWSTHIS0"}, "InvalidAccessKeyId"),
        ({"shift_s": -3600}, "RequestTimeTooSkewed"),
        ({"shift_s": 3600}, "RequestTimeTooSkewed"),
        ({"region": "eu-west-1"}, "AuthorizationHeaderMalformed"),
    ],
)
def test_signatures_that_are_not_right(store: Store, bucket: str, signer: dict[str, Any], code: str) -> None:
    status, answer, _ = Signer(store.port, **signer).request("GET", path_of(bucket))
    assert (status in (400, 403), code_of(answer)) == (True, code)


def test_a_signature_is_for_one_request_alone(store: Store, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object(Bucket=bucket, Key="other", Body=b"other")
    signer = Signer(store.port)
    headers = signer.headers("GET", path_of(bucket, "k"))
    assert signer.send("GET", path_of(bucket, "k"), headers, b"")[0] == 200
    assert signer.send("GET", path_of(bucket, "other"), headers, b"")[0] == 403
    assert signer.send("DELETE", path_of(bucket, "k"), headers, b"")[0] == 403
    assert signer.send("GET", path_of(bucket, "k") + "?acl", headers, b"")[0] == 403
    unsigned_meaning = {**headers, "x-amz-copy-source": f"/{bucket}/other"}
    assert signer.send("GET", path_of(bucket, "k"), unsigned_meaning, b"")[0] == 403


@pytest.mark.parametrize(
    "key", ["../../../../etc/passwd", "..%2f..%2fescape", "/absolute", "a/../../b", "\\windows", "a\x00b"]
)
def test_a_key_is_a_name_and_never_a_path(store: Store, bucket: str, key: str) -> None:
    signer = Signer(store.port)
    status, answer, _ = signer.request("PUT", path_of(bucket, key), body=b"z" * 40_000)
    if status == 200:
        assert signer.request("GET", path_of(bucket, key))[1] == b"z" * 40_000
        assert signer.request("DELETE", path_of(bucket, key))[0] == 204
    else:
        assert status == 400, answer
    strangers = [path for path in store.folder.rglob("*") if "escape" in path.name or "passwd" in path.name]
    assert strangers == []


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<Delete><Object><Key>&b;</Key></Object></Delete>"""
EXTERNAL = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>
<Delete><Object><Key>&f;</Key></Object></Delete>"""


@pytest.mark.parametrize(
    "body",
    [BOMB, EXTERNAL, b"<Delete>", b"", b"\xff\xfe", b"<a/>" , b"<Delete>" * 5000, b"<Delete><Object/></Delete>", b"{}"],
)  # fmt: skip
def test_xml_that_is_not_meant_well(store: Store, s3: Any, bucket: str, body: bytes) -> None:
    import base64
    import hashlib

    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    status, answer, _ = Signer(store.port).request("POST", path_of(bucket), "delete=", body, extra={"content-md5": md5})
    assert (status, code_of(answer)) == (400, "MalformedXML" if body else "MissingRequestBodyError"), answer
    assert b"root:" not in answer
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_a_delete_that_was_changed_on_the_way(store: Store, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    signer = Signer(store.port)
    status, answer, _ = signer.request("POST", path_of(bucket), "delete=", body)
    assert (status, code_of(answer)) == (400, "InvalidRequest")
    status, answer, _ = signer.request(
        "POST", path_of(bucket), "delete=", body, extra={"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    )
    assert (status, code_of(answer)) == (400, "BadDigest")
    status, answer, _ = signer.request(
        "POST", path_of(bucket), "delete=", body, extra={"x-amz-checksum-crc32": "AAAAAA=="}
    )
    assert (status, code_of(answer)) == (400, "BadDigest")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_a_document_that_never_ends_is_cut(store: Store, bucket: str) -> None:
    signer = Signer(store.port)
    status, answer, _ = signer.request("POST", path_of(bucket), "delete=", b"<Delete>" + b" " * (5 << 20))
    assert (status, code_of(answer)) == (400, "MaxMessageLengthExceeded")


def raw_put(store: Store, bucket: str, key: str, said: int, payload: str = "UNSIGNED-PAYLOAD") -> socket.socket:
    """A PUT whose body is the caller's to send."""
    signer = Signer(store.port)
    headers = signer.headers("PUT", path_of(bucket, key), payload=payload)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection = socket.create_connection(("127.0.0.1", store.port), timeout=10)
    connection.sendall(f"PUT {path_of(bucket, key)} HTTP/1.1\r\n{lines}Content-Length: {said}\r\n\r\n".encode())
    return connection


@pytest.mark.parametrize("sent", [0, 1000, 3_000_000])
def test_a_body_cut_short_never_becomes_an_object(store: Store, s3: Any, bucket: str, sent: int) -> None:
    before = store.blobs()
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    with raw_put(store, bucket, "k", 4_000_000) as connection:
        connection.sendall(os.urandom(sent))
    with raw_put(store, bucket, "k", 4_000_000) as connection:
        connection.sendall(os.urandom(sent))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"
    assert store.blobs() == before


def test_a_client_that_stalls_holds_up_nobody(store: Store, s3: Any, bucket: str) -> None:
    with raw_put(store, bucket, "stalled", 10_000_000) as connection:
        connection.sendall(bytes(2_000_000))
        s3.put_object(Bucket=bucket, Key="other", Body=bytes(2_000_000))
        assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["other"]


@pytest.mark.parametrize("said", [1000, 10_000_000])
def test_a_client_that_stalls_for_too_long_is_let_go(
    store: Store, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, said: int
) -> None:
    monkeypatch.setattr(receiving, "STALL_S", 0.3)
    before = store.blobs()
    with raw_put(store, bucket, "stalled", said) as connection:
        connection.sendall(bytes(said // 2))
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400") and b"<Code>RequestTimeout</Code>" in answer
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert store.blobs() == before


@pytest.mark.parametrize(
    ("sent", "status"), [(b"4\r\ndata\r\n0\r\n\r\n", b"200 "), (b"4\r\ndata\r\nx\r\n\r\n", b"400 ")]
)
def test_a_body_in_http_chunks_is_taken_whole_or_not_at_all(
    store: Store, s3: Any, bucket: str, sent: bytes, status: bytes
) -> None:
    signer = Signer(store.port)
    headers = signer.headers("PUT", path_of(bucket, "k"), payload="UNSIGNED-PAYLOAD")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"PUT {path_of(bucket, 'k')} HTTP/1.1\r\n{lines}Transfer-Encoding: chunked\r\n\r\n"
    assert store.raw(head.encode() + sent).startswith(status)
    found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    assert [entry["Size"] for entry in found] == ([4] if status == b"200 " else [])


def test_documents_are_compared_with_their_digests(store: Store, s3: Any, bucket: str) -> None:
    body = b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    for extra in ({"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, {"x-amz-checksum-sha1": "2jmj7l5rSw0yVb/vlWAYkK/YBwk="}):
        status, answer, _ = Signer(store.port).request("PUT", path_of(bucket), "tagging=", body, extra=extra)
        assert (status, code_of(answer)) == (400, "BadDigest")
    assert Signer(store.port).request("PUT", path_of(bucket), "tagging=", body)[0] == 204
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "a", "Value": "1"}]


def test_a_reader_that_goes_away_leaves_no_file_open(store: Store, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="big", Body=bytes(8 << 20))

    def open_blobs() -> int:
        count = 0
        for fd in os.listdir("/proc/self/fd"):
            try:
                count += "/blobs/" in os.readlink(f"/proc/self/fd/{fd}")
            except OSError:
                continue
        return count

    signer = Signer(store.port)
    headers = signer.headers("GET", path_of(bucket, "big"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", store.port), timeout=10) as connection:
            connection.sendall(f"GET {path_of(bucket, 'big')} HTTP/1.1\r\n{lines}\r\n".encode())
            connection.recv(1000)
    wait_until(lambda: open_blobs() == 0, limit_s=15)


def test_the_body_is_not_asked_for_when_it_would_be_refused(store: Store) -> None:
    signer = Signer(store.port)
    headers = signer.headers("PUT", "/no-such-bucket-anywhere/k", payload="UNSIGNED-PAYLOAD")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = (
        f"PUT /no-such-bucket-anywhere/k HTTP/1.1\r\n{lines}Expect: 100-continue\r\nContent-Length: 999999999\r\n\r\n"
    )
    answer = store.raw(request.encode())
    assert answer.startswith(b"404 ") and b"NoSuchBucket" in answer


def test_more_than_5_gib_is_refused_before_it_is_sent(store: Store, bucket: str) -> None:
    signer = Signer(store.port)
    headers = signer.headers("PUT", path_of(bucket, "k"), payload="UNSIGNED-PAYLOAD")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"PUT {path_of(bucket, 'k')} HTTP/1.1\r\n{lines}Content-Length: {(5 << 30) + 1}\r\n\r\n"
    answer = store.raw(head.encode())
    assert answer.startswith(b"400 ") and b"<Code>EntityTooLarge</Code>" in answer


def test_a_header_cannot_be_split(store: Store, s3: Any, bucket: str) -> None:
    signer = Signer(store.port)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    query = "response-content-type=text%2Fx%0D%0ASet-Cookie%3A%20a%3Db"
    status, _, headers = signer.request("GET", path_of(bucket, "k"), query)
    assert "set-cookie" not in headers
    assert status in (200, 400)


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "CONNECT", "BREW"])
def test_methods_that_s3_has_not(store: Store, bucket: str, method: str) -> None:
    status, answer, _ = Signer(store.port).request(method, path_of(bucket, "k"))
    assert status in (400, 405, 501), answer


SIGNED = st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"])
WORDS = st.sampled_from(
    ["acl", "delete", "uploads", "uploadId", "partNumber", "versionId", "tagging", "location", "versioning", "versions",
     "list-type", "max-keys", "marker", "prefix", "delimiter", "encoding-type", "continuation-token", "attributes"]
)  # fmt: skip
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(method=SIGNED, key=VALUES, query=st.dictionaries(WORDS, VALUES, max_size=4), body=st.binary(max_size=60))
def test_no_request_is_our_fault(store: Store, method: str, key: str, query: dict[str, str], body: bytes) -> None:
    """Signed requests of every shape: whatever they mean, none of them is answered with 500."""
    from urllib.parse import quote

    store.s3.create_bucket(Bucket="fuzzed")
    path = "/fuzzed" + ("/" + quote(key, safe="/-_.~") if key else "")
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items())
    text = "&".join(f"{name}={value}" for name, value in pairs)
    status, answer, _ = Signer(store.port).request(method, path, text, body if method in ("PUT", "POST") else b"")
    assert status < 500 or status == 501, answer
    assert KEY.encode() not in answer or status in (403, 200)


def test_who_waits_for_100_continue_gets_it_for_an_empty_body_too(store: Store, s3: Any, bucket: str) -> None:
    """The aws CLI does, and takes the next answer on that connection for a late one where the 100 was left out."""
    path = path_of(bucket, "empty")
    headers = Signer(store.port).headers("PUT", path) | {"Expect": "100-continue", "Content-Length": "0"}
    head = f"PUT {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    with socket.create_connection(("127.0.0.1", store.port), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = b""
        while b" 200 " not in answer and (piece := connection.recv(4096)):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert s3.head_object(Bucket=bucket, Key="empty")["ContentLength"] == 0
