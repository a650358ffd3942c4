"""Bodies that stream: aws-chunked with AWS's own worked examples, cut and forged in every way; and compressed ones."""

import asyncio
import gzip
import hashlib
import io
from collections.abc import AsyncIterator

import boto3
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from eucapy.aws.bodies import BodyReader, BytesReader, ChunkedReader, RawReader, inflated
from eucapy.aws.errors import ApiError
from eucapy.aws.message import Incoming, Outgoing
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

# The worked example of Amazon's documentation of chunked uploads: 65 KiB of "a" in two chunks.
DOCUMENTED_AT = 1369353600.0
DOCUMENTED_HEADERS = {
    "Host": "s3.amazonaws.com",
    "x-amz-date": "20130524T000000Z",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
    "SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
    "x-amz-decoded-content-length;x-amz-storage-class,"
    "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "Content-Encoding": "aws-chunked",
    "x-amz-decoded-content-length": "66560",
    "Content-Length": "66824",
}
DOCUMENTED_SIGNATURES = (
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fresh()


def chunked(parts: list[bytes], signatures: tuple[str, ...] | None, trailer: bytes = b"") -> bytes:
    out = b""
    for at, part in enumerate([*parts, b""]):
        extension = f";chunk-signature={signatures[at]}" if signatures else ""
        out += f"{len(part):x}{extension}\r\n".encode() + part + (b"\r\n" if part else b"")
    return out + trailer + b"\r\n"


def documented(body: bytes) -> Incoming:
    return Incoming(
        "PUT", "/examplebucket/chunkObject.txt", "", CIMultiDict(DOCUMENTED_HEADERS), body, None, "s3.amazonaws.com",
        now=DOCUMENTED_AT, request_id="0123456789ABCDEF",
    )  # fmt: skip


def code(answer: Outgoing) -> str:
    return text(answer).partition("<Code>")[2].partition("</Code>")[0]


PARTS = [b"a" * 65536, b"a" * 1024]


def test_the_documented_upload_is_accepted() -> None:
    assert ask(documented(chunked(PARTS, DOCUMENTED_SIGNATURES))).status == 200
    assert environment.objects["examplebucket", "chunkObject.txt"] == b"a" * 66560
    params = environment.requests[0].params
    assert params["ContentLength"] == 66560 and "ContentEncoding" not in params


@pytest.mark.parametrize("at", [0, 1, 2])
def test_each_chunks_signature_counts(at: int) -> None:
    forged = list(DOCUMENTED_SIGNATURES)
    forged[at] = "0" * 64
    assert code(ask(documented(chunked(PARTS, tuple(forged))))) == "SignatureDoesNotMatch"
    assert not environment.objects


def test_a_chunks_changed_data_is_refused() -> None:
    assert (
        code(ask(documented(chunked([b"a" * 65535 + b"b", PARTS[1]], DOCUMENTED_SIGNATURES))))
        == "SignatureDoesNotMatch"
    )


@pytest.mark.parametrize("length", [0, 10, 200, 65536, 66000, 66700])
def test_a_body_that_breaks_off_is_incomplete(length: int) -> None:
    body = chunked(PARTS, DOCUMENTED_SIGNATURES)[:length]
    assert code(ask(documented(body))) == "IncompleteBody"
    assert not environment.objects


def upload(mode: str, body: bytes, decoded: int, trailer: str | None = None, **extra: str) -> Incoming:
    """A signed head for a chunked body, by botocore's signer."""
    headers = {"x-amz-decoded-content-length": str(decoded), "Content-Encoding": "aws-chunked", **extra}
    if trailer:
        headers["x-amz-trailer"] = trailer
    request = AWSRequest("PUT", "http://localhost/b/k", headers=headers)
    request.headers["Host"] = "localhost"
    request.headers["X-Amz-Content-SHA256"] = mode

    class Signer(auth.S3SigV4Auth):
        def payload(self, request: AWSRequest) -> str:
            return mode

        def _modify_request_before_signing(self, request: AWSRequest) -> None:
            super()._modify_request_before_signing(request)
            del request.headers["X-Amz-Content-SHA256"]
            request.headers["X-Amz-Content-SHA256"] = mode

    Signer(Credentials(KEY, SECRET), "s3", REGION).add_auth(request)
    return changed(as_incoming(request), body=body)


def test_an_unsigned_trailer_arrives() -> None:
    body = chunked([b"hello ", b"world"], None, b"x-amz-checksum-crc32:DUoRhQ==\r\n")
    sent = upload("STREAMING-UNSIGNED-PAYLOAD-TRAILER", body, 11, "x-amz-checksum-crc32")
    assert ask(sent).status == 200
    assert environment.objects["b", "k"] == b"hello world"
    assert environment.trailers == {"x-amz-checksum-crc32": "DUoRhQ=="}


@pytest.mark.parametrize(
    ("trailer", "announced", "wanted"),
    [
        (b"", "x-amz-checksum-crc32", "MalformedTrailerError"),
        (b"x-amz-other:1\r\n", "x-amz-checksum-crc32", "MalformedTrailerError"),
        (b"no colon\r\n", "x-amz-checksum-crc32", "MalformedTrailerError"),
        (b"x-amz-checksum-crc32:" + b"a" * 20000 + b"\r\n", "x-amz-checksum-crc32", "MalformedTrailerError"),
    ],
)
def test_a_trailer_that_was_not_announced_or_did_not_come(trailer: bytes, announced: str, wanted: str) -> None:
    body = chunked([b"hello"], None, trailer)
    assert code(ask(upload("STREAMING-UNSIGNED-PAYLOAD-TRAILER", body, 5, announced))) in (wanted, "IncompleteBody")
    assert not environment.objects


def hmac_hex(key: bytes, message: str) -> str:
    import hmac

    return hmac.new(key, message.encode(), "sha256").hexdigest()


def signed_trailer(parts: list[bytes], trailer: dict[str, str], forge: bool = False) -> Incoming:
    """A body with signed chunks and a signed trailer, made as Amazon's documentation says, apart from our code."""
    mode = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    head = upload(mode, b"", sum(map(len, parts)), ",".join(trailer))
    authorization = head.headers["authorization"]
    scope = authorization.partition("Credential=")[2].partition(",")[0].partition("/")[2]
    stamp, previous = head.headers["x-amz-date"], authorization.rpartition("Signature=")[2]
    key = b"AWS4" + SECRET.encode()
    for part in scope.split("/"):
        key = bytes.fromhex(hmac_hex(key, part))
    empty, signatures = hashlib.sha256(b"").hexdigest(), []
    for part in [*parts, b""]:
        digest = hashlib.sha256(part).hexdigest()
        previous = hmac_hex(key, f"AWS4-HMAC-SHA256-PAYLOAD\n{stamp}\n{scope}\n{previous}\n{empty}\n{digest}")
        signatures.append(previous)
    canonical = "".join(f"{name}:{value}\n" for name, value in trailer.items())
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    last = hmac_hex(key, f"AWS4-HMAC-SHA256-TRAILER\n{stamp}\n{scope}\n{previous}\n{digest}")
    if forge:
        canonical = canonical.replace("A", "B")
    ending = canonical.replace("\n", "\r\n") + f"x-amz-trailer-signature:{last}\r\n"
    return changed(head, body=chunked(parts, tuple(signatures), ending.encode()))


def test_a_signed_trailer_is_checked() -> None:
    assert ask(signed_trailer([b"x" * 10000, b"y"], {"x-amz-checksum-crc32c": "AAAAAA=="})).status == 200
    assert environment.trailers == {"x-amz-checksum-crc32c": "AAAAAA=="}
    fresh()
    forged = signed_trailer([b"x" * 10000, b"y"], {"x-amz-checksum-crc32c": "AAAAAA=="}, forge=True)
    assert code(ask(forged)) == "SignatureDoesNotMatch"
    assert not environment.objects


def test_more_data_than_announced_is_refused() -> None:
    body = chunked([b"hello"], None)
    assert code(ask(upload("STREAMING-UNSIGNED-PAYLOAD-TRAILER", body, 4))) == "IncompleteBody"


def test_the_decoded_length_must_be_known() -> None:
    sent = upload(
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER", chunked([b"x"], None), 1, **{"x-amz-decoded-content-length": "x"}
    )
    assert ask(sent).status == 411 and code(ask(sent)) == "MissingContentLength"


def test_what_is_left_of_the_content_encoding_is_kept() -> None:
    body = chunked([b"hello"], None)
    ask(upload("STREAMING-UNSIGNED-PAYLOAD-TRAILER", body, 5, **{"Content-Encoding": "aws-chunked,gzip"}))
    assert environment.requests[0].params["ContentEncoding"] == "gzip"


# --- readers


async def drain(reader: BodyReader, size: int) -> bytes:
    parts = []
    while piece := await reader.read(size):
        assert len(piece) <= size
        parts.append(piece)
    return b"".join(parts)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.integers(1, 50), st.integers(1, 30))
