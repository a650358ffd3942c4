"""The replicator: brings versions to the buckets that are to have them too.

    a due row ─► source version, target bucket ─► bytes cloned (or encrypted anew) ─► one transaction: replica, status, row gone
                 │                                │
                 gone: the row goes               disk full, or it cannot be read: again later, 1 s … 5 min apart
                 not to be had there: FAILED

Killed anywhere, it does the row again: a replica has its source's version id, so a second one is not made, and clones that
nobody refers to are the collector's. Where the replica is there already, it gets tags, ACL and lock as the source has them
now. The order in which versions arrive does not matter: each takes its place by age.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Sequence
from typing import Any

import msgspec

from eucapy.database import Tx
from eucapy.drivers.blob.base import BlobError, NoSpace
from eucapy.errors import ApiError
from eucapy.walrus import access, encryption, receiving, sealing, sending
from eucapy.walrus.access import ENFORCED
from eucapy.walrus.context import Walrus
from eucapy.walrus.encryption import CUSTOMER, Sealed, Wanted
from eucapy.walrus.identity import Principal
from eucapy.walrus.receiving import Expected
from eucapy.walrus.replication import COMPLETED, FAILED, REPLICA
from eucapy.walrus.sending import Extent, Stream
from eucapy.walrus.store import buckets, content, objects, replications, uploads, walking
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import Version
from eucapy.walrus.store.replications import Task
from eucapy.walrus.store.uploads import Part
from eucapy.walrus.workers.periodic import Periodic

log = logging.getLogger(__name__)

PAGE = 50
AT_ONCE = 4
MOST_REST_MS = 300_000


class Replicated(msgspec.Struct):
    """What was done since the start."""

    completed: int = 0
    failed: int = 0
    postponed: int = 0


class Refused(Exception):
    """The target cannot have the version; the text says why."""


class Work(msgspec.Struct, frozen=True):
    """A version, where it comes from and where it goes to. `data`: its bytes, where they are beside the metadata. `is_there`:
    it has been replicated, only what is said of it is to follow."""

    source: Bucket
    version: Version
    parts: Sequence[Part]
    data: bytes | None
    target: Bucket
    is_there: bool = False


class Replica(msgspec.Struct):
    """What was made of the bytes. `blobs` are not referred to yet."""

    version: Version
    data: bytes = b""
    parts: list[Part] = []
    blobs: list[str] = []


class Replicator(Periodic):
    """One task. `period_s` is only a net: writes wake it."""

    def __init__(self, walrus: Walrus, period_s: float = 60.0) -> None:
        super().__init__("replicator", period_s)
        self._walrus = walrus
        self.done = Replicated()

    def status(self) -> Replicated:
        return self.done

    async def run_once(self) -> Replicated:
        """Until nothing is due."""
        while tasks := await self._walrus.db.read(lambda tx: replications.due(tx, self._now_ms(), PAGE)):
            for start in range(0, len(tasks), AT_ONCE):
                await asyncio.gather(*(self._do(task) for task in tasks[start : start + AT_ONCE]))
        return self.done

    async def rest(self) -> None:
        """Until a write wakes it, or the next row is due."""
        next_ms = await self._walrus.db.read(replications.next_due_ms)
        limit_s = self._period_s if next_ms is None else max(0.05, (next_ms - self._now_ms()) / 1000)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(limit_s, self._period_s)):
                await self._walrus.to_replicate.wait()
        self._walrus.to_replicate.clear()

    def _now_ms(self) -> int:
        return int(self._walrus.clock.time() * 1000)

    async def _do(self, task: Task) -> None:
        try:
            found = await self._walrus.db.read(lambda tx: self._find(tx, task))
            if found is None:
                await self._walrus.db.write(lambda tx: replications.delete(tx, task))
                return
            await self._replicate(task, found)
            self.done.completed += 1
        except Refused as refused:
            self.done.failed += 1
            said = {"target": task.target, "key": task.key.decode("utf-8", "replace"), "reason": str(refused)}
            log.error("a version is not replicated", extra={"data": said})
            await self._walrus.db.write(lambda tx: self._end(tx, task, FAILED))
        except (NoSpace, BlobError, ApiError, OSError) as error:
            self.done.postponed += 1
            rest_ms = min(1000 << min(task.tries, 20), MOST_REST_MS)
            said = {"target": task.target, "reason": str(error) or type(error).__name__, "rest_ms": str(rest_ms)}
            log.warning("a version is replicated later", extra={"data": said})
            until = self._now_ms() + rest_ms
            await self._walrus.db.write(lambda tx: replications.postpone(tx, task, until))

    async def _find(self, tx: Tx, task: Task) -> Work | None:
        """What is to be done; None where the source is gone. Raises Refused."""
        source = await walking.bucket_by_id(tx, task.bucket)
        if source is None:
            return None
        version = await objects.by_version(tx, source.id, task.key, task.version_id)
        if version is None:
            return None
        target = await buckets.by_name(tx, task.target)
        if target is None:
            raise Refused("the target does not exist")
        if target.versioning != "Enabled":
            raise Refused("the target is not versioned")
        who = Principal(source.account, source.owner, f"arn:aws:iam::{source.account}:root")
        action = "ReplicateDelete" if version.marker else "ReplicateObject"
        if not access.may(target, task.key.decode("utf-8", "surrogateescape"), None, who, action, dict, pays=True):
            raise Refused("the source's account may not replicate into the target")
        if version.sse is not None and encryption.load(version.sse).kind == CUSTOMER:
            raise Refused("only its owner has the key of an SSE-C object")
        there = await objects.by_version(tx, target.id, task.key, task.version_id)
        if there is not None or version.replication == COMPLETED:
            return Work(source, version, (), None, target, is_there=True)
        data = await sending.find_inline(tx, version)
        return Work(source, version, await sending.find_parts(tx, version), data, target)

    async def _replicate(self, task: Task, work: Work) -> None:
        walrus = self._walrus
        replica = Replica(self._head(work, task))
        if work.is_there:
            await walrus.db.write(lambda tx: self._update(tx, task, work, replica.version))
            return
        try:
            await self._take_bytes(work, replica)

            async def keep(tx: Tx) -> bool:
                target = await buckets.by_name(tx, task.target)
                if target is None or target.id != work.target.id:
                    raise Refused("the target does not exist")
                said = await self._as_said_now(tx, task, work, replica.version)
                made = await objects.insert_replica(tx, target, said, replica.data)
                if not made:
                    await objects.update_replica(tx, target, said)
                else:
                    for part in replica.parts:
                        assert replica.version.content is not None
                        await uploads.put_part(tx, replica.version.content, part)
                await self._end(tx, task, COMPLETED)
                return made

            kept = await walrus.db.write(keep)
        except BaseException:
            for blob_id in replica.blobs:
                walrus.collector.doubt(blob_id)
            raise
        finally:
            walrus.collector.release(replica.blobs)
        if not kept:
            for blob_id in replica.blobs:
                walrus.collector.doubt(blob_id)

    async def _update(self, tx: Tx, task: Task, work: Work, version: Version) -> None:
        target = await buckets.by_name(tx, task.target)
        if target is not None:
            await objects.update_replica(tx, target, await self._as_said_now(tx, task, work, version))
        await self._end(tx, task, COMPLETED)

    async def _as_said_now(self, tx: Tx, task: Task, work: Work, replica: Version) -> Version:
        """The replica with what the source says in this transaction: rows of one version may be done in any order."""
        now = await objects.by_version(tx, task.bucket, task.key, task.version_id)
        if now is None:
            return replica
        head = self._head(msgspec.structs.replace(work, version=now), task)
        return msgspec.structs.replace(replica, tags=head.tags, acl=head.acl, lock=head.lock)

    async def _end(self, tx: Tx, task: Task, status: str) -> None:
        """The row goes, and the source's version says what came of it: of all its targets, when this was the last."""
        last = await replications.delete(tx, task)
        source = await walking.bucket_by_id(tx, task.bucket)
        version = None
        if source is not None:
            version = await objects.by_version(tx, source.id, task.key, task.version_id)
        if source is None or version is None or version.replication == FAILED:
            return
        if status == FAILED or last:
            await objects.set_replication(tx, source, version, status)

    def _head(self, work: Work, task: Task) -> Version:
        """The replica's row, but for where its bytes are."""
        version, target = work.version, work.target
        is_own = target.owner == work.source.owner or target.ownership == ENFORCED
        return msgspec.structs.replace(
            version,
            owner=None if is_own else version.owner or work.source.owner,
            acl=None if ENFORCED in (target.ownership, work.source.ownership) else version.acl,
            storage_class=task.storage_class or version.storage_class,
            lock=version.lock if target.lock else None,
            replication=REPLICA,
        )

    async def _take_bytes(self, work: Work, replica: Replica) -> None:
        """The bytes a second time, and their envelope for the target. Raises NoSpace, BlobError, ApiError."""
        version, walrus = work.version, self._walrus
        if version.marker:
            return
        opened, sealed = self._keys(work)
        key = None if sealed is None else sealed.data_key
        head = replica.version
        if sealed is not None:
            head = msgspec.structs.replace(head, sse=encryption.envelope(walrus, work.target, version.key, sealed))
        if work.data:
            plain = work.data if opened == key else sending.plain(version, work.data, opened)
            replica.data = plain if opened == key else sealing.seal(key, plain) if key is not None else plain
        elif version.place == content.BLOB and version.content is not None:
            blob = await self._take(version.content, version.size, opened, key, replica)
            head = msgspec.structs.replace(head, content=blob)
        elif version.place == content.PARTS:
            for part in work.parts:
                if part.content is not None:
                    blob = await self._take(part.content, part.size, opened, key, replica)
                    part = msgspec.structs.replace(part, content=blob)
                replica.parts.append(part)
            head = msgspec.structs.replace(head, content=f"replica-{os.urandom(24).hex()}")
        replica.version = head

    def _keys(self, work: Work) -> tuple[bytes | None, Sealed | None]:
        """(data key of the source, encryption of the replica): the same key, or the target's default for what was plain."""
        version = work.version
        if version.sse is None:
            return None, encryption.begin(work.target, None)
        said = encryption.load(version.sse)
        key = encryption.open_stored(self._walrus, work.source, version.key, said)
        return key, Sealed(Wanted(said.kind, said.kms, said.context, said.bucket_key), key)

    async def _take(self, blob_id: str, size: int, opened: bytes | None, key: bytes | None, replica: Replica) -> str:
        """A second blob with the same bytes, under another key where that is wanted."""
        walrus = self._walrus
        if opened == key:
            clone = await walrus.blobs.clone(blob_id)
        else:
            reader = await walrus.blobs.open(blob_id)
            stream = Stream(walrus.blobs, [Extent(blob_id, 0, size, size)], reader, opened)
            try:
                received = await receiving.receive(walrus, _Again(stream), Expected(), size, -1, key)
            finally:
                stream.close()
            assert received.blob_id is not None
            clone = received.blob_id
        replica.blobs.append(clone)
        walrus.collector.hold(clone)
        return clone


class _Again:
    """A stream as the source of a write (`receiving.Source`)."""

    def __init__(self, stream: Stream) -> None:
        self.length = stream.length
        self._pieces = stream.pieces()

    async def read(self, size: int = -1) -> bytes:
        return await anext(self._pieces, b"")

    @property
    def trailers(self) -> dict[str, Any]:
        return {}
