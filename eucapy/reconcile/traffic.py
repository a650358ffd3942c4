"""Requests come first: how a loop learns that somebody is being served in its process, and gives way.

Whoever serves says `served()` after each request; a loop that has just run asks `lull()` before it runs again. In quiet
times that costs nothing. Under traffic the pause is stretched, within the caller's limit, so that loops gather more changes
into each activation and the processor is there for those who wait for an answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

QUIET_S = 0.1
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

    def served(self) -> None:
        """A request was answered. Cheap."""
        self._last = self._now()

    async def lull(self, longest_s: float) -> None:
        """Until no request was answered for `QUIET_S`, but not longer than `longest_s`."""
        until = self._now() + longest_s
        while (wait_s := min(until, self._last + QUIET_S) - self._now()) > 0:
            await self._sleep(wait_s)


TRAFFIC = Traffic()
"""Of this process."""
