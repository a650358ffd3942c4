"""Chains stay short while snapshots come and go, and no content changes, whoever dies on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from eucapy.drivers.block import files
from eucapy.drivers.block.base import TooManySnapshots
from eucapy.drivers.block.compaction import Compactor, Use
from eucapy.drivers.block.layers import Layers
from eucapy.run import run
from tests.drivers.block.conftest import BLOCK_BYTES, FilesPool
from tests.drivers.block.crashes import CrashPoint

V1 = "vol-00000000000000001"
LONGEST = 3


@pytest.fixture
async def pool(files_pool: FilesPool) -> AsyncIterator[FilesPool]:
    """Chains of more than three layers are compacted."""
    files_pool.options = {"longest_chain": LONGEST}
    await files_pool.restart()
    yield files_pool


def chain(pool: FilesPool, volume_id: str = V1) -> list[str]:
    record = pool.driver._volumes.get(volume_id)
    assert record is not None
    return pool.driver._layers.chain(record.head)


async def rest(pool: FilesPool) -> bool:
    """Compaction to its end; False when the process died in it."""
    await pool.driver._compactor.rest()
    task = pool.driver._compactor._task
    died = task is not None and not task.cancelled() and task.exception() is not None
    if died:
        pool.driver._compactor._task = None
    return not died


async def history(pool: FilesPool, length: int) -> list[str]:
    """Snapshots of a volume that is written block by block: the n-th has the first n + 1 blocks."""
    names = []
    await pool.driver.ensure_volume(V1, 1)
    await pool.driver.ensure_export(V1, "att-1")
    for number in range(length):
        await pool.write(V1, number, "a")
        names.append(f"snap-{number}")
        await pool.driver.ensure_snapshot(names[-1], V1)
    return names


async def blocks(pool: FilesPool, volume_id: str, count: int) -> str:
    """Which of the first blocks are written: `aaa..`."""
    return "".join(word or "." for word in await pool.reads(volume_id, range(count)))


async def content(pool: FilesPool, snapshot_id: str, count: int) -> str:
    """The same of a snapshot, through a volume made of it."""
    clone = f"clone-of-{snapshot_id}"
    await pool.driver.ensure_volume(clone, 1, snapshot_id)
    await pool.driver.ensure_export(clone, "att-2")
    found = await blocks(pool, clone, count)
    await pool.driver.remove_export(clone, "att-2")
    await pool.driver.remove_volume(clone)
    return found


@pytest.mark.parametrize("live", [True, False], ids=["exported", "at rest"])
async def test_layers_that_only_their_successor_needs_are_merged(pool: FilesPool, live: bool) -> None:
    names = await history(pool, 8)
    if not live:
        await pool.driver.remove_export(V1, "att-1")
    for name in [*names[:4], *names[5:7]]:
        await pool.driver.remove_snapshot(name)
    assert await rest(pool)
    assert len(chain(pool)) == LONGEST
    files_left = {path.name.removesuffix(".qcow2") for path in (pool.folder / "layers").iterdir()}
    assert files_left == set(chain(pool))
    await pool.driver.ensure_export(V1, "att-1")
    assert await blocks(pool, V1, 9) == "aaaaaaaa."
    assert await content(pool, names[4], 9) == "aaaaa...."
    assert await content(pool, names[7], 9) == "aaaaaaaa."
    await pool.restart()
    assert await blocks(pool, V1, 9) == "aaaaaaaa."


async def test_snapshots_every_day_for_a_month_leave_a_short_chain(pool: FilesPool) -> None:
    """The volume is exported all the time, a week of snapshots is kept."""
    await pool.driver.ensure_volume(V1, 1)
    await pool.driver.ensure_export(V1, "att-1")
    for day in range(30):
        await pool.write(V1, day % 10, "a")
        await pool.driver.ensure_snapshot(f"snap-{day}", V1)
        if day >= 7:
            await pool.driver.remove_snapshot(f"snap-{day - 7}")
        assert await rest(pool)
        assert len(chain(pool)) <= 7 + 3
    assert await blocks(pool, V1, 11) == "aaaaaaaaaa."


async def test_a_guest_writes_on_while_layers_are_merged(pool: FilesPool) -> None:
    names = await history(pool, 6)
    address = await pool.address(V1)
    script = [part for n in range(10, 400) for part in ("-c", f"write -f -P 98 {n * BLOCK_BYTES} {BLOCK_BYTES}")]
    writer = asyncio.create_task(run("qemu-io", "-f", "raw", *script, address))
    for name in names:
        await pool.driver.remove_snapshot(name)
        await pool.driver.ensure_snapshot(f"{name}-more", V1)
    await writer
    assert await rest(pool)
    assert await blocks(pool, V1, 7) == "aaaaaa."
    checked = await run("qemu-io", "-f", "raw", "-c", f"read -P 98 {10 * BLOCK_BYTES} {390 * BLOCK_BYTES}", address)
    assert "verification failed" not in checked.stdout


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("live", [True, False], ids=["exported", "at rest"])
async def test_a_crash_at_any_step_of_a_merge_changes_no_content(
    pool: FilesPool, crash: CrashPoint, live: bool, after: bool
) -> None:
    met = 0
    for at in range(60):
        pool.driver._compactor._longest = 100
        names = await history(pool, 3)
        if not live:
            await pool.driver.remove_export(V1, "att-1")
        await pool.driver.remove_snapshot(names[1])
        assert await rest(pool)
        assert len(chain(pool)) == 4
        pool.driver._compactor._longest = LONGEST
        crash.arm(at, after)
        pool.driver._compactor.wake()
        survived = await rest(pool)
        crash.disarm()
        met += not survived
        await pool.restart()
        assert await rest(pool)
        assert len(chain(pool)) == LONGEST
        await pool.driver.ensure_export(V1, "att-1")
        assert await blocks(pool, V1, 4) == "aaa."
        assert await content(pool, names[0], 4) == "a..."
        assert await content(pool, names[2], 4) == "aaa."
        await pool.driver.remove_export(V1, "att-1")
        await pool.driver.remove_volume(V1)
        for name in names:
            await pool.driver.remove_snapshot(name)
        assert list((pool.folder / "layers").iterdir()) == []
        if survived:
            assert met >= (4 if live else 2), "the crash points were not met"
            return
    raise AssertionError("the merge never ended")


async def test_a_daemon_that_dies_in_a_merge_loses_nothing(pool: FilesPool) -> None:
    names = await history(pool, 6)
    for name in names[1:5]:
        await pool.driver.remove_snapshot(name)
    await asyncio.sleep(0)
    pool.kill_export(V1)
    assert await rest(pool)
    await pool.driver.remove_export(V1, "att-1")
    assert await rest(pool)
    assert len(chain(pool)) == LONGEST
    await pool.driver.ensure_export(V1, "att-1")
    assert await blocks(pool, V1, 7) == "aaaaaa."
    assert await content(pool, names[0], 7) == "a......"


async def test_a_layer_that_two_served_volumes_stand_on_is_left_alone(pool: FilesPool) -> None:
    names = await history(pool, 5)
    await pool.driver.ensure_volume("vol-2", 1, names[4])
    await pool.driver.ensure_export("vol-2", "att-2")
    for name in names:
        await pool.driver.remove_snapshot(name)
    assert await rest(pool)
    assert len(chain(pool)) == 6
    await pool.driver.remove_export("vol-2", "att-2")
    assert await rest(pool)
    assert len(chain(pool)) == LONGEST
    await pool.driver.ensure_export("vol-2", "att-2")
    assert [await blocks(pool, volume, 6) for volume in (V1, "vol-2")] == ["aaaaa.", "aaaaa."]


async def test_a_volume_has_only_so_many_snapshots(pool: FilesPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_LAYERS", 4)
    await history(pool, 3)
    with pytest.raises(TooManySnapshots):
        await pool.driver.ensure_snapshot("snap-more", V1)
    await pool.driver.remove_snapshot("snap-0")
    assert await rest(pool)
    await pool.driver.ensure_snapshot("snap-more", V1)


async def test_a_volume_whose_layer_is_missing_keeps_no_other_from_being_merged(tmp_path: Path) -> None:
    """A chain of the volume that is broken cannot be walked to its end."""
    layers = Layers(tmp_path)
    layers.open()
    layers._parents = {"a.2": "a.1", "a.1": "a.0", "a.0": "", "b.1": "b.0"}  # b.0 is gone
    assert layers.stands_on("a.2", "a.0") and layers.stands_on("b.1", "b.0")
    assert not layers.stands_on("b.1", "a.0")
    use = Use(
        roots=frozenset({"a.2", "b.1"}),
        heads=frozenset({"a.2", "b.1"}),
        exported={"vol-a": "a.2", "vol-b": "b.1"},
        running=frozenset({"vol-a", "vol-b"}),
    )
    for layer in ("a.2", "a.1", "a.0", "b.1"):
        layers.path(layer).write_bytes(b"")
    compactor = Compactor(layers, cast("Any", None), lambda: use, lambda: None, longest=1)
    assert compactor._next() == ("a.0", "a.1")
