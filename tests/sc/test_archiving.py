"""A storage controller keeps its snapshots in the archive, and brings a lost pool back from it: never empty, never other."""

from __future__ import annotations

import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from eucapy.drivers.block.fake_content import WORDS
from eucapy.wire.contract import Cursor
from eucapy.wire.storage import ExportSpec, Presence, SnapshotSpec, StorageStatus, VolumeSpec
from tests.sc.conftest import Zone
from tests.sc.test_archive import MemoryStore, content

EXPORT = ExportSpec(attachment_id="vatt-1", instance_id="i-1", node="n", node_address="127.0.0.1")


def volume(made: bool = True, **given: object) -> VolumeSpec:
    return VolumeSpec(volume_id="vol-1", size_gib=1, made=made, **given)  # type: ignore[arg-type]


def snapshot(number: int, made: bool = False, **given: object) -> SnapshotSpec:
    return SnapshotSpec(  # type: ignore[arg-type]
        snapshot_id=f"snap-{number}", volume_id="vol-1", size_gib=1, taken_at=float(number), made=made, **given
    )


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def zone(tmp_path: Path, store: MemoryStore) -> AsyncIterator[Zone]:
    zone = Zone(tmp_path, store)
    await zone.open()
    yield zone
    await zone.agent.close()


async def taken(zone: Zone, count: int) -> list[SnapshotSpec]:
    """A volume with so many snapshots, written between them, that the cloud knows to be completed."""
    chance = random.Random(5)
    await zone.want(volume(made=False))
    await zone.settle()
    known: list[SnapshotSpec] = []
    for number in range(count):
        zone.driver.write("vol-1", chance.randrange(30) * WORDS, chance.choice("abc"))
        await zone.want(volume(), *known, snapshot(number))
        status = await zone.settle()
        assert status.snapshots[f"snap-{number}"].presence is Presence.READY
        known.append(snapshot(number, made=True))
    await zone.want(volume(), *known)
    await zone.settle()
    return known


async def lose_the_pool(zone: Zone) -> None:
    """The storage's disk is gone, and the operator begins with an empty one."""
    await zone.agent.close()
    shutil.rmtree(zone.folder / "pool")
    shutil.rmtree(zone.folder / "state")
    zone._begin()
    await zone.open()


def manifests(store: MemoryStore) -> set[str]:
    return {name.rpartition("/")[2] for name in store.held if "/manifests/" in name}


async def test_every_snapshot_is_kept_and_said_to_be(zone: Zone, store: MemoryStore) -> None:
    await taken(zone, 3)
    status = await zone.settle()
    assert {name: one.archived for name, one in status.snapshots.items()} == {f"snap-{n}": 100 for n in range(3)}
    assert manifests(store) == {"snap-0", "snap-1", "snap-2"}


async def test_a_snapshot_is_there_before_it_is_kept_and_stays_while_the_store_is_away(
    zone: Zone, store: MemoryStore
) -> None:
    await taken(zone, 1)
    store.fail_at = 0
    await zone.want(volume(), snapshot(0, made=True), snapshot(1))
    for _ in range(4):
        store.fail_at = 0
        await zone.agent.loop.activate()
    status = await zone.agent.get_status(Cursor(), 0.0)
    assert status.snapshots["snap-1"].presence is Presence.READY
    assert manifests(store) == {"snap-0"}
    status = await zone.settle()
    assert status.snapshots["snap-1"].archived == 100


async def test_an_unchanged_volumes_next_snapshot_sends_a_manifest_and_no_piece(zone: Zone, store: MemoryStore) -> None:
    known = await taken(zone, 1)
    pieces, sent = store.pieces(), store.sent_bytes
    await zone.want(volume(), *known, snapshot(7))
    await zone.settle()
    assert store.pieces() == pieces
    assert store.sent_bytes - sent < 1024


async def test_a_deleted_snapshot_is_gone_when_the_archive_has_forgotten_it(zone: Zone, store: MemoryStore) -> None:
    known = await taken(zone, 3)
    was = {one.snapshot_id: await content(zone.driver, one.snapshot_id) for one in known}
    tomb = msgspec.structs.replace(known[1], gone=True)
    await zone.want(volume(), known[0], tomb, known[2])
    for _ in range(3):
        store.fail_at = 0
        await zone.agent.loop.activate()
    status = await zone.agent.get_status(Cursor(), 0.0)
    assert status.snapshots["snap-1"].presence is not Presence.GONE, "the archive still has it"
    status = await zone.settle()
    assert status.snapshots["snap-1"].presence is Presence.GONE
    assert manifests(store) == {"snap-0", "snap-2"}
    await lose_the_pool(zone)
    await zone.want(known[0], known[2])
    await zone.settle()
    for name in ("snap-0", "snap-2"):
        assert await content(zone.driver, name) == was[name]


async def test_what_is_deleted_in_the_middle_of_being_kept_leaves_nothing_behind(
    zone: Zone, store: MemoryStore
) -> None:
    await zone.want(volume(made=False))
    await zone.settle()
    zone.driver.write("vol-1", 0, "a")
    store.fail_at = 3
    await zone.want(volume(), snapshot(0))
    for _ in range(3):
        await zone.agent.loop.activate()
        store.fail_at = 0
    store.held["one/pieces/snap-0.left"] = b"of an earlier life"
    await zone.kill()
    store.fail_at = -1
    await zone.want(volume(), snapshot(0, gone=True))
    status = await zone.settle()
    assert status.snapshots["snap-0"].presence is Presence.GONE
    assert store.held == {}


