"""Versioning through boto3: what is current, what comes back, and what a delete marker hides."""

from __future__ import annotations

from typing import Any

import pytest

from tests.walrus.conftest import Refused
from tests.walrus.server import Store


@pytest.fixture
def versioned(s3: Any, bucket: str) -> str:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def put(s3: Any, bucket: str, data: bytes) -> str:
    return str(s3.put_object(Bucket=bucket, Key="k", Body=data)["VersionId"])


def body(s3: Any, bucket: str, **which: str) -> bytes:
    data: bytes = s3.get_object(Bucket=bucket, Key="k", **which)["Body"].read()
    return data


def test_the_state_is_none_until_set(s3: Any, bucket: str) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ("Enabled", "Suspended", "Enabled"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status


def test_every_version_stays_readable(s3: Any, versioned: str) -> None:
    versions = [put(s3, versioned, b"%d" % n * 30_000) for n in range(3)]
    assert len(set(versions)) == 3
    for n, version in enumerate(versions):
        assert body(s3, versioned, VersionId=version) == b"%d" % n * 30_000
    assert s3.head_object(Bucket=versioned, Key="k")["VersionId"] == versions[-1]


def test_a_delete_marker_hides_and_its_removal_reveals(s3: Any, versioned: str, refused: Refused) -> None:
    version = put(s3, versioned, b"x")
    marker = s3.delete_object(Bucket=versioned, Key="k")
    assert marker["DeleteMarker"] is True
    with refused("NoSuchKey", 404) as caught:
        body(s3, versioned)
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert (headers["x-amz-delete-marker"], headers["x-amz-version-id"]) == ("true", marker["VersionId"])
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    with refused("MethodNotAllowed", 405):
        body(s3, versioned, VersionId=marker["VersionId"])
    assert body(s3, versioned, VersionId=version) == b"x"
    removed = s3.delete_object(Bucket=versioned, Key="k", VersionId=marker["VersionId"])
    assert (removed["DeleteMarker"], removed["VersionId"]) == (True, marker["VersionId"])
    assert body(s3, versioned) == b"x"


def test_deleting_the_newest_version_brings_back_the_one_before(store: Store, s3: Any, versioned: str) -> None:
    before = store.blobs()
    first, second = put(s3, versioned, bytes(50_000)), put(s3, versioned, b"b" * 50_000)
    removed = s3.delete_object(Bucket=versioned, Key="k", VersionId=second)
    assert removed["VersionId"] == second and "DeleteMarker" not in removed
    assert s3.head_object(Bucket=versioned, Key="k")["VersionId"] == first
    assert len(store.blobs() - before) == 1


def test_a_version_that_is_not_there(s3: Any, versioned: str, refused: Refused) -> None:
    version = put(s3, versioned, b"x")
    s3.delete_object(Bucket=versioned, Key="k", VersionId=version)
    with refused("NoSuchVersion", 404):
        body(s3, versioned, VersionId=version)
    s3.delete_object(Bucket=versioned, Key="k", VersionId=version)
    with refused("InvalidArgument", 400):
        body(s3, versioned, VersionId="not-a-version")


def test_what_was_there_before_versioning_is_the_null_version(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.head_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    put(s3, bucket, b"after")
    assert body(s3, bucket, VersionId="null") == b"before"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert "VersionId" not in s3.put_object(Bucket=bucket, Key="k", Body=b"while suspended")
    assert body(s3, bucket, VersionId="null") == b"while suspended"
    found = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [entry["VersionId"] == "null" for entry in found] == [True, False]


def test_tags_belong_to_a_version(s3: Any, versioned: str) -> None:
    first, second = put(s3, versioned, b"1"), put(s3, versioned, b"2")
    tags = {"TagSet": [{"Key": "a", "Value": "1"}]}
    assert s3.put_object_tagging(Bucket=versioned, Key="k", VersionId=first, Tagging=tags)["VersionId"] == first
    assert s3.get_object_tagging(Bucket=versioned, Key="k", VersionId=first)["TagSet"] == tags["TagSet"]
    assert s3.get_object_tagging(Bucket=versioned, Key="k")["TagSet"] == []
    assert s3.get_object_tagging(Bucket=versioned, Key="k")["VersionId"] == second


def test_many_versions_are_deleted_at_once(s3: Any, versioned: str) -> None:
    versions = [put(s3, versioned, b"%d" % n) for n in range(3)]
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "k"}]})["Deleted"]
    assert answer[0]["DeleteMarker"] is True
    marker = answer[0]["DeleteMarkerVersionId"]
    doomed = [{"Key": "k", "VersionId": version} for version in [*versions, marker]]
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": doomed})["Deleted"]
    assert [found["VersionId"] for found in answer] == [*versions, marker]
    s3.delete_bucket(Bucket=versioned)
