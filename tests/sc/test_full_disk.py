"""A pool, or the disk for downloads, that is full: said, tried again, healed by room; and what shall be made is given up."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from eucapy.drivers.block.base import NoSpace
from eucapy.drivers.block.fake import FakeDriver
from eucapy.sc.agent import MOST_TRIES_WITHOUT_ROOM
from eucapy.wire.contract import Cursor, Fault
from eucapy.wire.node import ObjectSource
from eucapy.wire.storage import Presence, SnapshotSpec, StorageStatus, VolumeSpec
from tests.sc.conftest import Zone, export

V1, S1 = "vol-1", "snap-1"
IMAGE = ObjectSource(bucket="images", key="tiny", etag="e", size_bytes=4096, format="raw")
FULL = OSError(errno.ENOSPC, "No space left on device")


class Room:
    """There is none while `full`, for any of the driver's verbs and for downloads."""

    def __init__(self, zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.tries = 0
        for verb in ("ensure_volume", "ensure_snapshot", "grow", "ensure_export"):
            monkeypatch.setattr(FakeDriver, verb, self._around(getattr(FakeDriver, verb), NoSpace("the pool is full")))
        monkeypatch.setattr(type(zone.store), "fetch", self._around(type(zone.store).fetch, FULL))

    def _around(self, verb: Any, error: Exception) -> Any:
        async def around(driver: Any, *given: Any) -> Any:
            if self.full:
                self.tries += 1
                raise error
            return await verb(driver, *given)

        return around


@pytest.fixture
def room(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> Room:
    zone.store.objects = {"tiny": b"x" * 4096}
    return Room(zone, monkeypatch)


async def patience(zone: Zone, rounds: int) -> StorageStatus:
    for _ in range(rounds):
        await zone.loops.settle()
        zone.clock.advance(120)
    return await zone.agent.get_status(Cursor(), 0.0)


def fault_of(status: StorageStatus, item: str) -> Fault:
    fault = (status.volumes.get(item) or status.snapshots[item]).fault
    assert fault is not None
    return fault


@pytest.mark.parametrize(
    "wanted",
    [VolumeSpec(volume_id=V1, size_gib=1), SnapshotSpec(snapshot_id=S1, source=IMAGE)],
    ids=["volume", "download"],
)
async def test_what_finds_no_room_says_so_and_is_made_when_there_is_room(
    zone: Zone, room: Room, wanted: VolumeSpec | SnapshotSpec
) -> None:
    room.full = True
    await zone.want(wanted)
    status = await patience(zone, 3)
    (item,) = (*status.volumes.values(), *status.snapshots.values())
    assert item.fault is not None
    assert (item.presence, item.fault.code, item.fault.final) == (
        Presence.CREATING,
        "InsufficientVolumeCapacity",
        False,
    )
    room.full = False
    status = await zone.settle()
    (item,) = (*status.volumes.values(), *status.snapshots.values())
    assert (item.presence, item.fault) == (Presence.READY, None)


@pytest.mark.parametrize(
    "wanted",
    [
        VolumeSpec(volume_id="vol-new", size_gib=1),
        SnapshotSpec(snapshot_id="snap-new", source=IMAGE),
        SnapshotSpec(snapshot_id="snap-new", volume_id=V1),
    ],
    ids=["volume", "download", "snapshot"],
)
async def test_nobody_waits_for_ever_for_what_shall_be_made(
    zone: Zone, room: Room, wanted: VolumeSpec | SnapshotSpec
) -> None:
    held = VolumeSpec(volume_id=V1, size_gib=1)
    await zone.want(held)
    await zone.settle()
    room.full = True
    await zone.want(held, wanted)
    status = await patience(zone, 2 * MOST_TRIES_WITHOUT_ROOM)
    item = status.volumes.get("vol-new") or status.snapshots["snap-new"]
    assert item.fault is not None
    assert (item.presence, item.fault.final, room.tries) == (Presence.FAILED, True, MOST_TRIES_WITHOUT_ROOM)
    assert status.volumes[V1].presence is Presence.READY


async def test_a_volume_that_is_there_waits_as_long_as_it_takes(zone: Zone, room: Room) -> None:
    await zone.want(VolumeSpec(volume_id=V1, size_gib=1))
    await zone.settle()
    room.full = True
    await zone.want(VolumeSpec(volume_id=V1, size_gib=2, exports=(export("a-1"),)))
    status = await patience(zone, 2 * MOST_TRIES_WITHOUT_ROOM)
    assert not fault_of(status, V1).final
    room.full = False
    status = await zone.settle()
    assert (status.volumes[V1].size_gib, status.volumes[V1].fault) == (2, None)
    assert status.volumes[V1].exports["a-1"].address


async def test_what_was_being_downloaded_does_not_stay(zone: Zone, room: Room) -> None:
    room.full = True
    await zone.want(SnapshotSpec(snapshot_id=S1, source=IMAGE))
    await patience(zone, 2)
    assert list(Path(zone.folder / "state" / "downloads").iterdir()) == []
