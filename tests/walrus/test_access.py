"""ACLs, ownership, public access block and bucket policies: who gets in, and who does not, as boto3 sees it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from eucapy.walrus.identity import canonical_id
from tests.walrus.conftest import Refused
from tests.walrus.server import ACCOUNT, OTHER_ACCOUNT, Store

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
OTHER_ID = canonical_id(OTHER_ACCOUNT)


@pytest.fixture
def nobody(store: Store) -> Any:
    """boto3 without any key."""
    config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}, retries={"max_attempts": 0})
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{store.port}", region_name="us-east-1", config=config)


@pytest.fixture
def open_bucket(s3: Any, bucket: str) -> str:
    """A bucket with ACLs, and without a public access block."""
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.delete_public_access_block(Bucket=bucket)
    return bucket


def granted(answer: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(g["Grantee"].get("ID") or g["Grantee"]["URI"], g["Permission"]) for g in answer["Grants"]}


def test_nobody_reads_what_is_private_and_everybody_what_is_public(
    s3: Any, store: Store, nobody: Any, open_bucket: str, refused: Refused
) -> None:
    s3.put_object(Bucket=open_bucket, Key="closed", Body=b"x")
    s3.put_object(Bucket=open_bucket, Key="open", Body=b"y", ACL="public-read")
    s3.put_object(Bucket=open_bucket, Key="members", Body=b"z", ACL="authenticated-read")
    assert nobody.get_object(Bucket=open_bucket, Key="open")["Body"].read() == b"y"
    assert store.other.get_object(Bucket=open_bucket, Key="members")["Body"].read() == b"z"
    for client, key in ((nobody, "closed"), (nobody, "members"), (store.other, "closed"), (nobody, "absent")):
        with refused("AccessDenied", 403):
            client.get_object(Bucket=open_bucket, Key=key)
    with refused("AccessDenied", 403):
        nobody.list_objects_v2(Bucket=open_bucket)
    s3.put_bucket_acl(Bucket=open_bucket, ACL="public-read")
    assert nobody.list_objects_v2(Bucket=open_bucket)["KeyCount"] == 3
    with refused("NoSuchKey", 404):
        nobody.get_object(Bucket=open_bucket, Key="absent")
    with refused("AccessDenied", 403):
        nobody.put_object(Bucket=open_bucket, Key="new", Body=b"")


def test_a_strangers_object_is_the_strangers(s3: Any, store: Store, open_bucket: str, refused: Refused) -> None:
    s3.put_bucket_acl(Bucket=open_bucket, ACL="public-read-write")
    store.other.put_object(Bucket=open_bucket, Key="k", Body=b"mine")
    assert store.other.get_object_acl(Bucket=open_bucket, Key="k")["Owner"]["ID"] == OTHER_ID
    with refused("AccessDenied", 403):
        s3.get_object(Bucket=open_bucket, Key="k")
    owners = [entry["Owner"]["ID"] for entry in s3.list_objects(Bucket=open_bucket)["Contents"]]
    assert owners == [OTHER_ID]
    store.other.put_object_acl(Bucket=open_bucket, Key="k", ACL="bucket-owner-read")
    assert s3.get_object(Bucket=open_bucket, Key="k")["Body"].read() == b"mine"
    s3.delete_object(Bucket=open_bucket, Key="k")
    assert "Contents" not in s3.list_objects_v2(Bucket=open_bucket)


def test_a_buckets_owner_may_deny_what_strangers_put_there(
    s3: Any, store: Store, open_bucket: str, refused: Refused
) -> None:
    """Though not give it. Source: "Controlling ownership of objects": the bucket owner can deny access to any object."""
    s3.put_bucket_acl(Bucket=open_bucket, ACL="public-read-write")
    store.other.put_object(Bucket=open_bucket, Key="k", Body=b"theirs")
    s3.put_bucket_policy(Bucket=open_bucket, Policy=policy(open_bucket, "s3:GetObject", {"AWS": ACCOUNT}))
    with refused("AccessDenied", 403):
        s3.get_object(Bucket=open_bucket, Key="k")
    assert store.other.get_object(Bucket=open_bucket, Key="k")["Body"].read() == b"theirs"
    s3.put_bucket_policy(Bucket=open_bucket, Policy=policy(open_bucket, "s3:GetObject", "*", "Deny"))
    with refused("AccessDenied", 403):
        store.other.get_object(Bucket=open_bucket, Key="k")


def test_an_owner_that_is_preferred_takes_what_is_handed_over(s3: Any, store: Store, bucket: str) -> None:
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    )
    s3.put_bucket_acl(Bucket=bucket, GrantWrite=f"id={OTHER_ID}", GrantFullControl=f"id={canonical_id(ACCOUNT)}")
    other = store.other
    other.put_object(Bucket=bucket, Key="kept", Body=b"k")
    other.put_object(Bucket=bucket, Key="given", Body=b"g", ACL="bucket-owner-full-control")
    upload = other.create_multipart_upload(Bucket=bucket, Key="parts", ACL="bucket-owner-full-control")["UploadId"]
    part = other.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"p")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    other.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload=parts)
    owners = {entry["Key"]: entry["Owner"]["ID"] for entry in s3.list_objects(Bucket=bucket)["Contents"]}
    mine = canonical_id(ACCOUNT)
    assert owners == {"kept": OTHER_ID, "given": mine, "parts": mine}


def test_grants_come_by_header_and_by_document(s3: Any, store: Store, open_bucket: str, refused: Refused) -> None:
    mine = canonical_id(ACCOUNT)
    s3.put_object(Bucket=open_bucket, Key="k", Body=b"x", GrantRead=f'id="{OTHER_ID}", uri="{ALL_USERS}"')
    assert granted(s3.get_object_acl(Bucket=open_bucket, Key="k")) == {(OTHER_ID, "READ"), (ALL_USERS, "READ")}
    grants = [{"Grantee": {"Type": "CanonicalUser", "ID": OTHER_ID}, "Permission": "READ_ACP"}]
    s3.put_object_acl(Bucket=open_bucket, Key="k", AccessControlPolicy={"Owner": {"ID": mine}, "Grants": grants})
    assert granted(store.other.get_object_acl(Bucket=open_bucket, Key="k")) == {(OTHER_ID, "READ_ACP")}
    with refused("AccessDenied", 403):
        store.other.get_object(Bucket=open_bucket, Key="k")
    with refused("InvalidArgument", 400):
        s3.put_object_acl(Bucket=open_bucket, Key="k", GrantRead="id=_nobody")
    with refused("MethodNotAllowed", 405):
        s3.put_object_acl(Bucket=open_bucket, Key="k", GrantRead="emailAddress=a@example.com")
    with refused("InvalidRequest", 400):
        s3.put_object_acl(Bucket=open_bucket, Key="k", ACL="private", GrantRead=f"id={OTHER_ID}")
    with refused("AccessDenied", 403):
        s3.put_object_acl(
            Bucket=open_bucket, Key="k", AccessControlPolicy={"Owner": {"ID": OTHER_ID}, "Grants": grants}
        )


def test_public_access_block_stops_what_it_names(s3: Any, nobody: Any, open_bucket: str, refused: Refused) -> None:
    s3.put_object(Bucket=open_bucket, Key="k", Body=b"x", ACL="public-read")
    block = {
        "BlockPublicAcls": False,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": False,
    }
    s3.put_public_access_block(Bucket=open_bucket, PublicAccessBlockConfiguration=block)
    assert s3.get_public_access_block(Bucket=open_bucket)["PublicAccessBlockConfiguration"] == block
    with refused("AccessDenied", 403):
        nobody.get_object(Bucket=open_bucket, Key="k")
    with refused("AccessDenied", 403):
        s3.put_bucket_policy(Bucket=open_bucket, Policy=policy(open_bucket, "s3:GetObject", "*"))
    s3.put_public_access_block(Bucket=open_bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    with refused("AccessDenied", 403):
        s3.put_bucket_acl(Bucket=open_bucket, ACL="public-read")
    assert nobody.get_object(Bucket=open_bucket, Key="k")["Body"].read() == b"x"
    s3.delete_public_access_block(Bucket=open_bucket)
    with refused("NoSuchPublicAccessBlockConfiguration", 404):
        s3.get_public_access_block(Bucket=open_bucket)


def test_an_owner_cannot_be_enforced_over_a_list_that_grants(s3: Any, open_bucket: str, refused: Refused) -> None:
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_acl(Bucket=open_bucket, ACL="public-read")
    with refused("InvalidBucketAclWithObjectOwnership", 400):
        s3.put_bucket_ownership_controls(Bucket=open_bucket, OwnershipControls=enforced)
    s3.delete_bucket_ownership_controls(Bucket=open_bucket)
    with refused("OwnershipControlsNotFoundError", 404):
        s3.get_bucket_ownership_controls(Bucket=open_bucket)
    with refused("InvalidBucketAclWithObjectOwnership", 400):
        s3.create_bucket(Bucket="never-made", ACL="public-read", ObjectOwnership="BucketOwnerEnforced")


def policy(bucket: str, action: str | list[str], principal: Any, effect: str = "Allow", **more: Any) -> str:
    statement = {
        "Effect": effect,
        "Principal": principal,
        "Action": action,
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        **more,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_policy_lets_another_account_in_and_no_further(s3: Any, store: Store, bucket: str, refused: Refused) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    text = policy(bucket, "s3:GetObject", {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"})
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == text
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": False}
    assert store.other.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    for call in (store.other.put_object, store.other.delete_object, store.other.get_object_acl):
        with refused("AccessDenied", 403):
            call(Bucket=bucket, Key="k")
    s3.delete_bucket_policy(Bucket=bucket)
    with refused("AccessDenied", 403):
        store.other.get_object(Bucket=bucket, Key="k")


def test_another_account_may_ask_for_no_list_of_its_own_where_there_are_none(
    s3: Any, store: Store, bucket: str, refused: Refused
) -> None:
    """From the bucket's own account S3 takes `private`, which changes nothing; from another it would."""
    writers = {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, ["s3:PutObject", "s3:PutObjectAcl"], writers))
    with refused("AccessControlListNotSupported", 400):
        store.other.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="private")
    store.other.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="bucket-owner-full-control")
    store.other.put_object(Bucket=bucket, Key="k", Body=b"x")


