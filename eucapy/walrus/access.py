"""Who may do what to a bucket and its objects. Pure: a decision from rows and a request, without a look at the store.

    requester pays, and a stranger does not say so ─► no
    the bucket's policy denies ─► no         (what strangers put there, too)
    the bucket's policy allows ─► yes        (a public policy under RestrictPublicBuckets: its own account only)
    the owner asks, and it is its own ─► yes
    the ACL of bucket or object grants ─► yes (not where ACLs are off, BucketOwnerEnforced; IgnorePublicAcls: no groups)
    else ─► no

That is what the resource's side says to the principal's account. A principal whose own policies do not allow everything needs
them too, except where the policy of a bucket of its own account names it (`aws/evaluation.py`); across accounts both sides
must allow.

What decides stands in one column of the bucket's row, `access`, so that no request costs another query: see `Access`.
Source: "How Amazon S3 authorizes a request", S3 user guide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from eucapy.aws import policy as policies
from eucapy.aws.evaluation import Verdict, evaluate
from eucapy.aws.policy import Policy, Question
from eucapy.aws.policyconditions import Context
from eucapy.walrus import grants
from eucapy.walrus.identity import Principal
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import Version

ENFORCED = "BucketOwnerEnforced"


class PublicAccessBlock(msgspec.Struct, frozen=True):
    """The four switches; as new buckets have them."""

    block_acls: bool = True
    ignore_acls: bool = True
    block_policy: bool = True
    restrict: bool = True


REQUESTER, BUCKET_OWNER = "Requester", "BucketOwner"
NO_BLOCK = PublicAccessBlock(False, False, False, False)


class Access(msgspec.Struct, frozen=True, omit_defaults=True):
    """A bucket's `access` column; the empty text stands for what it is by default: private, public access blocked.

    `block` None: the switches were deleted. `policy` is the document as it was put. `payer`: REQUESTER or BUCKET_OWNER.
    """

    block: PublicAccessBlock | None = PublicAccessBlock()
    acl: str | None = None
    policy: str | None = None
    payer: str = BUCKET_OWNER


_decoder = msgspec.json.Decoder(Access)
_DEFAULT = Access()


@lru_cache(maxsize=1024)
def load(document: str) -> Access:
    return _decoder.decode(document) if document else _DEFAULT


def dump(access: Access) -> str:
    return "" if access == _DEFAULT else msgspec.json.encode(access).decode()


@lru_cache(maxsize=256)
def parsed(policy: str) -> Policy:
    return policies.parse(policy)


# Policy actions of operations whose name says something else; without an entry it is the operation's own name.
_ACTIONS = {
    "HeadBucket": "ListBucket", "ListObjects": "ListBucket", "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions", "ListMultipartUploads": "ListBucketMultipartUploads",
    "HeadObject": "GetObject", "GetObjectAttributes": "GetObject",
    "CreateMultipartUpload": "PutObject", "UploadPart": "PutObject", "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject", "UploadPartCopy": "PutObject", "PostObject": "PutObject",
    "ListParts": "ListMultipartUploadParts",
    "DeleteBucketTagging": "PutBucketTagging",
    "GetBucketCors": "GetBucketCORS", "PutBucketCors": "PutBucketCORS", "DeleteBucketCors": "PutBucketCORS",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration", "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock", "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "GetBucketAnalyticsConfiguration": "GetAnalyticsConfiguration",
    "ListBucketAnalyticsConfigurations": "GetAnalyticsConfiguration",
    "GetBucketIntelligentTieringConfiguration": "GetIntelligentTieringConfiguration",
    "ListBucketIntelligentTieringConfigurations": "GetIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration": "GetInventoryConfiguration",
    "ListBucketInventoryConfigurations": "GetInventoryConfiguration",
    "PutBucketInventoryConfiguration": "PutInventoryConfiguration",
    "DeleteBucketInventoryConfiguration": "PutInventoryConfiguration",
    "PutBucketReplication": "PutReplicationConfiguration", "DeleteBucketReplication": "PutReplicationConfiguration",
    "GetBucketMetricsConfiguration": "GetMetricsConfiguration",
    "ListBucketMetricsConfigurations": "GetMetricsConfiguration",
    "DeleteBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "DeleteBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
    "PutBucketMetricsConfiguration": "PutMetricsConfiguration",
    "DeleteBucketMetricsConfiguration": "PutMetricsConfiguration",
}  # fmt: skip
_OF_VERSION = {
    "GetObject": "GetObjectVersion", "DeleteObject": "DeleteObjectVersion", "GetObjectAcl": "GetObjectVersionAcl",
    "PutObjectAcl": "PutObjectVersionAcl", "GetObjectTagging": "GetObjectVersionTagging",
    "PutObjectTagging": "PutObjectVersionTagging", "DeleteObjectTagging": "DeleteObjectVersionTagging",
}  # fmt: skip
_WRITES = frozenset({"PutObject", "CopyObject", "CreateMultipartUpload", "PostObject"})
_ACL_MEMBERS = ("ACL", "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWriteACP")
_OF_POLICY = frozenset({"GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"})
_BUCKET_PERMISSIONS = {
    "ListBucket": "READ", "ListBucketVersions": "READ", "ListBucketMultipartUploads": "READ",
    "PutObject": "WRITE", "DeleteObject": "WRITE", "AbortMultipartUpload": "WRITE", "ListMultipartUploadParts": "WRITE",
    "GetBucketAcl": "READ_ACP", "PutBucketAcl": "WRITE_ACP",
}  # fmt: skip
_OBJECT_PERMISSIONS = {
    "GetObject": "READ", "GetObjectVersion": "READ", "GetObjectAcl": "READ_ACP", "GetObjectVersionAcl": "READ_ACP",
    "PutObjectAcl": "WRITE_ACP", "PutObjectVersionAcl": "WRITE_ACP",
}  # fmt: skip


def action_of(operation: str, *, version: bool) -> str:
    """The policy action, without `s3:`; `version`: the request names a version."""
    action = _ACTIONS.get(operation, operation)
    return _OF_VERSION.get(action, action) if version else action


def is_plainly_owners(bucket: Bucket, version: Version | None, principal: Principal) -> bool:
    """The common case, decided at once: the owner, its own object, and no policy that could say otherwise."""
    return (
        bucket.owner == principal.canonical_id
        and principal.allow_all
        and (version is None or version.owner is None)
        and (not bucket.access or load(bucket.access).policy is None)
    )


def also_asked(operation: str, params: Mapping[str, Any]) -> list[str]:
    """Further actions that a write's sender needs of its own policies, for what it brings along. Source: PutObject,
    "Permissions"."""
    if operation not in _WRITES:
        return []
    found = []
    if params.get("Tagging") and params.get("TaggingDirective") in (None, "REPLACE"):
        found.append("PutObjectTagging")
    if any(params.get(member) for member in _ACL_MEMBERS):
        found.append("PutObjectAcl")
    return found


def may(
    bucket: Bucket,
    key: str | None,
    version: Version | None,
    principal: Principal,
    action: str,
    context: Callable[[], Context],
    *,
    pays: bool,
) -> bool:
    """Whether `principal` may do `action` (without `s3:`) to the bucket or, with a key, to the object. `version` is the
    object as it is, for actions that read it or its ACL. `pays`: the request says that its sender does."""
    if not _lets(bucket, key, version, principal, action, context, pays=pays):
        return False
    return principal.allow_all or own_verdict(bucket, key, principal, action, context).allowed


def own_verdict(
    bucket: Bucket, key: str | None, principal: Principal, action: str, context: Callable[[], Context]
) -> Verdict:
    """What the principal's own policies say; and that of the bucket, where it is its account's."""
    access = load(bucket.access)
    own = bucket.owner == principal.canonical_id and access.policy is not None
    question = _question(bucket, key, principal, action, context())
    return evaluate(principal.powers, question, resource_policy=parsed(access.policy or "") if own else None)


def in_account(principal: Principal, action: str, resource: str, context: Context) -> Verdict:
    """What the principal's own policies say of what is no bucket's yet: listing the buckets, making one."""
    ids = frozenset({principal.canonical_id})
    question = Question(principal.arn, principal.account, ids, f"s3:{action}", resource, context, principal.parent)
    return evaluate(principal.powers, question)


def of_account(operation: str, params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(action, resource) of what ListBuckets and CreateBucket need. Source: their "Permissions"."""
    if operation == "ListBuckets":
        return [("ListAllMyBuckets", "arn:aws:s3:::*")]
    actions = ["CreateBucket"]
    if any(params.get(member) for member in (*_ACL_MEMBERS, "GrantWrite")):
        actions.append("PutBucketAcl")
    if params.get("ObjectLockEnabledForBucket"):
        actions += ["PutBucketObjectLockConfiguration", "PutBucketVersioning"]
    if params.get("ObjectOwnership"):
        actions.append("PutBucketOwnershipControls")
    if (params.get("CreateBucketConfiguration") or {}).get("Tags"):
        actions.append("TagResource")
    return [(action, f"arn:aws:s3:::{params.get('Bucket')}") for action in actions]


