"""Access logs on their way: lines gather in memory, and once a period they become objects of the target bucket.

Delivery is best effort, as in AWS: a process that is killed loses the lines of its last period; one that is stopped delivers
them first. Whether a bucket is logged is looked up at most every LOOK_S: a change takes effect at once in this process and
within that time in others, and a request of a bucket without logs costs nothing but a look at a dict.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING

import msgspec

from eucapy.aws.message import Incoming
from eucapy.database import Tx
from eucapy.errors import ApiError
from eucapy.walrus import accesslog
from eucapy.walrus.access import ENFORCED
from eucapy.walrus.accesslog import EVENT_TIME, Logging
from eucapy.walrus.context import Call, Walrus
from eucapy.walrus.identity import Principal
from eucapy.walrus.receiving import InMemory
from eucapy.walrus.s3 import objects
from eucapy.walrus.s3.accesslogs import SETTING
from eucapy.walrus.store import buckets

if TYPE_CHECKING:
    from eucapy.walrus.store.buckets import Bucket

log = logging.getLogger(__name__)

LOOK_S = 2.0
MOST_KNOWN = 10_000
FULL_BYTES = 4 << 20
"""So many bytes of lines of one bucket do not wait for the period."""
MOST_WAITING_BYTES = 64 << 20
"""Beyond so many undelivered bytes lines are dropped, and the drop is logged."""
_HEADER_OF = {
    "FULL_CONTROL": "GrantFullControl", "READ": "GrantRead", "READ_ACP": "GrantReadACP", "WRITE_ACP": "GrantWriteACP",
}  # fmt: skip


class Source(msgspec.Struct, frozen=True):
    """A bucket that is logged."""

    name: str
    owner: str
    account: str
    region: str
    logging: Logging


class _Waiting:
    """The lines of one object to be."""

    def __init__(self, source: Source, first_s: float) -> None:
        self.source = source
        self.first_s = first_s
        self.lines: list[str] = []
        self.bytes = 0


class LogDelivery:
    """One task. `period_s` between deliveries."""

    def __init__(self, walrus: Walrus, period_s: float) -> None:
        self._walrus = walrus
        self._period_s = period_s
        self._known: dict[str, tuple[float, Source | None]] = {}
        self._waiting: dict[tuple[str, str, str, str], _Waiting] = {}
        self._bytes = 0
        self._full = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="log delivery")

    async def stop(self) -> None:
        """Delivers what waits."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.deliver()

    async def source(self, bucket: str) -> Source | None:
        """The bucket of that name, if it is logged."""
        now = self._walrus.clock.monotonic()
        known = self._known.get(bucket)
        if known is not None and known[0] > now:
            return known[1]
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        found = await self._walrus.db.read(lambda tx: _look(tx, bucket))
        self._known[bucket] = (now + LOOK_S, found)
        return found

    def forget(self, bucket: str) -> None:
        """Look again at the next request: its configuration was changed here."""
        self._known.pop(bucket, None)

    def note(self, source: Source, line: str, event_s: float) -> None:
        if self._bytes > MOST_WAITING_BYTES:
            log.error("an access log line is dropped: too many wait", extra={"data": {"bucket": source.name}})
            return
        day = str(int(event_s // 86400)) if source.logging.partition == EVENT_TIME else ""
        key = (source.name, source.logging.bucket, source.logging.prefix, day)
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(source, event_s)
        waiting.lines.append(line)
        waiting.bytes += len(line) + 1
        self._bytes += len(line) + 1
        if waiting.bytes > FULL_BYTES:
            self._full.set()

    async def deliver(self) -> int:
        """Write what waits. Returns how many objects were written; lines that cannot be delivered are gone."""
        waiting, self._waiting, self._bytes = self._waiting, {}, 0
        count = 0
        for lines in waiting.values():
            source = lines.source
            try:
                await self._write(source, lines)
                count += 1
            except ApiError as error:
                log.warning(
                    "an access log is not delivered",
                    extra={"data": {"bucket": source.name, "target": source.logging.bucket, "error": error.code}},
                )
        return count

    async def _write(self, source: Source, waiting: _Waiting) -> None:
        """An object of the target, by the owner of both. Raises what PutObject raises."""
        wanted = source.logging
        unique = os.urandom(8).hex().upper()
        now = self._walrus.clock.time()
        key = accesslog.log_key(wanted, source.account, source.region, source.name, waiting.first_s, now, unique)
        p: dict[str, object] = {"Bucket": wanted.bucket, "Key": key, "ContentType": "text/plain"}
        target = await self._walrus.db.read(lambda tx: buckets.by_name(tx, wanted.bucket))
        if target is not None and target.ownership != ENFORCED:
            p |= _grants(wanted)
        principal = Principal(source.account, source.owner, f"arn:aws:iam::{source.account}:root")
        incoming = Incoming("PUT", f"/{wanted.bucket}/{key}", "", {}, remote="127.0.0.1", now=now)
        call = Call(self._walrus, principal, incoming, "PutObject", p)
        text = "\n".join(waiting.lines) + "\n"
        await objects.put(call, p, InMemory(text.encode("utf-8", "surrogateescape")))

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._period_s):
                    await self._full.wait()
            self._full.clear()
            try:
                await self.deliver()
            except Exception:
                log.exception("log delivery goes on after its pause")


async def _look(tx: Tx, name: str) -> Source | None:
    bucket: Bucket | None = await buckets.by_name(tx, name)
    document = await buckets.setting(tx, bucket, SETTING) if bucket is not None else None
    if bucket is None or document is None:
        return None
    return Source(bucket.name, bucket.owner, bucket.account, bucket.region, accesslog.load(document))


def _grants(wanted: Logging) -> dict[str, str]:
    """The target's grants as PutObject's headers."""
    headers: dict[str, list[str]] = {}
    for grant in wanted.grants or ():
        grantee = grant.get("Grantee") or {}
        who = f'uri="{grantee["URI"]}"' if grantee.get("URI") else f'id="{grantee.get("ID", "")}"'
        if grant["Permission"] in _HEADER_OF:
            headers.setdefault(_HEADER_OF[grant["Permission"]], []).append(who)
    return {name: ", ".join(given) for name, given in headers.items()}
