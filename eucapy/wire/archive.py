"""Where archives of snapshots lie: named bytes in the object store, which only the storage controllers see.

A name is `<folder>/<rest>`, of the characters that ids have, and dots. What is put under a name that is taken replaces it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class NotKept(Exception):
    """Nothing has that name."""


class ArchiveStore(Protocol):
    """The calls. Each raises Unreachable; what was put is durable when the call returns."""

    async def put(self, name: str, content: bytes) -> None: ...

    async def get(self, name: str) -> bytes:
        """Raises NotKept."""
        ...

    async def remove(self, name: str) -> None:
        """Removing what is not there succeeds."""
        ...

    async def names(self, prefix: str) -> Sequence[str]:
        """All that begin with it."""
        ...
