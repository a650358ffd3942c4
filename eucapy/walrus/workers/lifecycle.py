"""The lifecycle worker: goes through the buckets that have rules and does what is due.

    a page of history (a snapshot) ──due()──► steps ──► one transaction a few steps: look again, then act

Nothing is remembered between passes: a pass that a crash ended is done again from the front, and what was done already is
no longer there to be done. Between the look and the act an object may have been written anew, tagged or locked: each step
is decided a second time on what the transaction sees. Memory: one page. What to do: `walrus/lifecycle.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from eucapy.clock import Clock
from eucapy.database import Database, Tx
from eucapy.walrus import events, lifecycle, locks
from eucapy.walrus.lifecycle import EXPIRE, LABEL, Rule, Step
from eucapy.walrus.store import buckets, content, listings, objects, uploads
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import Version
from eucapy.walrus.store.uploads import Upload
from eucapy.walrus.workers.collector import Collector
from eucapy.walrus.workers.periodic import Periodic

log = logging.getLogger(__name__)

PAGE_ROWS = 250
"""Read at once: some two milliseconds of the loop's time on SQLite."""
BATCH = 25
"""Steps in one transaction."""
PAGE_BUCKETS = 100


class Done(msgspec.Struct):
    """What a pass did."""

    expired: int = 0
    removed: int = 0
    labelled: int = 0
    aborted: int = 0

    def count(self, step: Step) -> None:
        if step.action == EXPIRE:
            self.expired += 1
        elif step.action == LABEL:
            self.labelled += 1
        else:
            self.removed += 1


class Seen(msgspec.Struct, frozen=True):
    """A row with what `due` asks about its place in the key's history."""

    version: Version
    newer: Version | None
    place: int
    alone: bool


