"""The loop between rows and the zones' storage: what is sent, when, and what comes of refusals, silence and crashes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.clc.reconcilers.storage_sync import StorageSync
from eucapy.clc.store import attachments, migrating, snapshots, volumes
from eucapy.clock import ManualClock
from eucapy.database import Database, Row, Tx, open_database
from eucapy.drivers.block.fake import FakeDriver
from eucapy.drivers.imaging.fake_conversion import FakeConverter
from eucapy.sc.agent import StorageController
from eucapy.sc.executor import Executor
from eucapy.sc.transfer import Transfer
from eucapy.sc.uploads import Uploads
from eucapy.wire.contract import Ack, Cursor, Unreachable
from eucapy.wire.storage import StorageSpec, StorageStatus
from tests.harness.postgres import NewDatabase

ACCOUNT, ZONE = "123456789012", "one"


class Line:
    """The way to a storage controller: counts, and may be cut before or after a spec arrives."""

    def __init__(self, controller: StorageController) -> None:
        self.controller = controller
        self.specs: list[StorageSpec] = []
        self.cut_before = self.cut_after = False

    async def put_spec(self, spec: StorageSpec) -> Ack:
        if self.cut_before:
            raise Unreachable("cut")
        self.specs.append(spec)
        ack = await self.controller.put_spec(spec)
        if self.cut_after:
            raise Unreachable("cut")
        return ack

    async def get_status(self, since: Cursor, wait_s: float) -> StorageStatus:
        if self.cut_before or self.cut_after:
            raise Unreachable("cut")
        return await self.controller.get_status(since, wait_s)


class World:
    """A database, one zone's storage, and the loop between them."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.clock = ManualClock()
        self.folder = folder
        self.woken: list[str] = []
        self.begin_controller()
        self.restart()

    def begin_controller(self) -> None:
        """A new life of the storage controller."""
        self.driver = FakeDriver(self.folder / "pool")
        executor = Executor(
            self.driver,
            Transfer(None, None, 1 << 30),  # type: ignore[arg-type]
            FakeConverter(),
            Uploads(None, self.folder / "uploads"),  # type: ignore[arg-type]
            self.folder / "downloads",
        )
        self.controller = StorageController(ZONE, self.folder, self.driver, executor, self.clock)
        self.line: Line | None = Line(self.controller)

    def restart(self) -> None:
        """The cloud controller's process dies and another one starts."""
        self.sync = StorageSync(self.database, self, [ZONE], self.clock, self.woken.append)

    async def storage(self, zone: str) -> Any:
        return self.line

    async def cluster(self, zone: str) -> Any:
        return None

    async def settle(self) -> int:
        """Both loops to rest; returns how many specs went out."""
        assert self.line is not None
        before = len(self.line.specs)
        for _ in range(30):
            changed = await self.sync()
            if not (await self.controller.loop.activate() or changed):
                break
        else:
            raise AssertionError("the loops do not come to rest")
        return len(self.line.specs) - before

    async def write(self, work: Any) -> Any:
        return await self.database.write(work)

    async def volume(self, **columns: Any) -> Row:
        async def work(tx: Tx) -> Row:
            return await volumes.create(tx, account=ACCOUNT, zone=ZONE, size_gib=1, now=1.0, **columns)

        row: Row = await self.write(work)
        return row

    async def row(self, volume_id: str) -> Row | None:
        return (await self.database.read(lambda tx: volumes.by_ids(tx, [volume_id]))).get(volume_id)


@pytest.fixture
async def world(tmp_path: Path, new_database: NewDatabase) -> AsyncIterator[World]:
    with new_database() as url:
        database = open_database(url or f"sqlite:///{tmp_path / 'clc.sqlite'}")
        await migrating.upgrade(database)
        world = World(database, tmp_path / "sc")
        await world.controller.open()
        yield world
        await world.controller.close()
        await database.close()


async def state_of(world: World, volume_id: str) -> str | None:
    row = await world.row(volume_id)
    return row.state if row is not None else None


async def test_a_spec_goes_out_when_something_changed_and_never_else(world: World) -> None:
    row = await world.volume()
    assert await world.settle() == 2, "what shall be made, and that it is made"
    assert await state_of(world, row.id) == "available"
    assert await world.settle() == 0
    await world.volume()
    assert await world.settle() == 2
    assert [spec.generation for spec in world.line.specs] == [1, 2, 3, 4]  # type: ignore[union-attr]


async def test_after_a_restart_the_same_content_goes_out_under_the_same_number(world: World) -> None:
    await world.volume()
    await world.settle()
    world.restart()
    await world.settle()
    assert world.line is not None
    assert [spec.generation for spec in world.line.specs] == [1, 2, 2]


