"""Call: what a handler of an S3 operation gets beside its parameters.

`Walrus` is the store as a whole: metadata, blobs, the collector, and what the configuration decides. A Call adds one
request: who asks, with which headers. Handlers reach everything through it and know nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from eucapy.aws.errors import AccessDenied
from eucapy.aws.message import Incoming
from eucapy.clock import Clock
from eucapy.database import Database, Tx
from eucapy.drivers.blob.base import BlobDriver
from eucapy.walrus import errors
from eucapy.walrus.identity import Principal
from eucapy.walrus.store import buckets
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.engine import StoreFull
from eucapy.walrus.workers.collector import Collector

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Walrus:
    """The object store. `inline_bytes`: objects up to this size are kept beside their metadata."""

    db: Database
    blobs: BlobDriver
    collector: Collector
    clock: Clock
    region: str
    inline_bytes: int
    most_buckets: int = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """One request, authenticated."""

    walrus: Walrus
    principal: Principal
    incoming: Incoming

    @property
    def now_ms(self) -> int:
        return int(self.walrus.clock.time() * 1000)

    async def read(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` on a snapshot of the metadata."""
        return await self.walrus.db.read(work)

    async def write(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` in a transaction; returns when it is on disk. Raises InsufficientStorage."""
        try:
            return await self.walrus.db.write(work)
        except StoreFull as error:
            raise errors.InsufficientStorage() from error

    async def bucket(self, tx: Tx, name: str, expected_owner: str | None = None) -> Bucket:
        """The bucket, which the caller may use. Raises NoSuchBucket, AccessDenied.

        Only the owning account may use a bucket: anonymous and foreign requests are refused.
        """
        return self.check_bucket(await buckets.by_name(tx, name), name, expected_owner)

    def check_bucket(self, bucket: Bucket | None, name: str, expected_owner: str | None) -> Bucket:
        """`bucket` as it was found under `name`. Raises NoSuchBucket, AccessDenied."""
        if bucket is None:
            raise errors.NoSuchBucket(fields={"BucketName": name})
        if bucket.owner != self.principal.canonical_id or (expected_owner and expected_owner != bucket.account):
            raise AccessDenied()
        return bucket
