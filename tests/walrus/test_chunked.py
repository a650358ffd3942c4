"""Bodies in aws-chunked form: signed chunks, trailers, checksums behind the body, and every way to get them wrong."""

from __future__ import annotations

import os
from typing import Any

import pytest

from eucapy.walrus import checksums
from tests.walrus.server import Store
from tests.walrus.signing import Signer, path_of, unsigned_chunks


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    """What is tested here does not depend on the database."""
    return sqlite_store


SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
MODERN = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]


def checksum(algorithm: str, data: bytes) -> str:
    running = checksums.running(algorithm)
    running.update(data)
    return checksums.encode(running.digest())


def split(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [0, 1, 70_000, 1_500_000])
def test_signed_chunks(store: Store, s3: Any, bucket: str, size: int) -> None:
    data = os.urandom(size)
    signer = Signer(store.port)
    extra = {"x-amz-decoded-content-length": str(size), "content-encoding": "aws-chunked,gzip"}
    headers = signer.headers("PUT", path_of(bucket, "k"), payload=SIGNED, extra=extra)
    status, body, _ = signer.send("PUT", path_of(bucket, "k"), headers, signer.chunks(split(data, 65536)))
    assert status == 200, body
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == data
    assert got["ContentEncoding"] == "gzip"


@pytest.mark.parametrize("algorithm", MODERN)
def test_signed_chunks_with_a_trailer(store: Store, s3: Any, bucket: str, algorithm: str) -> None:
    data = os.urandom(100_000)
    name, value = checksums.HEADERS[algorithm], checksum(algorithm, data)
    signer = Signer(store.port)
    extra = {"x-amz-decoded-content-length": str(len(data)), "x-amz-trailer": name}
    headers = signer.headers("PUT", path_of(bucket, "k"), payload=SIGNED_TRAILER, extra=extra)
    body = signer.chunks(split(data, 30_000), (name, value))
    status, answer, said = signer.send("PUT", path_of(bucket, "k"), headers, body)
    assert status == 200, answer
    assert said[name] == value
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[checksums.MEMBERS[algorithm]] == value


@pytest.mark.parametrize("algorithm", MODERN)
@pytest.mark.parametrize("size", [5, 200_000])
def test_unsigned_chunks_with_a_trailer(store: Store, s3: Any, bucket: str, algorithm: str, size: int) -> None:
    data = os.urandom(size)
    name = checksums.HEADERS[algorithm]
    signer = Signer(store.port)
    extra = {"x-amz-decoded-content-length": str(size), "x-amz-trailer": name}
    headers = signer.headers("PUT", path_of(bucket, "k"), payload=UNSIGNED_TRAILER, extra=extra)
    body = unsigned_chunks(split(data, 50_000), (name, checksum(algorithm, data)))
    status, answer, _ = signer.send("PUT", path_of(bucket, "k"), headers, body)
    assert status == 200, answer
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == data


@pytest.mark.parametrize("size", [5, 200_000])
def test_a_wrong_trailer_is_refused_and_nothing_is_kept(store: Store, s3: Any, bucket: str, size: int) -> None:
    data = os.urandom(size)
    before = store.blobs()
    signer = Signer(store.port)
    extra = {"x-amz-decoded-content-length": str(size), "x-amz-trailer": "x-amz-checksum-crc32"}
    for value in (checksum("CRC32", data + b"x"), "nonsense"):
        headers = signer.headers("PUT", path_of(bucket, "k"), payload=UNSIGNED_TRAILER, extra=extra)
        body = unsigned_chunks([data], ("x-amz-checksum-crc32", value))
        status, answer, _ = signer.send("PUT", path_of(bucket, "k"), headers, body)
        assert status == 400, answer
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert store.blobs() == before


@pytest.mark.parametrize("size", [100, 200_000])
@pytest.mark.parametrize("flip", [0.2, 0.5, 0.9])
def test_a_changed_byte_in_a_signed_chunk_is_found(store: Store, s3: Any, bucket: str, size: int, flip: float) -> None:
    signer = Signer(store.port)
    extra = {"x-amz-decoded-content-length": str(size)}
    headers = signer.headers("PUT", path_of(bucket, "k"), payload=SIGNED, extra=extra)
    body = bytearray(signer.chunks(split(bytes(size), 65536)))
    at = body.index(b"\0" * 50) + int(size * flip) % 60_000
    body[at] ^= 1
    status, answer, _ = signer.send("PUT", path_of(bucket, "k"), headers, bytes(body))
    assert status in (400, 403), answer
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("said", [-1, 1, 100])
def test_a_decoded_length_that_is_not_true_is_refused(store: Store, s3: Any, bucket: str, said: int) -> None:
    data = os.urandom(70_000)
    signer = Signer(store.port)
    extra = {"x-amz-decoded-content-length": str(len(data) + said)}
    headers = signer.headers("PUT", path_of(bucket, "k"), payload=SIGNED, extra=extra)
    status, answer, _ = signer.send("PUT", path_of(bucket, "k"), headers, signer.chunks([data]))
    assert (status, b"IncompleteBody" in answer) == (400, True), answer
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_parts_come_in_chunks_too(store: Store, s3: Any, bucket: str) -> None:
    data = os.urandom(300_000)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32C")["UploadId"]
    signer = Signer(store.port)
    value = checksum("CRC32C", data)
    extra = {"x-amz-decoded-content-length": str(len(data)), "x-amz-trailer": "x-amz-checksum-crc32c"}
    query = f"partNumber=1&uploadId={upload}"
    headers = signer.headers("PUT", path_of(bucket, "k"), query, UNSIGNED_TRAILER, extra)
    body = unsigned_chunks(split(data, 8192), ("x-amz-checksum-crc32c", value))
    status, answer, said = signer.send("PUT", f"{path_of(bucket, 'k')}?{query}", headers, body)
    assert status == 200, answer
    assert said["x-amz-checksum-crc32c"] == value
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="k",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": said["etag"], "ChecksumCRC32C": value}]},
    )
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == data


def test_a_wrong_payload_hash_is_refused(store: Store, s3: Any, bucket: str) -> None:
    signer = Signer(store.port)
    for size in (10, 100_000, 3 << 20):  # kept with the metadata, in one hop, in several
        status, answer, _ = signer.request("PUT", path_of(bucket, "k"), body=bytes(size), payload="0" * 64)
        assert (status, b"XAmzContentSHA256Mismatch" in answer) == (400, True)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
