"""Access control lists and what bounds them: ACLs of buckets and objects, ownership controls, public access block.

What a list means: `walrus/access.py`; how one is read and kept: `walrus/grants.py`. Where the bucket enforces its owner, as
new buckets do, there are no lists: reading one shows the owner's full control, and setting one is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from eucapy.aws.errors import AccessDenied, InvalidRequest, MalformedXML
from eucapy.aws.message import Result
from eucapy.database import Tx
from eucapy.walrus import access, errors, events, grants
from eucapy.walrus.access import ENFORCED, NO_BLOCK, Access, PublicAccessBlock
from eucapy.walrus.context import Call
from eucapy.walrus.grants import Grants
from eucapy.walrus.s3.reading import find, find_unmarked
from eucapy.walrus.s3.replication import replicating_change
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets, objects
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.uploads import Upload

OWNERSHIPS = (ENFORCED, "BucketOwnerPreferred", "ObjectWriter")
_HANDED_OVER = "bucket-owner-full-control"


def _refuse_public(bucket_access: Access, granted: Grants) -> None:
    if (bucket_access.block or NO_BLOCK).block_acls and grants.is_public(granted):
        raise AccessDenied()


def of_new_object(call: Call, bucket: Bucket, p: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """(owner, ACL) columns of an object that this request writes. Raises what a bad or forbidden ACL raises."""
    writer = call.principal.canonical_id
    if bucket.ownership == ENFORCED:
        if grants.asks_for_acl(p):
            granted = grants.of_headers(p, writer, bucket.owner, call.is_account)  # what is no ACL at all is told first
            # the owner's `private` is the list that there is anyway
            if p.get("ACL") != _HANDED_OVER and granted != grants.default(bucket.owner):
                raise errors.AccessControlListNotSupported()
        return None, None
    handed_over = bucket.ownership == "BucketOwnerPreferred" and p.get("ACL") == _HANDED_OVER
    owner = bucket.owner if handed_over else writer
    granted = grants.of_headers(p, owner, bucket.owner, call.is_account)
    _refuse_public(access.load(bucket.access), granted)
    return None if owner == bucket.owner else owner, grants.dump(granted, owner)


def of_new_upload(call: Call, bucket: Bucket, p: Mapping[str, Any]) -> str | None:
    """The ACL column of an upload. An object that its foreign initiator hands over has the bucket owner's list, in full."""
    owner, document = of_new_object(call, bucket, p)
    if owner is None and document is None and bucket.owner != call.principal.canonical_id:
        return msgspec.json.encode(grants.default(bucket.owner)).decode()
    return document


def of_upload(bucket: Bucket, upload: Upload) -> tuple[str | None, str | None]:
    """(owner, ACL) columns of the object that an upload becomes."""
    if bucket.ownership == ENFORCED:
        return None, None
    if upload.initiator == bucket.owner:
        return None, upload.acl
    if grants.load(upload.acl, upload.initiator) == grants.default(bucket.owner):
        return None, None
    return upload.initiator, upload.acl


def of_new_bucket(call: Call, p: Mapping[str, Any], ownership: str) -> str:
    """The `access` column of a bucket. Raises InvalidBucketAclWithObjectOwnership, AccessDenied."""
    owner = call.principal.canonical_id
    granted = grants.of_headers(p, owner, None, call.is_account)
    if ownership == ENFORCED and granted != grants.default(owner):
        raise errors.InvalidBucketAclWithObjectOwnership()
    made = Access(block=None if call.walrus.old_defaults else PublicAccessBlock(), acl=grants.dump(granted, owner))
    _refuse_public(made, granted)
    return access.dump(made)


def _asked(call: Call, p: Mapping[str, Any], owner: str, bucket_owner: str | None) -> Grants:
    """The list that a Put…Acl asks for, in its body or its headers."""
    policy = p.get("AccessControlPolicy")
    if grants.asks_for_acl(p):
        if policy:
            raise errors.UnexpectedContent()
        return grants.of_headers(p, owner, bucket_owner, call.is_account)
    if policy is None:
        raise errors.MissingSecurityHeader(fields={"MissingHeaderName": "x-amz-acl"})
    return grants.of_document(policy, owner, call.is_account)


def _check(bucket: Bucket, p: Mapping[str, Any], granted: Grants) -> None:
    """The list may be set. Raises AccessControlListNotSupported, AccessDenied."""
    if bucket.ownership == ENFORCED:
        # AWS refuses even what holds anyway. But s3cmd writes the list of a copy's source, as it read it, over the copy, and
        # fails where that is refused: a document that changes nothing is taken.
        if grants.asks_for_acl(p) or granted != grants.default(bucket.owner):
            raise errors.AccessControlListNotSupported()
        return
    _refuse_public(access.load(bucket.access), granted)


