"""Lifecycle rules: what a bucket's owner wants done with objects as they age, and what is due now. Pure.

    the newest row of a key    a live object: expires (in a versioned bucket: is hidden by a marker), or gets another label
                               a marker with nothing under it: goes with ExpiredObjectDeleteMarker, or by its own age
    the rows under it          age from the moment that they were replaced; the newest few may be kept whatever their age
    open uploads               age from their beginning

Ages count from midnight to midnight, as in AWS: a day of a rule ends at the first midnight (UTC) after it is over. With a
debug day (`lifecycle_day_s`) they count exactly. What is locked is never removed: `workers/lifecycle.py` asks.
Source: "Lifecycle configuration elements" and "Expiring objects", S3 user guide. The document: `s3/lifecycle.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec

from eucapy.aws.timestamps import http_date
from eucapy.walrus.store.objects import Version

DAY_MS = 86_400_000
SMALLEST_TRANSITION_BYTES = 128 << 10
ALL_CLASSES, VARIES = "all_storage_classes_128K", "varies_by_storage_class"
_decode_tags = msgspec.json.Decoder(list[tuple[str, str]]).decode


class Document(msgspec.Struct, frozen=True):
    """A bucket's `lifecycle` column: rules by the model's names, dates in seconds since the epoch."""

    rules: list[dict[str, Any]]
    smallest: str = ALL_CLASSES


class Transition(msgspec.Struct, frozen=True):
    """Another label after `days` or from `date_ms` on; `newer`: so many noncurrent versions are left alone."""

    storage_class: str
    days: int | None = None
    date_ms: int | None = None
    newer: int = 0


class Rule(msgspec.Struct, frozen=True):
    """A rule that is enabled, ready to be asked. Sizes in bytes, None: no limit."""

    id: str
    prefix: bytes = b""
    tags: tuple[tuple[str, str], ...] = ()
    larger: int | None = None
    smaller: int | None = None
    days: int | None = None
    date_ms: int | None = None
    lone_markers: bool = False
    noncurrent_days: int | None = None
    newer: int = 0
    abort_days: int | None = None
    transitions: tuple[Transition, ...] = ()
    noncurrent_transitions: tuple[Transition, ...] = ()
    smallest_transition: int = 0

    def covers(self, version: Version) -> bool:
        """Whether the filter matches. A delete marker has neither tags nor a size to be asked for."""
        if not version.key.startswith(self.prefix):
            return False
        if version.marker:
            return not self.tags and self.larger is None and self.smaller is None
        if self.larger is not None and version.size <= self.larger:
            return False
        if self.smaller is not None and version.size >= self.smaller:
            return False
        return not self.tags or set(self.tags) <= set(_decode_tags(version.tags or "[]"))


class Step(msgspec.Struct, frozen=True):
    """One thing that is due: `expire` the live object, `remove` a version or marker, `label` it with `storage_class`."""

    action: str
    version: Version
    storage_class: str | None = None


EXPIRE, REMOVE, LABEL = "expire", "remove", "label"


@lru_cache(maxsize=256)
def load(document: str) -> Document | None:
    return msgspec.json.decode(document, type=Document) if document else None


@lru_cache(maxsize=256)
def rules_of(document: str) -> tuple[Rule, ...]:
    """The enabled rules of a bucket's column."""
    loaded = load(document)
    if loaded is None:
        return ()
    return tuple(_rule(each, loaded.smallest) for each in loaded.rules if each["Status"] == "Enabled")


def filter_of(rule: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]], int | None, int | None]:
    """(prefix, tags, larger than, smaller than) of a rule's Prefix or Filter, And flattened."""
    given = rule.get("Filter") or {}
    both = given.get("And") or {}
    tags = [(tag["Key"], tag["Value"]) for tag in both.get("Tags") or ()]
    if given.get("Tag"):
        tags.append((given["Tag"]["Key"], given["Tag"]["Value"]))
    prefix = rule.get("Prefix") or given.get("Prefix") or both.get("Prefix") or ""
    larger, smaller = (
        given.get(name) if given.get(name) is not None else both.get(name)
        for name in ("ObjectSizeGreaterThan", "ObjectSizeLessThan")
    )
    return prefix, tags, larger, smaller


