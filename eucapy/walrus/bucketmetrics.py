"""What owners want counted of their buckets: requests by metrics configuration, on the page of `metrics.py`.

    an answer ─► rules of its bucket (looked up at most every LOOK_S) ─► those that cover it ─► a counter each

A configuration without a filter counts every request of the bucket; one with a filter only requests for one object that it
covers: no listings, no batches of deletes, no forms. Tags are those that the object has after the request. Counters go when
their configuration or bucket goes. The documents: `s3/metrics.py`.
Source: "Amazon S3 request metrics in CloudWatch", S3 user guide.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from eucapy.aws.chain import Exchange
from eucapy.aws.message import Outgoing
from eucapy.database import Tx
from eucapy.walrus import headers, lifecycle, metrics
from eucapy.walrus.context import Walrus
from eucapy.walrus.s3 import named
from eucapy.walrus.s3.metrics import SETTING
from eucapy.walrus.store import buckets, objects

log = logging.getLogger(__name__)

LOOK_S = 2.0
MOST_KNOWN = 10_000
MOST_COUNTED = 10_000
"""So many counters are kept (filters by operations); beyond, requests are not counted, and the log says so once."""
CHANGES = frozenset(
    {"PutBucketMetricsConfiguration", "DeleteBucketMetricsConfiguration", "CreateBucket", "DeleteBucket"}
)


class Rule(msgspec.Struct, frozen=True):
    """A configuration. `whole`: it has no filter."""

    id: str
    whole: bool
    prefix: str
    tags: frozenset[tuple[str, str]]


class Counter:
    """What is counted for one configuration of one operation. Bytes are those of bodies, as announced."""

    __slots__ = ("received", "seconds", "sent", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.received = self.sent = 0
        self.seconds = 0.0


class BucketMetrics:
    """Counters of one process; they begin at zero with it."""

    def __init__(self, walrus: Walrus) -> None:
        self._walrus = walrus
        self._known: dict[str, tuple[float, tuple[Rule, ...]]] = {}
        self._counters: dict[tuple[str, str, str], Counter] = {}
        self._full = False

    async def note(self, exchange: Exchange, outgoing: Outgoing) -> None:
        """Count an answer of a bucket under each of its configurations that covers it."""
        route = exchange.route
        bucket = route.labels.get("Bucket") if route is not None else None
        if route is None or bucket is None:
            return
        if route.action in CHANGES:
            self._known.pop(bucket, None)
        rules = await self._rules(bucket)
        if not rules:
            return
        key = route.labels.get("Key")
        version_id = exchange.request.params.get("VersionId") if exchange.request is not None else None
        tags: frozenset[tuple[str, str]] | None = None
        for rule in rules:
            if not rule.whole and (key is None or not key.startswith(rule.prefix)):
                continue
            if rule.tags and key is not None:
                if tags is None:
                    tags = await self._tags(bucket, key, version_id)
                if not rule.tags <= tags:
                    continue
            self._count(bucket, rule.id, route.action, exchange, outgoing)

    def _count(self, bucket: str, rule: str, action: str, exchange: Exchange, outgoing: Outgoing) -> None:
        counter = self._counters.get((bucket, rule, action))
        if counter is None:
            if len(self._counters) >= MOST_COUNTED:
                if not self._full:
                    log.warning("requests are not counted for their buckets: too many metrics configurations are used")
                self._full = True
                return
            counter = self._counters[bucket, rule, action] = Counter()
        received, sent = metrics.body_bytes(exchange.incoming, outgoing)
        counter.statuses[outgoing.status] = counter.statuses.get(outgoing.status, 0) + 1
        counter.received += received
        counter.sent += sent
        counter.seconds += max(0.0, self._walrus.clock.time() - exchange.incoming.now)

    async def _rules(self, bucket: str) -> tuple[Rule, ...]:
        now = self._walrus.clock.monotonic()
        known = self._known.get(bucket)
        if known is not None and known[0] > now:
            return known[1]
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        rules = await self._walrus.db.read(lambda tx: _look(tx, bucket))
        self._known[bucket] = (now + LOOK_S, rules)
        if known is None or known[1] != rules:
            self._drop(bucket, {rule.id for rule in rules})
        return rules

    def _drop(self, bucket: str, kept: set[str]) -> None:
        for name in [name for name in self._counters if name[0] == bucket and name[1] not in kept]:
            del self._counters[name]
            self._full = False

    async def _tags(self, bucket: str, key: str, version_id: str | None) -> frozenset[tuple[str, str]]:
        """Those of the version that the request named, or of the current one; none where there is none."""
        name = key.encode("utf-8", "surrogateescape")

        async def work(tx: Tx) -> frozenset[tuple[str, str]]:
            found = await buckets.by_name(tx, bucket)
            if found is None:
                return frozenset()
            if version_id is None:
                version = await objects.current(tx, found.id, name)
            else:
                version = await objects.by_version(tx, found.id, name, version_id)
            return frozenset(headers.decode_tags(version.tags)) if version is not None else frozenset()

        return await self._walrus.db.read(work)

    def render(self) -> Iterator[str]:
        """The lines of what was counted, as `Metrics.render`."""
        counted = [
            ({"bucket": bucket, "filter": rule, "operation": action}, counter)
            for (bucket, rule, action), counter in sorted(self._counters.items())
        ]
        told = "Answers by bucket, metrics configuration, operation and status."
        yield from metrics.family("bucket_requests_total", "counter", told)
        for labels, counter in counted:
            for status, count in sorted(counter.statuses.items()):
                yield metrics.line("bucket_requests_total", count, **labels, status=status)
        yield from metrics.family("bucket_received_bytes_total", "counter", "Bytes of requests' bodies, as announced.")
        yield from (metrics.line("bucket_received_bytes_total", each.received, **labels) for labels, each in counted)
        yield from metrics.family("bucket_sent_bytes_total", "counter", "Bytes of answers' bodies, as announced.")
        yield from (metrics.line("bucket_sent_bytes_total", each.sent, **labels) for labels, each in counted)
        told = "From the head of a request to the head of its answer."
        yield from metrics.family("bucket_request_seconds", "summary", told)
        for labels, counter in counted:
            yield metrics.line("bucket_request_seconds_sum", round(counter.seconds, 6), **labels)
            yield metrics.line("bucket_request_seconds_count", sum(counter.statuses.values()), **labels)


def rule_of(configuration: Mapping[str, Any]) -> Rule:
    prefix, tags, _, _ = lifecycle.filter_of(configuration)
    return Rule(configuration["Id"], configuration.get("Filter") is None, prefix, frozenset(tags))


async def _look(tx: Tx, name: str) -> tuple[Rule, ...]:
    bucket = await buckets.by_name(tx, name)
    document = await buckets.setting(tx, bucket, SETTING) if bucket is not None else None
    return tuple(rule_of(each) for each in named.load(document).values())
