"""Replication rules: which buckets are to have a copy of what is written into this one. Pure.

    a write or a delete ──the same transaction──► a row of `replications` for each target, the version says PENDING
    workers/replicator.py ──► the version in the target, with its id, time, headers, tags and lock: COMPLETED (or FAILED)

    later tags, ACL, retention, hold ──the same way──► the replica has them too; one that was deleted there stays deleted

A replica is a REPLICA and is not replicated on. Of rules that name the same target the one with the highest priority counts.
Deletes of a version are never replicated, and neither is what was there before the rules: as in AWS.
Source: "Replication configuration file elements", S3 user guide. The document: `s3/replication.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from eucapy.database import Tx
from eucapy.walrus import headers, lifecycle
from eucapy.walrus.store import objects, replications
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import Version

PENDING, COMPLETED, FAILED, REPLICA = "PENDING", "COMPLETED", "FAILED", "REPLICA"
ARN = "arn:aws:s3:::"


class Document(msgspec.Struct, frozen=True):
    """A bucket's `replication` column: role and rules by the model's names."""

    role: str
    rules: list[dict[str, Any]]


class Rule(msgspec.Struct, frozen=True):
    """A rule that is enabled. `markers`: delete markers go along."""

    target: str
    priority: int
    prefix: bytes
    tags: frozenset[tuple[str, str]]
    markers: bool
    storage_class: str | None


@lru_cache(maxsize=256)
def load(document: str) -> Document | None:
    return msgspec.json.decode(document, type=Document) if document else None


@lru_cache(maxsize=256)
def rules_of(document: str) -> tuple[Rule, ...]:
    """The enabled rules of a bucket's column, the strongest first."""
    loaded = load(document)
    if loaded is None:
        return ()
    rules = [_rule(each) for each in loaded.rules if each["Status"] == "Enabled"]
    return tuple(sorted(rules, key=lambda rule: -rule.priority))


def _rule(rule: Mapping[str, Any]) -> Rule:
    prefix, tags, _, _ = lifecycle.filter_of(rule)
    markers = (rule.get("DeleteMarkerReplication") or {}).get("Status")
    return Rule(
        target=rule["Destination"]["Bucket"].removeprefix(ARN),
        priority=rule.get("Priority") or 0,
        prefix=prefix.encode("utf-8", "surrogateescape"),
        tags=frozenset(tags),
        # The first form of rules, with a prefix and no filter, took delete markers along.
        markers=markers == "Enabled" if rule.get("Filter") is not None else True,
        storage_class=rule["Destination"].get("StorageClass"),
    )


def targets(document: str, version: Version) -> list[Rule]:
    """The rule that counts, for each bucket that is to have `version`."""
    found: dict[str, Rule] = {}
    for rule in rules_of(document):
        if not version.key.startswith(rule.prefix) or (version.marker and not rule.markers):
            continue
        if rule.tags and not rule.tags <= set(headers.decode_tags(version.tags)):
            continue
        found.setdefault(rule.target, rule)
    return list(found.values())


async def changed(tx: Tx, bucket: Bucket, before: Version, now_ms: int) -> bool:
    """Take note that this transaction changed tags, ACL or lock of a version that had been replicated, or was to be; whether
    there is anything to do. The rules are asked about the version as it was: it is there that its replicas are."""
    if before.replication not in (PENDING, COMPLETED):
        return False
    wanted = targets(bucket.replication, before)
    for rule in wanted:
        await replications.insert(tx, bucket.id, before, rule.target, rule.storage_class, now_ms)
    return bool(wanted)


async def written(tx: Tx, bucket: Bucket, version: Version, now_ms: int) -> bool:
    """Take note of a version or marker that this transaction made; whether there is anything to do for the replicator."""
    wanted = targets(bucket.replication, version)
    for rule in wanted:
        await replications.insert(tx, bucket.id, version, rule.target, rule.storage_class, now_ms)
    if wanted:
        await objects.set_replication(tx, bucket, version, PENDING)
    return bool(wanted)
