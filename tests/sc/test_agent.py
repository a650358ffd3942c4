"""The storage controller converges: whatever fails, in whatever order, however often it is killed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from eucapy.drivers.block.base import GIB
from eucapy.wire.contract import Cursor, Refused, Unreachable
from eucapy.wire.node import ObjectSource
from eucapy.wire.objects import Changed
from eucapy.wire.storage import Presence, SnapshotSpec, StorageSpec, VolumeSpec
from tests.sc.conftest import Zone, export

V1, V2, S1, S2 = "vol-1", "vol-2", "snap-1", "snap-2"
IMAGE = ObjectSource(bucket="images", key="tiny", etag="e", size_bytes=4096, format="raw")

STORY: tuple[tuple[VolumeSpec | SnapshotSpec, ...], ...] = (
    (SnapshotSpec(snapshot_id=S1, source=IMAGE), VolumeSpec(volume_id=V1, size_gib=2, snapshot_id=S1)),
    (
        SnapshotSpec(snapshot_id=S1, source=IMAGE),
        VolumeSpec(volume_id=V1, size_gib=2, snapshot_id=S1, exports=(export("a-1"),)),
        SnapshotSpec(snapshot_id=S2, volume_id=V1),
        VolumeSpec(volume_id=V2, size_gib=3, snapshot_id=S2, exports=(export("a-2"),)),
    ),
    (
        SnapshotSpec(snapshot_id=S1, source=IMAGE, gone=True),
        VolumeSpec(volume_id=V1, size_gib=4, snapshot_id=S1, exports=(export("a-3"),)),
        SnapshotSpec(snapshot_id=S2, volume_id=V1),
        VolumeSpec(volume_id=V2, size_gib=3, snapshot_id=S2, gone=True),
    ),
    (
        SnapshotSpec(snapshot_id=S1, gone=True),
        VolumeSpec(volume_id=V1, size_gib=4, gone=True),
        SnapshotSpec(snapshot_id=S2, gone=True),
        VolumeSpec(volume_id=V2, size_gib=3, gone=True),
    ),
)

STEPS = 15
"""How many steps the story takes."""


async def check_end(zone: Zone, chapter: int) -> None:
    """The pool holds what the chapter says, and the status tells it."""
    status = await zone.settle()
    seen = await zone.driver.observe()
    presence = {name: item.presence for name, item in {**status.volumes, **status.snapshots}.items()}
    gone = {
        item.volume_id if isinstance(item, VolumeSpec) else item.snapshot_id for item in STORY[chapter] if item.gone
    }
    assert presence == {name: Presence.GONE if name in gone else Presence.READY for name in presence}
    assert {*seen.volumes, *seen.snapshots} == set(presence) - gone
    assert [item.fault for item in {**status.volumes, **status.snapshots}.values() if item.fault] == []
    for item in STORY[chapter]:
        if isinstance(item, VolumeSpec) and not item.gone:
            there = seen.volumes[item.volume_id]
            assert there.size_gib == item.size_gib
            assert set(there.exports) == {wish.attachment_id for wish in item.exports}
            assert all(held.address for held in there.exports.values())
            assert (
                status.volumes[item.volume_id].exports[item.exports[0].attachment_id].address if item.exports else True
            )
    assert (status.generation, status.fault, status.strangers) == (zone.generation, None, ())


async def tell(zone: Zone) -> None:
    zone.store.objects = {"tiny": b"x" * 4096}
    for chapter, items in enumerate(STORY):
        await zone.want(*items)
        await check_end(zone, chapter)


async def test_the_story_needs_no_failure_to_be_told(zone: Zone) -> None:
    await tell(zone)
    assert zone.driver.verbs == STEPS


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(STEPS))
async def test_a_step_that_fails_is_done_later(zone: Zone, at: int, after: bool) -> None:
    zone.driver.fail_at(at, after=after)
    await tell(zone)
    assert zone.driver.verbs == STEPS + (not after)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(STEPS))
async def test_killed_at_any_step_it_goes_on_from_its_ledger(zone: Zone, at: int, after: bool) -> None:
    zone.store.objects = {"tiny": b"x" * 4096}
    zone.driver.fail_at(at, after=after)
    killed = False
    for chapter, items in enumerate(STORY):
        await zone.want(*items)
        while not killed and await zone.agent.loop.activate():
            if zone.driver.verbs > at:
                await zone.kill()
                killed = True
        await check_end(zone, chapter)
    assert killed


async def test_after_a_restart_nothing_is_done_twice(zone: Zone) -> None:
    zone.store.objects = {"tiny": b"x" * 4096}
    for items in STORY[:2]:
        await zone.want(*items)
        await zone.settle()
    await zone.kill()
    await check_end(zone, 1)
    assert (zone.driver.verbs, zone.store.calls) == (0, 1)


async def test_what_no_spec_names_is_left_alone_and_reported(zone: Zone) -> None:
    await zone.driver.ensure_volume("vol-9", 1)
    await zone.want(VolumeSpec(volume_id=V1, size_gib=1))
    await zone.settle()
    await zone.want()
    status = await zone.settle()
    assert status.strangers == (V1, "vol-9")
    assert set((await zone.driver.observe()).volumes) == {V1, "vol-9"}


async def test_a_failing_item_keeps_nobody_else(zone: Zone) -> None:
    missing = SnapshotSpec(snapshot_id=S1, source=IMAGE)
    zone.store.failures = [Unreachable("down")] * 1000
    await zone.want(missing, VolumeSpec(volume_id=V1, size_gib=1), VolumeSpec(volume_id=V2, size_gib=1, snapshot_id=S1))
    status = await zone.settle()
    assert status.volumes[V1].presence == Presence.READY
    assert (status.volumes[V2].presence, status.volumes[V2].fault) == (Presence.CREATING, None)
    fault = status.snapshots[S1].fault
    assert fault is not None
    assert (fault.code, fault.final, status.snapshots[S1].presence) == ("StoreUnreachable", False, Presence.CREATING)


async def test_a_failing_item_waits_longer_each_time(zone: Zone) -> None:
    zone.store.failures = [Unreachable("down")] * 1000
    await zone.want(SnapshotSpec(snapshot_id=S1, source=IMAGE))
    await zone.loops.settle()
    calls = []
    for _ in range(60):
        zone.clock.advance(1.0)
        await zone.agent.loop.activate()
        calls.append(zone.store.calls)
    assert calls[-1] <= 8
    zone.store.failures.clear()
    zone.store.objects = {"tiny": b"x" * 4096}
    status = await zone.settle()
    assert (status.snapshots[S1].presence, status.snapshots[S1].fault) == (Presence.READY, None)


@pytest.mark.parametrize(
    ("source", "failure", "code"),
    [
        (IMAGE, Changed("replaced"), "ImageChanged"),
        (ObjectSource(bucket="b", key="k", etag="e", size_bytes=GIB + 1, format="raw"), None, "ImageTooLarge"),
        (ObjectSource(bucket="b", key="bad", etag="e", size_bytes=4096, format="qcow2"), None, "InvalidImage"),
    ],
)
async def test_what_can_never_be_made_fails_once_and_for_good(
    zone: Zone, source: ObjectSource, failure: Exception | None, code: str
) -> None:
    zone.store.objects = {"bad": b"no image", "tiny": b"x" * 4096}
    zone.store.failures = [failure] if failure else []
    await zone.want(SnapshotSpec(snapshot_id=S1, source=source))
    status = await zone.settle()
    fault = status.snapshots[S1].fault
    assert fault is not None
    assert (fault.code, fault.final, status.snapshots[S1].presence) == (code, True, Presence.FAILED)
    calls = zone.store.calls
    await zone.settle()
    assert zone.store.calls == calls
    await zone.want(SnapshotSpec(snapshot_id=S1, gone=True))
    assert (await zone.settle()).snapshots[S1].presence == Presence.GONE


async def test_a_download_leaves_no_file_behind(zone: Zone) -> None:
    zone.store.objects = {"tiny": b"no image"}
    await zone.want(SnapshotSpec(snapshot_id=S1, source=IMAGE))
    await zone.settle()
    downloads = zone.folder / "state" / "downloads"
    assert list(downloads.iterdir()) == []
    (downloads / "snap-left").write_bytes(b"x")
    await zone.kill()
    assert list(downloads.iterdir()) == []


async def test_an_import_that_is_no_longer_wanted_ends_at_once_and_leaves_nothing(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    never, begun = asyncio.Event(), asyncio.Event()

    async def fetch(source: ObjectSource, into: Path, progress: Callable[[int], None]) -> None:
        into.write_bytes(b"half")
        progress(2048)
        begun.set()
        await never.wait()

    monkeypatch.setattr(zone.store, "fetch", fetch)
    await zone.want(SnapshotSpec(snapshot_id=S1, source=IMAGE))
    await zone.agent.loop.activate()
    await begun.wait()
    await zone.agent.loop.activate()
    seen = (await zone.agent.get_status(Cursor(), 0.0)).snapshots[S1]
    assert (seen.presence, seen.stage, seen.progress) == (Presence.CREATING, "downloading", 25)
    await zone.want(SnapshotSpec(snapshot_id=S1, gone=True))
    status = await zone.settle()
    assert (status.snapshots[S1].presence, status.strangers) == (Presence.GONE, ())
    assert list((zone.folder / "state" / "downloads").iterdir()) == []


async def test_an_export_whose_server_died_comes_back(zone: Zone) -> None:
    await zone.want(VolumeSpec(volume_id=V1, size_gib=1, exports=(export("a-1"),)))
    await zone.settle()
    assert zone.agent.loop.idle
    zone.driver.kill_export(V1)
    assert not zone.agent.loop.idle, "the death of an export wakes the loop"
    status = await zone.settle()
    assert status.volumes[V1].exports["a-1"].address


async def test_a_pool_that_is_not_mounted_is_not_filled_with_empty_volumes(zone: Zone, tmp_path: Path) -> None:
    await zone.want(VolumeSpec(volume_id=V1, size_gib=1))
    await zone.settle()
    await zone.agent.close()
    shutil.move(tmp_path / "pool", tmp_path / "elsewhere")
    await zone.kill()
    status = await zone.settle()
    assert status.fault is not None
    assert status.fault.code == "PoolLost"
    assert (await zone.driver.observe()).volumes == {}
    await zone.agent.close()
    shutil.rmtree(tmp_path / "pool")
    shutil.move(tmp_path / "elsewhere", tmp_path / "pool")
    await zone.kill()
    status = await zone.settle()
    assert (status.fault, status.volumes[V1].presence) == (None, Presence.READY)


async def test_an_older_spec_is_refused_and_changes_nothing(zone: Zone) -> None:
    await zone.want(VolumeSpec(volume_id=V1, size_gib=1))
    await zone.want(VolumeSpec(volume_id=V1, size_gib=1))
    ack = await zone.agent.put_spec(StorageSpec(generation=1, zone="one"))
    assert (ack.refused, ack.generation) == (Refused.STALE, 2)
    assert set((await zone.settle()).volumes) == {V1}


async def test_a_status_is_new_only_when_something_is(zone: Zone) -> None:
    await zone.want(VolumeSpec(volume_id=V1, size_gib=1))
    before = await zone.settle()
    await zone.settle()
    after = await zone.agent.get_status(Cursor(), 0.0)
    assert (after.boot, after.revision) == (before.boot, before.revision)
    assert after.capacity is not None
    assert after.capacity.total_gib - after.capacity.free_gib == 1


async def test_before_any_spec_the_status_names_strangers_and_nothing_is_done(zone: Zone) -> None:
    await zone.driver.ensure_volume("vol-9", 1)
    status = await zone.settle()
    assert (status.generation, status.strangers, zone.driver.verbs) == (0, ("vol-9",), 1)
