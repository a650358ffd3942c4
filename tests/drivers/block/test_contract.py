"""What every block driver promises, fake and real alike."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from eucapy.drivers.block.base import (
    GIB,
    BadRequest,
    ExportSeen,
    InUse,
    NoSuchSnapshot,
    NoSuchVolume,
    SnapshotSeen,
    UnusableImage,
    VolumeSeen,
)
from eucapy.pace import UNLIMITED, Flow, Pace
from tests.drivers.block.conftest import Pool

V1, V2, V3 = "vol-00000000000000001", "vol-00000000000000002", "vol-00000000000000003"
S1, S2, S3 = "snap-0000000000000001", "snap-0000000000000002", "snap-0000000000000003"


async def volumes(pool: Pool) -> dict[str, VolumeSeen]:
    return dict((await pool.driver.observe()).volumes)


async def with_content(pool: Pool, volume_id: str, words: dict[int, str]) -> None:
    """A volume of 1 GiB that is exported and holds `words`."""
    await pool.driver.ensure_volume(volume_id, 1)
    await pool.driver.ensure_export(volume_id, "att-1")
    for block, word in words.items():
        await pool.write(volume_id, block, word)


async def test_a_volume_is_there_after_ensure_and_gone_after_remove(pool: Pool) -> None:
    await pool.driver.ensure_volume(V1, 2)
    assert (await volumes(pool))[V1] == VolumeSeen(V1, 2)
    await pool.driver.remove_volume(V1)
    assert await volumes(pool) == {}


async def test_every_verb_may_be_called_again(pool: Pool) -> None:
    driver = pool.driver
    for _ in range(2):
        await driver.ensure_volume(V1, 1)
    for _ in range(2):
        await driver.grow(V1, 2)
    addresses = {await driver.ensure_export(V1, "att-1") for _ in range(2)}
    assert len(addresses) == 1
    for _ in range(2):
        await driver.ensure_snapshot(S1, V1)
    for _ in range(2):
        await driver.remove_export(V1, "att-1")
    for _ in range(2):
        await driver.remove_volume(V1)
    for _ in range(2):
        await driver.remove_snapshot(S1)
    seen = await driver.observe()
    assert (seen.volumes, seen.snapshots) == ({}, {})


async def test_a_new_volume_reads_zeros_and_keeps_what_is_written(pool: Pool) -> None:
    await with_content(pool, V1, {3: "a"})
    assert [await pool.read(V1, 0), await pool.read(V1, 3)] == ["", "a"]
    await pool.driver.remove_export(V1, "att-1")
    await pool.driver.ensure_export(V1, "att-2")
    assert await pool.read(V1, 3) == "a"


async def test_the_address_is_an_nbd_address_on_a_unix_socket(pool: Pool) -> None:
    await pool.driver.ensure_volume(V1, 1)
    address = await pool.driver.ensure_export(V1, "att-1")
    assert address.startswith(f"nbd+unix:///{V1}?socket=/")
    assert (await volumes(pool))[V1].exports == {"att-1": ExportSeen(address)}


async def test_a_volume_has_one_writer(pool: Pool) -> None:
    await pool.driver.ensure_volume(V1, 1)
    await pool.driver.ensure_export(V1, "att-1")
    with pytest.raises(InUse):
        await pool.driver.ensure_export(V1, "att-2")
    with pytest.raises(InUse):
        await pool.driver.remove_volume(V1)
    await pool.driver.remove_export(V1, "att-2")
    assert set((await volumes(pool))[V1].exports) == {"att-1"}


async def test_a_snapshot_of_an_exported_volume_is_one_moment_of_it(pool: Pool) -> None:
    await with_content(pool, V1, {0: "a", 1: "a"})
    await pool.driver.ensure_snapshot(S1, V1)
    await pool.write(V1, 0, "b")
    await pool.driver.ensure_snapshot(S2, V1)
    await pool.write(V1, 1, "c")
    await pool.driver.ensure_volume(V2, 1, S1)
    await pool.driver.ensure_volume(V3, 1, S2)
    for clone in (V2, V3):
        await pool.driver.ensure_export(clone, f"att-{clone}")
    found = {volume: [await pool.read(volume, block) for block in (0, 1)] for volume in (V1, V2, V3)}
    assert found == {V1: ["b", "c"], V2: ["a", "a"], V3: ["b", "a"]}


async def test_a_snapshot_of_a_volume_at_rest_never_changes(pool: Pool) -> None:
    await with_content(pool, V1, {0: "a"})
    await pool.driver.remove_export(V1, "att-1")
    await pool.driver.ensure_snapshot(S1, V1)
    await pool.driver.ensure_export(V1, "att-2")
    await pool.write(V1, 0, "b")
    await pool.driver.ensure_snapshot(S1, V1)
    await pool.driver.ensure_volume(V2, 1, S1)
    await pool.driver.ensure_export(V2, "att-3")
    assert [await pool.read(V1, 0), await pool.read(V2, 0)] == ["b", "a"]


async def test_what_was_made_of_a_snapshot_outlives_it_and_its_volume(pool: Pool) -> None:
    await with_content(pool, V1, {0: "a"})
    await pool.driver.ensure_snapshot(S1, V1)
    await pool.write(V1, 1, "b")
    await pool.driver.ensure_snapshot(S2, V1)
    await pool.driver.ensure_volume(V2, 1, S2)
    await pool.driver.remove_export(V1, "att-1")
    await pool.driver.remove_volume(V1)
    await pool.driver.remove_snapshot(S1)
    await pool.driver.remove_snapshot(S2)
    await pool.restart()
    await pool.driver.ensure_export(V2, "att-2")
    assert [await pool.read(V2, 0), await pool.read(V2, 1)] == ["a", "b"]


async def test_a_copy_of_a_snapshot_outlives_it_and_everything_else(pool: Pool) -> None:
    await with_content(pool, V1, {0: "a"})
    await pool.driver.ensure_snapshot(S1, V1)
    for _ in range(2):
        await pool.driver.copy_snapshot(S2, S1)
    await pool.write(V1, 0, "b")
    await pool.driver.remove_snapshot(S1)
    await pool.driver.remove_export(V1, "att-1")
    await pool.driver.remove_volume(V1)
    await pool.restart()
    await pool.driver.copy_snapshot(S2, S1)
    assert (await pool.driver.observe()).snapshots == {S2: SnapshotSeen(S2, 1)}
    await pool.driver.ensure_volume(V2, 1, S2)
    await pool.driver.ensure_export(V2, "att-2")
    assert await pool.read(V2, 0) == "a"


async def test_a_volume_is_never_smaller_than_its_snapshot_and_may_be_larger(pool: Pool) -> None:
    await pool.driver.ensure_volume(V1, 2)
    await pool.driver.ensure_snapshot(S1, V1)
    await pool.driver.ensure_volume(V2, 1, S1)
    await pool.driver.ensure_volume(V3, 5, S1)
    seen = await volumes(pool)
    assert (seen[V2].size_gib, seen[V3].size_gib, seen[V3].snapshot_id) == (2, 5, S1)


async def test_growth_keeps_content_and_shrinking_is_refused(pool: Pool) -> None:
    await with_content(pool, V1, {0: "a"})
    await pool.driver.remove_export(V1, "att-1")
    await pool.driver.grow(V1, 3)
    with pytest.raises(BadRequest):
        await pool.driver.grow(V1, 2)
    await pool.driver.ensure_export(V1, "att-2")
    assert (await volumes(pool))[V1].size_gib == 3
    await pool.write(V1, 2 * GIB // 65536 + 5, "b")
    assert [await pool.read(V1, 0), await pool.read(V1, 2 * GIB // 65536 + 5)] == ["a", "b"]


async def test_growth_of_an_exported_volume_is_done_or_refused_as_the_capabilities_say(pool: Pool) -> None:
    await pool.driver.ensure_volume(V1, 1)
    address = await pool.driver.ensure_export(V1, "att-1")
    await pool.write(V1, 0, "a")
    if pool.driver.capabilities.grows_exported:
        await pool.driver.grow(V1, 2)
        seen = (await volumes(pool))[V1]
        assert (seen.size_gib, seen.exports) == (2, {"att-1": ExportSeen(address)})
        await pool.write(V1, GIB // 65536 + 5, "b")
        assert [await pool.read(V1, 0), await pool.read(V1, GIB // 65536 + 5)] == ["a", "b"]
    else:
        with pytest.raises(InUse):
            await pool.driver.grow(V1, 2)


SLOW = Pace(requests=Flow(per_s=500, burst_per_s=3000, burst_s=1800), data=Flow(per_s=64 << 20), request_bytes=1 << 18)
FAST = Pace(data=Flow(per_s=512 << 20, burst_per_s=1 << 30, burst_s=60))


async def test_a_volume_keeps_its_pace_through_everything_that_is_done_with_it(pool: Pool) -> None:
    await with_content(pool, V1, {0: "a"})
    assert (await volumes(pool))[V1].pace == UNLIMITED
    await pool.driver.set_pace(V1, SLOW)
    await pool.driver.ensure_snapshot(S1, V1)
    await pool.write(V1, 1, "b")
    await pool.driver.grow(V1, 2)
    await pool.restart()
    await pool.driver.ensure_snapshot(S2, V1)
    assert [await pool.read(V1, 0), await pool.read(V1, 1)] == ["a", "b"]
    await pool.driver.remove_export(V1, "att-1")
    seen = (await volumes(pool))[V1]
    assert (seen.pace, seen.size_gib) == (SLOW, 2)
    await pool.driver.set_pace(V1, FAST)
    await pool.driver.ensure_export(V1, "att-2")
    assert (await volumes(pool))[V1].pace == FAST
    assert await pool.read(V1, 1) == "b"


async def test_everything_is_found_again_after_a_restart(pool: Pool) -> None:
    await with_content(pool, V1, {0: "a"})
    await pool.driver.ensure_snapshot(S1, V1)
    before = await pool.driver.observe()
    await pool.restart()
    after = await pool.driver.observe()
    assert (after.pool_id, after.volumes, after.snapshots) == (before.pool_id, before.volumes, before.snapshots)
    assert await pool.read(V1, 0) == "a"


async def test_an_export_whose_server_died_is_seen_and_brought_back(pool: Pool) -> None:
    await with_content(pool, V1, {0: "a"})
    pool.kill_export(V1)
    async with asyncio.timeout(10):
        while (await volumes(pool))[V1].exports != {"att-1": ExportSeen("")}:  # noqa: ASYNC110  the death of a process is seen from outside
            await asyncio.sleep(0.01)
    await pool.driver.ensure_export(V1, "att-1")
    assert await pool.read(V1, 0) == "a"


async def test_an_export_whose_server_died_can_be_ended(pool: Pool) -> None:
    await with_content(pool, V1, {})
    pool.kill_export(V1)
    await pool.driver.remove_export(V1, "att-1")
    await pool.driver.remove_volume(V1)
    assert await volumes(pool) == {}


async def test_what_is_missing_is_named(pool: Pool) -> None:
    with pytest.raises(NoSuchSnapshot):
        await pool.driver.ensure_volume(V1, 1, S1)
    with pytest.raises(NoSuchVolume):
        await pool.driver.ensure_snapshot(S1, V1)
    with pytest.raises(NoSuchSnapshot):
        await pool.driver.copy_snapshot(S2, S1)
    with pytest.raises(NoSuchVolume):
        await pool.driver.ensure_export(V1, "att-1")
    with pytest.raises(NoSuchVolume):
        await pool.driver.grow(V1, 2)
    with pytest.raises(NoSuchVolume):
        await pool.driver.set_pace(V1, SLOW)
    seen = await pool.driver.observe()
    assert (seen.volumes, seen.snapshots) == ({}, {})


@pytest.mark.parametrize("identifier", ["../vol-1", "", "vol/1", ".vol", "VOL-1", "v" * 40, "vol-1\n"])
async def test_an_id_that_is_no_id_is_refused(pool: Pool, identifier: str) -> None:
    with pytest.raises(BadRequest):
        await pool.driver.ensure_volume(identifier, 1)


@pytest.mark.parametrize("size_gib", [0, -1, 1 << 40])
async def test_a_size_that_is_no_size_is_refused(pool: Pool, size_gib: int) -> None:
    with pytest.raises(BadRequest):
        await pool.driver.ensure_volume(V1, size_gib)


async def test_an_imported_image_becomes_a_snapshot_of_whole_gibibytes(pool: Pool, tmp_path: Path) -> None:
    image = tmp_path / "image.raw"
    image.write_bytes(b"a" * (1 << 20))
    await pool.driver.import_snapshot(S1, image, "raw", 0)
    await pool.driver.import_snapshot(S2, image, "raw", 7)
    seen = await pool.driver.observe()
    assert {snapshot.snapshot_id: snapshot.size_gib for snapshot in seen.snapshots.values()} == {S1: 1, S2: 7}
    assert image.stat().st_size == 1 << 20


async def test_an_image_that_is_not_what_it_claims_is_refused(pool: Pool, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"not a qcow2 header" * 100)
    with pytest.raises(UnusableImage):
        await pool.driver.import_snapshot(S1, image, "qcow2", 1)
    with pytest.raises(UnusableImage):
        await pool.driver.import_snapshot(S1, image, "vmdk", 1)
    with pytest.raises(UnusableImage):
        await pool.driver.import_snapshot(S1, tmp_path / "absent", "raw", 1)
    assert (await pool.driver.observe()).snapshots == {}
