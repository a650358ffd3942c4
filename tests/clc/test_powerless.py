"""Every operation of every service, called by a user without rights: refused with AWS's code and words, and nothing is left.

EC2's are in `test_every_action.py`, which calls them with parameters that are right as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.clc.app import services
from eucapy.walrus.s3.registry import s3
from tests.clc.asking import answer
from tests.harness.cloud import Cloud

FREE = {
    "sts": {
        "AssumeRole": "refused by the role's trust policy, and by the caller's own",
        "AssumeRoleWithSAML": "comes unsigned, on the word of an identity provider",
        "AssumeRoleWithWebIdentity": "comes unsigned, on the word of an identity provider",
        "GetCallerIdentity": "everybody may ask who it is",
        "GetSessionToken": "what the session may is what the user may",
    },
    "ebs": {},
    "iam": dict.fromkeys(
        (
            "CreateAccount", "DeleteAccount", "ListAccounts", "PutAccountPolicy", "GetAccountPolicy",
            "ListAccountPolicies", "DeleteAccountPolicy",
        ),
        "the cloud's own account alone may, in words of its own: test_cloud_accounts.py",
    ),
}  # fmt: skip
"""Operations that are not refused by policies alone, and why."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[Cloud]:
    folder: Path = tmp_path_factory.mktemp("powerless") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        cloud.client("s3").create_bucket(Bucket="ours")
        cloud.client("s3").put_object(Bucket="ours", Key="k", Body=b"content")
        yield cloud


def rows(cloud: Cloud) -> str:
    """All that IAM says of the account."""
    said = cloud.client("iam").get_account_authorization_details()
    del said["ResponseMetadata"]
    return json.dumps(said, default=str, sort_keys=True)


@pytest.mark.parametrize("service", ["iam", "sts", "ebs"])
def test_who_has_no_rights_is_refused_by_every_operation(cloud: Cloud, service: str) -> None:
    powerless = cloud.client(service, keys=cloud.user(f"powerless-{service}"))
    (served,) = (each for each in services() if each.name == service)
    before, failed = rows(cloud), {}
    for action in served.actions():
        if action in FREE[service]:
            continue
        status, code, message = answer(powerless, action, _IN_PATHS.get(action, {}))
        said = f"because no identity-based policy allows the {service}:{action} action"
        refusal = "AccessDeniedException" if served.family == "json" else "AccessDenied"
        if (status, code) != (403, refusal) or not message.endswith(said):
            failed[action] = (status, code, message)
    assert failed == {}
    assert rows(cloud) == before


def test_who_has_no_rights_is_refused_by_every_operation_of_the_object_store(cloud: Cloud) -> None:
    powerless = cloud.client("s3", keys=cloud.user("powerless-s3"))
    model, failed = powerless.meta.service_model, {}
    for action in s3.actions():
        shape = model.operation_model(action).input_shape
        parameters = dict(_PARAMETERS.get(action, {}))
        for member in shape.required_members:
            parameters.setdefault(member, _MEMBERS.get(member, {}))
        status, code, _ = answer(powerless, action, parameters)
        if action == "DeleteObjects":  # answers for each key
            said = powerless.delete_objects(**parameters)
            code, status = said["Errors"][0]["Code"], 403 if "Deleted" not in said else 200
        if status != 403 or code not in ("AccessDenied", "403"):
            failed[action] = (status, code)
    assert failed == {}
    assert cloud.client("s3").get_object(Bucket="ours", Key="k")["Body"].read() == b"content"
    assert [each["Name"] for each in cloud.client("s3").list_buckets()["Buckets"] if each["Name"] == "theirs"] == []


_IN_PATHS: dict[str, Any] = {
    "CompleteSnapshot": {"SnapshotId": "snap-1"},
    "GetSnapshotBlock": {"SnapshotId": "snap-1", "BlockIndex": 0, "BlockToken": "AAAA"},
    "ListChangedBlocks": {"SecondSnapshotId": "snap-1"},
    "ListSnapshotBlocks": {"SnapshotId": "snap-1"},
    "PutSnapshotBlock": {"SnapshotId": "snap-1", "BlockIndex": 0, "BlockData": b""},
}
"""What a request cannot be made without."""

_MEMBERS: dict[str, Any] = {
    "Bucket": "ours",
    "Key": "k",
    "UploadId": "nothing",
    "PartNumber": 1,
    "CopySource": "ours/k",
    "Id": "one",
    "Delete": {"Objects": [{"Key": "k"}]},
    "Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]},
    "Policy": json.dumps(
        {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::ours"}}
    ),
    "ObjectAttributes": ["ETag"],
    "VersioningConfiguration": {"Status": "Enabled"},
    "CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]},
    "RequestPaymentConfiguration": {"Payer": "Requester"},
    "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    "PublicAccessBlockConfiguration": {"BlockPublicAcls": True},
    "WebsiteConfiguration": {"IndexDocument": {"Suffix": "index.html"}},
    "BucketLoggingStatus": {},
    "NotificationConfiguration": {},
    "ServerSideEncryptionConfiguration": {
        "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    },
    "MetricsConfiguration": {"Id": "one"},
    "InventoryConfiguration": {
        "Id": "one",
        "IsEnabled": True,
        "IncludedObjectVersions": "All",
        "Schedule": {"Frequency": "Daily"},
        "Destination": {"S3BucketDestination": {"Bucket": "arn:aws:s3:::ours", "Format": "CSV"}},
    },
    "ReplicationConfiguration": {
        "Role": "arn:aws:iam::123456789012:role/r",
        "Rules": [
            {
                "Status": "Enabled",
                "Priority": 1,
                "Filter": {"Prefix": ""},
                "DeleteMarkerReplication": {"Status": "Disabled"},
                "Destination": {"Bucket": "arn:aws:s3:::theirs"},
            }
        ],
    },
}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "CreateBucket": {"Bucket": "theirs"},
    "CopyObject": {"Key": "copy"},
    "PutBucketAcl": {"ACL": "private"},
    "PutObjectAcl": {"ACL": "private"},
    "PutObject": {"Body": b"x"},
    "PutBucketLifecycleConfiguration": {
        "LifecycleConfiguration": {
            "Rules": [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]
        }
    },
    "PutObjectLegalHold": {"LegalHold": {"Status": "ON"}},
    "PutObjectRetention": {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": "2099-01-01T00:00:00Z"}},
    "PutObjectLockConfiguration": {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
    "CompleteMultipartUpload": {"MultipartUpload": {"Parts": [{"ETag": "x", "PartNumber": 1}]}},
}
