"""Objects in and out, through boto3: bytes, headers, conditions, ranges, checksums."""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from datetime import timedelta
from typing import Any

import pytest

from eucapy.walrus import checksums
from tests.walrus.conftest import Refused
from tests.walrus.server import Store

SIZES = [0, 1, 4096, 16 << 10, (16 << 10) + 1, 200_000, 1 << 20, (3 << 20) + 7]


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.mark.parametrize("size", SIZES)
def test_what_is_put_comes_back(s3: Any, bucket: str, size: int) -> None:
    data = os.urandom(size)
    assert s3.put_object(Bucket=bucket, Key="k", Body=data)["ETag"] == f'"{md5(data)}"'
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == data
    assert (got["ContentLength"], got["ETag"]) == (size, f'"{md5(data)}"')
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["ETag"]) == (size, f'"{md5(data)}"')
    assert head["LastModified"] == got["LastModified"]


# fmt: off
KEYS = [
    "a", "a/b/c", "sp ace", "plus+plus", "é/ü/漢字", "\U0001f600", "?query", "per%20cent", "a//b", "./x", "..", "~!*'()",
    "x" * 1024, "tab\there", "&amp;<xml>", "trailing/",
]
# fmt: on


@pytest.mark.parametrize("key", KEYS)
def test_any_key_that_s3_has(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    s3.delete_object(Bucket=bucket, Key=key)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_key_past_1024_bytes_is_refused(s3: Any, bucket: str, refused: Refused) -> None:
    with refused("KeyTooLongError", 400):
        s3.put_object(Bucket=bucket, Key="é" * 513, Body=b"")


def test_headers_and_metadata_are_kept(s3: Any, bucket: str) -> None:
    kept = {
        "ContentType": "text/plain; charset=utf-8",
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="x.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "WebsiteRedirectLocation": "/elsewhere",
        "StorageClass": "STANDARD_IA",
        "Metadata": {"one": "1", "two-words": "two words"},
    }
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Expires="Thu, 01 Dec 2033 16:00:00 GMT", **kept)
    for answer in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        assert {name: answer[name] for name in kept} == kept
        assert answer["ExpiresString"] == "Thu, 01 Dec 2033 16:00:00 GMT"


def test_defaults_are_those_of_s3(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ContentType"] == "binary/octet-stream"
    assert head["AcceptRanges"] == "bytes"
    assert head["Metadata"] == {}
    for absent in ("StorageClass", "VersionId", "CacheControl", "ContentEncoding", "TagCount"):
        assert absent not in head


def test_metadata_past_2_kib_is_refused(s3: Any, bucket: str, refused: Refused) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"a": "x" * 2047})
    with refused("MetadataTooLarge", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"a": "x" * 2048})


def test_response_overrides(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    got = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseContentType="image/png",
        ResponseCacheControl="no-store",
        ResponseContentDisposition="inline",
        ResponseContentEncoding="identity",
        ResponseContentLanguage="fr",
    )
    assert got["ContentType"] == "image/png"
    assert got["CacheControl"] == "no-store"
    assert got["ContentDisposition"] == "inline"
    assert got["ContentEncoding"] == "identity"
    assert got["ContentLanguage"] == "fr"


def test_an_overwrite_wins_whole(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=bytes(100_000), ContentType="a/b", Metadata={"old": "1"}, Tagging="a=1")
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"new"
    assert (got["ContentType"], got["Metadata"]) == ("binary/octet-stream", {})
    assert "TagCount" not in got


def test_what_is_not_there(s3: Any, bucket: str, refused: Refused) -> None:
    with refused("NoSuchKey", 404) as caught:
        s3.get_object(Bucket=bucket, Key="nothing")
    assert caught.value.response["Error"]["Key"] == "nothing"
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="nothing")
    s3.delete_object(Bucket=bucket, Key="nothing")
    with refused("NoSuchBucket", 404):
        s3.put_object(Bucket="there-is-no-such-bucket", Key="k", Body=b"x")


@pytest.mark.parametrize("size", [10_000, 2_500_000])
def test_ranges(s3: Any, bucket: str, size: int, refused: Refused) -> None:
    data = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    last = size - 1
    for asked, first, end in [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        (f"bytes={last}-", last, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=-{size * 2}", 0, size),
        (f"bytes=100-{size * 2}", 100, size),
        (f"bytes=1000-{last - 1000}", 1000, size - 1000),
    ]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=asked)
        assert got["Body"].read() == data[first:end], asked
        assert got["ContentRange"] == f"bytes {first}-{end - 1}/{size}"
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["ContentLength"] == end - first
        head = s3.head_object(Bucket=bucket, Key="k", Range=asked)
        assert head["ContentLength"] == end - first
    for ignored in ("bytes=9-5", "lines=1-2", "bytes=a-b", "bytes=0-1,3-4", "bytes=-"):
        assert s3.get_object(Bucket=bucket, Key="k", Range=ignored)["Body"].read() == data
    for outside in (f"bytes={size}-", f"bytes={size + 5}-{size + 9}", "bytes=-0"):
        with refused("InvalidRange", 416) as caught:
            s3.get_object(Bucket=bucket, Key="k", Range=outside)
        assert caught.value.response["Error"]["ActualObjectSize"] == str(size)


