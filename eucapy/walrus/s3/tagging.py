"""Tags of buckets and of versions: Get, Put, Delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.aws.errors import MalformedXML
from eucapy.aws.message import Result
from eucapy.aws.validate import MissingRequestBodyError
from eucapy.database import Tx
from eucapy.walrus import errors, events, headers
from eucapy.walrus.context import Call
from eucapy.walrus.s3.reading import find_unmarked
from eucapy.walrus.s3.replication import replicating_change
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets, objects
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import Version


def _pairs(p: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Raises MissingRequestBodyError, MalformedXML; a document without a set of tags has none."""
    if p.get("Tagging") is None:
        raise MissingRequestBodyError()
    tags = p["Tagging"].get("TagSet") or []
    if any("Key" not in tag or "Value" not in tag for tag in tags):
        raise MalformedXML()
    return [(tag["Key"], tag["Value"]) for tag in tags]


def _view(document: str | None) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in headers.decode_tags(document)]


@s3.action("PutObjectTagging", unchecked=("Tagging",), worded=("Tagging",))
async def put_object_tagging(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    document = headers.encode_tags(_pairs(p), headers.MOST_TAGS)
    return await _change(call, p, document)


@s3.action("DeleteObjectTagging")
async def delete_object_tagging(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    return await _change(call, p, None)


async def _change(call: Call, p: Mapping[str, Any], document: str | None) -> dict[str, Any]:
    async def work(tx: Tx) -> tuple[Bucket, Version]:
        bucket, version = await find_unmarked(tx, call, p)
        await objects.set_tags(tx, bucket, version, document)
        await replicating_change(tx, call, bucket, version)
        what = "Delete" if call.operation == "DeleteObjectTagging" else "Put"
        await events.changed(tx, call, bucket, version, f"ObjectTagging:{what}")
        return bucket, version

    bucket, version = await call.write(work)
    return {"VersionId": version.version_id} if bucket.versioning else {}


@s3.action("GetObjectTagging")
async def get_object_tagging(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket, version = await call.read(lambda tx: find_unmarked(tx, call, p))
    answer: dict[str, Any] = {"TagSet": _view(version.tags)}
    if bucket.versioning:
        answer["VersionId"] = version.version_id
    return answer


@s3.action("PutBucketTagging", unchecked=("Tagging",), worded=("Tagging",))
async def put_bucket_tagging(call: Call, p: dict[str, Any]) -> Result:
    document = headers.encode_tags(_pairs(p), headers.MOST_BUCKET_TAGS)
    await _set(call, p, document)
    return Result({}, status=204)


@s3.action("DeleteBucketTagging")
async def delete_bucket_tagging(call: Call, p: dict[str, Any]) -> None:
    await _set(call, p, None)


async def _set(call: Call, p: Mapping[str, Any], document: str | None) -> None:
    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        await buckets.set_setting(tx, bucket, "tagging", document)

    await call.write(work)


@s3.action("GetBucketTagging")
async def get_bucket_tagging(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    async def work(tx: Tx) -> str | None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        return await buckets.setting(tx, bucket, "tagging")

    document = await call.read(work)
    if document is None:
        raise errors.NoSuchTagSet(fields={"BucketName": p["Bucket"]})
    return {"TagSet": _view(document)}
