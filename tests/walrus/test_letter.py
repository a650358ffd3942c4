"""Answers as AWS was recorded to give them, in corners where a guess would be another one."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from eucapy.aws.errors import InvalidArgument
from eucapy.walrus.s3.copies import parse_source
from tests.walrus.conftest import Refused
from tests.walrus.server import KEY, SECRET, Store

FOLDER = ("folder/a/1", "folder/a/2", "folder/b")


def said(error: pytest.ExceptionInfo[ClientError]) -> dict[str, Any]:
    found: dict[str, Any] = error.value.response["Error"]
    return {name: value for name, value in found.items() if name not in ("HostId", "RequestId")}


def put(s3: Any, bucket: str, *keys: str) -> None:
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")


def test_a_marker_within_a_common_prefix_skips_all_of_it(s3: Any, bucket: str) -> None:
    put(s3, bucket, *FOLDER)
    for key in FOLDER:
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    page = {"Bucket": bucket, "Prefix": "folder/", "Delimiter": "/"}
    objects = s3.list_objects(Marker="folder/a/1", **page)
    assert ([found["Key"] for found in objects["Contents"]], "CommonPrefixes" in objects) == (["folder/b"], False)
    versions = s3.list_object_versions(KeyMarker="folder/a/1", **page)
    assert ([found["Key"] for found in versions["Versions"]], "CommonPrefixes" in versions) == (["folder/b"], False)
    uploads = s3.list_multipart_uploads(KeyMarker="folder/a/1", **page)
    assert ([found["Key"] for found in uploads["Uploads"]], "CommonPrefixes" in uploads) == (["folder/b"], False)


def test_a_page_goes_on_behind_a_version_that_was_deleted_meanwhile(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(4):
        put(s3, bucket, "k")
    whole = [found["VersionId"] for found in s3.list_object_versions(Bucket=bucket)["Versions"]]
    page = s3.list_object_versions(Bucket=bucket, MaxKeys=2)
    for version_id in whole[:2]:
        s3.delete_object(Bucket=bucket, Key="k", VersionId=version_id)
    rest = s3.list_object_versions(
        Bucket=bucket, KeyMarker=page["NextKeyMarker"], VersionIdMarker=page["NextVersionIdMarker"]
    )["Versions"]
    assert [(found["VersionId"], found["IsLatest"]) for found in rest] == [(whole[2], True), (whole[3], False)]


def test_a_token_says_where_to_go_on_and_not_where_the_listing_began(s3: Any, bucket: str) -> None:
    put(s3, bucket, "a", "b", "c")
    first = s3.list_objects_v2(Bucket=bucket, MaxKeys=1, StartAfter="a")
    assert first["StartAfter"] == "a"
    token = first["NextContinuationToken"]
    assert "StartAfter" not in s3.list_objects_v2(Bucket=bucket, StartAfter="a", ContinuationToken=token)


def test_uploads_are_listed_as_they_began_and_the_last_one_is_named_in_any_case(s3: Any, bucket: str) -> None:
    empty = s3.list_multipart_uploads(Bucket=bucket)
    assert (empty["NextKeyMarker"], empty["NextUploadIdMarker"]) == ("", "")
    ids = [s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"] for _ in range(5)]
    found = s3.list_multipart_uploads(Bucket=bucket)
    assert [each["UploadId"] for each in found["Uploads"]] == ids
    assert (found["NextKeyMarker"], found["NextUploadIdMarker"], found["IsTruncated"]) == ("k", ids[-1], False)


def test_an_empty_number_in_a_query_is_none(store: Store, s3: Any, bucket: str) -> None:
    free = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{store.port}",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=Config(parameter_validation=False, s3={"addressing_style": "path"}),
    )
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    asked = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    assert free.list_parts(PartNumberMarker="", MaxParts="", **asked)["MaxParts"] == 1000


def test_a_listing_of_buckets_that_is_filtered_names_their_arns(s3: Any, bucket: str, refused: Refused) -> None:
    found = s3.list_buckets(Prefix=bucket, MaxBuckets=1)["Buckets"]
    assert found[0]["BucketArn"] == f"arn:aws:s3:::{bucket}"
    with refused("InvalidArgument", 400) as error:
        s3.list_buckets(BucketRegion="eu-east-1")
    assert said(error)["Message"] == "Argument value eu-east-1 is not a valid AWS Region"


def test_a_range_of_all_has_the_checksum_of_all(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789", ChecksumAlgorithm="CRC32")
    whole = s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-100", ChecksumMode="ENABLED")
    assert (whole["ChecksumCRC32"], whole["ContentRange"]) == ("poTHxg==", "bytes 0-9/10")
    assert "ChecksumCRC32" not in s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-8", ChecksumMode="ENABLED")


def test_a_copied_part_has_a_checksum_where_its_upload_has_one(s3: Any, bucket: str, refused: Refused) -> None:
    put(s3, bucket, "k")
    for more in ({}, {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"}):
        upload = s3.create_multipart_upload(Bucket=bucket, Key="to", **more)["UploadId"]
        part = {"Bucket": bucket, "Key": "to", "UploadId": upload, "PartNumber": 1, "CopySource": f"{bucket}/k"}
        assert ("ChecksumCRC64NVME" in s3.upload_part_copy(**part)["CopyPartResult"]) == bool(more)
        with refused("InvalidRequest", 400):
            s3.upload_part_copy(CopySourceRange="bytes=100-200", **part)


def test_a_copy_refused_by_time_names_the_time(s3: Any, bucket: str, refused: Refused) -> None:
    put(s3, bucket, "k")
    when = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    with refused("PreconditionFailed", 412) as error:
        s3.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/k", CopySourceIfModifiedSince=when)
    assert said(error)["Condition"] == "x-amz-copy-source-If-Modified-Since"


@pytest.mark.parametrize(
    "tag", [{"Key": "a,b", "Value": "c"}, {"Key": "a", "Value": "b,c"}, {"Key": "a", "Value": "&"}]
)
def test_tags_are_letters_digits_spaces_and_a_few_signs(
    s3: Any, bucket: str, tag: dict[str, str], refused: Refused
) -> None:
    put(s3, bucket, "k")
    with refused("InvalidTag", 400):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [tag]})
    with refused("InvalidTag", 400):
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [tag]})
    with refused("InvalidArgument", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="key1=val1,key2=val2")
    kept = [
        {"Key": "Größe der Kiste", "Value": "1 + 2 = 3, nicht 4".replace(",", " -")},
        {"Key": "a.b:c/d@e_f", "Value": ""},
    ]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": kept})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == kept


def test_a_delete_marker_has_no_tags_and_says_so(s3: Any, bucket: str, refused: Refused) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(s3, bucket, "k")
    s3.delete_object(Bucket=bucket, Key="k")
    for work in (s3.get_object_tagging, s3.delete_object_tagging):
        with refused("MethodNotAllowed", 405) as error:
            work(Bucket=bucket, Key="k")
        assert said(error)["ResourceType"] == "DeleteMarker"
    with refused("NoSuchKey", 404):
        s3.get_object_tagging(Bucket=bucket, Key="never")


def test_nothing_is_bypassed_where_nothing_is_locked(s3: Any, bucket: str, refused: Refused) -> None:
    put(s3, bucket, "k")
    for bypass in (True, False):
        with refused("InvalidArgument", 400):
            s3.delete_object(Bucket=bucket, Key="k", BypassGovernanceRetention=bypass)
    s3.head_object(Bucket=bucket, Key="k")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]}, BypassGovernanceRetention=True)


def test_configurations_that_say_nothing_are_refused_by_name(s3: Any, bucket: str, refused: Refused) -> None:
    with refused("IllegalVersioningConfigurationException", 400):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={})
    with refused("MalformedPolicy", 400) as error:
        s3.put_bucket_policy(Bucket=bucket, Policy="")
    assert said(error)["Message"] == "Policies must be valid JSON and the first byte must be '{'"
    with refused("InvalidArgument", 400):
        s3.create_bucket(Bucket="never-made", ObjectOwnership="")
    with refused("NoSuchBucket", 404):
        s3.put_bucket_encryption(Bucket="never-made", ServerSideEncryptionConfiguration={"Rules": []})
    rule = {"Status": "Enabled", "Destination": {"Bucket": "no-arn"}}
    with refused("InvalidRequest", 400):
        s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration={"Role": "r", "Rules": [rule]})


def test_a_bucket_is_made_with_tags_or_not_at_all(s3: Any, refused: Refused) -> None:
    for tag in ({"Key": "aws:a", "Value": "b"}, {"Key": "a", "Value": "b,c"}):
        with refused("InvalidTag", 400):
            s3.create_bucket(Bucket="made-with-tags", CreateBucketConfiguration={"Tags": [tag]})
    with refused("404", 404):
        s3.head_bucket(Bucket="made-with-tags")


def test_an_owner_that_is_no_account_is_said_to_be_none(s3: Any, bucket: str, refused: Refused) -> None:
    for given in ("0000", "0000000000020", "aa000000000$"):
        with refused("InvalidBucketOwnerAWSAccountID", 400):
            s3.get_bucket_location(Bucket=bucket, ExpectedBucketOwner=given)
    with refused("AccessDenied", 403):
        s3.get_bucket_location(Bucket=bucket, ExpectedBucketOwner="999999999999")


def test_a_plus_in_a_copys_source_is_a_space() -> None:
    assert parse_source("/b/test+key%2B.txt?versionId=v") == {"Bucket": "b", "Key": "test key+.txt", "VersionId": "v"}
    with pytest.raises(InvalidArgument, match="Invalid copy source object key"):
        parse_source("wrongformat")


def test_the_eu_is_where_it_was_made(s3: Any) -> None:
    s3.create_bucket(Bucket="made-in-the-eu", CreateBucketConfiguration={"LocationConstraint": "EU"})
    assert s3.get_bucket_location(Bucket="made-in-the-eu")["LocationConstraint"] == "EU"
    assert s3.head_bucket(Bucket="made-in-the-eu")["BucketRegion"] == "eu-west-1"
    found = s3.list_objects_v2(Bucket="made-in-the-eu")
    assert found["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "eu-west-1"


def test_a_bucket_is_not_tagged_by_making_it_again(s3: Any, bucket: str, refused: Refused) -> None:
    s3.create_bucket(Bucket=bucket)
    with refused("BucketAlreadyOwnedByYou", 409):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"Tags": [{"Key": "a", "Value": "b"}]})


def test_metadata_that_was_encoded_without_need_is_read_as_it_is_meant(s3: Any, bucket: str) -> None:
    kept = "=?UTF-8?Q?=C3=84M=C3=84Z=C3=95=C3=91_S3?="
    metadata = {"ascii": "=?UTF-8?B?YWJj?=", "plain": "=?no=?", "other": kept, "control": "=?UTF-8?B?AAECAw==?="}
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata=metadata)
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {**metadata, "ascii": "abc"}


def test_a_link_may_carry_a_condition(store: Store, s3: Any, bucket: str) -> None:
    url = f"http://127.0.0.1:{store.port}/{bucket}/k"
    request = AWSRequest(method="PUT", url=url, data={}, params={"If-None-Match": "*"}, headers={})
    S3SigV4QueryAuth(Credentials(KEY, SECRET), "s3", "us-east-1").add_auth(request)
    place = urlsplit(str(request.url))
    for expected in (200, 412):
        connection = http.client.HTTPConnection(place.netloc, timeout=30)
        connection.request("PUT", f"{place.path}?{place.query}", body=b"x")
        assert connection.getresponse().status == expected
        connection.close()


def test_a_part_of_a_sum_of_all_has_none_of_its_own(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="whole", Body=b"x", ChecksumAlgorithm="CRC32")
    assert "ChecksumCRC32" in s3.get_object(Bucket=bucket, Key="whole", PartNumber=1, ChecksumMode="enabled")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts)
    found = s3.get_object(Bucket=bucket, Key="k", PartNumber=1, ChecksumMode="ENABLED")
    assert not any(name.startswith("Checksum") for name in found)


def test_a_suspended_bucket_tells_a_copy_its_null_version(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    put(s3, bucket, "k")
    assert s3.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/k")["VersionId"] == "null"


def test_what_belongs_to_a_filter_stands_in_its_and(s3: Any, bucket: str, refused: Refused) -> None:
    rule = {"ID": "r", "Status": "Enabled", "Expiration": {"Days": 7}, "Filter": {"And": {"Prefix": "a"}, "Prefix": ""}}
    with refused("MalformedXML", 400):
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})


def test_a_copy_names_the_version_that_it_copied_where_that_has_a_name(s3: Any, bucket: str) -> None:
    put(s3, bucket, "k")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert "CopySourceVersionId" not in s3.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/k")
    put(s3, bucket, "k")
    assert "CopySourceVersionId" in s3.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/k")


def test_a_write_that_does_not_say_has_the_bucket_key_of_its_bucket(s3: Any, bucket: str) -> None:
    for wanted in (True, False):
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": wanted}
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
        made = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
        assert made.get("BucketKeyEnabled", False) is wanted
        said = s3.put_object(
            Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", BucketKeyEnabled=not wanted
        )
        assert said.get("BucketKeyEnabled", False) is not wanted


def test_the_list_of_a_delete_marker_is_not_found_and_cannot_be_set(s3: Any, bucket: str, refused: Refused) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(s3, bucket, "k")
    s3.delete_object(Bucket=bucket, Key="k")
    with refused("NoSuchKey", 404):
        s3.get_object_acl(Bucket=bucket, Key="k")
    with refused("MethodNotAllowed", 405):
        s3.put_object_acl(Bucket=bucket, Key="k", ACL="private")
