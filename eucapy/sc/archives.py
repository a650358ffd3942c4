"""What a storage controller knows of its zone's archive, and the one at a time that it keeps in it.

The archive is listed once in a life (`look`); from then on what is known follows what is done. Nothing depends on a list that
is old: to keep a snapshot that is kept already, or to forget one that is not, costs a look and does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from eucapy.sc.archive import Archive


@dataclass(frozen=True)
class ArchiveSeen:
    """`kept`: the snapshots that are whole in the archive; `begun`: those of which something is there, and no more."""

    kept: frozenset[str] = frozenset()
    begun: frozenset[str] = frozenset()


class Archives:
    """The zone's archive as its storage controller uses it."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._kept: set[str] = set()
        self._begun: set[str] = set()
        self._looked = False
        self._turn = asyncio.Lock()
        """Snapshots are kept one after the other, in the order asked for: the next is made over the one before."""
        self._restoring = asyncio.Lock()
        """They come back one after the other: each needs memory for the map of its blocks."""

    @property
    def seen(self) -> ArchiveSeen | None:
        """None: nobody could look yet."""
        return ArchiveSeen(frozenset(self._kept), frozenset(self._begun)) if self._looked else None

    async def look(self) -> None:
        """Raises TransferError."""
        kept, begun = await self._archive.kept(), await self._archive.begun()
        self._kept |= kept
        self._begun |= begun - self._kept
        self._looked = True

    async def keep(self, snapshot_id: str, older: Iterable[str], told: Callable[[int], None]) -> None:
        """Raises TransferError, BlockError, OSError."""
        async with self._turn:
            self._begun.add(snapshot_id)
            await self._archive.keep(snapshot_id, [one for one in older if one in self._kept], told)
            self._kept.add(snapshot_id)
            self._begun.discard(snapshot_id)

    async def forget(self, snapshot_id: str) -> None:
        """Raises TransferError."""
        await self._archive.forget(snapshot_id)
        self._kept.discard(snapshot_id)
        self._begun.discard(snapshot_id)

    async def restore(self, snapshot_id: str, told: Callable[[int], None], zone: str = "") -> None:
        """`zone`: where it was kept, "" for here. Raises TransferError, BlockError, OSError."""
        async with self._restoring:
            await self._archive.restore(snapshot_id, told, zone)
