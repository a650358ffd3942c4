"""The replication configuration of a bucket: put, get, delete. What rules mean: `walrus/replication.py`."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from eucapy.aws.errors import InvalidArgument, InvalidRequest, MalformedXML, NotImplementedS3
from eucapy.aws.message import Result
from eucapy.database import Tx
from eucapy.walrus import errors, headers, lifecycle, replication
from eucapy.walrus.context import Call
from eucapy.walrus.replication import ARN, Document
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import Version

MOST_RULES = 1000
MOST_ID = 255
_OF_THIS_VERSION = (
    "{} must be specified for this version of Cross Region Replication configuration schema. "
    "Please refer to S3 Developer Guide for more information."
)


@s3.action("PutBucketReplication", unchecked=("ReplicationConfiguration",))
async def put_bucket_replication(call: Call, p: dict[str, Any]) -> None:
    configuration = p.get("ReplicationConfiguration") or {}
    role = configuration.get("Role")
    if role is None:
        raise MalformedXML()

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        if bucket.versioning != "Enabled":
            raise InvalidRequest("Versioning must be 'Enabled' on the bucket to apply a replication configuration")
        rules = _checked(configuration.get("Rules") or [])
        for name in {rule["Destination"]["Bucket"].removeprefix(ARN) for rule in rules}:
            target = await buckets.by_name(tx, name)
            if name == bucket.name:
                raise InvalidRequest("Destination bucket cannot be the same as the source bucket.")
            if target is None or target.versioning != "Enabled":
                raise InvalidRequest("Destination bucket must have versioning enabled.")
        await buckets.set_replication(tx, bucket, msgspec.json.encode(Document(role, rules)).decode())

    await call.write(work)


@s3.action("GetBucketReplication")
async def get_bucket_replication(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    document = replication.load(bucket.replication)
    if document is None:
        raise errors.ReplicationConfigurationNotFoundError(fields={"BucketName": bucket.name})
    return {"ReplicationConfiguration": {"Role": document.role, "Rules": document.rules}}


@s3.action("DeleteBucketReplication")
async def delete_bucket_replication(call: Call, p: dict[str, Any]) -> Result:
    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        await buckets.set_replication(tx, bucket, "")

    await call.write(work)
    return Result({}, status=204)


async def replicating(tx: Tx, call: Call, bucket: Bucket, version: Version) -> None:
    """Take note, in the transaction that made it, of a version that other buckets are to have."""
    if await replication.written(tx, bucket, version, call.now_ms):
        tx.on_commit(call.walrus.to_replicate.set)


async def replicating_change(tx: Tx, call: Call, bucket: Bucket, before: Version) -> None:
    """The same for a change of tags, ACL or lock. `before`: the version as it was."""
    if bucket.replication and await replication.changed(tx, bucket, before, call.now_ms):
        tx.on_commit(call.walrus.to_replicate.set)


def _checked(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rules as they are kept, all with an id. Raises MalformedXML, InvalidArgument, InvalidRequest, NotImplemented."""
    if not 1 <= len(rules) <= MOST_RULES:
        raise MalformedXML()
    names: set[str] = set()
    priorities: set[int] = set()
    kept = []
    for rule in rules:
        name = rule.get("ID") or base64.b64encode(os.urandom(36)).decode()
        if len(name) > MOST_ID:
            raise _invalid(f"The maximum length of a rule ID is {MOST_ID}", name)
        if name in names:
            raise _invalid("Rule Id must be unique", name)
        names.add(name)
        _check(rule)
        if rule.get("Filter") is not None:
            if rule["Priority"] in priorities:
                raise _invalid(f"Found duplicate priority {rule['Priority']}", name)
            priorities.add(rule["Priority"])
        kept.append(dict(rule) | {"ID": name})
    return kept


def _invalid(message: str, value: Any) -> InvalidArgument:
    return InvalidArgument(message, fields={"ArgumentName": "ID", "ArgumentValue": value})


def _check(rule: Mapping[str, Any]) -> None:
    destination = rule.get("Destination") or {}
    target = destination.get("Bucket")
    if rule.get("Status") not in ("Enabled", "Disabled") or not target:
        raise MalformedXML()
    if not target.startswith(ARN) or len(target) == len(ARN):
        raise InvalidArgument("Invalid bucket ARN", fields={"ArgumentName": "Bucket", "ArgumentValue": target})
    label = destination.get("StorageClass")
    if label is not None and label not in headers.STORAGE_CLASSES:
        raise MalformedXML()
    if (rule.get("ExistingObjectReplication") or {}).get("Status") == "Enabled":
        raise NotImplementedS3()
    if rule.get("Filter") is None:
        return
    if rule.get("Prefix") is not None:
        raise MalformedXML()
    if rule.get("Priority") is None:
        raise InvalidRequest(_OF_THIS_VERSION.format("Priority"))
    markers = (rule.get("DeleteMarkerReplication") or {}).get("Status")
    if markers not in ("Enabled", "Disabled"):
        raise InvalidRequest(_OF_THIS_VERSION.format("DeleteMarkerReplication"))
    if markers == "Enabled" and lifecycle.filter_of(rule)[1]:
        raise InvalidRequest(
            "Delete marker replication is not supported if any Tag filter is specified. "
            "Please refer to S3 Developer Guide for more information."
        )
