"""Requests come first: how a loop learns that somebody is being served in its process, and gives way.

Whoever serves says `served()` after each request; a loop that has just run asks `lull()` before it runs again. In quiet
times that costs nothing. Under traffic the pause is stretched, within the caller's limit, so that loops gather more changes
into each activation and the processor is there for those who wait for an answer.

An agent that works on many items at once passes `give_way()` before each step of each of them: one a turn of the event loop.
A driver whose verbs never wait (the fakes) would otherwise do a thousand steps while everybody else waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

STEP_LULL_S = 0.005
"""For which a step waits at most while requests are served."""
FEW = 8
"""Items that a step does not wait for, when no more are at work."""
QUIET_S = 0.25
"""So long after the last request nobody is being served: longer than a client takes to read a large answer."""


class Traffic:
    """One process's traffic."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now, self._sleep = now, sleep
        self._last = float("-inf")
        self._gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
        self._waiting = 0

    def served(self) -> None:
        """A request was answered. Cheap."""
        self._last = self._now()

    async def lull(self, longest_s: float) -> None:
        """Until no request was answered for `QUIET_S`, but not longer than `longest_s`."""
        until = self._now() + longest_s
        while (wait_s := min(until, self._last + QUIET_S) - self._now()) > 0:
            await self._sleep(wait_s)

    async def give_way(self) -> None:
        """Returns to one caller a turn of the event loop, in the order of the calls; more slowly under traffic, when they
        are many."""
        self._waiting += 1
        try:
            async with self._gates.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
                await asyncio.sleep(0)
                if self._waiting > FEW:
                    await self.lull(STEP_LULL_S)
        finally:
            self._waiting -= 1


TRAFFIC = Traffic()
"""Of this process."""
