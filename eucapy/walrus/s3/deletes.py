"""Objects away: DeleteObject, DeleteObjects.

Deleting what is not there succeeds. The bytes are given up in the same transaction and removed by the collector after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eucapy.aws.errors import InvalidArgument, InvalidRequest, MalformedXML
from eucapy.database import Tx
from eucapy.errors import ApiError
from eucapy.walrus import errors, events, headers, locks, receiving
from eucapy.walrus.context import Call
from eucapy.walrus.s3.lockheaders import bypasses
from eucapy.walrus.s3.reading import check_version_id, is_version_id
from eucapy.walrus.s3.replication import replicating
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets, objects
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import Removed, Version

MOST_KEYS = 1000
Check = Callable[[Version | None], None]


@s3.action("DeleteObject")
async def delete_object(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    key = headers.key_bytes(p)
    version_id = p.get("VersionId")
    if version_id is not None:
        check_version_id(version_id)
    check = _check(p.get("IfMatch"), p.get("IfMatchLastModifiedTime"), p.get("IfMatchSize"), p["Key"])

    async def work(tx: Tx) -> Removed:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        _check_bypass(bucket, p)
        return await _remove(tx, call, bucket, key, version_id, check, p)

    removed = await call.write(work)
    call.walrus.collector.wake()
    answer: dict[str, Any] = {}
    if removed.version_id is not None:
        answer["VersionId"] = removed.version_id
    if removed.marker:
        answer["DeleteMarker"] = True
    return answer


@s3.action("DeleteObjects", unchecked=("Delete",))
async def delete_objects(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    signed_chunks = call.incoming.headers.get("x-amz-content-sha256", "").startswith("STREAMING-AWS4-HMAC-SHA256")
    if not receiving.check_document(call) and not signed_chunks:
        raise InvalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    request = p.get("Delete") or {}
    entries = request.get("Objects") or []
    if not 1 <= len(entries) <= MOST_KEYS or any("Key" not in entry for entry in entries):
        raise MalformedXML()
    quiet = bool(request.get("Quiet"))

    async def work(tx: Tx) -> list[tuple[Mapping[str, Any], Removed | ApiError]]:
        bucket = call.existing(await buckets.by_name(tx, p["Bucket"]), p["Bucket"], p.get("ExpectedBucketOwner"))
        return [(entry, await _remove_entry(tx, call, bucket, entry, p)) for entry in entries]

    results = await call.write(work)
    call.walrus.collector.wake()
    answer: dict[str, Any] = {"Deleted": [], "Errors": []}
    for entry, result in results:
        if isinstance(result, ApiError):
            answer["Errors"].append(_error_view(entry, result))
        elif not quiet:
            answer["Deleted"].append(_deleted_view(entry, result))
    return answer


def _check_bypass(bucket: Bucket, p: Mapping[str, Any]) -> None:
    """Raises InvalidArgument where there is nothing that could be bypassed, whichever value the header has.

    AWS says so of DeleteObjects, too. But Ceph's tests, and whoever learnt from them, clean up any bucket with the header.
    """
    if p.get("BypassGovernanceRetention") is not None and not bucket.lock:
        name = "x-amz-bypass-governance-retention"
        raise InvalidArgument(
            f"{name} is only applicable to Object Lock enabled buckets.", fields={"ArgumentName": name}
        )


async def _remove_entry(
    tx: Tx, call: Call, bucket: Bucket, entry: Mapping[str, Any], p: Mapping[str, Any]
) -> Removed | ApiError:
    """Each key stands for itself: what is wrong with one of them is said beside it."""
    try:
        version_id = entry.get("VersionId")
        if version_id is not None and not is_version_id(version_id):
            raise errors.NoSuchVersion()
        call.allow(bucket, key=entry["Key"], action="DeleteObject" if version_id is None else "DeleteObjectVersion")
        check = _check(entry.get("ETag"), entry.get("LastModifiedTime"), entry.get("Size"), entry["Key"])
        return await _remove(tx, call, bucket, headers.key_bytes(entry), version_id, check, p)
    except ApiError as error:
        return error


async def _remove(
    tx: Tx,
    call: Call,
    bucket: Bucket,
    key: bytes,
    version_id: str | None,
    check: Check | None,
    p: Mapping[str, Any],
) -> Removed:
    if version_id is None:
        removed = await objects.remove(tx, bucket, key, call.now_ms, check)
        if bucket.replication and removed.made is not None:
            await replicating(tx, call, bucket, removed.made)
    else:
        if bucket.lock:
            check = _unlocked(call, bucket, key, p, check)
        removed = await objects.remove_version(tx, bucket, key, version_id, check)
    await events.removed(tx, call, bucket, key, version_id, removed)
    return removed


def _unlocked(call: Call, bucket: Bucket, key: bytes, p: Mapping[str, Any], check: Check | None) -> Check:
    """`check`, and that no lock holds the version: the check of a removal by version."""
    bypass = bypasses(call, bucket, key.decode("utf-8", "surrogateescape"), p)

    def both(version: Version | None) -> None:
        if check is not None:
            check(version)
        locks.refuse_removal(version, call.now_ms, bypass=bypass)

    return both


def _check(etag: str | None, modified: Any, size: int | None, key: str) -> Check | None:
    """A conditional delete. Raises PreconditionFailed, NoSuchKey through the check."""
    if etag is None and modified is None and size is None:
        return None

    def check(version: Version | None) -> None:
        if version is None:
            raise errors.NoSuchKey(fields={"Key": key})
        if etag is not None and etag.strip() != "*" and etag.strip().strip('"') != version.etag:
            raise errors.PreconditionFailed(fields={"Condition": "If-Match"})
        if modified is not None and int(modified.timestamp()) != version.modified_ms // 1000:
            raise errors.PreconditionFailed(fields={"Condition": "x-amz-if-match-last-modified-time"})
        if size is not None and size != version.size:
            raise errors.PreconditionFailed(fields={"Condition": "x-amz-if-match-size"})

    return check


def _deleted_view(entry: Mapping[str, Any], removed: Removed) -> dict[str, Any]:
    view: dict[str, Any] = {"Key": entry["Key"]}
    if entry.get("VersionId") is not None:
        view["VersionId"] = entry["VersionId"]
    if removed.marker:
        view["DeleteMarker"] = True
        view["DeleteMarkerVersionId"] = removed.version_id
    return view


def _error_view(entry: Mapping[str, Any], error: ApiError) -> dict[str, Any]:
    view: dict[str, Any] = {"Key": entry["Key"], "Code": error.code, "Message": error.text}
    if entry.get("VersionId") is not None:
        view["VersionId"] = entry["VersionId"]
    return view
