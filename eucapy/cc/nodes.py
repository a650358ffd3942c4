"""One link a node: sends its part when it changed, and listens to its two agents.

A part counts as sent when the agent has acknowledged it; after a restart of this process everything is sent once more,
which an agent that holds it already accepts without doing anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from eucapy.cc.merge import Heard
from eucapy.cc.split import Part
from eucapy.clock import Clock
from eucapy.wire import VERSION
from eucapy.wire.contract import Agent, Cursor, Fault, Spec, Status, Unreachable
from eucapy.wire.network import NetworkAgent, NetworkSpec, NetworkStatus
from eucapy.wire.node import NodeAgent, NodeSpec, NodeStatus

log = logging.getLogger(__name__)

SpecT = TypeVar("SpecT", bound=Spec)
StatusT = TypeVar("StatusT", bound=Status)

RETRY_S = 0.5
LONGEST_RETRY_S = 5.0


class Line(Generic[SpecT, StatusT]):
    """The way to one agent: what it was sent, what it said, since when it is silent."""

    def __init__(self, agent: Agent[SpecT, StatusT], clock: Clock) -> None:
        self.agent = agent
        self.status: StatusT | None = None
        self.fault: Fault | None = None
        self.refused: Fault | None = None
        self.silent_since: float | None = None
        self._clock = clock
        self._sent = ""

    async def push(self, spec: SpecT, digest: str) -> bool:
        """Send the spec unless its content is the one that was acknowledged last. True when it was sent."""
        if digest == self._sent:
            return False
        try:
            ack = await self.agent.put_spec(spec)
        except Unreachable as error:
            self._silent(error)
            return False
        self._answered()
        if ack.refused is not None:
            self.refused = Fault(code=f"spec-{ack.refused}", message=f"it holds generation {ack.generation}")
            log.warning("spec refused", extra={"data": {"refused": ack.refused, "held": ack.generation}})
            return False
        self.refused = None
        self._sent = digest
        return True

    async def listen(self, wait_s: float) -> bool:
        """One long poll. True when something new was heard."""
        since = self.status.cursor if self.status is not None else Cursor()
        try:
            status = await self.agent.get_status(since, wait_s)
        except Unreachable as error:
            was = self.silent_since
            self._silent(error)
            return was is None
        was_silent = self.silent_since is not None
        self._answered()
        if status.version != VERSION:
            self.fault = Fault(code="incompatible", message=f"it speaks version {status.version} of the wire")
            return was_silent
        if self.status is not None and self.status.boot != status.boot:
            self._sent = ""
        changed = self.status is None or self.status.cursor != status.cursor
        self.status = status
        return changed or was_silent

    def reachable(self, lost_after_s: float) -> bool:
        return self.silent_since is None or self._clock.monotonic() - self.silent_since < lost_after_s

    def _silent(self, error: Unreachable) -> None:
        if self.silent_since is None:
            self.silent_since = self._clock.monotonic()
            log.warning("no answer", extra={"data": {"error": str(error)}})
        self._sent = ""

    def _answered(self) -> None:
        self.silent_since = None
        self.fault = None


class NodeLink:
    """Both lines of one node, and the tasks that listen on them."""

    def __init__(self, name: str, nc: NodeAgent, eucanetd: NetworkAgent, clock: Clock) -> None:
        self.name = name
        self.reads = nc
        self.flows = eucanetd
        self.node: Line[NodeSpec, NodeStatus] = Line(nc, clock)
        self.network: Line[NetworkSpec, NetworkStatus] = Line(eucanetd, clock)
        self._tasks: list[asyncio.Task[None]] = []

    async def push(self, part: Part) -> bool:
        """The network first, so that rules are there before the guest is."""
        network = await self.network.push(part.network, part.network_digest)
        return await self.node.push(part.node, part.node_digest) or network

    async def listen_once(self) -> bool:
        """What is new right now on both lines (for clouds that are stepped, in tests)."""
        heard = [await self.node.listen(0.0), await self.network.listen(0.0)]
        return any(heard)

    def start(self, poll_s: float, wake: Callable[[], None]) -> None:
        """Listen in the background; `wake` is called at every news."""
        lines: list[Line[Any, Any]] = [self.node, self.network]
        self._tasks = [asyncio.create_task(_listen(line, poll_s, wake), name=f"listen {self.name}") for line in lines]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def heard(self, lost_after_s: float) -> Heard:
        return Heard(
            reachable=self.node.reachable(lost_after_s),
            status=self.node.status,
            network=self.network.status,
            fault=self.node.refused or self.network.refused or self.node.fault or self.network.fault,
        )


async def _listen(line: Line[Any, Any], poll_s: float, wake: Callable[[], None]) -> None:
    pause_s = RETRY_S
    while True:
        if await line.listen(poll_s):
            wake()
        if line.silent_since is None:
            pause_s = RETRY_S
        else:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_RETRY_S, pause_s * 2)
            wake()
