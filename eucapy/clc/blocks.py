"""The blocks of snapshots, as handlers see them: plain calls to the zone that a snapshot lies in, after the transaction.

`agents.SnapshotBlocks` makes them; here is what a handler has to know of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

BLOCK_BYTES = 512 << 10
"""Source: EBS direct APIs, "Concepts"."""
BLOCKS_IN_GIB = (1 << 30) // BLOCK_BYTES


class Silent(Exception):
    """The zone's storage does not answer, or cannot do it now: the same call may succeed later."""


class Refused(Exception):
    """The zone's storage will never do it. `code` is the block driver's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Listed:
    """Blocks by index, in order; `before`: those of them that the older of two snapshots holds. `next`: from which on to ask
    again, None at the end."""

    indexes: tuple[int, ...]
    before: frozenset[int] = frozenset()
    next: int | None = None


class Blocks(Protocol):
    """Each raises Silent and Refused, and LookupError where the storage has no such snapshot."""

    async def listed(self, zone: str, snapshot_id: str, first: int, most: int, than: str = "") -> Listed: ...

    async def read(self, zone: str, snapshot_id: str, index: int) -> bytes: ...

    async def put(self, zone: str, snapshot_id: str, index: int, content: bytes) -> None: ...