def test_conditional_reads(s3: Any, bucket: str, refused: Refused) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    when = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    early, late = when - timedelta(seconds=5), when + timedelta(seconds=5)
    for call in (s3.get_object, s3.head_object):
        for passes in (
            {"IfMatch": etag},
            {"IfMatch": "*"},
            {"IfMatch": f'"other", {etag}'},
            {"IfNoneMatch": '"other"'},
            {"IfModifiedSince": late},  # still to come: no condition
            {"IfModifiedSince": early},
            {"IfUnmodifiedSince": when},
            {"IfMatch": etag, "IfUnmodifiedSince": early},
            {"IfNoneMatch": '"other"', "IfModifiedSince": late},
        ):
            call(Bucket=bucket, Key="k", **passes)
    for same in ({"IfNoneMatch": etag}, {"IfNoneMatch": "*"}, {"IfModifiedSince": when}):
        with refused("304", 304) as caught:
            s3.get_object(Bucket=bucket, Key="k", **same)
        assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["etag"] == etag
    for failed, condition in (
        ({"IfMatch": '"other"'}, "If-Match"),
        ({"IfUnmodifiedSince": early}, "If-Unmodified-Since"),
    ):
        with refused("PreconditionFailed", 412) as caught:
            s3.get_object(Bucket=bucket, Key="k", **failed)
        assert caught.value.response["Error"]["Condition"] == condition


def test_conditional_writes(s3: Any, bucket: str, refused: Refused) -> None:
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    second = s3.put_object(Bucket=bucket, Key="k", Body=bytes(50_000), IfMatch=first)["ETag"]
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=first)
    with refused("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="absent", Body=b"3", IfMatch=first)
    with refused("PreconditionFailed", 412):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=first)
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=second)


def test_of_many_writers_who_want_to_be_first_one_is(store: Store, s3: Any, bucket: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from botocore.exceptions import ClientError

    def write(n: int) -> int | None:
        try:
            s3.put_object(Bucket=bucket, Key="lock", Body=b"%d" % n * 20_000, IfNoneMatch="*")
        except ClientError:
            return None
        return n

    with ThreadPoolExecutor(12) as pool:
        winners = [n for n in pool.map(write, range(24)) if n is not None]
    assert len(winners) == 1
    assert s3.get_object(Bucket=bucket, Key="lock")["Body"].read() == b"%d" % winners[0] * 20_000


def test_content_md5_is_checked(s3: Any, bucket: str, refused: Refused) -> None:
    good = base64.b64encode(hashlib.md5(b"data").digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ContentMD5=good)
    with refused("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"tada", ContentMD5=good)
    with refused("InvalidDigest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"data", ContentMD5="bm90IGFuIG1kNQ==")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"data"


def value_of(algorithm: str, data: bytes) -> str:
    running = checksums.running(algorithm)
    running.update(data)
    return checksums.encode(running.digest())


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
@pytest.mark.parametrize("size", [11, 300_000])
def test_checksums_are_verified_stored_and_returned(
    s3: Any, bucket: str, algorithm: str, size: int, refused: Refused
) -> None:
    data = os.urandom(size)
    member, right = checksums.MEMBERS[algorithm], value_of(algorithm, data)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, **{member: right})
    assert (put[member], put["ChecksumType"]) == (right, "FULL_OBJECT")
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[member] == right
    assert member not in s3.head_object(Bucket=bucket, Key="k")
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert listed["ChecksumAlgorithm"] == [algorithm]
    with refused("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=data[::-1] + b"x", **{member: right})
    with refused("InvalidRequest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=data, **{member: "bm90IG9uZQ"})
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == data


def test_two_checksums_at_once_are_refused(s3: Any, bucket: str, refused: Refused) -> None:
    with refused("InvalidRequest", 400):
        s3.put_object(
            Bucket=bucket,
            Key="k",
            Body=b"d",
            ChecksumCRC32=value_of("CRC32", b"d"),
            ChecksumSHA1=value_of("SHA1", b"d"),
        )


def test_an_object_without_a_checksum_gets_one(store: Store, bucket: str) -> None:
    from tests.walrus.server import client

    plain = client(store.port, request_checksum_calculation="when_required")
    plain.put_object(Bucket=bucket, Key="k", Body=b"abc")
    head = plain.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == value_of("CRC64NVME", b"abc")
    plain.close()


def test_object_attributes(s3: Any, bucket: str, refused: Refused) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"abc", ChecksumAlgorithm="SHA256")
    wanted = ["ETag", "Checksum", "StorageClass", "ObjectSize", "ObjectParts"]
    found = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)
    assert found["ETag"] == md5(b"abc")
    assert found["Checksum"] == {"ChecksumSHA256": value_of("SHA256", b"abc"), "ChecksumType": "FULL_OBJECT"}
    assert (found["StorageClass"], found["ObjectSize"]) == ("STANDARD", 3)
    assert "ObjectParts" not in found


def test_tags_of_an_object(s3: Any, bucket: str, refused: Refused) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&b=two%20words")
    assert s3.head_object(Bucket=bucket, Key="k")["TagCount"] == 2
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [
        {"Key": "a", "Value": "1"},
        {"Key": "b", "Value": "two words"},
    ]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "c", "Value": "3"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "c", "Value": "3"}]
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    many = {"TagSet": [{"Key": str(n), "Value": ""} for n in range(11)]}
    with refused("BadRequest", 400):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=many)
    twice = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}
    with refused("InvalidTag", 400):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=twice)
    with refused("NoSuchKey", 404):
        s3.get_object_tagging(Bucket=bucket, Key="absent")
    theirs = {"TagSet": [{"Key": "AWS:mine", "Value": "1"}]}
    with refused("InvalidTag", 400) as of_object:
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=theirs)
    with refused("InvalidTag", 400) as of_bucket:
        s3.put_bucket_tagging(Bucket=bucket, Tagging=theirs)
    assert "Your TagKey cannot be prefixed with aws:" in str(of_object.value)
    assert "System tags cannot be added/updated by requester" in str(of_bucket.value)


