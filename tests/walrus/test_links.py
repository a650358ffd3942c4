"""Links that stand for headers: what a signer puts into the query counts as sent, and nothing that nobody signed does."""

import re
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.walrus.server import KEY, SECRET, Store, client
from tests.walrus.signing import path_of


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    """What is tested here does not depend on the database."""
    return sqlite_store


def put(url: str, data: bytes, **headers: str) -> tuple[int, bytes]:
    named = {"Content-Type": ""} | {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=data, method="PUT", headers=named)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.fixture
def link(store: Store, bucket: str) -> str:
    """As boto3 makes it: of version 2, with the headers of the request as parameters."""
    signer = client(store.port, signature_version="s3")
    said = {"Metadata": {"venue": "1 2+3"}, "StorageClass": "STANDARD_IA"}
    url: str = signer.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "k", **said})
    signer.close()
    return url


def version4(store: Store, bucket: str, query: str) -> str:
    """As the SDKs for JavaScript and Ruby make it."""
    request = AWSRequest(method="PUT", url=f"http://127.0.0.1:{store.port}{path_of(bucket, 'k')}?{query}")
    S3SigV4QueryAuth(Credentials(KEY, SECRET), "s3", "us-east-1", expires=900).add_auth(request)
    return request.url


def test_metadata_and_storage_class_of_a_link_are_the_objects(s3: Any, bucket: str, link: str) -> None:
    assert "x-amz-meta-venue=" in link
    assert put(link, b"by link")[0] == 200
    found = s3.head_object(Bucket=bucket, Key="k")
    assert (found["Metadata"], found["StorageClass"]) == ({"venue": "1 2+3"}, "STANDARD_IA")


def test_a_link_of_version_4_says_as_much(store: Store, s3: Any, bucket: str) -> None:
    assert put(version4(store, bucket, "x-amz-meta-a=1&X-Amz-Storage-Class=STANDARD_IA"), b"data")[0] == 200
    found = s3.head_object(Bucket=bucket, Key="k")
    assert (found["Metadata"], found["StorageClass"]) == ({"a": "1"}, "STANDARD_IA")


def test_an_acl_of_a_link_is_asked_about(store: Store, s3: Any, bucket: str) -> None:
    status, answer = put(version4(store, bucket, "x-amz-acl=public-read"), b"data")
    assert status == 400 and b"<Code>AccessControlListNotSupported</Code>" in answer
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="k")


def test_checksums_tags_and_encryption_of_a_link_are_nothing(store: Store, s3: Any, bucket: str) -> None:
    said = "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32&x-amz-tagging=a%3Db"
    assert put(version4(store, bucket, f"{said}&x-amz-server-side-encryption=AES256"), b"not empty")[0] == 200
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    assert "ServerSideEncryption" not in s3.head_object(Bucket=bucket, Key="k")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"not empty"


def test_who_follows_a_link_adds_nothing_to_it(s3: Any, bucket: str, link: str) -> None:
    for more in ({"x_amz_meta_venue": "mine"}, {"x_amz_meta_more": "mine"}, {"x_amz_acl": "public-read"}):
        status, answer = put(link, b"data", **more)
        assert status == 403 and b"SignatureDoesNotMatch" in answer
    for changed in (f"{link}&x-amz-meta-venue=mine", f"{link}&x-amz-meta-more=mine", f"{link}&x-amz-acl=public-read"):
        assert put(changed, b"data")[0] == 403
    # Version 2 signs the last one only: that is the one that counts.
    assert put(re.sub(r"\?", "?x-amz-meta-venue=mine&", link), b"data")[0] == 200
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"venue": "1 2+3"}


def test_a_canned_list_and_grants_together_are_refused_where_lists_are_off(s3: Any, bucket: str) -> None:
    owner = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="k", ACL="bucket-owner-full-control", GrantFullControl=f'id="{owner}"')
    error = raised.value.response["Error"]
    assert (error["Code"], error["Message"]) == (
        "InvalidRequest",
        "Specifying both Canned ACLs and Header Grants is not allowed",
    )