def _rule(rule: Mapping[str, Any], smallest: str) -> Rule:
    prefix, tags, larger, smaller = filter_of(rule)
    expiration = rule.get("Expiration") or {}
    noncurrent = rule.get("NoncurrentVersionExpiration") or {}
    sized = larger is not None or smaller is not None
    return Rule(
        id=rule["ID"],
        prefix=prefix.encode("utf-8", "surrogateescape"),
        tags=tuple(tags),
        larger=larger,
        smaller=smaller,
        days=expiration.get("Days"),
        date_ms=_ms(expiration.get("Date")),
        lone_markers=bool(expiration.get("ExpiredObjectDeleteMarker")),
        noncurrent_days=noncurrent.get("NoncurrentDays"),
        newer=noncurrent.get("NewerNoncurrentVersions") or 0,
        abort_days=(rule.get("AbortIncompleteMultipartUpload") or {}).get("DaysAfterInitiation"),
        transitions=tuple(
            Transition(each["StorageClass"], each.get("Days"), _ms(each.get("Date")))
            for each in rule.get("Transitions") or ()
        ),
        noncurrent_transitions=tuple(
            Transition(each["StorageClass"], each["NoncurrentDays"], newer=each.get("NewerNoncurrentVersions") or 0)
            for each in rule.get("NoncurrentVersionTransitions") or ()
        ),
        smallest_transition=0 if sized or smallest == VARIES else SMALLEST_TRANSITION_BYTES,
    )


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000


def ends_ms(since_ms: int, days: int, day_ms: int) -> int:
    """When `days` that began at `since_ms` are over: at midnight, unless a debug day is set."""
    end = since_ms + days * day_ms
    return end if day_ms != DAY_MS else (end // DAY_MS + 1) * DAY_MS


def _due_ms(since_ms: int, days: int | None, date_ms: int | None, day_ms: int) -> int | None:
    return date_ms if days is None else ends_ms(since_ms, days, day_ms)


def expiration(document: str, version: Version) -> str | None:
    """The x-amz-expiration of a live object, None where no rule will expire it. Its days are real ones, debug day or not."""
    first: tuple[int, str] | None = None
    for rule in rules_of(document):
        due = _due_ms(version.modified_ms, rule.days, rule.date_ms, DAY_MS)
        if due is not None and rule.covers(version) and (first is None or due < first[0]):
            first = due, rule.id
    if first is None:
        return None
    return f'expiry-date="{http_date(first[0] // 1000)}", rule-id="{quote(first[1], safe="")}"'


def abortion(document: str, key: bytes, initiated_ms: int, day_ms: int = DAY_MS) -> tuple[int, str] | None:
    """(when in ms, by which rule) an open upload will be aborted."""
    found = [
        (ends_ms(initiated_ms, rule.abort_days, day_ms), rule.id)
        for rule in rules_of(document)
        if rule.abort_days is not None and key.startswith(rule.prefix)
    ]
    return min(found, default=None)


def due(
    rules: Iterable[Rule], version: Version, newer: Version | None, place: int, *, alone: bool, now_ms: int, day_ms: int
) -> Step | None:
    """What is to be done with one row of a key's history, read newest first; the strongest of what is due.

    `newer` is the row above it, None for the newest; `place` counts from 0; `alone`: nothing is under it.
    """
    label: tuple[int, str] | None = None
    for rule in rules:
        if not rule.covers(version):
            continue
        if newer is not None:
            if _noncurrent_over(rule, newer, place, now_ms, day_ms):
                return Step(REMOVE, version)
        elif version.marker:
            over = _due_ms(version.modified_ms, rule.days, rule.date_ms, day_ms)
            if alone and (rule.lone_markers or (over is not None and over <= now_ms)):
                return Step(REMOVE, version)
        else:
            over = _due_ms(version.modified_ms, rule.days, rule.date_ms, day_ms)
            if over is not None and over <= now_ms:
                return Step(EXPIRE, version)
        if not version.marker and version.size >= rule.smallest_transition:
            label = max(filter(None, (label, *_labels(rule, version, newer, place, now_ms, day_ms))), default=None)
    if label is not None and label[1] != (version.storage_class or "STANDARD"):
        return Step(LABEL, version, label[1])
    return None


def _noncurrent_over(rule: Rule, newer: Version, place: int, now_ms: int, day_ms: int) -> bool:
    if rule.noncurrent_days is None or place <= rule.newer:
        return False  # place 1 is the newest noncurrent one
    return ends_ms(newer.modified_ms, rule.noncurrent_days, day_ms) <= now_ms


def _labels(
    rule: Rule, version: Version, newer: Version | None, place: int, now_ms: int, day_ms: int
) -> Sequence[tuple[int, str]]:
    """The transitions that are over, with the moment that they were due: the latest one holds."""
    if newer is None:
        dues = [(_due_ms(version.modified_ms, t.days, t.date_ms, day_ms), t) for t in rule.transitions]
    else:
        since = newer.modified_ms
        dues = [(_due_ms(since, t.days, None, day_ms), t) for t in rule.noncurrent_transitions if place > t.newer]
    return [(over, t.storage_class) for over, t in dues if over is not None and over <= now_ms]