def test_many_are_deleted_at_once(s3: Any, bucket: str, refused: Refused) -> None:
    for n in range(5):
        s3.put_object(Bucket=bucket, Key=f"k{n}", Body=b"x" * n * 10_000)
    keys = [{"Key": f"k{n}"} for n in range(4)] + [{"Key": "absent"}]
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})
    assert [found["Key"] for found in deleted["Deleted"]] == ["k0", "k1", "k2", "k3", "absent"]
    assert "Errors" not in deleted
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k4"}], "Quiet": True})
    assert "Deleted" not in quiet
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    with refused("MalformedXML", 400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": []})
    with refused("MalformedXML", 400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": str(n)} for n in range(1001)]})


def test_what_is_wrong_with_one_key_is_said_beside_it(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="good", Body=b"x")
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    answer = s3.delete_objects(
        Bucket=bucket,
        Delete={
            "Objects": [{"Key": "kept", "ETag": '"other"'}, {"Key": "good"}, {"Key": "k", "VersionId": "nonsense"}]
        },
    )
    assert [found["Key"] for found in answer["Deleted"]] == ["good"]
    assert [(found["Key"], found["Code"]) for found in answer["Errors"]] == [
        ("kept", "PreconditionFailed"),
        ("k", "NoSuchVersion"),
    ]
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["kept"]


def test_replaced_and_deleted_bytes_leave_the_disk(store: Store, s3: Any, bucket: str) -> None:
    before = store.blobs()
    s3.put_object(Bucket=bucket, Key="k", Body=bytes(100_000))
    s3.put_object(Bucket=bucket, Key="k", Body=bytes(100_001))
    assert len(store.blobs() - before) == 1
    s3.delete_object(Bucket=bucket, Key="k")
    assert store.blobs() <= before


def test_crc32_is_zlibs() -> None:
    assert base64.b64decode(value_of("CRC32", b"123456789")) == zlib.crc32(b"123456789").to_bytes(4, "big")
    assert base64.b64decode(value_of("CRC64NVME", b"123456789")).hex() == "ae8b14860a799888"
    assert base64.b64decode(value_of("CRC32C", b"123456789")).hex() == "e3069283"


def test_a_write_may_ask_that_its_key_holds_something_else(s3: Any, bucket: str, refused: Refused) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch='"any"')["ETag"]
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch=etag)
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch='"any"')
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"


def test_aws_chunked_is_no_encoding_of_an_object(s3: Any, bucket: str) -> None:
    for given, kept in (("gzip, aws-chunked", "gzip"), ("aws-chunked", None), ("br,gzip", "br,gzip")):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", ContentEncoding=given)
        assert s3.head_object(Bucket=bucket, Key="k").get("ContentEncoding") == kept


def test_a_tag_may_come_without_a_value(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="a=1&b")
    tags = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]
