"""Compaction: keeps chains short by merging layers that only their one successor still needs.

Snapshots that come and go leave frozen layers behind: nobody reads them but the layer above. Such a pair, `surplus` and
its only child `keeper`, is merged: what the surplus layer holds and the keeper does not is copied into the keeper, then
the keeper's header names what was beneath the surplus, and the surplus is garbage.

    before   base ◄── surplus ◄── keeper ◄── head          after   base ◄── keeper ◄── head

The keeper's content never changes on the way, as everything above it sees it: a copied block hides an equal one beneath.
The change of the header is the only step that counts, and it is one write; whoever dies before it has lost nothing but
work. Heads are never keepers, so merging does not meet growth; it gives way to snapshots. The storage daemon does it while
one serves a chain over the keeper, `qemu-img` while none does, and it waits while two do. Exports that start meanwhile wait
for the merge of a layer of theirs (`clear_of`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from eucapy.drivers.block.base import BlockError
from eucapy.drivers.block.exporter import Exporter
from eucapy.drivers.block.layers import Layers
from eucapy.run import RunError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Use:
    """Who needs layers: `roots` are what records name, `heads` what volumes write. `exported` are the heads of volumes that
    are served or shall be, by volume, `running` those that are served now."""

    roots: frozenset[str]
    heads: frozenset[str]
    exported: dict[str, str]
    running: frozenset[str]


class Compactor:
    """Merges in the background, one pair at a time, while a chain is longer than `longest`."""

    def __init__(
        self, layers: Layers, exporter: Exporter, use: Callable[[], Use], collect: Callable[[], None], longest: int
    ) -> None:
        self._layers, self._exporter, self._use, self._collect = layers, exporter, use, collect
        self._longest = longest
        self._keeper = ""
        self._changed = asyncio.Event()
        self._again = False
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Look whether there is something to merge, in the background."""
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="compaction")

    async def rest(self) -> None:
        """Wait until nothing is left to merge, or a merge failed."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def stop(self) -> None:
        """End, whatever is being merged."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def clear_of(self, chain: Callable[[], Sequence[str]]) -> list[str]:
        """The chain, once no layer of it is being merged."""
        while self._keeper and self._keeper in (layers := chain()):
            log.info("waiting for a merge", extra={"data": {"layer": self._keeper, "head": layers[0]}})
            await self._changed.wait()
        return list(chain())

    async def _run(self) -> None:
        while self._again:
            self._again = False
            while pair := self._next():
                if not await self._try(*pair):
                    break

    async def _try(self, surplus: str, keeper: str) -> bool:
        self._keeper = keeper
        try:
            await self._merge(surplus, keeper)
        except (BlockError, RunError, OSError) as error:
            log.warning("merge failed", extra={"data": {"layer": keeper, "reason": str(error)}})
            return False
        finally:
            self._keeper = ""
            self._changed.set()
            self._changed = asyncio.Event()
        log.info("layers merged", extra={"data": {"surplus": surplus, "keeper": keeper}})
        self._collect()
        return True

    def _next(self) -> tuple[str, str] | None:
        """(surplus, keeper) of a chain that is too long, the smallest surplus first."""
        use = self._use()
        long_chains = [chain for chain in self._chains(use.heads) if len(chain) > self._longest]
        pairs = {
            (surplus, keeper)
            for chain in long_chains
            for keeper, surplus in itertools.pairwise(chain)
            if surplus not in use.roots
            and keeper not in use.heads
            and self._layers.children(surplus) == [keeper]
            and self._can_merge(keeper, use)
        }
        return min(pairs, key=lambda pair: (self._layers.stored_bytes(pair[0]), pair), default=None)

    def _chains(self, heads: Iterable[str]) -> list[list[str]]:
        found: list[list[str]] = []
        for head in heads:
            with contextlib.suppress(BlockError):  # a damaged chain is its own volume's trouble
                found.append(self._layers.chain(head))
        return found

    def _can_merge(self, keeper: str, use: Use) -> bool:
        users = self._users(keeper, use)
        return not users or (len(users) == 1 and users[0] in use.running)

    def _users(self, keeper: str, use: Use) -> list[str]:
        """The exported volumes whose chain holds the keeper."""
        return [volume_id for volume_id, head in use.exported.items() if self._layers.stands_on(head, keeper)]

    async def _merge(self, surplus: str, keeper: str) -> None:
        beneath = self._layers.parent(surplus)
        users = self._users(keeper, self._use())
        if users:
            await self._exporter.merge(users[0], surplus, keeper, beneath)
        else:
            await self._layers.rebase(keeper, beneath)
        self._layers.reparented(keeper, beneath)
