"""A signature in strange hands: what is added to, doubled in or rewritten around a signed request does not get through."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.walrus.server import KEY, SECRET, Store
from tests.walrus.signing import Signer, path_of


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    """What is tested here does not depend on the database."""
    return sqlite_store


@pytest.fixture
def target(store: Store, s3: Any, bucket: str) -> str:
    """A presigned GET of an object, without the host."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret")
    request = AWSRequest(method="GET", url=f"http://127.0.0.1:{store.port}{path_of(bucket, 'k')}")
    S3SigV4QueryAuth(Credentials(KEY, SECRET), "s3", "us-east-1", expires=900).add_auth(request)
    return request.url.partition(str(store.port))[2]


def get(store: Store, target: str, more: str = "", host: str | None = None) -> bytes:
    host = host or f"127.0.0.1:{store.port}"
    return store.raw(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n".encode("latin-1"))


def test_the_request_itself_is_answered(store: Store, target: str) -> None:
    assert get(store, target) == b"200 secret"


def changed(pattern: str, to: str) -> Callable[[str], str]:
    return lambda target: re.sub(pattern, to, target, count=1)


@pytest.mark.parametrize(
    "change",
    [
        changed(r"$", "&acl"),
        changed(r"$", "&response-content-type=text/html"),
        changed(r"$", "&X-Amz-Expires=604800"),
        changed(r"\?", "?X-Amz-Expires=604800&"),
        changed(r"$", "&X-Amz-Credential=AKIAOTHER"),
        changed(r"Expires=\d+", "Expires=604800"),
        changed(r"Expires=\d+", "Expires=-1"),
        changed(r"Expires=\d+", "Expires=99999999999999999999"),
        changed(r"Date=\w+", "Date=99991231T235959Z"),
        changed(r"Date=\w+", "Date=20269999T999999Z"),
        changed(r"Date=\w+", "Date=%D9%A1%D9%A10261122T000000Z"),
        changed(r"SignedHeaders=host", "SignedHeaders="),
        changed(r"SignedHeaders=host", "SignedHeaders=host%3Bhost"),
        changed(r"Signature=\w+", "Signature="),
        changed(r"Signature=(\w+)\w", r"Signature=\1"),
        changed(r"Signature=\w+", "Signature=" + "0" * 64),
        changed(r"/k\?", "/./k?"),
        changed(r"/k\?", "/x/../k?"),
        changed(r"/k\?", "/%256b?"),
        changed(r"/k\?", "//k?"),
        changed(r"/k\?", "/k%00?"),
    ],
)
def test_a_changed_url_is_refused(store: Store, target: str, change: Callable[[str], str]) -> None:
    rewritten = change(target)
    assert rewritten != target
    answer = get(store, rewritten)
    assert answer[:4] in (b"400 ", b"403 ")
    assert b"secret" not in answer.replace(b"secret key", b"")


@pytest.mark.parametrize(
    ("more", "host"),
    [
        ("", "evil.example.com"),
        ("Host: evil.example.com\r\n", None),
        ("x-amz-acl: public-read\r\n", None),
        ("x-amz-copy-source: /other/k\r\n", None),
        ("X-Amz-Security-Token: t\r\n", None),
        ("Authorization: AWS4-HMAC-SHA256 Credential=x\r\n", None),
    ],
)
def test_headers_that_nobody_signed_are_refused(store: Store, target: str, more: str, host: str | None) -> None:
    answer = get(store, target, more, host)
    assert answer[:4] in (b"400 ", b"403 ")
    assert not answer.endswith(b" secret")


@pytest.mark.parametrize(
    ("more", "body"),
    [
        ("Content-Length: 4\r\n", b"evil"),
        ("x-amz-content-sha256: UNSIGNED-PAYLOAD\r\nContent-Length: 4\r\n", b"evil"),
        ("x-amz-meta-a: b\r\nContent-Length: 4\r\n", b"body"),
        ("Content-Length: 4\r\nContent-Length: 8\r\n", b"bodyevil"),
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"4\r\nbody\r\n0\r\n\r\n"),
        ("Content-Length: 4\r\nTransfer-Encoding : chunked\r\n", b"body"),
        ("X-A: b\r\n c\r\nContent-Length: 4\r\n", b"body"),
    ],
)
def test_a_signed_upload_takes_no_other_body_length_or_header(
    store: Store, s3: Any, bucket: str, more: str, body: bytes
) -> None:
    headers = Signer(store.port).headers("PUT", path_of(bucket, "new"), payload=hashlib.sha256(b"body").hexdigest())
    head = f"PUT {path_of(bucket, 'new')} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items())
    answer = store.raw(f"{head}{more}Connection: close\r\n\r\n".encode("latin-1") + body)
    assert answer[:4] in (b"400 ", b"403 ")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
