"""The website configuration of a bucket: put, get, delete. What it means: `walrus/website.py`."""

from __future__ import annotations

from typing import Any

from eucapy.database import Tx
from eucapy.walrus import errors, website
from eucapy.walrus.context import Call
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets

SETTING = "website"


@s3.action("PutBucketWebsite", unchecked=("WebsiteConfiguration",))
async def put_bucket_website(call: Call, p: dict[str, Any]) -> None:
    await _set(call, p, website.dump(website.of_configuration(p.get("WebsiteConfiguration") or {})))


@s3.action("DeleteBucketWebsite")
async def delete_bucket_website(call: Call, p: dict[str, Any]) -> None:
    await _set(call, p, None)


async def _set(call: Call, p: dict[str, Any], document: str | None) -> None:
    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        await buckets.set_setting(tx, bucket, SETTING, document)

    await call.write(work)


@s3.action("GetBucketWebsite")
async def get_bucket_website(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    async def work(tx: Tx) -> str | None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        return await buckets.setting(tx, bucket, SETTING)

    document = await call.read(work)
    if document is None:
        raise errors.NoSuchWebsiteConfiguration(fields={"BucketName": p["Bucket"]})
    return website.view(website.load(document))
