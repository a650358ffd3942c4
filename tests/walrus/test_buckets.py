"""Buckets, through boto3."""

from __future__ import annotations

from typing import Any

import pytest

from eucapy.walrus.s3.buckets import is_valid_name
from tests.walrus.conftest import Refused
from tests.walrus.server import OTHER_ACCOUNT, Store, client


def test_a_bucket_is_made_listed_headed_and_deleted(s3: Any, bucket: str, refused: Refused) -> None:
    assert bucket in [found["Name"] for found in s3.list_buckets()["Buckets"]]
    head = s3.head_bucket(Bucket=bucket)
    assert head["BucketRegion"] == "us-east-1"
    assert head["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/xml"
    s3.delete_bucket(Bucket=bucket)
    with refused("404", 404):
        s3.head_bucket(Bucket=bucket)
    with refused("NoSuchBucket", 404):
        s3.list_objects_v2(Bucket=bucket)
    with refused("NoSuchBucket", 404):
        s3.delete_bucket(Bucket=bucket)


def test_the_location_is_what_the_bucket_was_made_with(s3: Any, bucket: str) -> None:
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    s3.create_bucket(Bucket="in-europe", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    assert s3.get_bucket_location(Bucket="in-europe")["LocationConstraint"] == "eu-central-1"
    assert s3.head_bucket(Bucket="in-europe")["BucketRegion"] == "eu-central-1"


def test_making_ones_own_bucket_again_succeeds_in_us_east_1_and_not_elsewhere(
    s3: Any, bucket: str, refused: Refused
) -> None:
    s3.create_bucket(Bucket=bucket)
    elsewhere = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="west-bucket", CreateBucketConfiguration=elsewhere)
    with refused("BucketAlreadyOwnedByYou", 409):
        s3.create_bucket(Bucket="west-bucket", CreateBucketConfiguration=elsewhere)


def test_a_name_that_another_account_has_is_taken(store: Store, bucket: str, refused: Refused) -> None:
    with refused("BucketAlreadyExists", 409):
        store.other.create_bucket(Bucket=bucket)
    assert bucket not in [found["Name"] for found in store.other.list_buckets()["Buckets"]]


def test_another_account_may_do_nothing(store: Store, s3: Any, bucket: str, refused: Refused) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret")
    other = store.other
    for call in (
        lambda: other.get_object(Bucket=bucket, Key="k"),
        lambda: other.put_object(Bucket=bucket, Key="k", Body=b"x"),
        lambda: other.delete_object(Bucket=bucket, Key="k"),
        lambda: other.list_objects_v2(Bucket=bucket),
        lambda: other.delete_bucket(Bucket=bucket),
        lambda: other.get_bucket_acl(Bucket=bucket),
    ):
        with refused("AccessDenied", 403):
            call()
    other.create_bucket(Bucket="others-bucket")
    with refused("AccessDenied", 403):
        other.copy_object(Bucket="others-bucket", Key="stolen", CopySource=f"{bucket}/k")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"secret"


def test_an_expected_owner_is_compared(s3: Any, bucket: str, refused: Refused) -> None:
    with refused("AccessDenied", 403):
        s3.put_object(Bucket=bucket, Key="k", Body=b"", ExpectedBucketOwner=OTHER_ACCOUNT)


def test_a_bucket_with_objects_or_versions_is_not_deleted(s3: Any, bucket: str, refused: Refused) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"]
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    for version_id in (version, marker):
        s3.delete_object(Bucket=bucket, Key="k", VersionId=version_id)
    s3.delete_bucket(Bucket=bucket)


@pytest.mark.parametrize("name", ["abc", "a.b-c", "0bucket0", "a" * 63])
def test_names_that_aws_takes(name: str) -> None:
    assert is_valid_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Abc",
        "a_b",
        "-ab",
        "ab-",
        "a..b",
        ".ab",
        "192.168.5.4",
        "xn--abc",
        "abc-s3alias",
        "ab\n",
        "ünder",
    ],
)
def test_names_that_aws_refuses(name: str) -> None:
    assert not is_valid_name(name)


def test_a_bad_name_is_answered_in_awss_words(store: Store, refused: Refused) -> None:
    lax = store.s3
    with refused("InvalidBucketName", 400):
        lax.create_bucket(Bucket="Upper.Case")


