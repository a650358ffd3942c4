"""Inventory configurations of a bucket: put, get, list, delete. What they make: `workers/inventory.py`.

Reports are CSV, compressed; ORC and Parquet answer 501. Source: "Amazon S3 Inventory", S3 user guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.aws.errors import MalformedXML, NotImplementedS3
from eucapy.aws.message import Result
from eucapy.walrus import errors
from eucapy.walrus.context import Call
from eucapy.walrus.s3 import named
from eucapy.walrus.s3.service import s3

SETTING = "inventory"
ARN = "arn:aws:s3:::"
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


@s3.action("PutBucketInventoryConfiguration", unchecked=("InventoryConfiguration",))
async def put_bucket_inventory_configuration(call: Call, p: dict[str, Any]) -> Result:
    return await named.put(call, p, SETTING, _checked(p["Id"], p.get("InventoryConfiguration") or {}))


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


@s3.action("GetBucketInventoryConfiguration")
async def get_bucket_inventory_configuration(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    return {"InventoryConfiguration": await named.get(call, p, SETTING)}


@s3.action("ListBucketInventoryConfigurations")
async def list_bucket_inventory_configurations(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    return await named.page(call, p, SETTING, "InventoryConfigurationList")


@s3.action("DeleteBucketInventoryConfiguration")
async def delete_bucket_inventory_configuration(call: Call, p: dict[str, Any]) -> Result:
    return await named.delete(call, p, SETTING)