async def test_a_lost_pool_comes_back_with_snapshots_as_they_were_and_volumes_of_the_newest(
    zone: Zone, store: MemoryStore
) -> None:
    known = await taken(zone, 3)
    was = {one.snapshot_id: await content(zone.driver, one.snapshot_id) for one in known}
    zone.driver.write("vol-1", 5, "later")
    await lose_the_pool(zone)
    await zone.want(volume(), *known)
    status = await zone.settle()
    assert {one.presence for one in status.snapshots.values()} == {Presence.READY}
    assert status.volumes["vol-1"].presence is Presence.READY
    for name, blocks in was.items():
        assert await content(zone.driver, name) == blocks
    await zone.want(volume(), *known, snapshot(9))
    await zone.settle()
    assert await content(zone.driver, "snap-9") == was["snap-2"]


async def test_a_volume_that_is_in_use_does_not_become_another_one_under_its_guest(
    zone: Zone, store: MemoryStore
) -> None:
    known = await taken(zone, 1)
    await lose_the_pool(zone)
    await zone.want(volume(exports=(EXPORT,)), *known)
    status = await zone.settle()
    fault = status.volumes["vol-1"].fault
    assert fault is not None
    assert (fault.code, status.volumes["vol-1"].presence) == ("VolumeLost", Presence.CREATING)
    await zone.want(volume(), *known)
    assert (await zone.settle()).volumes["vol-1"].presence is Presence.READY


async def test_what_is_lost_and_in_no_archive_is_said_and_never_made_again(tmp_path: Path) -> None:
    zone = Zone(tmp_path)
    await zone.open()
    try:
        known = await taken(zone, 1)
        await lose_the_pool(zone)
        await zone.want(volume(), *known)
        status: StorageStatus = await zone.settle()
        seen = await zone.driver.observe()
        assert (dict(seen.volumes), dict(seen.snapshots)) == ({}, {})
        for one, code in ((status.volumes["vol-1"], "VolumeLost"), (status.snapshots["snap-0"], "SnapshotLost")):
            assert one.fault is not None
            assert one.fault.code == code
    finally:
        await zone.agent.close()


@pytest.mark.parametrize("step", range(14))
async def test_killed_or_cut_off_at_any_step_it_all_ends_the_same(zone: Zone, store: MemoryStore, step: int) -> None:
    """The call of the store that does not come through, and a new life after it."""
    known = await taken(zone, 2)
    was = await content(zone.driver, "snap-0")
    store.fail_at = step
    await zone.want(volume(), known[0], msgspec.structs.replace(known[1], gone=True), snapshot(2))
    await zone.agent.loop.activate()
    await zone.kill()
    status = await zone.settle()
    assert status.snapshots["snap-1"].presence is Presence.GONE
    assert manifests(store) == {"snap-0", "snap-2"}
    await lose_the_pool(zone)
    store.fail_at = step
    await zone.want(volume(), known[0], snapshot(2, made=True))
    await zone.agent.loop.activate()
    await zone.kill()
    status = await zone.settle()
    assert {one.presence for one in status.snapshots.values()} == {Presence.READY}
    assert await content(zone.driver, "snap-0") == was


async def test_a_snapshot_that_was_still_to_be_taken_is_not_taken_of_the_volume_that_came_back(
    zone: Zone, store: MemoryStore
) -> None:
    known = await taken(zone, 1)
    zone.driver.write("vol-1", 3, "written since")
    await lose_the_pool(zone)
    await zone.want(volume(), *known, snapshot(5))
    status = await zone.settle()
    fault = status.snapshots["snap-5"].fault
    assert fault is not None
    assert (fault.code, fault.final, status.snapshots["snap-5"].presence) == ("VolumeLost", True, Presence.FAILED)
    assert status.volumes["vol-1"].presence is not Presence.READY
    await zone.want(volume(), *known)
    assert (await zone.settle()).volumes["vol-1"].presence is Presence.READY


async def test_a_volume_comes_back_as_its_newest_snapshot_that_can_be_had(zone: Zone, store: MemoryStore) -> None:
    known = await taken(zone, 2)
    was = await content(zone.driver, "snap-0")
    await lose_the_pool(zone)
    del store.held["one/manifests/snap-1"]
    await zone.want(volume(), *known)
    status = await zone.settle()
    assert status.volumes["vol-1"].presence is Presence.READY
    assert status.snapshots["snap-1"].presence is not Presence.READY
    await zone.want(volume(), *known, snapshot(9))
    await zone.settle()
    assert await content(zone.driver, "snap-9") == was


async def test_what_was_made_of_a_snapshot_and_is_lost_keeps_it_no_more(zone: Zone, store: MemoryStore) -> None:
    known = await taken(zone, 1)
    lost = VolumeSpec(volume_id="vol-2", size_gib=1, snapshot_id="snap-0", made=True)
    await zone.want(volume(), lost, msgspec.structs.replace(known[0], gone=True))
    status = await zone.settle()
    assert status.snapshots["snap-0"].presence is Presence.GONE
    assert store.held == {}
