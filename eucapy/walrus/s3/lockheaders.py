"""Object lock in the headers of other requests: what writes ask for, what reads tell, and who may overrule it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.aws.errors import InvalidRequest
from eucapy.walrus import locks, receiving
from eucapy.walrus.context import Call
from eucapy.walrus.locks import Lock
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import Version


def bypasses(call: Call, bucket: Bucket, key: str, p: Mapping[str, Any]) -> bool:
    """Whether the request asks to overrule GOVERNANCE, and its caller may."""
    return bool(p.get("BypassGovernanceRetention")) and call.may(bucket, key=key, action="BypassGovernanceRetention")


def asked(call: Call, p: Mapping[str, Any], *, with_body: bool = True) -> Lock | None:
    """What the headers of a write ask for. Raises InvalidArgument, InvalidRequest.

    AWS takes locks only from clients that make sure the bytes arrive whole.
    """
    wanted = locks.asked(p, call.now_ms)
    if wanted is not None and with_body and not receiving.is_summed(call):
        raise InvalidRequest(
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
        )
    return wanted


def may_lock(call: Call, bucket: Bucket, key: str, wanted: Lock) -> None:
    """Whether the caller may lock what it writes. Raises InvalidRequest, AccessDenied."""
    if not bucket.lock:
        raise InvalidRequest("Bucket is missing Object Lock Configuration")
    if wanted.mode is not None:
        call.allow(bucket, key=key, action="PutObjectRetention")
    if wanted.hold is not None:
        call.allow(bucket, key=key, action="PutObjectLegalHold")


def members(call: Call, bucket: Bucket, version: Version, key: str) -> dict[str, Any]:
    """What a read says of the version's lock, as far as its caller may know."""
    lock = locks.load(version.lock)
    said: dict[str, Any] = {}
    if lock.mode is not None and call.may(bucket, version, key=key, action="GetObjectRetention"):
        said |= {"ObjectLockMode": lock.mode, "ObjectLockRetainUntilDate": lock.until_ms / 1000}
    if lock.hold is not None and call.may(bucket, version, key=key, action="GetObjectLegalHold"):
        said["ObjectLockLegalHoldStatus"] = lock.hold
    return said
