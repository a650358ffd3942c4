"""Inventory configurations of a bucket: put, get, list, delete. What they make: `workers/inventory.py`.

Reports are CSV, compressed; ORC and Parquet answer 501. Source: "Amazon S3 Inventory", S3 user guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from eucapy.aws.errors import MalformedXML, NotImplementedS3
from eucapy.aws.message import Result
from eucapy.database import Tx
from eucapy.errors import ApiError
from eucapy.walrus import errors
from eucapy.walrus.context import Call
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets
from eucapy.walrus.store.buckets import Bucket

SETTING = "inventory"
ARN = "arn:aws:s3:::"
MOST = 1000
PAGE = 100
FIELDS = frozenset(
    {
        "Size", "LastModifiedDate", "ETag", "StorageClass", "IsMultipartUploaded", "ReplicationStatus", "EncryptionStatus",
        "BucketKeyStatus", "ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus",
        "IntelligentTieringAccessTier", "ChecksumAlgorithm", "ObjectOwner",
    }
)  # fmt: skip
"""What a report may say beside bucket, key and version."""
UNBUILT_FIELDS = frozenset(
    {
        "ObjectLockEventHoldStatus", "ObjectLockEventHoldDuration", "ObjectAccessControlList", "LifecycleExpirationDate",
        "IntelligentTieringReferenceDate",
    }
)  # fmt: skip
"""What AWS's may say too: 501."""
ALL, CURRENT = "All", "Current"


class TooManyConfigurations(ApiError):
    message = "You are attempting to create a new configuration but have already reached the 1,000-configuration limit."


def load(document: str | None) -> dict[str, dict[str, Any]]:
    """The configurations by id."""
    return msgspec.json.decode(document, type=dict[str, dict[str, Any]]) if document else {}


@s3.action("PutBucketInventoryConfiguration", unchecked=("InventoryConfiguration",))
async def put_bucket_inventory_configuration(call: Call, p: dict[str, Any]) -> Result:
    configuration = _checked(p["Id"], p.get("InventoryConfiguration") or {})

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        kept = load(await buckets.setting(tx, bucket, SETTING))
        if p["Id"] not in kept and len(kept) >= MOST:
            raise TooManyConfigurations()
        kept[p["Id"]] = configuration
        await _keep(tx, bucket, kept)

    await call.write(work)
    return Result({}, status=204)


async def _keep(tx: Tx, bucket: Bucket, kept: Mapping[str, Any]) -> None:
    document = msgspec.json.encode(dict(sorted(kept.items()))).decode() if kept else None
    await buckets.set_setting(tx, bucket, SETTING, document)


FORMATS = ("CSV", "ORC", "Parquet")


def _checked(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Raises MalformedXML, IdMismatch, InvalidS3DestinationBucket, NotImplemented."""
    place = (given.get("Destination") or {}).get("S3BucketDestination") or {}
    frequency = (given.get("Schedule") or {}).get("Frequency")
    if given.get("IncludedObjectVersions") not in (ALL, CURRENT) or frequency not in ("Daily", "Weekly"):
        raise MalformedXML()
    if given.get("IsEnabled") is None or not place.get("Bucket") or not place.get("Format"):
        raise MalformedXML()
    if given.get("Id") != name:
        raise errors.IdMismatch()
    if not place["Bucket"].startswith(ARN):
        raise errors.InvalidS3DestinationBucket()
    if place["Format"] not in FORMATS:
        raise MalformedXML()
    fields = set(given.get("OptionalFields") or ())
    if not fields <= FIELDS | UNBUILT_FIELDS:
        raise MalformedXML()
    if not fields <= FIELDS:
        raise NotImplementedS3()
    if place["Format"] != "CSV" or (place.get("Encryption") or {}).get("SSEKMS"):
        raise NotImplementedS3()
    return dict(given)


async def _all(call: Call, p: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    async def work(tx: Tx) -> dict[str, dict[str, Any]]:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        return load(await buckets.setting(tx, bucket, SETTING))

    return await call.read(work)


@s3.action("GetBucketInventoryConfiguration")
async def get_bucket_inventory_configuration(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    found = (await _all(call, p)).get(p["Id"])
    if found is None:
        raise errors.NoSuchConfiguration()
    return {"InventoryConfiguration": found}


@s3.action("ListBucketInventoryConfigurations")
async def list_bucket_inventory_configurations(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    after = p.get("ContinuationToken") or ""
    rest = [(name, each) for name, each in sorted((await _all(call, p)).items()) if name > after]
    answer: dict[str, Any] = {
        "InventoryConfigurationList": [each for _, each in rest[:PAGE]],
        "IsTruncated": len(rest) > PAGE,
    }
    if after:
        answer["ContinuationToken"] = after
    if len(rest) > PAGE:
        answer["NextContinuationToken"] = rest[PAGE - 1][0]
    return answer


@s3.action("DeleteBucketInventoryConfiguration")
async def delete_bucket_inventory_configuration(call: Call, p: dict[str, Any]) -> Result:
    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        kept = load(await buckets.setting(tx, bucket, SETTING))
        if kept.pop(p["Id"], None) is None:
            raise errors.NoSuchConfiguration()
        await _keep(tx, bucket, kept)

    await call.write(work)
    return Result({}, status=204)
