"""Access control lists, as far as a bucket that enforces its owner has them: everything is the owner's, in full.

Reading an ACL says so; writing one that says the same is accepted, another is refused in AWS's words (`headers.check_acl`).
Ownership controls can be read, and set to what holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.aws.errors import MalformedXML, NotImplementedS3
from eucapy.database import Tx
from eucapy.walrus import errors, headers
from eucapy.walrus.context import Call
from eucapy.walrus.s3.reading import find
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store.buckets import Bucket


def _full_control(owner: str) -> dict[str, Any]:
    grantee = {"ID": owner, "Type": "CanonicalUser"}
    return {"Owner": {"ID": owner}, "Grants": [{"Grantee": grantee, "Permission": "FULL_CONTROL"}]}


def _check_policy(bucket: Bucket, p: Mapping[str, Any]) -> None:
    """Raises AccessControlListNotSupported, MalformedXML, NotImplemented."""
    headers.check_acl(bucket, p)
    policy = p.get("AccessControlPolicy")
    if policy is None:
        return
    grants = policy.get("Grants")
    if grants is None or "Owner" not in policy:
        raise MalformedXML()
    for grant in grants:
        grantee = grant.get("Grantee") or {}
        if grantee.get("ID") != bucket.owner or grant.get("Permission") != "FULL_CONTROL":
            if bucket.ownership == "BucketOwnerEnforced":
                raise errors.AccessControlListNotSupported()
            raise NotImplementedS3()


@s3.action("GetBucketAcl")
async def get_bucket_acl(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    return _full_control(bucket.owner)


@s3.action("PutBucketAcl", unchecked=("ACL", "AccessControlPolicy"))
async def put_bucket_acl(call: Call, p: dict[str, Any]) -> None:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    _check_policy(bucket, p)


@s3.action("GetObjectAcl")
async def get_object_acl(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket, version = await call.read(lambda tx: find(tx, call, p))
    return _full_control(version.owner or bucket.owner)


@s3.action("PutObjectAcl", unchecked=("ACL", "AccessControlPolicy"))
async def put_object_acl(call: Call, p: dict[str, Any]) -> None:
    bucket, _ = await call.read(lambda tx: find(tx, call, p))
    _check_policy(bucket, p)


@s3.action("GetBucketOwnershipControls")
async def get_bucket_ownership_controls(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    async def work(tx: Tx) -> Bucket:
        return await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))

    bucket = await call.read(work)
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": bucket.ownership}]}}