def test_buckets_are_listed_in_pages(s3: Any) -> None:
    for n in range(4):
        s3.create_bucket(Bucket=f"paged-{n}")
    first = s3.list_buckets(Prefix="paged-", MaxBuckets=3)
    assert [found["Name"] for found in first["Buckets"]] == ["paged-0", "paged-1", "paged-2"]
    rest = s3.list_buckets(Prefix="paged-", MaxBuckets=3, ContinuationToken=first["ContinuationToken"])
    assert [found["Name"] for found in rest["Buckets"]] == ["paged-3"]
    assert "ContinuationToken" not in rest


def test_bucket_tags(s3: Any, bucket: str, refused: Refused) -> None:
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)
    tags = [{"Key": "team", "Value": "a b"}, {"Key": "x", "Value": ""}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)


def test_acls_say_that_all_is_the_owners_and_take_nothing_else(s3: Any, bucket: str, refused: Refused) -> None:
    acl = s3.get_bucket_acl(Bucket=bucket)
    assert [grant["Permission"] for grant in acl["Grants"]] == ["FULL_CONTROL"]
    assert acl["Grants"][0]["Grantee"]["ID"] == acl["Owner"]["ID"]
    with refused("AccessControlListNotSupported", 400):
        s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    with refused("AccessControlListNotSupported", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"", ACL="public-read")
    s3.put_object(Bucket=bucket, Key="k", Body=b"", ACL="private")  # what the owner's object is anyway; tools send it
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k", ACL="private")
    with refused("AccessControlListNotSupported", 400):
        s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_object(Bucket=bucket, Key="k", Body=b"", ACL="bucket-owner-full-control")
    with refused("AccessControlListNotSupported", 400):
        s3.put_object_acl(Bucket=bucket, Key="k", ACL="bucket-owner-full-control")
    policy = {"Owner": acl["Owner"], "Grants": acl["Grants"]}
    s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=policy)
    assert s3.get_object_acl(Bucket=bucket, Key="k")["Grants"][0]["Permission"] == "FULL_CONTROL"
    controls = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    assert controls["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_where_acls_are_allowed_public_ones_are_blocked(s3: Any, refused: Refused) -> None:
    s3.create_bucket(Bucket="writers", ObjectOwnership="ObjectWriter")
    with refused("AccessDenied", 403):
        s3.put_object(Bucket="writers", Key="k", Body=b"", ACL="public-read")
    s3.put_bucket_versioning(Bucket="writers", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="writers", Key="k", Body=b"", ACL="private")
    s3.put_object_acl(Bucket="writers", Key="k", ACL="private")


@pytest.mark.parametrize(
    "call",
    [
        lambda s3, b: s3.put_object(Bucket=b, Key="k", Body=b"x", ServerSideEncryption="aws:kms:dsse"),
        lambda s3, b: s3.put_object(Bucket=b, Key="k", Body=b"x", WriteOffsetBytes=1),
    ],
)
def test_what_is_not_built_says_so_and_changes_nothing(s3: Any, bucket: str, refused: Refused, call: Any) -> None:
    with refused("NotImplemented", 501):
        call(s3, bucket)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("get_bucket_policy", "NoSuchBucketPolicy"),
        ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
        ("get_bucket_replication", "ReplicationConfigurationNotFoundError"),
        ("get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError"),
    ],
)
def test_what_was_never_set_is_not_there(s3: Any, bucket: str, refused: Refused, operation: str, code: str) -> None:
    with refused(code, 404):
        getattr(s3, operation)(Bucket=bucket)
    with refused("NoSuchBucket", 404):
        getattr(s3, operation)(Bucket="there-is-no-such-bucket")


def test_what_holds_where_nothing_was_set(s3: Any, bucket: str) -> None:
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    assert "TopicConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    assert s3.list_bucket_inventory_configurations(Bucket=bucket)["IsTruncated"] is False


def test_us_east_1_is_no_constraint(s3: Any, refused: Refused) -> None:
    for constraint in ("us-east-1", "Not A Region"):
        with refused("InvalidLocationConstraint", 400):
            s3.create_bucket(Bucket="constrained", CreateBucketConfiguration={"LocationConstraint": constraint})


def test_boto3_may_sign_with_version_2(store: Store, bucket: str) -> None:
    old = client(store.port, signature_version="s3")
    old.create_bucket(Bucket=f"{bucket}-v2")
    old.put_object(Bucket=f"{bucket}-v2", Key="k", Body=b"v")
    assert old.list_objects(Bucket=f"{bucket}-v2")["Contents"][0]["Key"] == "k"
    old.close()
