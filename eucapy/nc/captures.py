"""Copies of root disks under way: beside the workers of the instances, because a copy may take hours.

What the planner asks for is begun, one copy an instance and a few a node; what it asks for no more (the guest is to go down
or up, the instance ends, nobody wants the image) is cut short at once. A copy that fails is tried again a few times and then
given up with the reason: nobody waits for ever for an image, its guest may be down for it. What was tried is kept in
memory; a new life of the node controller tries as often again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from eucapy.clock import Clock
from eucapy.nc.planner import Capture
from eucapy.reconcile.backoff import Backoff
from eucapy.wire.contract import Fault
from eucapy.wire.node import InstanceSpec

log = logging.getLogger(__name__)

MOST_AT_ONCE = 2
MOST_TRIES = 5
"""With the pauses between them about ten seconds, the copying aside."""

Make = Callable[[InstanceSpec, Capture], Awaitable[Fault | None]]


class Captures:
    """Those of one node. `make` makes one copy, or says why it could not; it survives being cancelled."""

    def __init__(self, make: Make, clock: Clock, wake: Callable[[], None]) -> None:
        self._make = make
        self._wake = wake
        self._backoff = Backoff(clock)
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)
        self._tasks: dict[str, tuple[Capture, asyncio.Task[bool]]] = {}
        self._tries: dict[str, dict[str, int]] = {}
        self._lost: dict[str, dict[str, Fault]] = {}

    def tasks(self) -> list[asyncio.Task[bool]]:
        """Those under way; true when a copy was made."""
        return [task for _step, task in self._tasks.values()]

    def lost(self, instance_id: str) -> Mapping[str, Fault]:
        """The copies of the instance that are given up, and why."""
        return self._lost.get(instance_id, {})

    def follow(self, instance: InstanceSpec, wanted: Sequence[Capture]) -> bool:
        """Begin the next copy of the instance, or end the one that is not `wanted` any more. False while one is ending:
        whoever wants to change the guest waits for that."""
        name = instance.instance_id
        if name in self._tasks:
            step, task = self._tasks[name]
            if step not in wanted:
                task.cancel()
                return False
            return True
        for step in wanted:
            if self._backoff.ready(_key(name, step.snapshot_id)):
                task = asyncio.create_task(self._copy(instance, step), name=f"copy {_key(name, step.snapshot_id)}")
                self._tasks[name] = (step, task)
                task.add_done_callback(lambda task, name=name: self._done(name, task))  # type: ignore[misc]
                break
        return True

    def keep(self, wanted: Mapping[str, Collection[str]]) -> None:
        """Forget failures of what is not in `wanted`: instances, and the snapshots that are asked for of each."""
        for name in list(self._tries):
            for snapshot_id in set(self._tries[name]) - set(wanted.get(name, ())):
                del self._tries[name][snapshot_id]
                self._lost.get(name, {}).pop(snapshot_id, None)
                self._backoff.succeeded(_key(name, snapshot_id))
            if not self._tries[name]:
                del self._tries[name]
                self._lost.pop(name, None)

    def end(self, known: Collection[str]) -> None:
        """End what is under way for instances that no spec names."""
        for name in self._tasks.keys() - set(known):
            self._tasks[name][1].cancel()

    def next_wait_s(self) -> float | None:
        """Seconds until a copy may be tried again; None when none waits."""
        return self._backoff.next_wait_s()

    async def stop(self) -> None:
        tasks = self.tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _copy(self, instance: InstanceSpec, step: Capture) -> bool:
        name = instance.instance_id
        async with self._slots:
            fault = await self._make(instance, step)
        key = _key(name, step.snapshot_id)
        if fault is None:
            self._backoff.succeeded(key)
            return True
        wait_s = self._backoff.failed(key)
        tries = self._tries.setdefault(name, {})
        tries[step.snapshot_id] = tries.get(step.snapshot_id, 0) + 1
        given_up = tries[step.snapshot_id] >= MOST_TRIES
        if given_up:
            self._lost.setdefault(name, {})[step.snapshot_id] = Fault(
                code=fault.code, message=fault.message, final=True
            )
            self._backoff.succeeded(key)
        log.warning(
            "root disk not copied",
            extra={
                "data": {
                    "instance": name,
                    "snapshot": step.snapshot_id,
                    "code": fault.code,
                    "error": fault.message,
                    "again_in_s": None if given_up else round(wait_s, 1),
                }
            },
        )
        return given_up

    def _done(self, name: str, task: asyncio.Task[bool]) -> None:
        self._tasks.pop(name, None)
        with contextlib.suppress(asyncio.CancelledError):
            if task.exception() is not None:
                log.error("copying failed", exc_info=task.exception(), extra={"data": {"instance": name}})
        self._wake()


def _key(instance_id: str, snapshot_id: str) -> str:
    return f"{instance_id}/{snapshot_id}"