class LifecycleWorker(Periodic):
    """One task. `period_s` between passes; `day_ms` is how long a day of a rule is."""

    def __init__(self, db: Database, collector: Collector, clock: Clock, period_s: float, day_ms: int) -> None:
        super().__init__("lifecycle", period_s)
        self._db = db
        self._collector = collector
        self._clock = clock
        self._day_ms = day_ms
        self.done = Done()

    def status(self) -> Done:
        return self.done

    async def run_once(self) -> Done:
        """One pass over all buckets."""
        self.done = done = Done()
        after = 0
        while page := await self._db.read(lambda tx, after=after: buckets.with_lifecycle(tx, after, PAGE_BUCKETS)):  # type: ignore[misc]
            for bucket in page:
                await self._tend(bucket, done)
            after = page[-1].id
        if done != Done():
            log.info("lifecycle rules were applied", extra={"data": msgspec.structs.asdict(done)})
            self._collector.wake()
        return done

    async def _tend(self, bucket: Bucket, done: Done) -> None:
        rules = lifecycle.rules_of(bucket.lifecycle)
        if any(rule.abort_days is not None for rule in rules):
            await self._abort_uploads(bucket, done)
        last: Seen | None = None
        while True:
            rows, more = await self._page(bucket, last.version if last is not None else None)
            seen = place_rows(rows, last)
            steps = [each for each in seen if self._step(rules, each) is not None]
            for start in range(0, len(steps), BATCH):
                for step in await self._act(bucket, steps[start : start + BATCH]):
                    done.count(step)
            if not more or not seen:
                return
            last = seen[-1]
            await asyncio.sleep(0)

    async def _page(self, bucket: Bucket, after: Version | None) -> tuple[Sequence[Version], bool]:
        first, place = (b"", None) if after is None else (after.key, listings.place_of(after))
        page = await self._db.read(lambda tx: listings.history(tx, bucket.id, b"", b"", first, place, PAGE_ROWS))
        return page.rows, page.last is not None

    def _step(self, rules: Sequence[Rule], seen: Seen) -> Step | None:
        return lifecycle.due(
            rules,
            seen.version,
            seen.newer,
            seen.place,
            alone=seen.alone,
            now_ms=int(self._clock.time() * 1000),
            day_ms=self._day_ms,
        )

    async def _act(self, bucket: Bucket, steps: Sequence[Seen]) -> list[Step]:
        async def work(tx: Tx) -> list[Step]:
            now = await buckets.by_name(tx, bucket.name)
            if now is None or now.id != bucket.id:
                return []
            return [step for seen in steps if (step := await self._act_on(tx, now, seen)) is not None]

        return await self._db.write(work)

    async def _act_on(self, tx: Tx, bucket: Bucket, seen: Seen) -> Step | None:
        """Decide again on the row as it is now, and act."""
        row = await objects.by_version(tx, bucket.id, seen.version.key, seen.version.version_id)
        if row is None or row.seq != seen.version.seq:
            return None
        if (seen.newer is None) != await objects.is_newest(tx, bucket, row):
            return None
        alone = seen.alone and not await objects.has_older(tx, bucket, row)
        rules = lifecycle.rules_of(bucket.lifecycle)
        step = self._step(rules, msgspec.structs.replace(seen, version=row, alone=alone))
        if step is None:
            return None
        now_ms = int(self._clock.time() * 1000)
        if step.action == EXPIRE:
            removed = await objects.remove(tx, bucket, row.key, now_ms)
            await events.by_lifecycle(tx, bucket, row, removed, now_ms / 1000)
        elif step.action == LABEL and step.storage_class is not None:
            await objects.set_storage_class(tx, bucket, row, step.storage_class)
            await events.by_lifecycle(tx, bucket, row, None, now_ms / 1000)
        else:
            if row.lock and locks.is_held(locks.load(row.lock), now_ms, bypass=False):
                return None
            removed = await objects.remove_version(tx, bucket, row.key, row.version_id)
            await events.by_lifecycle(tx, bucket, row, removed, now_ms / 1000, named=True)
        return step

    async def _abort_uploads(self, bucket: Bucket, done: Done) -> None:
        key, after_id = b"", ""
        while True:
            page = await self._db.read(
                lambda tx, key=key, after_id=after_id: listings.open_uploads(  # type: ignore[misc]
                    tx, bucket.id, b"", b"", key, after_id, PAGE_ROWS
                )
            )
            over = [upload for upload in page.rows if self._is_over(bucket, upload)]
            for start in range(0, len(over), BATCH):
                done.aborted += await self._abort(bucket, over[start : start + BATCH])
            if page.last is None or isinstance(page.last, bytes):
                return
            key, after_id = page.last.key, page.last.id

    def _is_over(self, bucket: Bucket, upload: Upload) -> bool:
        found = lifecycle.abortion(bucket.lifecycle, upload.key, upload.initiated_ms, self._day_ms)
        return found is not None and found[0] <= self._clock.time() * 1000

    async def _abort(self, bucket: Bucket, over: Sequence[Upload]) -> int:
        async def work(tx: Tx) -> int:
            now = await buckets.by_name(tx, bucket.name)
            if now is None or now.id != bucket.id:
                return 0
            aborted = 0
            for upload in over:
                if self._is_over(now, upload) and await uploads.by_id(tx, bucket.id, upload.key, upload.id) is not None:
                    await content.discard_parts(tx, upload.id)
                    await uploads.delete(tx, bucket.id, upload)
                    aborted += 1
            return aborted

        return await self._db.write(work)


def place_rows(rows: Sequence[Version], before: Seen | None) -> list[Seen]:
    """Rows of a page with their place in their key's history. `before` is the last row of the page before. The last row of
    the page may look alone and not be: what acts on it looks again."""
    seen: list[Seen] = []
    for number, row in enumerate(rows):
        same = before is not None and before.version.key == row.key
        newer = before.version if same and before is not None else None
        place = before.place + 1 if same and before is not None else 0
        following = rows[number + 1] if number + 1 < len(rows) else None
        alone = newer is None and (following is None or following.key != row.key)
        before = Seen(row, newer, place, alone)
        seen.append(before)
    return seen
