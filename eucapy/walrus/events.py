"""Events are recorded in the transaction that they tell of: what was committed is told, and nothing else.

A bucket that has no notifications costs a look at a column that is there already. Delivery: `workers/notifier.py`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus

import msgspec

from eucapy.aws.chain import host_id
from eucapy.aws.timestamps import milliseconds
from eucapy.database import Tx
from eucapy.walrus import notifications
from eucapy.walrus.context import Call
from eucapy.walrus.identity import Principal
from eucapy.walrus.store import events
from eucapy.walrus.store.buckets import ENABLED, Bucket
from eucapy.walrus.store.objects import Removed, Version

_CREATED = {"PutObject": "Put", "PostObject": "Post", "CopyObject": "Copy"}
_OURSELVES = "s3.amazonaws.com"
_EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


async def created(tx: Tx, call: Call, bucket: Bucket, version: Version) -> None:
    """An object is there: by the operation that the call is."""
    if not bucket.notifications:
        return
    how = _CREATED.get(call.operation, call.operation)
    about = {"size": version.size, "eTag": version.etag, **_version_id(bucket, version)}
    await _record(tx, call, bucket, f"ObjectCreated:{how}", version.key, about)


async def removed(tx: Tx, call: Call, bucket: Bucket, key: bytes, version_id: str | None, what: Removed) -> None:
    """A delete is done; `version_id` is the one that it named."""
    if not bucket.notifications:
        return
    about: dict[str, Any] = {}
    if what.marker and version_id is None:
        about = {"eTag": _EMPTY_MD5}
    if what.version_id is not None:
        about["versionId"] = what.version_id
    event = "DeleteMarkerCreated" if what.marker and version_id is None else "Delete"
    await _record(tx, call, bucket, f"ObjectRemoved:{event}", key, about)


async def changed(tx: Tx, call: Call, bucket: Bucket, version: Version, event: str) -> None:
    """Tags or the ACL of a version are others: `ObjectTagging:Put` and the like."""
    if bucket.notifications:
        about = {"eTag": version.etag, **_version_id(bucket, version)}
        await _record(tx, call, bucket, event, version.key, about, sequenced=False)


async def by_lifecycle(
    tx: Tx, bucket: Bucket, version: Version, what: Removed | None, now_s: float, *, named: bool = False
) -> None:
    """A rule of the bucket acted: on `version`, which is gone (`named`: for good), or (`what` None) has another label."""
    if not bucket.notifications:
        return
    about: dict[str, Any] = {"size": version.size, "eTag": version.etag, **_version_id(bucket, version)}
    event = "LifecycleTransition"
    if what is not None:
        marked = what.marker and not named
        event = f"LifecycleExpiration:{'DeleteMarkerCreated' if marked else 'Delete'}"
        about = {"eTag": _EMPTY_MD5, "versionId": what.version_id} if marked else about
    origin = {"address": _OURSELVES, "request": "", "host": ""}
    await _insert(tx, bucket, event, version.key, about, _OURSELVES, origin, now_s)


def _version_id(bucket: Bucket, version: Version) -> dict[str, str]:
    return {"versionId": version.version_id} if bucket.versioning == ENABLED else {}


def _who(principal: Principal) -> str:
    if principal.is_anonymous:
        return "Anonymous"
    _, slash, user = principal.arn.rpartition("/")
    return f"AWS:{user if slash else principal.account}"


async def _record(
    tx: Tx, call: Call, bucket: Bucket, event: str, key: bytes, about: dict[str, Any], *, sequenced: bool = True
) -> None:
    request_id = call.incoming.request_id
    origin = {"address": call.incoming.remote, "request": request_id, "host": host_id(request_id)}
    now_s = call.walrus.clock.time()
    told = await _insert(tx, bucket, event, key, about, _who(call.principal), origin, now_s, sequenced=sequenced)
    if told and call.walrus.notifier is not None:
        tx.on_commit(call.walrus.notifier.wake)


async def _insert(
    tx: Tx,
    bucket: Bucket,
    event: str,
    key: bytes,
    about: dict[str, Any],
    who: str,
    origin: dict[str, str],
    now_s: float,
    *,
    sequenced: bool = True,
) -> bool:
    """Whether anybody wants to know."""
    text = key.decode("utf-8", "surrogateescape")
    rules = notifications.choose(notifications.load(bucket.notifications), event, text)
    object_ = {"key": quote_plus(text, errors="surrogateescape"), **about}
    if sequenced:
        object_["sequencer"] = f"{int(now_s * 1_000_000_000):016X}"
    where = {"name": bucket.name, "owner": bucket.owner, "region": bucket.region}
    for rule in rules:
        record = notifications.record(event, rule.id, where, object_, milliseconds(now_s), who, origin)
        body = msgspec.json.encode({"Records": [record]}).decode()
        await events.insert(tx, rule.arn, int(now_s * 1000), body)
    return bool(rules)
