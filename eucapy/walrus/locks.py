"""Object lock: what a bucket gives its new versions, what a version carries, and what that forbids. Pure.

    a version is held   while its legal hold is ON
                        until its retention's date; COMPLIANCE: nobody shortens it, GOVERNANCE: who may bypass it does
    what is held        cannot be deleted by version, by nobody: not by its owner, a batch delete or a lifecycle rule

A delete without a version and an overwrite only add to a version's history (a bucket with object lock is always
versioned), so the one place to ask is the removal of a version: `refusal`. Source: "Locking objects with Object Lock", S3
user guide. Who is asked: `s3/locks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from eucapy.aws.errors import AccessDenied, InvalidArgument, InvalidRequest
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import Version

GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"
MODES = (GOVERNANCE, COMPLIANCE)
DAY_MS = 86_400_000
PROTECTED = "Access Denied because object protected by object lock."


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """A bucket's `lock` column, "{}" at least. With a `mode` new versions are retained for `days` or `years` (365 days)."""

    mode: str | None = None
    days: int | None = None
    years: int | None = None


class Lock(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version's `lock` column. `until_ms` since the epoch; `hold` None: never set."""

    mode: str | None = None
    until_ms: int = 0
    hold: str | None = None

    def retains(self, now_ms: int) -> bool:
        return self.mode is not None and self.until_ms > now_ms


NOTHING = Lock()
_decode_rule = msgspec.json.Decoder(Rule).decode
_decode_lock = msgspec.json.Decoder(Lock).decode


@lru_cache(maxsize=256)
def rule_of(document: str) -> Rule | None:
    """What stands in a bucket's column; None where it has no object lock."""
    return _decode_rule(document) if document else None


def dump_rule(rule: Rule) -> str:
    return msgspec.json.encode(rule).decode()


def load(document: str | None) -> Lock:
    return _decode_lock(document) if document else NOTHING


def dump(lock: Lock) -> str | None:
    return None if lock == NOTHING else msgspec.json.encode(lock).decode()


def asked(p: Mapping[str, Any], now_ms: int) -> Lock | None:
    """What the headers of a write ask for; None for nothing. Raises InvalidArgument."""
    mode, until, hold = p.get("ObjectLockMode"), p.get("ObjectLockRetainUntilDate"), p.get("ObjectLockLegalHoldStatus")
    if mode is None and until is None and hold is None:
        return None
    if (mode is None) != (until is None):
        missing = "x-amz-object-lock-mode" if mode is None else "x-amz-object-lock-retain-until-date"
        raise InvalidArgument(
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
            fields={"ArgumentName": missing},
        )
    if mode is not None and mode not in MODES:
        raise InvalidArgument(
            "Unknown wormMode directive.", fields={"ArgumentName": "x-amz-object-lock-mode", "ArgumentValue": mode}
        )
    if hold is not None and hold not in ("ON", "OFF"):
        raise InvalidArgument(
            "Legal Hold must be either of 'ON' or 'OFF'",
            fields={"ArgumentName": "x-amz-object-lock-legal-hold", "ArgumentValue": hold},
        )
    return Lock(mode, 0 if until is None else future_ms(until, now_ms), hold)


def future_ms(until: datetime, now_ms: int, argument: str = "x-amz-object-lock-retain-until-date") -> int:
    """A date of retention in milliseconds; `argument` brought it. Raises InvalidArgument for one that has passed."""
    until_ms = int(until.timestamp() * 1000)
    if until_ms <= now_ms:
        raise InvalidArgument(
            "The retain until date must be in the future!",
            fields={"ArgumentName": argument, "ArgumentValue": until.isoformat()},
        )
    return until_ms


def of_new_version(bucket: Bucket, wanted: Lock | None, now_ms: int) -> str | None:
    """The `lock` of a version that is written now: what the write asks for, else the bucket's default.

    Raises InvalidRequest where the bucket has no object lock.
    """
    if not bucket.lock:
        if wanted is not None:
            raise InvalidRequest("Bucket is missing Object Lock Configuration")
        return None
    rule = rule_of(bucket.lock)
    if rule is not None and rule.mode is not None and (wanted is None or wanted.mode is None):
        days = (rule.days or 0) + (rule.years or 0) * 365
        until_ms = now_ms + days * DAY_MS
        return dump(Lock(rule.mode, until_ms, None if wanted is None else wanted.hold))
    return None if wanted is None else dump(wanted)


def is_held(lock: Lock, now_ms: int, *, bypass: bool) -> bool:
    """Whether a version cannot be removed; `bypass`: the caller may overrule GOVERNANCE and says so."""
    if lock.hold == "ON":
        return True
    return lock.retains(now_ms) and not (bypass and lock.mode == GOVERNANCE)


def refuse_removal(version: Version | None, now_ms: int, *, bypass: bool) -> None:
    """Raises AccessDenied for a version that is held."""
    if version is not None and version.lock is not None and is_held(load(version.lock), now_ms, bypass=bypass):
        raise AccessDenied(PROTECTED)


def refuse_change(old: Lock, mode: str | None, until_ms: int, now_ms: int, *, bypass: bool) -> None:
    """Whether retention may become `mode` until `until_ms` (None, 0: be lifted). Raises AccessDenied."""
    if not old.retains(now_ms) or (bypass and old.mode == GOVERNANCE):
        return
    if mode != old.mode or until_ms < old.until_ms:
        raise AccessDenied(PROTECTED)