def test_a_deny_binds_the_owner_too_but_does_not_lock_it_out(s3: Any, bucket: str, refused: Refused) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "s3:*", "*", "Deny"))
    with refused("AccessDenied", 403):
        s3.get_object(Bucket=bucket, Key="k")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    s3.delete_bucket_policy(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_conditions_look_at_prefix_and_tags(s3: Any, store: Store, nobody: Any, bucket: str, refused: Refused) -> None:
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a/1", Body=b"x", Tagging="kind=public")
    s3.put_object(Bucket=bucket, Key="b/1", Body=b"x", Tagging="kind=private")
    prefix = {"StringLike": {"s3:prefix": "a/*"}}
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "s3:ListBucket", "*", Condition=prefix))
    assert nobody.list_objects_v2(Bucket=bucket, Prefix="a/")["KeyCount"] == 1
    with refused("AccessDenied", 403):
        nobody.list_objects_v2(Bucket=bucket)
    tagged = {"StringEquals": {"s3:ExistingObjectTag/kind": "public"}}
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "s3:GetObject", "*", Condition=tagged))
    with urllib.request.urlopen(f"http://127.0.0.1:{store.port}/{bucket}/a/1") as answer:
        assert answer.read() == b"x"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{store.port}/{bucket}/b/1")
    caught.value.close()
    assert caught.value.code == 403
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": True}
    restrict = {"RestrictPublicBuckets": True}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=restrict)
    with refused("AccessDenied", 403):
        nobody.get_object(Bucket=bucket, Key="a/1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Effect": "Maybe"}, "Invalid effect: Maybe"),
        ({"Action": "ec2:RunInstances"}, "Policy has invalid action"),
        ({"Resource": "arn:aws:s3:::someone-elses/*"}, "Policy has invalid resource"),
        ({"Principal": {"AWS": "joe"}}, "Invalid principal in policy"),
        ({"Condition": {"Sounds": {"s3:prefix": "a"}}}, "Invalid Condition type : Sounds"),
        ({"Colour": "red"}, "Unknown field Colour"),
    ],
)
def test_a_policy_that_is_none_is_refused_in_aws_words(
    s3: Any, bucket: str, refused: Refused, change: dict[str, Any], message: str
) -> None:
    document = json.loads(policy(bucket, "s3:GetObject", {"AWS": OTHER_ACCOUNT}))
    document["Statement"][0] |= change
    with refused("MalformedPolicy", 400) as caught:
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    assert caught.value.response["Error"]["Message"] == message
    with refused("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy(Bucket=bucket)


def test_an_upload_shows_who_began_it_and_whose_its_object_will_be(s3: Any, store: Store, open_bucket: str) -> None:
    s3.put_bucket_acl(Bucket=open_bucket, ACL="public-read-write")
    upload = store.other.create_multipart_upload(Bucket=open_bucket, Key="k")["UploadId"]
    listed = s3.list_multipart_uploads(Bucket=open_bucket)["Uploads"][0]
    parts = store.other.list_parts(Bucket=open_bucket, Key="k", UploadId=upload)
    for answer in (listed, parts):
        assert (answer["Owner"]["ID"], answer["Initiator"]["ID"]) == (OTHER_ID, OTHER_ID)
    s3.put_bucket_acl(Bucket=open_bucket, ACL="private")
    s3.put_bucket_ownership_controls(
        Bucket=open_bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    )
    assert s3.list_multipart_uploads(Bucket=open_bucket)["Uploads"][0]["Owner"]["ID"] == canonical_id(ACCOUNT)


def test_a_buckets_status_is_public_by_policy_or_list(s3: Any, open_bucket: str) -> None:
    def is_public(name: str) -> bool:
        return bool(s3.get_bucket_policy_status(Bucket=name)["PolicyStatus"]["IsPublic"])

    assert not is_public(open_bucket)
    s3.put_bucket_acl(Bucket=open_bucket, ACL="authenticated-read")
    assert is_public(open_bucket)
    s3.put_public_access_block(Bucket=open_bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert not is_public(open_bucket)


def test_where_requesters_pay_they_must_say_so(
    s3: Any, store: Store, nobody: Any, bucket: str, refused: Refused
) -> None:
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, ["s3:GetObject", "s3:PutObject", "s3:ListBucket"], "*"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert "RequestCharged" not in s3.head_object(Bucket=bucket, Key="k", RequestPayer="requester")
    for client, more in ((store.other, {}), (nobody, {}), (nobody, {"RequestPayer": "requester"})):
        with refused("AccessDenied", 403):
            client.get_object(Bucket=bucket, Key="k", **more)
        with refused("AccessDenied", 403):
            client.list_objects_v2(Bucket=bucket, **more)
    answer = store.other.get_object(Bucket=bucket, Key="k", RequestPayer="requester")
    assert (answer["Body"].read(), answer["RequestCharged"]) == (b"x", "requester")
    assert store.other.put_object(Bucket=bucket, Key="n", RequestPayer="requester")["RequestCharged"] == "requester"
    url = store.other.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k", "RequestPayer": "requester"})
    with urllib.request.urlopen(urllib.request.Request(url, headers={"x-amz-request-payer": "requester"})) as answer:
        assert answer.read() == b"x"
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    assert nobody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    with refused("MalformedXML", 400):
        s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Nobody"})


def test_a_policy_may_name_buckets_by_a_wildcard(s3: Any, store: Store, bucket: str, refused: Refused) -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket"}
    for resource in ("*", "arn:aws:s3:::*", f"arn:aws:s3:::{bucket[:-1]}?"):
        s3.delete_public_access_block(Bucket=bucket)
        document = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": resource}]}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
        assert store.other.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    for resource in ("arn:aws:s3:::another*", "arn:aws:sqs:::*", f"arn:aws:s3:::{bucket}x"):
        document = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": resource}]}
        with refused("MalformedPolicy", 400):
            s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))


def test_who_may_list_a_part_learns_what_is_not_in_it(s3: Any, store: Store, bucket: str, refused: Refused) -> None:
    prefix = {"StringLike": {"s3:prefix": "open/*"}}
    other = {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "s3:ListBucket", other, Condition=prefix))
    with refused("404", 404):
        store.other.head_object(Bucket=bucket, Key="open/absent")
    with refused("403", 403):
        store.other.head_object(Bucket=bucket, Key="closed/absent")


def test_a_bucket_that_is_there_is_not_given_another_acl(s3: Any, open_bucket: str, refused: Refused) -> None:
    s3.create_bucket(Bucket=open_bucket)
    s3.put_bucket_acl(Bucket=open_bucket, ACL="public-read")
    with refused("BucketAlreadyExists", 409):
        s3.create_bucket(Bucket=open_bucket)
