"""The collector: blobs that nothing refers to are removed, and no others.

Three ways a blob becomes rubbish:

1. Its version was deleted or replaced. The same transaction wrote the blob's id to `dead_blobs`. Woken, or at the latest
   every period, the collector removes dead blobs and then their rows.
2. A write failed, or its client went away, after the blob was put: whether the metadata was committed is not known to
   the writer. `doubt()` looks the blob up *behind* all writes that were queued before it and buries it if it is unused.
3. The process died between put and commit. Once a period all blobs are compared with the metadata; one that was seen
   without a reference `grace_s` ago, and still has none, is buried. The grace covers writes that are under way: it is
   counted from that first look, on a clock that nobody sets, because an id is as old as the beginning of its upload and
   the machine's time may leap. Who keeps blobs for longer before they are referred to holds them.

A removed version's bytes may be read to the end by who opened them before; the driver sees to that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from eucapy.clock import Clock
from eucapy.database import Database, Tx
from eucapy.drivers.blob.base import BlobDriver
from eucapy.walrus.store import content

log = logging.getLogger(__name__)

PAGE = 200
PAUSE_S = 1.0
"""Between two looks at `dead_blobs`, however often it is woken."""


class Collector:
    """One task. `period_s` between sweeps; `grace_s` from the first sweep that finds no metadata of a blob to the one that
    counts it as lost."""

    def __init__(self, db: Database, blobs: BlobDriver, clock: Clock, period_s: float, grace_s: float) -> None:
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self._period_s = period_s
        self._grace_s = grace_s
        self._wake = asyncio.Event()
        self._doubtful: list[str] = []
        self._held: set[str] = set()
        self._unreferred: dict[str, float] = {}
        self._settling = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="collector")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        """There may be dead blobs."""
        self._wake.set()

    def doubt(self, blob_id: str) -> None:
        """Nobody knows whether the metadata refers to this blob: find out."""
        self._doubtful.append(blob_id)
        self._wake.set()

    def hold(self, blob_id: str) -> None:
        """No sweep takes this blob until it is released."""
        self._held.add(blob_id)

    def release(self, blob_ids: Iterable[str]) -> None:
        """Whoever held these has referred to them, or doubts them."""
        self._held.difference_update(blob_ids)

    async def settle(self) -> None:
        """Resolve all doubts and remove what is dead now."""
        async with self._settling:
            while self._doubtful:
                blob_id = self._doubtful[-1]
                await self._bury_unused(blob_id)
                self._doubtful.remove(blob_id)
            while dead := await self._db.read(lambda tx: content.dead_page(tx, PAGE)):
                for blob_id in dead:
                    await self._blobs.remove(blob_id)
                await self._db.write(lambda tx, dead=dead: content.forget_dead(tx, dead))  # type: ignore[misc]

    async def sweep(self) -> int:
        """Compare all blobs with the metadata; bury those that were lost. Returns how many."""
        lost = 0
        now = self._clock.monotonic()
        before, self._unreferred = self._unreferred, {}
        async for blob_id in self._blobs.scan():
            if blob_id in self._held:
                continue
            if await self._db.read(lambda tx, blob_id=blob_id: content.is_referred(tx, blob_id)):  # type: ignore[misc]
                continue
            since = before.get(blob_id, now)
            if now - since < self._grace_s:
                self._unreferred[blob_id] = since
            else:
                lost += await self._bury_unused(blob_id)
        await self.settle()
        return lost

    async def _bury_unused(self, blob_id: str) -> bool:
        async def work(tx: Tx) -> bool:
            unused = not await content.is_referred(tx, blob_id)
            if unused:
                await content.bury(tx, blob_id)
            return unused

        return await self._db.write(work)

    async def _run(self) -> None:
        next_sweep = self._clock.monotonic()
        while True:
            try:
                await self.settle()
                if self._clock.monotonic() >= next_sweep:
                    lost = await self.sweep()
                    next_sweep = self._clock.monotonic() + self._period_s
                    if lost:
                        log.info("blobs without metadata removed", extra={"data": {"blobs": lost}})
            except Exception:
                log.exception("the collector goes on after its pause")
            self._wake.clear()
            if not self._doubtful:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._period_s):
                        await self._wake.wait()
            await asyncio.sleep(PAUSE_S)
