"""The two halves that every agent has: `SpecKeeper` takes specs in, `StatusBoard` hands statuses out.

An agent composes them with a loop: `put_spec` → keeper (ledger, then acknowledgement) → wake the loop → plan, apply,
observe → board → whoever long-polls. After a restart the keeper already holds the spec, so the loop runs without asking
anyone.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from eucapy import wire
from eucapy.ledger import Ledger
from eucapy.wire import codec
from eucapy.wire.contract import Ack, Cursor, Refused, Spec, Status

SpecT = TypeVar("SpecT", bound=Spec)
StatusT = TypeVar("StatusT", bound=Status)


class SpecKeeper(Generic[SpecT]):
    """Holds the accepted spec, on disk and in memory."""

    def __init__(self, path: Path, kind: type[SpecT], on_change: Callable[[], None]) -> None:
        self._ledger: Ledger[SpecT] = Ledger(path, kind)
        self._on_change = on_change
        self._spec = self._ledger.read()

    @property
    def spec(self) -> SpecT | None:
        """The accepted spec, or None on a host that was never given one."""
        return self._spec

    @property
    def generation(self) -> int:
        return self._spec.generation if self._spec is not None else 0

    def accept(self, spec: SpecT) -> Ack:
        """Judge a spec; when it is newer, write it down, take it over and wake the loop."""
        if spec.version != wire.VERSION:
            return Ack(generation=self.generation, refused=Refused.INCOMPATIBLE)
        held = self._spec
        if held is not None:
            if spec.generation < held.generation:
                return Ack(generation=held.generation, refused=Refused.STALE)
            if spec.generation == held.generation:
                same = codec.encode(spec) == codec.encode(held)
                return Ack(generation=held.generation, refused=None if same else Refused.CONFLICT)
        self._ledger.write(spec)
        self._spec = spec
        self._on_change()
        return Ack(generation=spec.generation)


class StatusBoard(Generic[StatusT]):
    """The newest status, and those who wait for a newer one.

    The revision grows only when the content changes, so that a long poll sleeps through loops that found nothing new.
    """

    def __init__(self, empty: StatusT) -> None:
        """`empty` is the status before the first observation; its boot id is replaced by one of this life."""
        self._boot = secrets.token_hex(8)
        self._status = msgspec.structs.replace(empty, boot=self._boot, revision=1)
        self._changed = asyncio.Event()

    @property
    def status(self) -> StatusT:
        return self._status

    def publish(self, status: StatusT) -> bool:
        """Make `status` (whatever boot and revision it carries) the newest. False when nothing in it is new."""
        held = self._status
        stamped = msgspec.structs.replace(status, boot=self._boot, revision=held.revision)
        if stamped == held:
            return False
        self._status = msgspec.structs.replace(stamped, revision=held.revision + 1)
        self._changed.set()
        self._changed = asyncio.Event()
        return True

    async def wait(self, since: Cursor, wait_s: float) -> StatusT:
        """The status, at once if newer than `since`, else after a change or `wait_s` seconds."""
        if since.boot == self._boot and since.revision >= self._status.revision and wait_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
        return self._status
