"""The contract of every agent: `put_spec` gives it its whole desired state, `get_status` tells what is.

Rules that every agent keeps (and `agent.py` implements once):

* a spec with an older generation is refused (`Refused.STALE`), one with the same generation and other content too
  (`Refused.CONFLICT`), one of another wire version too (`Refused.INCOMPATIBLE`);
* the spec is in the ledger, on disk, before it is acknowledged;
* absence never destroys: an item that a spec does not name is left alone and reported as a stranger; only a tombstone
  removes;
* `get_status(since, wait_s)` answers at once when there is something newer than the cursor, else after `wait_s` seconds
  with what is there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import msgspec

from eucapy import wire


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The base of everything on the wire: immutable, decoded strictly."""


class Spec(Message, frozen=True, kw_only=True):
    """Desired state of one agent. `generation` only grows; it changes exactly when the content does."""

    generation: int
    version: str = wire.VERSION


class Cursor(Message, frozen=True, kw_only=True):
    """What the caller has already seen: a revision of one life (`boot`) of the agent."""

    boot: str = ""
    revision: int = 0


class Status(Message, frozen=True, kw_only=True):
    """Observed state. `generation` is that of the spec it was observed under (0: no spec yet)."""

    boot: str
    revision: int
    generation: int
    version: str = wire.VERSION

    @property
    def cursor(self) -> Cursor:
        return Cursor(boot=self.boot, revision=self.revision)


class Refused(StrEnum):
    """Why a spec was not accepted."""

    STALE = "stale"
    CONFLICT = "conflict"
    INCOMPATIBLE = "incompatible"


class Ack(Message, frozen=True, kw_only=True):
    """The answer to `put_spec`: the generation that the agent now holds, and why ours was refused if it was."""

    generation: int
    refused: Refused | None = None


class Fault(Message, frozen=True, kw_only=True):
    """Why an item is not as desired. `code` is stable, `message` is for people, `final` means no retry will help."""

    code: str
    message: str
    final: bool = False


class Unreachable(Exception):
    """The peer did not answer in time, or not at all. It may come back; nothing is known of what it did."""


SpecT = TypeVar("SpecT", bound=Spec, contravariant=True)
StatusT = TypeVar("StatusT", bound=Status, covariant=True)


class Agent(Protocol, Generic[SpecT, StatusT]):
    """What `cc`, `sc`, `nc`, `eucanetd`, their clients and their fakes all are."""

    async def put_spec(self, spec: SpecT) -> Ack:
        """Take over the whole desired state. Raises Unreachable (clients only)."""
        ...

    async def get_status(self, since: Cursor, wait_s: float) -> StatusT:
        """The newest status; waits up to `wait_s` seconds for one newer than `since`. Raises Unreachable."""
        ...