def worded(principal: Principal, action: str, resource: str, verdict: Verdict) -> str:
    """As S3 tells a refusal within an account. Source: "Troubleshoot access denied (403 Forbidden) errors in Amazon S3"."""
    asked = f's3:{action} on resource: "{resource}"'
    return f"User: {principal.arn} is not authorized to perform: {asked} {verdict.because}"


def _question(bucket: Bucket, key: str | None, principal: Principal, action: str, context: Context) -> Question:
    resource = f"arn:aws:s3:::{bucket.name}" + ("" if key is None else f"/{key}")
    ids = frozenset({principal.canonical_id})
    return Question(principal.arn, principal.account, ids, f"s3:{action}", resource, context, principal.parent)


def _lets(
    bucket: Bucket,
    key: str | None,
    version: Version | None,
    principal: Principal,
    action: str,
    context: Callable[[], Context],
    *,
    pays: bool,
) -> bool:
    """Whether the bucket's side lets the principal's account do it."""
    access = load(bucket.access)
    block = access.block or NO_BLOCK
    owns_bucket = bucket.owner == principal.canonical_id
    if access.payer == REQUESTER and not owns_bucket and (principal.is_anonymous or not pays):
        return False
    owner = (version.owner if version is not None and bucket.ownership != ENFORCED else None) or bucket.owner
    if access.policy is not None:
        policy = parsed(access.policy)
        decision = policies.decide(policy, _question(bucket, key, principal, action, context()))
        if owns_bucket and action in _OF_POLICY:
            return True  # an owner cannot lock itself out
        if decision == policies.DENY:
            return False
        # A stranger's object is the stranger's to give; the bucket's owner may deny it all the same.
        if (
            decision == policies.ALLOW
            and owner == bucket.owner
            and (owns_bucket or not (block.restrict and policies.is_public(policy)))
        ):
            return True
    if owner == principal.canonical_id:
        return True
    if owns_bucket and (version is None or action.startswith("Delete") or action.endswith("Tagging")):
        return True  # what a stranger put there the owner may remove and label, if not read
    if bucket.ownership == ENFORCED:
        return False
    who = None if principal.is_anonymous else principal.canonical_id
    if version is not None:
        permission, granted = _OBJECT_PERMISSIONS.get(action), grants.load(version.acl, owner)
    else:
        permission, granted = _BUCKET_PERMISSIONS.get(action), grants.load(access.acl, bucket.owner)
    return permission is not None and grants.allows(granted, permission, who, ignore_public=block.ignore_acls)
