"""What a network driver does: read what there is, take steps, and say when links come and go.

A driver knows nothing of specs, VPCs or groups; it knows the things of `model.py`. One contract suite
(`tests/drivers/network/test_contract.py`) runs over all of them. Which there are: `linux/` and `fake.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from eucapy.drivers.network.flow_counts import Flows
from eucapy.drivers.network.model import Observed, Step


class StepFailed(Exception):
    """A step could not be taken; the steps before it are done, those after it not tried."""

    def __init__(self, step: Step, reason: str) -> None:
        self.step = step
        self.reason = reason
        super().__init__(f"{type(step).__name__} {step.thing!r}: {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the caller has to know of a driver."""

    name: str
    carries_packets: bool
    """False: nothing of what it is told moves a packet (the fake)."""


class NetworkDriver(Protocol):
    """The verbs. All are idempotent; a second caller at the same time is not foreseen."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def observe(self) -> Observed:
        """Everything that carries our marks, and the taps that wait. Never changes anything.

        Raises OSError when the node's own namespace cannot be read; another's trouble is in `Observed.broken`.
        """
        ...

    async def apply(self, steps: Sequence[Step]) -> None:
        """Take the steps in order. Raises StepFailed at the first that fails."""
        ...

    async def flows(self, namespaces: Collection[str]) -> dict[str, Flows]:
        """What the rules of these namespaces have counted since they were asked last, and what is left of others that are
        gone. What is told is forgotten. One that does not count, or cannot be read, is missing."""
        ...

    def watch(self, wake: Callable[[], None]) -> None:
        """Call `wake` in the event loop's thread whenever a link comes, goes or changes. Call once, with a running loop."""
        ...

    async def close(self) -> None:
        """Stop watching. What was put stays: guests keep their network."""
        ...
