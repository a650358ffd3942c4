"""Cross-origin rules of a bucket: put, get, delete, and the browser's preflight. What they mean: `walrus/cors.py`.

A preflight asks what a later request may do; it has no signature of its own (that of a presigned URL is for the later
request), says nothing about whether a key exists, and is answered from the rules alone.
"""

from __future__ import annotations

from typing import Any

from eucapy.aws.message import Outgoing
from eucapy.database import Tx
from eucapy.walrus import cors, errors
from eucapy.walrus.context import Call
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets

SETTING = "cors"
DISABLED = "CORSResponse: CORS is not enabled for this bucket."
NO_BUCKET = "CORSResponse: Bucket not found"
NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / "
    "Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
)


@s3.action("PutBucketCors", unchecked=("CORSConfiguration",))
async def put_bucket_cors(call: Call, p: dict[str, Any]) -> None:
    document = cors.dump(cors.of_configuration(p.get("CORSConfiguration") or {}))
    await _set(call, p, document)


@s3.action("DeleteBucketCors")
async def delete_bucket_cors(call: Call, p: dict[str, Any]) -> None:
    await _set(call, p, None)


async def _set(call: Call, p: dict[str, Any], document: str | None) -> None:
    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        await buckets.set_setting(tx, bucket, SETTING, document)

    await call.write(work)


@s3.action("GetBucketCors")
async def get_bucket_cors(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    async def work(tx: Tx) -> str | None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        return await buckets.setting(tx, bucket, SETTING)

    document = await call.read(work)
    if document is None:
        raise errors.NoSuchCORSConfiguration(fields={"BucketName": p["Bucket"]})
    return {"CORSRules": cors.view(cors.load(document))}


@s3.raw("OptionsObject", "OPTIONS", lambda incoming, labels: True, unsigned=True)
async def preflight(call: Call, p: dict[str, Any]) -> Outgoing:
    """Raises BadRequest, AccessForbidden."""
    given = call.incoming.headers
    origin = given.get("origin")
    if origin is None:
        raise errors.BadRequest("Insufficient information. Origin request header needed.")
    method = given.get("access-control-request-method")
    refusal = {"Method": method or "OPTIONS", "ResourceType": "BUCKET"}

    async def work(tx: Tx) -> tuple[bool, str | None]:
        bucket = await buckets.by_name(tx, p["Bucket"])
        return bucket is not None, await buckets.setting(tx, bucket, SETTING) if bucket is not None else None

    exists, document = await call.read(work) if p.get("Bucket") else (False, None)
    if document is None:
        raise errors.AccessForbidden(DISABLED if exists else NO_BUCKET, fields=refusal)
    if method not in cors.METHODS:
        raise errors.BadRequest(f"Invalid Access-Control-Request-Method: {'null' if method is None else method}")
    headers = cors.requested(given.get("access-control-request-headers"))
    rule = cors.choose(cors.load(document), origin, method, headers)
    if rule is None:
        raise errors.AccessForbidden(NOT_ALLOWED, fields=refusal | ({"ResourceType": "OBJECT"} if p.get("Key") else {}))
    return Outgoing(200, cors.answer(rule, origin, headers))