def test_however_the_pieces_fall_the_body_is_the_same(parts: list[bytes], cut: int, size: int) -> None:
    wire = chunked(parts, None)
    pieces = iter([wire[at : at + cut] for at in range(0, len(wire), cut)])

    async def more() -> bytes:
        return next(pieces, b"")

    whole = b"".join(parts)
    reader = ChunkedReader(RawReader(more, len(wire)), len(whole), None, trailing=True, announced=frozenset())
    assert asyncio.run(drain(reader, size)) == whole


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=120), st.integers(0, 40), st.booleans())
def test_no_garbage_breaks_the_decoder(wire: bytes, length: int, trailing: bool) -> None:
    reader = ChunkedReader(BytesReader(wire), length, None, trailing=trailing, announced=frozenset())
    try:
        assert len(asyncio.run(drain(reader, 1000))) == length
    except ApiError as error:
        assert error.status < 500


def test_a_body_is_begun_only_when_it_is_read() -> None:
    begun = []

    async def begin() -> bytes:
        begun.append(1)
        return b""

    async def more() -> bytes:
        return b"x" if len(begun) == 1 and not begun.append(2) else b""  # type: ignore[func-returns-value]

    async def story() -> AsyncIterator[bytes]:
        reader = RawReader(more, 1, begin)
        assert not begun
        assert await reader.read() == b"x"
        assert begun == [1, 2]
        yield b""

    async def run() -> None:
        async for _ in story():
            pass

    asyncio.run(run())


