"""Multipart uploads through boto3."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest

from eucapy.walrus import checksums
from tests.walrus.conftest import Refused
from tests.walrus.server import Store

MIB = 1 << 20


def start(s3: Any, bucket: str, key: str = "k", **options: Any) -> str:
    return str(s3.create_multipart_upload(Bucket=bucket, Key=key, **options)["UploadId"])


def send(s3: Any, bucket: str, upload: str, number: int, data: bytes, key: str = "k", **options: Any) -> dict[str, Any]:
    answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=data, **options)
    sums = {member: answer[member] for member in checksums.MEMBERS.values() if member in answer}
    return {"PartNumber": number, "ETag": answer["ETag"], **sums}


def complete(s3: Any, bucket: str, upload: str, parts: list[dict[str, Any]], key: str = "k", **options: Any) -> Any:
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **options
    )


def test_parts_become_an_object_without_being_copied(store: Store, s3: Any, bucket: str) -> None:
    data = [os.urandom(5 * MIB), os.urandom(5 * MIB + 1), os.urandom(123)]
    upload = start(s3, bucket, ContentType="text/x", Metadata={"a": "b"}, Tagging="t=1")
    before = store.blobs()
    parts = [send(s3, bucket, upload, 3 * n + 2, piece) for n, piece in enumerate(data)]
    made = store.blobs() - before
    answer = complete(s3, bucket, upload, parts)
    joined = b"".join(hashlib.md5(piece).digest() for piece in data)
    assert answer["ETag"] == f'"{hashlib.md5(joined).hexdigest()}-3"'
    assert (answer["Bucket"], answer["Key"]) == (bucket, "k")
    assert answer["Location"].endswith(f"/{bucket}/k")
    assert store.blobs() - before == made
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"".join(data)
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("text/x", {"a": "b"}, 1)
    whole = b"".join(data)
    for first, last in [(0, 9), (5 * MIB - 3, 5 * MIB + 3), (5 * MIB, 10 * MIB + 1), (10 * MIB - 5, len(whole) - 1)]:
        ranged = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
        assert ranged["Body"].read() == whole[first : last + 1]
    for number, piece in enumerate(data, 1):
        part = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert part["Body"].read() == piece
        assert (part["PartsCount"], part["ResponseMetadata"]["HTTPStatusCode"]) == (3, 206)
        assert s3.head_object(Bucket=bucket, Key="k", PartNumber=number)["ContentLength"] == len(piece)


def test_a_part_number_past_the_end(s3: Any, bucket: str, refused: Refused) -> None:
    upload = start(s3, bucket)
    complete(s3, bucket, upload, [send(s3, bucket, upload, 1, b"x")])
    with refused("InvalidPartNumber", 416):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=2)
    s3.put_object(Bucket=bucket, Key="single", Body=b"whole")
    assert s3.get_object(Bucket=bucket, Key="single", PartNumber=1)["Body"].read() == b"whole"


def test_the_last_writer_of_a_part_wins_and_the_others_bytes_go(store: Store, s3: Any, bucket: str) -> None:
    before = store.blobs()
    upload = start(s3, bucket)
    send(s3, bucket, upload, 1, b"first")
    part = send(s3, bucket, upload, 1, b"second")
    send(s3, bucket, upload, 2, b"left out")
    complete(s3, bucket, upload, [part])
    assert len(store.blobs() - before) == 1
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"second"


def test_an_aborted_upload_leaves_nothing(store: Store, s3: Any, bucket: str, refused: Refused) -> None:
    before = store.blobs()
    upload = start(s3, bucket)
    send(s3, bucket, upload, 1, bytes(MIB))
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    assert store.blobs() == before
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    with refused("NoSuchUpload", 404):
        s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    with refused("NoSuchUpload", 404):
        send(s3, bucket, upload, 1, b"x")


def test_what_complete_refuses(s3: Any, bucket: str, refused: Refused) -> None:
    upload = start(s3, bucket)
    small, other = send(s3, bucket, upload, 1, b"small"), send(s3, bucket, upload, 2, b"other")
    with refused("EntityTooSmall", 400):
        complete(s3, bucket, upload, [small, other])
    with refused("InvalidPartOrder", 400):
        complete(s3, bucket, upload, [other, small])
    with refused("InvalidPart", 400):
        complete(s3, bucket, upload, [{**small, "ETag": '"0"'}])
    with refused("InvalidPart", 400):
        complete(s3, bucket, upload, [{**small, "PartNumber": 7}])
    with refused("InvalidRequest", 400):
        complete(s3, bucket, upload, [])
    with refused("MalformedXML", 400):
        s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    with refused("NoSuchUpload", 404):
        s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId="no-such-upload")
    with refused("NoSuchUpload", 404):
        complete(s3, bucket, "no-such-upload", [small])
    with refused("NoSuchUpload", 404):
        complete(s3, bucket, upload, [small], key="another-key")
    with refused("InvalidRequest", 400):
        complete(s3, bucket, upload, [small], MpuObjectSize=99)
    complete(s3, bucket, upload, [small], MpuObjectSize=5)


def test_complete_twice_is_complete_once(s3: Any, bucket: str, refused: Refused) -> None:
    upload = start(s3, bucket)
    parts = [send(s3, bucket, upload, 1, b"x")]
    first = complete(s3, bucket, upload, parts)
    assert complete(s3, bucket, upload, parts)["ETag"] == first["ETag"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"newer")
    with refused("NoSuchUpload", 404):
        complete(s3, bucket, upload, parts)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"newer"


def test_conditional_complete(s3: Any, bucket: str, refused: Refused) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"there")
    upload = start(s3, bucket)
    parts = [send(s3, bucket, upload, 1, b"x")]
    with refused("PreconditionFailed", 412):
        complete(s3, bucket, upload, parts, IfNoneMatch="*")
    s3.delete_object(Bucket=bucket, Key="k")
    with refused("ConditionalRequestConflict", 409):
        complete(s3, bucket, upload, parts, IfNoneMatch="*")
    upload = start(s3, bucket)
    parts = [send(s3, bucket, upload, 1, b"x")]
    complete(s3, bucket, upload, parts, IfNoneMatch="*")


def test_a_conditional_complete_does_not_outdo_what_was_written_since_its_upload_began(
    s3: Any, bucket: str, refused: Refused
) -> None:
    before = s3.put_object(Bucket=bucket, Key="k", Body=b"before")["ETag"]
    upload = start(s3, bucket)
    parts = [send(s3, bucket, upload, 1, b"x")]
    since = s3.put_object(Bucket=bucket, Key="k", Body=b"since")["ETag"]
    with refused("PreconditionFailed", 412):
        complete(s3, bucket, upload, parts, IfMatch=before)
    with refused("ConditionalRequestConflict", 409):
        complete(s3, bucket, upload, parts, IfMatch=since)
    with refused("NotImplemented", 501):
        complete(s3, bucket, upload, parts, IfMatch=since, IfNoneMatch="*")
    complete(s3, bucket, upload, parts)


@pytest.mark.parametrize("number", [0, 10_001, -1])
def test_part_numbers_go_from_1_to_10000(s3: Any, bucket: str, number: int, refused: Refused) -> None:
    upload = start(s3, bucket)
    with refused("InvalidArgument", 400):
        send(s3, bucket, upload, number, b"x")


def test_parts_are_listed_in_pages(s3: Any, bucket: str, refused: Refused) -> None:
    upload = start(s3, bucket, StorageClass="STANDARD_IA")
    for number in (1, 3, 10):
        send(s3, bucket, upload, number, b"x" * number)
    first = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload, MaxParts=2)
    assert [(part["PartNumber"], part["Size"]) for part in first["Parts"]] == [(1, 1), (3, 3)]
    assert (first["IsTruncated"], first["NextPartNumberMarker"], first["StorageClass"]) == (True, 3, "STANDARD_IA")
    rest = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload, PartNumberMarker=3)
    assert ([part["PartNumber"] for part in rest["Parts"]], rest["IsTruncated"]) == ([10], False)
    with refused("InvalidArgument", 400):
        s3.list_parts(Bucket=bucket, Key="k", UploadId=upload, PartNumberMarker=-1)


def test_uploads_are_listed_in_pages(s3: Any, bucket: str) -> None:
    made = sorted(
        [(key, start(s3, bucket, key)) for key in ("a", "a", "b/1", "b/2", "c")],
    )
    for size in (1, 2, 1000):
        pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
        assert [(u["Key"], u["UploadId"]) for page in pages for u in page.get("Uploads", [])] == made
    rolled = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [found["Prefix"] for found in rolled["CommonPrefixes"]] == ["b/"]
    assert [u["Key"] for u in rolled["Uploads"]] == ["a", "a", "c"]
    assert [u["Key"] for u in s3.list_multipart_uploads(Bucket=bucket, Prefix="b/")["Uploads"]] == ["b/1", "b/2"]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_full_object_checksums_are_put_together(s3: Any, bucket: str, algorithm: str, refused: Refused) -> None:
    data = [os.urandom(5 * MIB), os.urandom(77)]
    upload = start(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    parts = [send(s3, bucket, upload, n, piece, ChecksumAlgorithm=algorithm) for n, piece in enumerate(data, 1)]
    running = checksums.running(algorithm)
    running.update(b"".join(data))
    right, member = checksums.encode(running.digest()), checksums.MEMBERS[algorithm]
    wrong = checksums.encode(bytes(checksums.WIDTHS[algorithm]))
    with refused("BadDigest", 400):
        complete(s3, bucket, upload, parts, **{member: wrong})
    answer = complete(s3, bucket, upload, parts, **{member: right})
    assert (answer[member], answer["ChecksumType"]) == (right, "FULL_OBJECT")


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_composite_checksums(s3: Any, bucket: str, algorithm: str) -> None:
    data = [os.urandom(5 * MIB), os.urandom(77)]
    upload = start(s3, bucket, ChecksumAlgorithm=algorithm)
    parts = [send(s3, bucket, upload, n, piece, ChecksumAlgorithm=algorithm) for n, piece in enumerate(data, 1)]
    member = checksums.MEMBERS[algorithm]
    answer = complete(s3, bucket, upload, parts)
    assert answer[member] == checksums.composite(algorithm, [part[member] for part in parts])
    assert answer["ChecksumType"] == "COMPOSITE"
    found = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts", "Checksum"])
    assert found["ObjectParts"]["TotalPartsCount"] == 2
    assert [part[member] for part in found["ObjectParts"]["Parts"]] == [part[member] for part in parts]
    assert found["Checksum"] == {member: answer[member].removesuffix("-2"), "ChecksumType": "COMPOSITE"}
    assert answer[member].endswith("-2")
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[member] == answer[member]


def test_checksum_types_that_there_are_not(s3: Any, bucket: str, refused: Refused) -> None:
    for algorithm, kind in (("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")):
        with refused("InvalidRequest", 400):
            start(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType=kind)


def test_a_part_with_another_algorithm_is_refused(s3: Any, bucket: str, refused: Refused) -> None:
    upload = start(s3, bucket, ChecksumAlgorithm="SHA256")
    with refused("InvalidRequest", 400):
        send(s3, bucket, upload, 1, b"x", ChecksumAlgorithm="CRC32")


def test_a_bucket_goes_with_its_open_uploads(store: Store, s3: Any, bucket: str) -> None:
    before = store.blobs()
    send(s3, bucket, start(s3, bucket), 1, bytes(MIB))
    s3.delete_bucket(Bucket=bucket)
    assert store.blobs() == before


@pytest.mark.parametrize(("algorithm", "kind"), [("CRC32", "FULL_OBJECT"), ("SHA256", "COMPOSITE")])
def test_a_part_is_read_with_its_own_checksum(s3: Any, bucket: str, algorithm: str, kind: str) -> None:
    options = {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", **options)["UploadId"]
    sent = [
        s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=n, Body=body, ChecksumAlgorithm=algorithm)
        for n, body in ((1, b"x" * (5 << 20)), (2, b"y"))
    ]
    member = f"Checksum{algorithm}"
    parts = [{"PartNumber": n, "ETag": part["ETag"], member: part[member]} for n, part in enumerate(sent, 1)]
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    for call in (s3.get_object, s3.head_object):
        answer = call(Bucket=bucket, Key="k", PartNumber=2, ChecksumMode="ENABLED")
        assert (answer[member], answer["ChecksumType"]) == (sent[1][member], kind)
    listed = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"])["ObjectParts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed["Parts"]] == [(1, 5 << 20), (2, 1)]
    assert listed["Parts"][1].get(member) == (sent[1][member] if kind == "COMPOSITE" else None)