@s3.action("GetBucketAcl")
async def get_bucket_acl(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    document = None if bucket.ownership == ENFORCED else access.load(bucket.access).acl
    return _view(call, grants.load(document, bucket.owner), bucket.owner)


def _view(call: Call, granted: Grants, owner: str) -> dict[str, Any]:
    return {"Owner": call.person(owner), "Grants": grants.view(granted, call.person)}


@s3.action("PutBucketAcl", unchecked=("ACL", "AccessControlPolicy"))
async def put_bucket_acl(call: Call, p: dict[str, Any]) -> None:
    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        granted = _asked(call, p, bucket.owner, None)
        _check(bucket, p, granted)
        changed = msgspec.structs.replace(access.load(bucket.access), acl=grants.dump(granted, bucket.owner))
        await buckets.set_access(tx, bucket, access.dump(changed))

    await call.write(work)


@s3.action("GetObjectAcl")
async def get_object_acl(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket, version = await call.read(lambda tx: find(tx, call, p))
    if bucket.ownership == ENFORCED:
        return _view(call, grants.default(bucket.owner), bucket.owner)
    owner = version.owner or bucket.owner
    return _view(call, grants.load(version.acl, owner), owner)


@s3.action("PutObjectAcl", unchecked=("ACL", "AccessControlPolicy"))
async def put_object_acl(call: Call, p: dict[str, Any]) -> None:
    async def work(tx: Tx) -> None:
        bucket, version = await find_unmarked(tx, call, p)
        owner = (version.owner if bucket.ownership != ENFORCED else None) or bucket.owner
        granted = _asked(call, p, owner, bucket.owner)
        _check(bucket, p, granted)
        await objects.set_acl(tx, bucket, version, grants.dump(granted, owner))
        await replicating_change(tx, call, bucket, version)
        await events.changed(tx, call, bucket, version, "ObjectAcl:Put")

    await call.write(work)


@s3.action("GetBucketOwnershipControls")
async def get_bucket_ownership_controls(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    if not bucket.ownership:
        raise errors.OwnershipControlsNotFoundError(fields={"BucketName": bucket.name})
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": bucket.ownership}]}}


@s3.action("PutBucketOwnershipControls", unchecked=("OwnershipControls",))
async def put_bucket_ownership_controls(call: Call, p: dict[str, Any]) -> None:
    rules = (p.get("OwnershipControls") or {}).get("Rules") or []
    if len(rules) != 1 or rules[0].get("ObjectOwnership") not in OWNERSHIPS:
        raise MalformedXML()
    rule = str(rules[0]["ObjectOwnership"])

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        granted = grants.load(access.load(bucket.access).acl, bucket.owner)
        if rule == ENFORCED and granted != grants.default(bucket.owner):
            raise errors.InvalidBucketAclWithObjectOwnership(fields={"BucketName": bucket.name})
        await buckets.set_ownership(tx, bucket, rule)

    await call.write(work)


@s3.action("DeleteBucketOwnershipControls")
async def delete_bucket_ownership_controls(call: Call, p: dict[str, Any]) -> Result:
    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        await buckets.set_ownership(tx, bucket, "")

    await call.write(work)
    return Result({}, status=204)


_SWITCHES = {
    "BlockPublicAcls": "block_acls",
    "IgnorePublicAcls": "ignore_acls",
    "BlockPublicPolicy": "block_policy",
    "RestrictPublicBuckets": "restrict",
}


@s3.action("GetPublicAccessBlock")
async def get_public_access_block(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    block = access.load(bucket.access).block
    if block is None:
        raise errors.NoSuchPublicAccessBlockConfiguration(fields={"BucketName": bucket.name})
    switches = {member: getattr(block, field) for member, field in _SWITCHES.items()}
    return {"PublicAccessBlockConfiguration": switches}


@s3.action("PutPublicAccessBlock", unchecked=("PublicAccessBlockConfiguration",))
async def put_public_access_block(call: Call, p: dict[str, Any]) -> None:
    switches = p.get("PublicAccessBlockConfiguration")
    if not switches:
        raise InvalidRequest("Must specify at least one configuration.")
    block = PublicAccessBlock(**{field: bool(switches.get(member)) for member, field in _SWITCHES.items()})
    await change_access(call, p, lambda bucket, current: msgspec.structs.replace(current, block=block))


@s3.action("DeletePublicAccessBlock")
async def delete_public_access_block(call: Call, p: dict[str, Any]) -> Result:
    await change_access(call, p, lambda bucket, current: msgspec.structs.replace(current, block=None))
    return Result({}, status=204)


async def change_access(call: Call, p: Mapping[str, Any], change: Callable[[Bucket, Access], Access]) -> None:
    """Write what `change` makes of the bucket's access; it may raise."""

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        await buckets.set_access(tx, bucket, access.dump(change(bucket, access.load(bucket.access))))

    await call.write(work)
