"""The last word about every answer of the S3 port, errors too: cross-origin headers, who was charged, the access log.

Only requests that name an Origin or a payer, and those to buckets that are logged, cost a look at the metadata.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import msgspec

from eucapy.aws.chain import Exchange
from eucapy.aws.credentials import NOBODY, Identity
from eucapy.aws.message import Incoming, Outgoing
from eucapy.database import Tx
from eucapy.errors import ApiError
from eucapy.walrus import access, accesslog, cors
from eucapy.walrus.bucketmetrics import BucketMetrics
from eucapy.walrus.context import Walrus
from eucapy.walrus.metrics import PAGE, UNKNOWN, Metrics
from eucapy.walrus.s3.cors import SETTING
from eucapy.walrus.store import buckets
from eucapy.walrus.workers.log_delivery import LogDelivery

log = logging.getLogger(__name__)


class Finisher:
    """The chain's `finish`, and the website endpoint's. Without `bucket_metrics` nothing is counted for single buckets."""

    def __init__(self, walrus: Walrus, logs: LogDelivery, bucket_metrics: BucketMetrics | None = None) -> None:
        self._walrus = walrus
        self._logs = logs
        self.metrics = Metrics()
        self._bucket_metrics = bucket_metrics

    def render(self) -> Iterator[str]:
        """The lines of all that was counted, for Prometheus."""
        yield from self.metrics.render()
        if self._bucket_metrics is not None:
            yield from self._bucket_metrics.render()

    async def finish(self, exchange: Exchange) -> Outgoing:
        """Never fails: what cannot be said or logged is left out."""
        outgoing = await self._finish(exchange)
        name = exchange.route.action if exchange.route is not None else UNKNOWN
        self.metrics.note_answer(name, exchange.incoming, outgoing, exchange.error, self._walrus.clock.time())
        return outgoing

    async def _finish(self, exchange: Exchange) -> Outgoing:
        labels = exchange.route.labels if exchange.route is not None else {}
        bucket = labels.get("Bucket")
        if bucket is None or exchange.route is None:
            return exchange.outgoing
        outgoing, incoming = exchange.outgoing, exchange.incoming
        try:
            if outgoing.status < 400 and incoming.headers.get("x-amz-request-payer") == "requester":
                outgoing = await self._charged(exchange.identity, bucket, outgoing)
            if "origin" in incoming.headers:
                outgoing = await self._cross_origin(incoming, bucket, outgoing)
            if exchange.route.action in ("PutBucketLogging", "CreateBucket", "DeleteBucket"):
                self._logs.forget(bucket)
            key = labels.get("Key")
            operation = accesslog.operation_of(exchange.route.action, incoming.method, key is not None)
            await self._note(bucket, key, operation, exchange.identity, incoming, outgoing, exchange.error)
            if self._bucket_metrics is not None:
                await self._bucket_metrics.note(exchange, outgoing)
        except Exception:
            log.exception("request %s is answered as it is", incoming.request_id)
        return outgoing

    async def finish_page(
        self, incoming: Incoming, bucket: str, outgoing: Outgoing, error: ApiError | None
    ) -> Outgoing:
        """The same for an answer of the website endpoint."""
        try:
            if "origin" in incoming.headers:
                outgoing = await self._cross_origin(incoming, bucket, outgoing)
            operation = f"WEBSITE.{incoming.method}.OBJECT"
            await self._note(bucket, incoming.path[1:], operation, NOBODY, incoming, outgoing, error)
        except Exception:
            log.exception("request %s is answered as it is", incoming.request_id)
        self.metrics.note_answer(PAGE, incoming, outgoing, error, self._walrus.clock.time())
        return outgoing

    async def _charged(self, identity: Identity, name: str, outgoing: Outgoing) -> Outgoing:
        """Whoever pays, and is not the bucket's owner, is told so."""
        bucket = await self._walrus.db.read(lambda tx: buckets.by_name(tx, name))
        if bucket is None or access.load(bucket.access).payer != access.REQUESTER:
            return outgoing
        if identity.account == bucket.account:
            return outgoing
        return _with(outgoing, {"x-amz-request-charged": "requester"})

    async def _cross_origin(self, incoming: Incoming, bucket: str, outgoing: Outgoing) -> Outgoing:
        """The answer with what the first rule that fits allows. The real headers of a request are not held against it."""
        given = incoming.headers
        if incoming.method == "OPTIONS":
            return outgoing
        document = await self._walrus.db.read(lambda tx: _rules(tx, bucket))
        if document is None:
            return outgoing
        headers = cors.requested(given.get("access-control-request-headers"))
        method = given.get("access-control-request-method", incoming.method)
        rule = cors.choose(cors.load(document), given["origin"], method, headers)
        return outgoing if rule is None else _with(outgoing, cors.answer(rule, given["origin"], headers))

    async def _note(
        self, bucket: str, key: str | None, operation: str, identity: Identity, incoming: Incoming, outgoing: Outgoing,
        error: ApiError | None,
    ) -> None:  # fmt: skip
        source = await self._logs.source(bucket)
        if source is None:
            return
        now = self._walrus.clock.time()
        line = accesslog.line(source.owner, bucket, key, operation, identity, incoming, outgoing, error, now)
        self._logs.note(source, line, incoming.now)


def _with(outgoing: Outgoing, headers: dict[str, str]) -> Outgoing:
    return msgspec.structs.replace(outgoing, headers={**outgoing.headers, **headers})


async def _rules(tx: Tx, name: str) -> str | None:
    bucket = await buckets.by_name(tx, name)
    return await buckets.setting(tx, bucket, SETTING) if bucket is not None else None
