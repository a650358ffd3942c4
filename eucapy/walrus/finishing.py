"""The last word about every answer of the S3 port, errors too: cross-origin headers.

Only requests that name an Origin cost a look at the metadata.
"""

from __future__ import annotations

import logging

import msgspec

from eucapy.aws.chain import Exchange
from eucapy.aws.message import Incoming, Outgoing
from eucapy.database import Database, Tx
from eucapy.errors import ApiError
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
        return await self._cross_origin(exchange.incoming, bucket, outgoing)

    async def finish_page(
        self, incoming: Incoming, bucket: str, outgoing: Outgoing, error: ApiError | None
    ) -> Outgoing:
        """The same for an answer of the website endpoint."""
        return await self._cross_origin(incoming, bucket, outgoing)

    async def _cross_origin(self, incoming: Incoming, bucket: str, outgoing: Outgoing) -> Outgoing:
        """The answer with what the first rule that fits allows. The real headers of a request are not held against it."""
        given = incoming.headers
        if "origin" not in given or incoming.method == "OPTIONS":
            return outgoing
        try:
            document = await self._db.read(lambda tx: _rules(tx, bucket))
        except Exception:
            log.exception("cross-origin rules cannot be read: %s is answered without", incoming.request_id)
            return outgoing
        if document is None:
            return outgoing
        headers = cors.requested(given.get("access-control-request-headers"))
        method = given.get("access-control-request-method", incoming.method)
        rule = cors.choose(cors.load(document), given["origin"], method, headers)
        if rule is None:
            return outgoing
        said = cors.answer(rule, given["origin"], headers)
        return msgspec.structs.replace(outgoing, headers={**outgoing.headers, **said})


async def _rules(tx: Tx, name: str) -> str | None:
    bucket = await buckets.by_name(tx, name)
    return await buckets.setting(tx, bucket, SETTING) if bucket is not None else None
