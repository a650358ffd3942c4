"""The last word about every answer of the S3 port, errors too: cross-origin headers.

Only requests that name an Origin cost a look at the metadata.
"""

from __future__ import annotations

import logging

import msgspec

from eucapy.aws.chain import Exchange
from eucapy.aws.message import Outgoing
from eucapy.database import Database, Tx
from eucapy.walrus import cors
from eucapy.walrus.s3.cors import SETTING
from eucapy.walrus.store import buckets

log = logging.getLogger(__name__)


class Finisher:
    """The chain's `finish`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def finish(self, exchange: Exchange) -> Outgoing:
        outgoing = exchange.outgoing
        bucket = exchange.route.labels.get("Bucket") if exchange.route is not None else None
        if bucket is None:
            return outgoing
        if "origin" in exchange.incoming.headers and exchange.incoming.method != "OPTIONS":
            outgoing = await self._cross_origin(exchange, bucket)
        return outgoing

    async def _cross_origin(self, exchange: Exchange, bucket: str) -> Outgoing:
        """The answer with what the first rule that fits allows. The real headers of a request are not held against it."""
        given = exchange.incoming.headers
        try:
            document = await self._db.read(lambda tx: _rules(tx, bucket))
        except Exception:
            log.exception("cross-origin rules cannot be read: %s is answered without", exchange.incoming.request_id)
            return exchange.outgoing
        if document is None:
            return exchange.outgoing
        headers = cors.requested(given.get("access-control-request-headers"))
        method = given.get("access-control-request-method", exchange.incoming.method)
        rule = cors.choose(cors.load(document), given["origin"], method, headers)
        if rule is None:
            return exchange.outgoing
        said = cors.answer(rule, given["origin"], headers)
        return msgspec.structs.replace(exchange.outgoing, headers={**exchange.outgoing.headers, **said})


async def _rules(tx: Tx, name: str) -> str | None:
    bucket = await buckets.by_name(tx, name)
    return await buckets.setting(tx, bucket, SETTING) if bucket is not None else None
