"""An archive that is broken off, damaged, or another zone's: what was kept comes back, or that it cannot is said."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eucapy.drivers.block.fake_content import WORDS
from eucapy.wire.contract import Cursor, Unreachable
from eucapy.wire.storage import ArchiveSource, Presence, SnapshotSpec, StorageStatus, VolumeSpec
from tests.sc.conftest import Zone
from tests.sc.test_archive import MemoryStore

V1, V2, S0, S1, S2 = "vol-1", "vol-2", "snap-0", "snap-1", "snap-2"
VOLUME = VolumeSpec(volume_id=V1, size_gib=1)


def taken(snapshot_id: str, at: float, *, gone: bool = False, made: bool = False) -> SnapshotSpec:
    return SnapshotSpec(snapshot_id=snapshot_id, volume_id=V1, size_gib=1, taken_at=at, gone=gone, made=made)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def zone(tmp_path: Path, store: MemoryStore) -> AsyncIterator[Zone]:
    zone = Zone(tmp_path / "one", store)
    await zone.open()
    yield zone
    await zone.agent.close()


def manifests(store: MemoryStore) -> set[str]:
    return {name.rpartition("/")[2] for name in store.held if "/manifests/" in name}


async def lose(zone: Zone, folder: Path) -> None:
    """The host burns down; another storage controller begins with nothing."""
    await zone.agent.close()
    shutil.rmtree(zone.folder)
    zone.folder = folder
    zone._begin()
    await zone.open()


async def chain(zone: Zone, count: int) -> None:
    """A volume, and snapshots of it, between which it is written."""
    await zone.want(VOLUME)
    await zone.settle()
    found: list[SnapshotSpec] = []
    for number in range(count):
        zone.driver.write(V1, number * WORDS, f"word {number}")
        found.append(taken(f"snap-{number}", number))
        await zone.want(VOLUME, *found)
        await zone.settle()


async def test_of_several_that_wait_the_oldest_is_kept_first_and_the_others_share_with_it(
    zone: Zone, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(prefix: str) -> list[str]:
        raise Unreachable("away")

    with monkeypatch.context() as patched:
        patched.setattr(store, "names", away)
        await zone.want(VOLUME)
        await zone.settle()
        zone.driver.write(V1, 0, "word")
        # The ids say nothing of the age.
        await zone.want(VOLUME, taken("snap-z", 1), taken("snap-a", 2))
        status = await zone.settle()
        assert [one.presence for one in status.snapshots.values()] == [Presence.READY] * 2
        faults = [one.archive_fault for one in status.snapshots.values()]
        assert [fault is not None and fault.code for fault in faults] == ["StoreUnreachable"] * 2
    status = await zone.settle()
    assert [(one.archived, one.archive_fault) for one in status.snapshots.values()] == [(100, None)] * 2
    assert {name.partition("pieces/")[2].partition(".")[0] for name in store.pieces()} == {"snap-z"}


async def test_a_snapshot_of_another_zone_comes_from_that_zones_archive(
    zone: Zone, store: MemoryStore, tmp_path: Path
) -> None:
    await chain(zone, 2)
    held = dict(store.held)
    other = Zone(tmp_path / "two", store, "two")
    await other.open()
    try:
        volume = VolumeSpec(volume_id=V2, size_gib=1, snapshot_id=S1)
        foreign = SnapshotSpec(snapshot_id=S1, size_gib=1, made=True, archive=ArchiveSource(zone="one"))
        await other.want(foreign, volume)
        status = await other.settle()
        assert {status.volumes[V2].presence, status.snapshots[S1].presence} == {Presence.CREATING}
        assert status.snapshots[S1].fault is None
        ready = ArchiveSource(zone="one", ready=True)
        await other.want(SnapshotSpec(snapshot_id=S1, size_gib=1, made=True, archive=ready), volume)
        status = await other.settle()
        assert {status.volumes[V2].presence, status.snapshots[S1].presence} == {Presence.READY}
        assert [other.driver.read(V2, number * WORDS) for number in range(2)] == ["word 0", "word 1"]
        await other.want(SnapshotSpec(snapshot_id=S1, archive=ArchiveSource(zone="one"), gone=True), volume)
        assert (await other.settle()).snapshots[S1].presence == Presence.GONE
        assert store.held == held, "another zone only reads"
    finally:
        await other.agent.close()


async def test_what_an_archive_cannot_give_back_ends_the_volume_that_waits_for_it(
    zone: Zone, store: MemoryStore, tmp_path: Path
) -> None:
    await chain(zone, 1)
    for name in store.pieces():
        store.held[name] = b"rot"
    await lose(zone, tmp_path / "new")
    await zone.want(taken(S0, 0, made=True), VolumeSpec(volume_id=V2, size_gib=1, snapshot_id=S0))
    status = await zone.settle()
    fault = status.volumes[V2].fault
    assert fault is not None
    assert (fault.code, fault.final, status.volumes[V2].presence) == ("ArchiveDamaged", True, Presence.FAILED)


async def test_a_manifest_that_cannot_be_read_keeps_nobody_from_being_deleted(zone: Zone, store: MemoryStore) -> None:
    """Nothing is swept then: the pieces may be what the damaged one names."""
    await chain(zone, 3)
    pieces = store.pieces()
    store.held["one/manifests/snap-1"] = b"rot"
    await zone.want(VOLUME, taken(S0, 0, gone=True), taken(S1, 1, made=True), taken(S2, 2, made=True))
    assert (await zone.settle()).snapshots[S0].presence == Presence.GONE
    assert (manifests(store), store.pieces()) == ({S1, S2}, pieces)
    await zone.want(VOLUME, *(taken(name, 0, gone=True) for name in (S0, S1, S2)))
    await zone.settle()
    assert store.held == {}


async def test_a_snapshot_that_is_deleted_while_its_manifest_is_on_its_way_leaves_nothing(
    zone: Zone, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, arrives = asyncio.Event(), asyncio.Event()
    put = store.put

    async def slow(name: str, content: bytes) -> None:
        if "/manifests/" in name:
            begun.set()
            await arrives.wait()
        await put(name, content)

    await zone.want(VOLUME)
    await zone.settle()
    zone.driver.write(V1, 0, "word")
    with monkeypatch.context() as patched:
        patched.setattr(store, "put", slow)
        await zone.want(VOLUME, taken(S1, 1))
        for _ in range(3):
            await zone.agent.loop.activate()
        await begun.wait()
        status = await zone.agent.get_status(Cursor(), 0.0)
        assert status.snapshots[S1].presence == Presence.READY
        await zone.want(VOLUME, taken(S1, 1, gone=True))
        ending = asyncio.create_task(zone.settle())
        await asyncio.sleep(0)
        arrives.set()
        status = await ending
    assert (status.snapshots[S1].presence, store.held) == (Presence.GONE, {})


STORY: tuple[tuple[VolumeSpec | SnapshotSpec, ...], ...] = (
    (VOLUME, taken(S0, 0)),
    (VOLUME, taken(S0, 0, made=True), taken(S1, 1)),
    (VOLUME, taken(S0, 0, gone=True), taken(S1, 1, made=True), taken(S2, 2)),
    (VolumeSpec(volume_id=V1, size_gib=1, gone=True), taken(S1, 1, made=True), taken(S2, 2, made=True)),
)
CALLS = 36
"""More than the store is asked for in the story."""


class Mortal(MemoryStore):
    """The storage controller is killed at the call number `at`, before or after the store did what it was asked for."""

    def __init__(self, at: int, after: bool) -> None:
        super().__init__()
        self._at, self._after = at, after
        self.calls = 0
        self.died = asyncio.Event()

    async def _dies(self, now: bool) -> None:
        if now and self.calls >= self._at and not self.died.is_set():
            self.died.set()
            await asyncio.Event().wait()

    async def put(self, name: str, content: bytes) -> None:
        self.calls += 1
        await self._dies(not self._after)
        await super().put(name, content)
        await self._dies(self._after)

    async def get(self, name: str) -> bytes:
        self.calls += 1
        await self._dies(True)
        return await super().get(name)

    async def remove(self, name: str) -> None:
        self.calls += 1
        await self._dies(not self._after)
        await super().remove(name)
        await self._dies(self._after)

    async def names(self, prefix: str) -> list[str]:
        self.calls += 1
        await self._dies(True)
        return await super().names(prefix)


async def settle(zone: Zone) -> StorageStatus:
    status = await zone.settle()
    store = zone.archive
    assert isinstance(store, Mortal)
    if store.died.is_set() and store.calls < 1000:
        store.calls += 1000
        await zone.kill()
        status = await zone.settle()
    return status


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, CALLS))
async def test_killed_at_any_call_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, after: bool
) -> None:
    monkeypatch.setattr("eucapy.sc.archive.CALLED_OFF_S", 0.01)
    store = Mortal(at, after)
    zone = Zone(tmp_path / "one", store)
    await zone.open()
    try:
        for number, items in enumerate(STORY):
            if number < 3:
                known = [item for item in items if isinstance(item, VolumeSpec) or item.made or item.gone]
                await zone.want(*known)
                await settle(zone)
                zone.driver.write(V1, number * WORDS, f"word {number}")
            await zone.want(*items)
            await settle(zone)
        status = await settle(zone)
        told = {name: (one.presence, one.archived, one.fault) for name, one in status.snapshots.items()}
        assert told == {S1: (Presence.READY, 100, None), S2: (Presence.READY, 100, None)}
        assert manifests(store) == {S1, S2}
        await lose(zone, tmp_path / "new")
        await zone.want(*STORY[-1], VolumeSpec(volume_id=V2, size_gib=1, snapshot_id=S2))
        await settle(zone)
        assert [zone.driver.read(V2, number * WORDS) for number in range(3)] == ["word 0", "word 1", "word 2"]
        await zone.want(*(taken(name, 0, gone=True) for name in (S0, S1, S2)))
        await settle(zone)
        assert store.held == {}
        assert store.died.is_set(), "the story has fewer calls"
    finally:
        await zone.agent.close()
