"""The archive of a zone's snapshots in the object store: kept there, forgotten, brought back. Format: `archive_format.py`.

    <zone>/manifests/<snapshot>             a snapshot is kept when, and as long as, its manifest is there
    <zone>/pieces/<snapshot>.<SHA-256>      blocks that the archive of that snapshot brought; others may name them too

A zone's part has one writer, its storage controller, and each verb may be made again after any crash:

* `keep` puts pieces, and the manifest last. One that is made again sends only what is not there yet.
* `forget` removes the manifest, then the pieces that no manifest names any more (`_sweep`), also those that a `keep` left
  behind that never came to its manifest. What a `keep` that is under way put, or is about to name, is spared.
* `restore` writes a draft, from its beginning, and seals it. It may be of another zone's part, which it only reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

from eucapy.drivers.block.base import BLOCK_BYTES, BlockDriver, NoSuchSnapshot, Unrelated
from eucapy.sc import archive_format
from eucapy.sc.archive_format import Damaged, Manifest, Place
from eucapy.sc.transfer import TransferError
from eucapy.wire.archive import ArchiveStore, NotKept, Spoilt, TooLarge
from eucapy.wire.contract import Unreachable

log = logging.getLogger(__name__)

LISTED = 4096
"""Blocks that the driver is asked for at once."""
CALLED_OFF_S = 5.0
"""How long who is called off waits for what is on its way."""
_ZEROS = bytes(BLOCK_BYTES)


class Archive:
    """That of one zone."""

    def __init__(self, store: ArchiveStore, driver: BlockDriver, zone: str) -> None:
        self._store, self._driver, self._zone = store, driver, zone
        self._manifests, self._pieces = _manifests(zone), _pieces(zone)
        self._spared: dict[str, frozenset[str]] = {}
        """By snapshot that is being kept: the pieces of others that its manifest will name."""
        self._sweeping = asyncio.Lock()
        """While a sweep looks, nobody begins to rely on a piece."""

    async def kept(self) -> frozenset[str]:
        """The snapshots that are in the archive, whole. Raises TransferError."""
        with _told():
            return frozenset(name.removeprefix(self._manifests) for name in await self._store.names(self._manifests))

    async def begun(self) -> frozenset[str]:
        """The snapshots whose archives brought pieces, whole or not. Raises TransferError."""
        with _told():
            names = await self._store.names(self._pieces)
        return frozenset(archive_format.owner(name.removeprefix(self._pieces)) for name in names)

    async def keep(self, snapshot_id: str, older: Iterable[str], told: Callable[[int], None]) -> None:
        """Put the snapshot of the pool into the archive, if it is not there. What it shares with the first of `older` that is
        kept, and that the driver can compare it with, is not sent. Raises TransferError, BlockError, OSError."""
        with _told():
            with contextlib.suppress(Damaged):  # one that cannot be read is put again
                if await self._manifest(snapshot_id) is not None:
                    return
            seen = (await self._driver.observe()).snapshots.get(snapshot_id)
            if seen is None:
                raise NoSuchSnapshot(f"there is no snapshot {snapshot_id}")
            try:
                parent, changed = await self._parent(snapshot_id, older)
                places = parent.places() if parent is not None else {}
                await self._send(snapshot_id, changed, places, told)
                made = archive_format.manifest(
                    snapshot_id, seen.size_gib, places, parent.snapshot_id if parent is not None else ""
                )
                packed = await asyncio.to_thread(archive_format.packed_manifest, made)
                await self._put_manifest(snapshot_id, packed)
            finally:
                self._spared.pop(snapshot_id, None)

    async def _put_manifest(self, snapshot_id: str, packed: bytes) -> None:
        """Who is called off here waits for it: a manifest that came after `forget` would stay for ever."""
        putting = asyncio.ensure_future(self._store.put(self._manifests + snapshot_id, packed))
        try:
            await asyncio.shield(putting)
        except asyncio.CancelledError:
            await asyncio.wait([putting], timeout=CALLED_OFF_S)
            putting.cancel()
            raise

    async def forget(self, snapshot_id: str) -> None:
        """The other snapshots of the archive stay whole. Forgetting what is not kept succeeds. Raises TransferError."""
        with _told():
            await self._store.remove(self._manifests + snapshot_id)
            try:
                await self._sweep()
            except Damaged as error:
                log.error("nothing is swept", extra={"data": {"reason": str(error)}})

    async def restore(self, snapshot_id: str, told: Callable[[int], None], zone: str = "") -> None:
        """Make the snapshot in the pool as it was kept, by this zone or another; one that is there is left as it is. Raises
        TransferError (final, when the archive has not got it, or is damaged), BlockError, OSError."""
        seen = await self._driver.observe()
        if snapshot_id in seen.snapshots:
            return
        with _told():
            zone = zone or self._zone
            found = await self._manifest(snapshot_id, zone)
            if found is None:
                raise TransferError("SnapshotNotFound", f"{snapshot_id} is not in the archive", final=True)
            if snapshot_id in seen.drafts:
                await self._driver.remove_snapshot(snapshot_id)
            by_piece: dict[str, list[tuple[int, int]]] = {}
            for index, place in found.places().items():
                by_piece.setdefault(place.piece, []).append((index, place.at))
            for number, (piece, wanted) in enumerate(by_piece.items()):
                blocks = await self._piece(piece, zone)
                for index, at in wanted:
                    if at >= len(blocks):
                        raise Damaged(f"the piece {piece} has no block {at}")
                    await self._driver.put_block(snapshot_id, index, blocks[at])
                told(100 * (number + 1) // len(by_piece))
            count = sum(run.count for run in found.runs)
            await self._driver.seal_snapshot(snapshot_id, found.size_gib, blocks=count)

    async def _parent(self, snapshot_id: str, older: Iterable[str]) -> tuple[Manifest | None, list[int]]:
        """What the archive can be made over, and the blocks in which the snapshot may differ from that."""
        for candidate in older:
            try:
                changed = await self._blocks(snapshot_id, candidate)
            except (Unrelated, NoSuchSnapshot):
                continue
            async with self._sweeping:
                with contextlib.suppress(Damaged):
                    found = await self._manifest(candidate)
                    if found is not None:
                        self._spared[snapshot_id] = frozenset(found.pieces)
                        return found, changed
        changed = await self._blocks(snapshot_id, "")
        async with self._sweeping:
            self._spared[snapshot_id] = frozenset()
        return None, changed

    async def _blocks(self, snapshot_id: str, than: str) -> list[int]:
        found: list[int] = []
        first: int | None = 0
        while first is not None:
            listed = await self._driver.held_blocks(snapshot_id, first, LISTED, than)
            found += listed.indexes
            first = listed.next
        return found

    async def _send(
        self, snapshot_id: str, changed: Sequence[int], places: dict[int, Place], told: Callable[[int], None]
    ) -> None:
        """Put the changed blocks into pieces, and where they lie into `places`."""
        there = set(await self._store.names(self._pieces + snapshot_id + "."))
        done = 0
        async for indexes, blocks in self._full(snapshot_id, changed, places):
            name, packed = await asyncio.to_thread(archive_format.packed_piece, snapshot_id, blocks)
            if self._pieces + name not in there:
                await self._store.put(self._pieces + name, packed)
            places |= {index: Place(name, at) for at, index in enumerate(indexes)}
            done = indexes[-1]
            told(99 * done // max(1, changed[-1]))

    async def _full(
        self, snapshot_id: str, changed: Sequence[int], places: dict[int, Place]
    ) -> AsyncIterator[tuple[list[int], list[bytes]]]:
        """The changed blocks, as many at a time as a piece takes. Zeros need no place."""
        indexes: list[int] = []
        blocks: list[bytes] = []
        for index in changed:
            content = await self._driver.read_block(snapshot_id, index)
            if content == _ZEROS:
                places.pop(index, None)
                continue
            indexes.append(index)
            blocks.append(content)
            if len(blocks) == archive_format.PIECE_BLOCKS:
                yield indexes, blocks
                indexes, blocks = [], []
        if blocks:
            yield indexes, blocks

    async def _sweep(self) -> None:
        """Remove the pieces that nobody names. A manifest that cannot be read may name any, and nothing is removed: Damaged."""
        async with self._sweeping:
            # What is being kept now may have its manifest put, and so be spared no more, behind the list that follows; who
            # begins later waits for the sweep.
            spared = dict(self._spared)
            named: set[str] = set()
            for snapshot_id in await self.kept():
                found = await self._manifest(snapshot_id)
                named.update(found.pieces if found is not None else ())
            named.update(*spared.values())
            for path in await self._store.names(self._pieces):
                piece = path.removeprefix(self._pieces)
                if piece not in named and archive_format.owner(piece) not in spared:
                    await self._store.remove(path)

    async def _manifest(self, snapshot_id: str, zone: str = "") -> Manifest | None:
        try:
            content = await self._store.get(_manifests(zone or self._zone) + snapshot_id)
        except NotKept:
            return None
        except Spoilt as error:
            raise Damaged(str(error)) from error
        return await asyncio.to_thread(archive_format.read_manifest, content)

    async def _piece(self, name: str, zone: str) -> list[bytes]:
        try:
            content = await self._store.get(_pieces(zone) + name)
        except NotKept:
            raise Damaged(f"the piece {name} is missing") from None
        except Spoilt as error:
            raise Damaged(str(error)) from error
        return await asyncio.to_thread(archive_format.read_piece, name, content)


def _manifests(zone: str) -> str:
    return f"{zone}/manifests/"


def _pieces(zone: str) -> str:
    return f"{zone}/pieces/"


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What goes wrong with the store, in the terms of a fault."""
    try:
        yield
    except Damaged as error:
        raise TransferError("ArchiveDamaged", str(error), final=True) from error
    except TooLarge as error:
        raise TransferError("SnapshotTooLarge", str(error), final=True) from error
    except Unreachable as error:
        raise TransferError("StoreUnreachable", str(error), final=False) from error
