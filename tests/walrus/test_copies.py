"""CopyObject and UploadPartCopy through boto3."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from typing import Any

import pytest

from tests.walrus.conftest import Refused
from tests.walrus.server import Store
from tests.walrus.test_uploads import MIB, complete, send, start


@pytest.mark.parametrize("size", [0, 10, 100_000, 3 * MIB])
def test_a_copy_is_the_same_and_stands_alone(s3: Any, bucket: str, size: int) -> None:
    data = os.urandom(size)
    put = s3.put_object(
        Bucket=bucket, Key="from here", Body=data, ContentType="a/b", Metadata={"m": "1"}, Tagging="t=1"
    )
    answer = s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from here"})
    assert answer["CopyObjectResult"]["ETag"] == put["ETag"]
    s3.delete_object(Bucket=bucket, Key="from here")
    got = s3.get_object(Bucket=bucket, Key="to")
    assert got["Body"].read() == data
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("a/b", {"m": "1"}, 1)


def test_a_large_copy_writes_no_data(store: Store, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=bytes(4 * MIB))
    before = store.blobs()
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    (clone,) = store.blobs() - before
    assert next((store.folder / "blobs").glob(f"??/{clone}")).stat().st_nlink == 2


def test_replacing_headers_and_tags(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="a/b", Metadata={"m": "1"}, Tagging="t=1")
    s3.copy_object(
        Bucket=bucket, Key="k", CopySource=f"{bucket}/k", MetadataDirective="REPLACE", ContentType="c/d",
        TaggingDirective="REPLACE", Tagging="u=2",
    )  # fmt: skip
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["ContentType"], got["Metadata"], got["Body"].read()) == ("c/d", {}, b"x")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "u", "Value": "2"}]


def test_a_buckets_encryption_is_a_change_to_what_is_copied_onto_itself(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    for _ in range(2):
        copied = s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k")
        assert copied["ServerSideEncryption"] == "AES256"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_what_a_copy_refuses(s3: Any, bucket: str, refused: Refused) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    when = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    source = f"{bucket}/k"
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source)
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/absent")
    with refused("NoSuchBucket", 404):
        s3.copy_object(Bucket=bucket, Key="to", CopySource="no-such-bucket-here/k")
    with refused("InvalidArgument", 400):
        s3.copy_object(Bucket=bucket, Key="to", CopySource="nonsense")
    for failed in (
        {"CopySourceIfMatch": '"other"'},
        {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfModifiedSince": when},
        {"CopySourceIfUnmodifiedSince": when - timedelta(seconds=5)},
    ):
        with refused("PreconditionFailed", 412):
            s3.copy_object(Bucket=bucket, Key="to", CopySource=source, **failed)
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, CopySourceIfMatch=etag)
    to_come = when + timedelta(days=1)
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, CopySourceIfModifiedSince=to_come)


def test_a_copy_of_parts_is_one_object(s3: Any, bucket: str) -> None:
    data = [os.urandom(5 * MIB), b"tail"]
    upload = start(s3, bucket)
    complete(s3, bucket, upload, [send(s3, bucket, upload, n, piece) for n, piece in enumerate(data, 1)])
    answer = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    whole = b"".join(data)
    assert answer["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(whole).hexdigest()}"'
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == whole


def test_a_copy_of_an_old_version(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"old")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    answer = s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k?versionId={old}")
    assert answer["CopySourceVersionId"] == old
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


def test_parts_copied_whole_and_by_range(s3: Any, bucket: str, refused: Refused) -> None:
    data = os.urandom(6 * MIB)
    s3.put_object(Bucket=bucket, Key="source", Body=data)
    s3.put_object(Bucket=bucket, Key="small", Body=b"0123456789")
    upload = start(s3, bucket)
    copied = []
    for number, source, span in ((1, "source", None), (2, "source", f"bytes=1-{5 * MIB}"), (3, "small", "bytes=2-4")):
        given = {"CopySourceRange": span} if span else {}
        answer = s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, CopySource=f"{bucket}/{source}", **given
        )
        copied.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    complete(s3, bucket, upload, copied)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == data + data[1 : 5 * MIB + 1] + b"234"
    again = start(s3, bucket)
    for bad in ("bytes=0-10", "bytes=3-1", "bytes=-3", "0-2"):
        with refused("InvalidArgument", 400):
            s3.upload_part_copy(
                Bucket=bucket, Key="k", UploadId=again, PartNumber=1, CopySource=f"{bucket}/small", CopySourceRange=bad
            )
