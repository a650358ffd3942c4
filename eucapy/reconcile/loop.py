"""A loop: an idempotent function without arguments, run on a wake-up and on a timer, one activation at a time.

The recovery path is the common path: an activation reads what is desired and what is observed and does what is missing,
whatever happened before. Latency comes from `wake()`; the timer is only a net. A loop that is woken without end rests
between activations for a few times as long as they take, and several times longer while its process serves requests
(`traffic.py`), so that it gathers changes instead of eating the processor. A failing activation is logged, kept as the last
result for `/status`, and tried again with growing pauses.

An activation returns whether it changed anything. `Loops.settle()` runs every loop until a whole round changed nothing:
tests bring a cloud to rest with it instead of sleeping.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from eucapy.reconcile.traffic import TRAFFIC

log = logging.getLogger(__name__)

REST_FACTOR = 4.0
BUSY_FACTOR = 20.0
"""Of an activation's time, for which a loop rests while requests are served."""
LONGEST_REST_S = 1.0
LONGEST_BUSY_REST_S = 2.0
LONGEST_REST_OF_WORK_S = 8.0
LONGEST_BUSY_REST_OF_WORK_S = 16.0
"""The same for the part of an activation's time in which its thread worked: many activations of hundreds of milliseconds
would leave nothing for anybody else. A loop that only waited is not held that long."""

Activation = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Outcome:
    """The last activation of a loop: when it ended (seconds since the epoch), how long it took, for how much of that its
    thread worked (for whomever), what went wrong."""

    at: float
    took_s: float
    worked_s: float
    changed: bool
    error: str = ""


def rests(last: Outcome, longest_s: float) -> tuple[float, float]:
    """For how many seconds a loop rests after an activation, and for how many more while requests are served."""
    rest_s = max(min(longest_s, last.took_s * REST_FACTOR), min(LONGEST_REST_OF_WORK_S, last.worked_s * REST_FACTOR))
    busy_s = max(
        min(LONGEST_BUSY_REST_S, last.took_s * BUSY_FACTOR),
        min(LONGEST_BUSY_REST_OF_WORK_S, last.worked_s * BUSY_FACTOR),
    )
    return rest_s, busy_s - rest_s


class Loop:
    """Runs one activation at a time; wake-ups that come meanwhile are one more activation."""

    def __init__(
        self,
        name: str,
        activation: Activation,
        period_s: float = 30.0,
        retry_s: float = 0.5,
        longest_rest_s: float = LONGEST_REST_S,
    ) -> None:
        self.name = name
        self.last: Outcome | None = None
        self.activations = 0
        self._activation = activation
        self._period_s = period_s
        self._retry_s = retry_s
        self._longest_rest_s = longest_rest_s
        self._failures = 0
        self._woken = asyncio.Event()
        self._running = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._again_s: float | None = None

    def wake(self) -> None:
        """Run soon. Callable from the loop's own thread only; cheap, and any number of times."""
        self._woken.set()

    def again_in(self, seconds: float | None) -> None:
        """Called inside an activation: run again after this long at the latest (an item's back-off ends)."""
        if seconds is not None:
            self._again_s = seconds if self._again_s is None else min(self._again_s, seconds)

    @property
    def idle(self) -> bool:
        """No activation is under way or asked for."""
        return not self._running.locked() and not self._woken.is_set()

    async def activate(self) -> bool:
        """One activation now (after one that is under way). Returns whether it changed anything; never raises."""
        async with self._running:
            self._woken.clear()
            self._again_s = None
            begun, worked = time.monotonic(), time.thread_time()

            def outcome(changed: bool, error: str = "") -> Outcome:
                return Outcome(time.time(), time.monotonic() - begun, time.thread_time() - worked, changed, error)

            try:
                changed = await self._activation()
            except Exception as error:
                self._failures += 1
                log.exception("loop failed", extra={"data": {"loop": self.name, "failures": self._failures}})
                self.last = outcome(False, f"{type(error).__name__}: {error}")
                self.again_in(min(self._period_s, self._retry_s * 2.0 ** min(self._failures - 1, 16)))
                return False
            finally:
                self.activations += 1
            self._failures = 0
            self.last = outcome(changed)
            return changed

    def start(self) -> None:
        """Begin to run in the background of the current event loop."""
        if self._task is None:
            self._woken.set()
            self._task = asyncio.create_task(self._run(), name=f"loop {self.name}")

    async def stop(self) -> None:
        """End; an activation under way is cancelled, which it must survive like a crash."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            wait_s = self._period_s if self._again_s is None else min(self._period_s, self._again_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wait_s)):
                    await self._woken.wait()
            await self.activate()
            if self.last is not None:
                rest_s, more_s = rests(self.last, self._longest_rest_s)
                await asyncio.sleep(rest_s)
                await TRAFFIC.lull(more_s)


class Loops:
    """The loops of one process, by name."""

    def __init__(self) -> None:
        self._loops: dict[str, Loop] = {}

    def add(self, loop: Loop) -> Loop:
        if loop.name in self._loops:
            raise ValueError(f"two loops are called {loop.name}")
        self._loops[loop.name] = loop
        return loop

    def wake(self, name: str) -> None:
        """Raises KeyError for a name that no loop has: a misspelt wake-up must not pass unseen."""
        self._loops[name].wake()

    def wake_all(self) -> None:
        for loop in self._loops.values():
            loop.wake()

    def all(self) -> list[Loop]:
        return list(self._loops.values())

    def start(self) -> None:
        for loop in self._loops.values():
            loop.start()

    async def stop(self) -> None:
        for loop in self._loops.values():
            await loop.stop()

    async def settle(self, most_rounds: int = 200) -> int:
        """Run every loop in turn until a whole round changed nothing. Returns the number of rounds.

        Raises RuntimeError when the loops do not come to rest: two of them fight, and that is a defect.
        """
        for round_number in range(1, most_rounds + 1):
            changed = False
            for loop in self.all():
                changed = await loop.activate() or changed
            if not changed:
                return round_number
        raise RuntimeError(f"the loops did not come to rest in {most_rounds} rounds")
