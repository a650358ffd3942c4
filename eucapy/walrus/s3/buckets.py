"""Buckets: ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation.

Names are global. A bucket belongs to the account that made it and remembers the LocationConstraint that it was made with:
clients make buckets "elsewhere" and expect to read that back, and here it has no other meaning.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from eucapy.aws import models
from eucapy.aws.errors import InvalidArgument
from eucapy.aws.message import Result
from eucapy.database import Tx
from eucapy.errors import ApiError
from eucapy.walrus import errors, headers, locks
from eucapy.walrus.access import ENFORCED, load
from eucapy.walrus.context import Call
from eucapy.walrus.locks import Rule
from eucapy.walrus.s3 import acls
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets
from eucapy.walrus.store.buckets import Bucket

DEFAULT_REGION = "us-east-1"
LOCATION = "location"
"""The setting of a bucket that keeps a LocationConstraint which is another name of its region."""
_EUROPE = "EU"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z", re.ASCII)
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z", re.ASCII)
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
MOST_PER_PAGE = 10_000


def is_valid_name(name: str) -> bool:
    """The rules for general purpose buckets ("Bucket naming rules", S3 user guide)."""
    if not _NAME.match(name) or ".." in name:
        return False
    if name.startswith(_RESERVED_STARTS) or name.endswith(_RESERVED_ENDS):
        return False
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return True
    return False


@s3.action("ListBuckets")
async def list_buckets(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    owner = call.principal.canonical_id
    most = _most(p.get("MaxBuckets"))
    after, prefix = _read_token(p.get("ContinuationToken")), p.get("Prefix") or ""
    region = p.get("BucketRegion")
    if region is not None and region != call.walrus.region and region not in models.regions():
        raise InvalidArgument(
            f"Argument value {region} is not a valid AWS Region", fields={"ArgumentName": "bucket-region"}
        )
    page = await call.read(lambda tx: buckets.page(tx, owner, after, prefix, most + 1))
    shown = [bucket for bucket in page[:most] if region is None or bucket.region == region]
    answer: dict[str, Any] = {
        "Owner": call.person(owner),
        "Buckets": [_summary(bucket, p) for bucket in shown],
    }
    if p.get("Prefix") is not None:
        answer["Prefix"] = prefix
    if len(page) > most:
        answer["ContinuationToken"] = base64.b64encode(page[most - 1].name.encode()).decode()
    return answer


def _summary(bucket: Bucket, p: dict[str, Any]) -> dict[str, Any]:
    summary: dict[str, Any] = {"Name": bucket.name, "CreationDate": bucket.created_ms // 1000}
    if any(p.get(name) is not None for name in ("MaxBuckets", "Prefix", "ContinuationToken", "BucketRegion")):
        # AWS names these only in answers that are paged or filtered
        summary |= {"BucketRegion": bucket.region, "BucketArn": f"arn:aws:s3:::{bucket.name}"}
    return summary


def _most(given: int | None) -> int:
    if given is None:
        return MOST_PER_PAGE
    if not 1 <= given <= MOST_PER_PAGE:
        raise InvalidArgument(
            f"Argument maxBuckets must be an integer between 1 and {MOST_PER_PAGE}",
            fields={"ArgumentName": "max-buckets", "ArgumentValue": given},
        )
    return given


def _read_token(token: str | None) -> str:
    if token is None:
        return ""
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidArgument(
            "The continuation token provided is incorrect",
            fields={"ArgumentName": "continuation-token", "ArgumentValue": token},
        ) from None


@s3.action("CreateBucket", unchecked=("CreateBucketConfiguration", "ObjectOwnership", "ACL"))
async def create_bucket(call: Call, p: dict[str, Any]) -> Result:
    name = p["Bucket"]
    if not is_valid_name(name):
        raise errors.InvalidBucketName(fields={"BucketName": name})
    configuration = p.get("CreateBucketConfiguration") or {}
    region = _location(configuration.get("LocationConstraint"), call.walrus.region)
    lock = locks.dump_rule(Rule()) if p.get("ObjectLockEnabledForBucket") else ""
    ownership = p.get("ObjectOwnership")
    if ownership is None:
        ownership = "ObjectWriter" if call.walrus.old_defaults else ENFORCED
    if ownership not in acls.OWNERSHIPS:
        raise InvalidArgument(
            "Invalid x-amz-object-ownership header: " + ownership,
            fields={"ArgumentName": "x-amz-object-ownership"},
        )
    principal = call.principal
    tags = _tags(configuration)
    access = acls.of_new_bucket(call, p, ownership)

    async def work(tx: Tx) -> None:
        existing = await buckets.by_name(tx, name)
        if existing is not None:
            _refuse_existing(existing, call, region, access, is_tagged=tags is not None)
            return
        if await buckets.count(tx, principal.canonical_id) >= call.walrus.most_buckets:
            raise errors.TooManyBuckets()
        now_ms = call.now_ms
        await buckets.insert(
            tx,
            name,
            principal.canonical_id,
            principal.account,
            region,
            now_ms,
            ownership,
            access,
            lock=lock,
            encryption=call.walrus.default_encryption,
        )
        made = await buckets.by_name(tx, name)
        if made is not None and tags:
            await buckets.set_setting(tx, made, "tagging", tags)
        if made is not None and configuration.get("LocationConstraint") == _EUROPE:
            await buckets.set_setting(tx, made, LOCATION, _EUROPE)

    await call.write(work)
    return Result({"Location": f"/{name}", "BucketArn": f"arn:aws:s3:::{name}"})


def _tags(configuration: Mapping[str, Any]) -> str | None:
    """The tags that the bucket is made with, as a document. Raises InvalidTag."""
    pairs = [(tag["Key"], tag["Value"]) for tag in configuration.get("Tags") or ()]
    if any(name.lower().startswith("aws:") for name, _ in pairs):
        raise errors.InvalidTag(
            'User-defined tag keys can\'t start with "aws:". This prefix is reserved for system tags. Remove "aws:" from '
            "your tag keys and try again."
        )
    return headers.encode_tags(pairs, headers.MOST_BUCKET_TAGS)


def _location(constraint: str | None, home: str) -> str:
    """The region that the bucket will say it is in. Raises InvalidLocationConstraint.

    AWS has no constraint of the name us-east-1: buckets there are made without one.
    """
    if not constraint:
        return home
    if constraint == _EUROPE:
        return "eu-west-1"
    if not _REGION.match(constraint) or constraint == DEFAULT_REGION:
        raise errors.InvalidLocationConstraint(fields={"LocationConstraint": constraint})
    return constraint


def _refuse_existing(existing: Bucket, call: Call, region: str, access: str, *, is_tagged: bool) -> None:
    """us-east-1 answers 200 to its owner's second CreateBucket, every other region 409; and a bucket that is there is given
    neither another ACL nor tags by making it."""
    fields = {"BucketName": existing.name}
    if existing.owner != call.principal.canonical_id or load(existing.access).acl != load(access).acl:
        raise errors.BucketAlreadyExists(fields=fields)
    if region != DEFAULT_REGION or existing.region != region or is_tagged:
        raise errors.BucketAlreadyOwnedByYou(fields=fields)


@s3.action("HeadBucket")
async def head_bucket(call: Call, p: dict[str, Any]) -> Result:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    told = {
        "BucketRegion": bucket.region,
        "BucketArn": f"arn:aws:s3:::{bucket.name}",
        "AccessPointAlias": False,
    }
    return Result(told, headers={"Content-Type": "application/xml"})  # S3 names one, of the body that there is not


@s3.action("DeleteBucket")
async def delete_bucket(call: Call, p: dict[str, Any]) -> None:
    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        error: type[ApiError] = errors.VersionedBucketNotEmpty if bucket.versioning else errors.BucketNotEmpty
        if await buckets.has_versions(tx, bucket):
            raise error(fields={"BucketName": bucket.name})
        await buckets.drop_uploads(tx, bucket)
        await buckets.delete(tx, bucket)

    await call.write(work)
    call.walrus.collector.wake()


@s3.action("GetBucketLocation")
async def get_bucket_location(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    async def work(tx: Tx) -> str:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        return await buckets.setting(tx, bucket, LOCATION) or bucket.region

    said = await call.read(work)
    return {"LocationConstraint": "" if said == DEFAULT_REGION else said}
