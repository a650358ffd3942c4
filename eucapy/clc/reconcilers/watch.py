"""Watch: follows an agent's status by long poll and wakes a loop whenever there is something new."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from eucapy.wire.contract import Agent, Cursor, Unreachable

log = logging.getLogger(__name__)

WAIT_S = 30.0
RETRY_S = 2.0


class Watch:
    """One agent; `find` gives it, or None while none is registered."""

    def __init__(
        self, find: Callable[[], Awaitable[Agent[Any, Any] | None]], wake: Callable[[], None], retry_s: float = RETRY_S
    ) -> None:
        self._find, self._wake, self._retry_s = find, wake, retry_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow, in the background of the current event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        cursor = Cursor()
        while True:
            try:
                agent = await self._find()
                status = await agent.get_status(cursor, WAIT_S) if agent is not None else None
            except Unreachable as error:
                log.info("agent silent", extra={"data": {"error": str(error)}})
                status = None
            except Exception:
                log.exception("watching an agent failed")
                status = None
            if status is None:
                await asyncio.sleep(self._retry_s)
            elif status.cursor != cursor:
                cursor = status.cursor
                self._wake()
