"""Periodic: a task that does its work, rests, and does it again, until it is stopped. A failure is logged, never final."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from typing import Any

log = logging.getLogger(__name__)


class Periodic(ABC):
    """A worker of the object store. `delay_s` before the first pass, `period_s` between the end of one and the next."""

    def __init__(self, name: str, period_s: float, delay_s: float = 0.0) -> None:
        self._name = name
        self._delay_s = delay_s
        self._period_s = period_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Returns when the task is over; a pass under way ends at its next pause."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @abstractmethod
    async def run_once(self) -> Any:
        """One pass."""

    async def rest(self) -> None:
        """Between two passes."""
        await asyncio.sleep(self._period_s)

    def status(self) -> Any:
        """What it did last, for /internal/status; None where it does not tell."""
        return None

    async def _run(self) -> None:
        await asyncio.sleep(self._delay_s)
        while True:
            try:
                await self.run_once()
            except Exception:
                log.exception("%s goes on after its pause", self._name)
            await self.rest()