# --- compressed


def test_a_compressed_form_is_understood_and_its_signature_is_of_what_was_sent() -> None:
    body = gzip.compress(form("DescribeInstances", **{"InstanceId.1": "i-1"}))
    request = signed("POST", "http://ec2.localhost/", body=body, headers={**FORM, "Content-Encoding": "gzip"})
    assert ask(request).status == 200
    assert environment.requests[0].params == {"InstanceIds": ["i-1"]}


def test_a_bomb_does_not_go_off() -> None:
    with pytest.raises(ApiError):
        inflated(gzip.compress(b"0" * 1_000_000), "gzip", 1000)
    with pytest.raises(ApiError):
        inflated(b"not gzip", "gzip", 1000)
    assert inflated(b"plain", "", 1000) == b"plain"


def test_boto3s_own_compression_and_checksums_arrive(live: str) -> None:
    config = Config(retries={"max_attempts": 0}, request_min_compression_size_bytes=100)
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
    options = {"endpoint_url": live, "region_name": REGION, "config": config, **keys}
    metrics = boto3.client("cloudwatch", **options)  # type: ignore[call-overload]
    metrics.put_metric_data(Namespace="n" * 200, MetricData=[{"MetricName": "m", "Value": 1.5}])
    assert environment.requests[-1].params["MetricData"] == [{"MetricName": "m", "Value": 1.5}]
    store = boto3.client("s3", **options)  # type: ignore[call-overload]
    data = bytes(range(256)) * 5000
    store.put_object(Bucket="b", Key="big", Body=io.BytesIO(data), ChecksumAlgorithm="SHA256")
    assert environment.objects["b", "big"] == data
    assert now() - environment.requests[-1].http.now < 60
