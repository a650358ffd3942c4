"""Events on their way: each is posted to the hook of its destination until that has taken it.

    a row of `events` ─► POST <the hook of its ARN> ─► 2xx: the row goes
                                                   └─► anything else: the destination rests, 1 s … 5 min, then all again

At least once, and in the order in which they happened; a day after it happened an event that nobody takes is given up,
with a line in the log. The hooks are the deployment's (`hooks`, ARN=URL); an ARN without one is a destination that does not
exist.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping

import aiohttp

from eucapy.clock import Clock
from eucapy.database import Database
from eucapy.walrus.store import events

log = logging.getLogger(__name__)

PAGE = 100
PERIOD_S = 5.0
TIMEOUT_S = 10.0
MOST_REST_S = 300.0
MOST_AGE_S = 86_400.0


def read_hooks(texts: Iterable[str]) -> dict[str, str]:
    """URL by ARN, from `ARN=URL`. Raises ValueError."""
    hooks = {}
    for text in texts:
        arn, equals, url = text.partition("=")
        if not equals or not arn.startswith("arn:") or not url.startswith(("http://", "https://")):
            raise ValueError(f"a hook is given as ARN=URL: {text!r}")
        hooks[arn] = url
    return hooks


class Notifier:
    """One task, and the way to every hook."""

    def __init__(self, db: Database, clock: Clock, hooks: Mapping[str, str]) -> None:
        self._db = db
        self._clock = clock
        self._hooks = dict(hooks)
        self._rests: dict[str, tuple[float, int]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="notifier")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._session is not None:
            await self._session.close()
            self._session = None

    def wake(self) -> None:
        """There may be events."""
        self._wake.set()

    def knows(self, arn: str) -> bool:
        return arn in self._hooks

    async def post(self, arn: str, body: str) -> bool:
        """Whether the destination took it."""
        url = self._hooks.get(arn)
        if url is None:
            return False
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        headers = {"Content-Type": "application/json", "x-eucapy-destination": arn}
        try:
            async with self._session.post(url, data=body.encode(), headers=headers, allow_redirects=False) as answer:
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.debug("a hook does not answer", extra={"data": {"arn": arn, "error": str(error)}})
            return False

    async def deliver(self) -> int:
        """Post what waits for destinations that do not rest. Returns how many events are off the queue."""
        now_s = self._clock.time()
        waiting = await self._db.read(events.destinations)
        awake = [arn for arn in waiting if self._rests.get(arn, (0.0, 0))[0] <= now_s]
        counts = await asyncio.gather(*(self._deliver_to(arn, now_s) for arn in awake))
        return sum(counts)

    async def _deliver_to(self, arn: str, now_s: float) -> int:
        """The oldest page, until one of it is not taken: then the destination rests, longer every time."""
        done: list[int] = []
        for event in await self._db.read(lambda tx: events.page(tx, arn, PAGE)):
            if await self.post(arn, event.body):
                self._rests.pop(arn, None)
            elif now_s - event.created_ms / 1000 > MOST_AGE_S:
                log.error("an event is given up", extra={"data": {"arn": arn, "event": event.body}})
            else:
                tries = self._rests.get(arn, (0.0, 0))[1]
                self._rests[arn] = (now_s + min(MOST_REST_S, 2.0 ** min(tries, 20)), tries + 1)
                break
            done.append(event.id)
        if done:
            await self._db.write(lambda tx: events.delete(tx, done))
        return len(done)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                while await self.deliver():
                    pass
            except Exception:
                log.exception("the notifier goes on after its pause")
                await asyncio.sleep(PERIOD_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PERIOD_S):
                    await self._wake.wait()
