"""Bucket policies: put, get, delete, and whether one is public. What a policy means: `aws/policy.py`, `walrus/access.py`."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from eucapy.aws import policy as policies
from eucapy.aws.errors import AccessDenied
from eucapy.aws.message import Result
from eucapy.aws.policy import MalformedPolicy
from eucapy.walrus import access, errors, grants
from eucapy.walrus.access import ENFORCED, NO_BLOCK, Access
from eucapy.walrus.context import Call
from eucapy.walrus.s3.acls import change_access
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store.buckets import Bucket

_BUCKETS = "arn:aws:s3:::"
MOST_BYTES = 20 * 1024


def check(text: str, bucket: str) -> policies.Policy:
    """A policy that fits this bucket. Raises MalformedPolicy."""
    if len(text.encode("utf-8", "surrogateescape")) > MOST_BYTES:
        raise MalformedPolicy("Policy exceeds the maximum allowed document size.")
    policy = policies.parse(text)
    arn = f"arn:aws:s3:::{bucket}"
    for statement in policy.statements:
        if not all(_is_about(each, arn) for each in statement.resources):
            raise MalformedPolicy("Policy has invalid resource")
        if not all(each == "*" or each.lower().startswith("s3:") for each in statement.actions):
            raise MalformedPolicy("Policy has invalid action")
    return policy


def _is_about(resource: str, arn: str) -> bool:
    """Whether a resource of a policy can be the bucket or an object of it: by name, or by a wildcard in its place."""
    if resource == arn or resource.startswith(f"{arn}/"):
        return True
    before = re.split(r"[*?]", resource, maxsplit=1)[0]
    return before != resource and (resource == "*" or (before.startswith(_BUCKETS) and arn.startswith(before)))


@s3.action("PutBucketPolicy", worded=("Policy",))
async def put_bucket_policy(call: Call, p: dict[str, Any]) -> Result:
    text = p.get("Policy") or ""
    policy = check(text, p["Bucket"])

    def change(bucket: Bucket, current: Access) -> Access:
        if (current.block or NO_BLOCK).block_policy and policies.is_public(policy):
            raise AccessDenied()
        return msgspec.structs.replace(current, policy=text)

    await change_access(call, p, change)
    return Result({}, status=204)


@s3.action("DeleteBucketPolicy")
async def delete_bucket_policy(call: Call, p: dict[str, Any]) -> Result:
    await change_access(call, p, lambda bucket, current: msgspec.structs.replace(current, policy=None))
    return Result({}, status=204)


async def _policy(call: Call, p: dict[str, Any]) -> str:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    text = access.load(bucket.access).policy
    if text is None:
        raise errors.NoSuchBucketPolicy(fields={"BucketName": bucket.name})
    return text


@s3.action("GetBucketPolicy")
async def get_bucket_policy(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    return {"Policy": await _policy(call, p)}


@s3.action("GetBucketPolicyStatus")
async def get_bucket_policy_status(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    """Public by its policy, or by the list of a bucket that has one; a bucket without a policy has a status too."""
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    found = access.load(bucket.access)
    public = found.policy is not None and policies.is_public(access.parsed(found.policy))
    if bucket.ownership != ENFORCED and not (found.block or NO_BLOCK).ignore_acls:
        public = public or grants.is_public(grants.load(found.acl, bucket.owner))
    return {"PolicyStatus": {"IsPublic": public}}
