"""Versioning of a bucket: PutBucketVersioning, GetBucketVersioning. What it means: `store/objects.py`."""

from __future__ import annotations

from typing import Any

from eucapy.aws.errors import MalformedXML, NotImplementedS3
from eucapy.database import Tx
from eucapy.walrus import errors
from eucapy.walrus.context import Call
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets


@s3.action("PutBucketVersioning", unchecked=("VersioningConfiguration",))
async def put_bucket_versioning(call: Call, p: dict[str, Any]) -> None:
    configuration = p.get("VersioningConfiguration") or {}
    if configuration.get("MFADelete") == "Enabled":
        raise NotImplementedS3()
    status = configuration.get("Status")
    if status is None and not configuration.get("MFADelete"):
        raise errors.IllegalVersioningConfigurationException()
    if status not in ("Enabled", "Suspended"):
        raise MalformedXML()

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        if bucket.lock and status != "Enabled":
            raise errors.InvalidBucketState(
                "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
            )
        if bucket.replication and status != "Enabled":
            raise errors.InvalidBucketState(
                "A replication configuration is present on this bucket, so the versioning state cannot be changed."
            )
        await buckets.set_versioning(tx, bucket, status)

    await call.write(work)


@s3.action("GetBucketVersioning")
async def get_bucket_versioning(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    return {"Status": bucket.versioning} if bucket.versioning else {}
