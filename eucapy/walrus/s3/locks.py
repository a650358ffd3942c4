"""Object lock: of a bucket (ObjectLockConfiguration) and of a version (Retention, LegalHold).

The rules: `walrus/locks.py`; locks in the headers of writes and reads: `lockheaders.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from eucapy.aws.errors import InvalidRequest, MalformedXML
from eucapy.aws.validate import MissingRequestBodyError
from eucapy.database import Tx
from eucapy.walrus import errors, locks
from eucapy.walrus.context import Call
from eucapy.walrus.locks import Lock, Rule
from eucapy.walrus.s3 import reading
from eucapy.walrus.s3.lockheaders import bypasses
from eucapy.walrus.s3.replication import replicating_change
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets, objects
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import Version

MOST_DAYS, MOST_YEARS = 36_500, 100


@s3.action("PutObjectLockConfiguration", unchecked=("ObjectLockConfiguration",))
async def put_object_lock_configuration(call: Call, p: dict[str, Any]) -> None:
    if p.get("ObjectLockConfiguration") is None:
        raise MissingRequestBodyError()
    rule = _rule(p["ObjectLockConfiguration"])

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        if bucket.versioning != "Enabled":
            raise errors.InvalidBucketState(
                "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
            )
        await buckets.set_lock(tx, bucket, locks.dump_rule(rule))

    await call.write(work)


def _rule(configuration: Mapping[str, Any] | None) -> Rule:
    """Raises MalformedXML, InvalidRetentionPeriod."""
    if not configuration or configuration.get("ObjectLockEnabled") != "Enabled":
        raise MalformedXML()
    if configuration.get("Rule") is None:
        return Rule()
    default = configuration["Rule"].get("DefaultRetention") or {}
    mode, days, years = default.get("Mode"), default.get("Days"), default.get("Years")
    if mode not in locks.MODES or (days is None) == (years is None):
        raise MalformedXML()
    for given, most, unit in ((days, MOST_DAYS, "days"), (years, MOST_YEARS, "years")):
        if given is not None and given <= 0:
            raise errors.InvalidRetentionPeriod("Default retention period must be a positive integer value.")
        if given is not None and given > most:
            raise errors.InvalidRetentionPeriod(f"Default retention period cannot exceed {most} {unit}.")
    return Rule(mode, days, years)


@s3.action("GetObjectLockConfiguration")
async def get_object_lock_configuration(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    rule = locks.rule_of(bucket.lock)
    if rule is None:
        raise errors.ObjectLockConfigurationNotFoundError(fields={"BucketName": bucket.name})
    configuration: dict[str, Any] = {"ObjectLockEnabled": "Enabled"}
    if rule.mode is not None:
        length = {"Days": rule.days} if rule.days is not None else {"Years": rule.years}
        configuration["Rule"] = {"DefaultRetention": {"Mode": rule.mode, **length}}
    return {"ObjectLockConfiguration": configuration}


async def _change(call: Call, p: Mapping[str, Any], change: Callable[[Bucket, Lock], Lock]) -> None:
    async def work(tx: Tx) -> None:
        bucket, version = await _locked(tx, call, p)
        await objects.set_lock(tx, bucket, version, locks.dump(change(bucket, locks.load(version.lock))))
        await replicating_change(tx, call, bucket, version)

    await call.write(work)


async def _locked(tx: Tx, call: Call, p: Mapping[str, Any]) -> tuple[Bucket, Version]:
    """The version that a request names. Raises InvalidRequest where its bucket has no object lock."""
    bucket, version = await reading.find(tx, call, p)
    if not bucket.lock:
        raise InvalidRequest("Bucket is missing Object Lock Configuration")
    return bucket, version


@s3.action("PutObjectRetention", unchecked=("Retention",))
async def put_object_retention(call: Call, p: dict[str, Any]) -> None:
    retention = p.get("Retention")
    if retention is None:
        raise MalformedXML()  # an empty document lifts the retention, no document at all means nothing
    mode, until = retention.get("Mode"), retention.get("RetainUntilDate")
    if (mode is None) != (until is None) or mode not in (None, *locks.MODES):
        raise MalformedXML()
    now_ms = call.now_ms
    until_ms = 0 if until is None else locks.future_ms(until, now_ms, "RetainUntilDate")

    def change(bucket: Bucket, old: Lock) -> Lock:
        locks.refuse_change(old, mode, until_ms, now_ms, bypass=bypasses(call, bucket, p["Key"], p))
        return msgspec.structs.replace(old, mode=mode, until_ms=until_ms)

    await _change(call, p, change)


@s3.action("PutObjectLegalHold", unchecked=("LegalHold",))
async def put_object_legal_hold(call: Call, p: dict[str, Any]) -> None:
    status = (p.get("LegalHold") or {}).get("Status")
    if status not in ("ON", "OFF"):
        raise MalformedXML()
    await _change(call, p, lambda bucket, old: msgspec.structs.replace(old, hold=status))


@s3.action("GetObjectRetention")
async def get_object_retention(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    _, version = await call.read(lambda tx: _locked(tx, call, p))
    lock = locks.load(version.lock)
    if lock.mode is None:
        raise errors.NoSuchObjectLockConfiguration()
    return {"Retention": {"Mode": lock.mode, "RetainUntilDate": lock.until_ms / 1000}}


@s3.action("GetObjectLegalHold")
async def get_object_legal_hold(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    _, version = await call.read(lambda tx: _locked(tx, call, p))
    lock = locks.load(version.lock)
    if lock.hold is None:
        raise errors.NoSuchObjectLockConfiguration()
    return {"LegalHold": {"Status": lock.hold}}