async def test_a_zone_without_storage_waits(world: World) -> None:
    row, line, world.line = await world.volume(), world.line, None
    assert not await world.sync()
    world.line = line
    await world.settle()
    assert await state_of(world, row.id) == "available"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_cut_line_loses_nothing(world: World, after: bool) -> None:
    assert world.line is not None
    row = await world.volume()
    world.line.cut_before, world.line.cut_after = not after, after
    assert not await world.sync()
    await world.controller.loop.activate()
    world.line.cut_before = world.line.cut_after = False
    await world.settle()
    assert await state_of(world, row.id) == "available"
    assert world.driver.verbs == 2


async def test_a_restored_database_goes_past_what_the_storage_holds(world: World) -> None:
    """The storage has accepted newer generations than the database remembers: nothing it has is touched unasked."""
    await world.controller.put_spec(StorageSpec(generation=7, zone=ZONE))
    row = await world.volume()
    await world.settle()
    assert world.line is not None
    assert world.line.specs[-1].generation > 7
    assert await state_of(world, row.id) == "available"


async def test_a_storage_controller_that_lost_its_ledger_is_told_again(world: World) -> None:
    row = await world.volume()
    await world.settle()
    await world.controller.close()
    (world.folder / "spec.json").unlink()
    world.begin_controller()
    await world.controller.open()
    await world.settle()
    status = await world.controller.get_status(Cursor(), 0.0)
    assert (status.generation, set(status.volumes), status.strangers) == (2, {row.id}, ())
    assert world.driver.verbs == 0


async def test_a_tombstone_stays_until_the_storage_confirmed_it(world: World) -> None:
    row = await world.volume()
    await world.settle()
    await world.write(lambda tx: _delete(tx, row.id))
    world.driver.fail_at(0)
    await world.settle()
    assert await state_of(world, row.id) == "deleting"
    world.clock.advance(60)
    await world.settle()
    assert await state_of(world, row.id) is None
    assert world.line is not None
    assert row.id not in world.line.specs[-1].volumes
    assert (await world.driver.observe()).volumes == {}


async def _delete(tx: Tx, volume_id: str) -> None:
    row = (await volumes.by_ids(tx, [volume_id]))[volume_id]
    assert await volumes.move(tx, row, "delete", 2.0)


async def test_killed_between_any_two_activations_everything_ends_the_same(world: World) -> None:
    """The cloud controller forgets what it sent, each time, and still nothing is done twice."""
    row = await world.volume()
    for _ in range(4):
        world.restart()
        await world.sync()
        await world.controller.loop.activate()
    taken: Row = await world.write(
        lambda tx: snapshots.create(tx, account=ACCOUNT, volume=row, description="", now=1.0)
    )
    for _ in range(4):
        world.restart()
        await world.sync()
        await world.controller.loop.activate()
    seen = await world.driver.observe()
    assert (set(seen.volumes), set(seen.snapshots), world.driver.verbs) == ({row.id}, {taken.id}, 3)


async def test_a_volume_made_for_a_launch_is_in_use_once_it_is_there(world: World) -> None:
    row = await world.volume()
    await world.write(
        lambda tx: attachments.create(
            tx, volume_id=row.id, instance_id="i-1", device="/dev/sda1", delete_on_termination=True, now=1.0
        )
    )
    await world.settle()
    assert await state_of(world, row.id) == "in-use"


@pytest.mark.parametrize(("goes", "expected"), [(True, None), (False, "available")])
async def test_an_instance_that_ends_takes_with_it_what_shall_not_outlive_it(
    world: World, goes: bool, expected: str | None
) -> None:
    row = await world.volume()
    await world.write(
        lambda tx: attachments.create(
            tx, volume_id=row.id, instance_id="i-1", device="/dev/sdf", delete_on_termination=goes, now=1.0
        )
    )
    await world.settle()
    await world.write(lambda tx: attachments.release_all(tx, "i-1", 2.0))
    await world.settle()
    assert await state_of(world, row.id) == expected
    assert (row.id in (await world.driver.observe()).volumes) == (expected is not None)
    assert await world.database.read(lambda tx: attachments.of_instances(tx, ["i-1"])) == {}


async def test_two_who_meet_at_one_volume_do_not_both_win(world: World) -> None:
    """A detachment and the end of the instance in one moment: each state moves once."""
    row = await world.volume()
    await world.write(
        lambda tx: attachments.create(
            tx, volume_id=row.id, instance_id="i-1", device="/dev/sdf", delete_on_termination=True, now=1.0
        )
    )
    await world.settle()
    held = (await world.database.read(lambda tx: attachments.of_volumes(tx, [row.id])))[row.id]
    first, second = await asyncio.gather(
        world.write(lambda tx: attachments.detach(tx, held)), world.write(lambda tx: attachments.detach(tx, held))
    )
    assert sorted([first, second]) == [False, True]
