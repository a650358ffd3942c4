"""Takes the steps of each item, with patience per item: one that fails waits longer each time and keeps nobody else.

The node's own item goes first, since its rules stand guard over the others; VPCs follow in their order of names.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from eucapy.drivers.network.base import NetworkDriver, StepFailed
from eucapy.drivers.network.model import Put, Resolver, Ruleset, Step, Thing
from eucapy.eucanetd.plan import NODE_ITEM
from eucapy.reconcile.backoff import Backoff
from eucapy.wire.contract import Fault

log = logging.getLogger(__name__)


class Executor:
    """Remembers what each item last failed with."""

    def __init__(self, driver: NetworkDriver, backoff: Backoff) -> None:
        self._driver = driver
        self._backoff = backoff
        self._failed: dict[str, tuple[frozenset[Step], Fault]] = {}

    async def take(self, steps: Mapping[str, list[Step]]) -> bool:
        """Try every item that has steps and may be tried now. Returns whether anything was done.

        New steps of an item that waits are tried at once: what it failed on may be wanted no more.
        """
        for item in [item for item in self._failed if item not in steps]:
            self._succeeded(item)
        done = False
        for item in sorted(steps, key=lambda name: (name != NODE_ITEM, name)):
            todo = steps[item]
            same = item in self._failed and self._failed[item][0] == frozenset(todo)
            if same and not self._backoff.ready(item):
                continue
            done = await self._take(item, todo) or done
        return done

    def faults(self) -> dict[str, Fault]:
        return {item: fault for item, (_, fault) in self._failed.items()}

    def next_try_s(self) -> float | None:
        """Seconds until a failed item may be tried again; None when none waits."""
        return self._backoff.next_wait_s()

    async def _take(self, item: str, todo: list[Step]) -> bool:
        try:
            await self._driver.apply(todo)
        except StepFailed as error:
            wait_s = self._backoff.failed(item)
            fault = Fault(code="StepFailed", message=f"{_name(error.step)}: {error.reason}")
            self._failed[item] = (frozenset(todo), fault)
            log.warning(
                "item failed", extra={"data": {"item": item, "reason": fault.message, "again_in_s": round(wait_s, 1)}}
            )
            return todo.index(error.step) > 0
        self._succeeded(item)
        log.info("item changed", extra={"data": {"item": item, "steps": len(todo)}})
        return True

    def _succeeded(self, item: str) -> None:
        self._failed.pop(item, None)
        self._backoff.succeeded(item)


def _name(step: Step) -> str:
    thing: Thing = step.thing
    what = " ".join(str(part) for part in thing.key) if isinstance(thing.key, tuple) else str(thing.key)
    verb = "load" if isinstance(step, Put) and isinstance(thing, Ruleset | Resolver) else type(step).__name__.lower()
    return f"{verb} {what}"
