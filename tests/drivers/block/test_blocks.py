"""Snapshots read and written by blocks of 512 KiB: what every driver promises, and what QEMU says of the files driver's."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import random
import resource
from pathlib import Path

import pytest

from eucapy.drivers.block import qcow2
from eucapy.drivers.block.base import (
    BLOCK_BYTES,
    GIB,
    BadRequest,
    NoSuchSnapshot,
    NotADraft,
    PoolLost,
    Unrelated,
    WrittenOtherwise,
)
from eucapy.drivers.block.drafts import CLUSTER_BYTES, Drafts
from eucapy.run import run
from tests.drivers.block.conftest import FilesPool, Pool, skip_without_programs

V1, V2 = "vol-00000000000000001", "vol-00000000000000002"
AnyPool = Pool | FilesPool
S1, S2, S3, S4 = (f"snap-000000000000000{number}" for number in range(1, 5))


def block(seed: int) -> bytes:
    return random.Random(seed).randbytes(BLOCK_BYTES)


def digest(*blocks: bytes) -> str:
    whole = b"".join(hashlib.sha256(each).digest() for each in blocks)
    return base64.b64encode(hashlib.sha256(whole).digest()).decode()


async def made(pool: AnyPool, snapshot_id: str, parent: str = "", size_gib: int = 1, **blocks: bytes) -> None:
    """A snapshot of blocks `b0`, `b5` …"""
    for name, content in blocks.items():
        await pool.driver.put_block(snapshot_id, int(name[1:]), content)
    await pool.driver.seal_snapshot(snapshot_id, size_gib, parent, len(blocks))


async def indexes(pool: AnyPool, snapshot_id: str, than: str = "") -> tuple[int, ...]:
    return (await pool.driver.held_blocks(snapshot_id, 0, 10_000, than)).indexes


async def test_what_is_put_is_read_and_what_is_not_is_zeros(pool: Pool) -> None:
    await made(pool, S1, b0=block(0), b7=block(7), b2047=block(2047))
    assert await indexes(pool, S1) == (0, 7, 2047)
    for index in (0, 7, 2047):
        assert await pool.driver.read_block(S1, index) == block(index)
    assert await pool.driver.read_block(S1, 1) == bytes(BLOCK_BYTES)
    assert await pool.driver.read_block(S1, 5000) == bytes(BLOCK_BYTES)


async def test_a_draft_is_no_snapshot_and_outlives_its_process(pool: Pool) -> None:
    await pool.driver.put_block(S1, 3, block(1))
    await pool.driver.put_block(S1, 3, block(2))
    seen = await pool.driver.observe()
    assert (seen.snapshots, seen.drafts) == ({}, {S1})
    with pytest.raises(NoSuchSnapshot):
        await pool.driver.read_block(S1, 3)
    with pytest.raises(NoSuchSnapshot):
        await pool.driver.held_blocks(S1, 0, 100)
    await pool.restart()
    await pool.driver.put_block(S1, 4, block(3))
    for _ in range(2):
        await pool.driver.seal_snapshot(S1, 1, "", 2, digest(block(2), block(3)))
    seen = await pool.driver.observe()
    assert (set(seen.snapshots), seen.drafts) == ({S1}, frozenset())
    await pool.restart()
    assert [await pool.driver.read_block(S1, index) for index in (3, 4)] == [block(2), block(3)]


async def test_what_was_written_is_compared_with_what_the_writer_says(pool: Pool) -> None:
    await pool.driver.put_block(S1, 9, block(9))
    await pool.driver.put_block(S1, 2, block(2))
    with pytest.raises(WrittenOtherwise):
        await pool.driver.seal_snapshot(S1, 1, "", 3)
    with pytest.raises(WrittenOtherwise):
        await pool.driver.seal_snapshot(S1, 1, "", 2, digest(block(9), block(2)))
    await pool.driver.seal_snapshot(S1, 1, "", 2, digest(block(2), block(9)))
    assert await indexes(pool, S1) == (2, 9)


async def test_a_snapshot_that_is_made_takes_no_more_blocks(pool: Pool) -> None:
    await made(pool, S1, b0=block(0))
    with pytest.raises(NotADraft):
        await pool.driver.put_block(S1, 1, block(1))
    with pytest.raises(BadRequest):
        await pool.driver.put_block(S2, 1, b"short")
    assert (await pool.driver.observe()).drafts == frozenset()


async def test_a_block_past_the_end_makes_no_snapshot(pool: Pool) -> None:
    await pool.driver.put_block(S1, 2048, block(1))
    with pytest.raises(BadRequest):
        await pool.driver.seal_snapshot(S1, 1)
    await pool.driver.seal_snapshot(S1, 2)
    assert await pool.driver.read_block(S1, 2048) == block(1)


async def test_a_snapshot_of_nothing_is_empty(pool: Pool) -> None:
    await pool.driver.seal_snapshot(S1, 3, "", 0, digest())
    assert (await pool.driver.observe()).snapshots[S1].size_gib == 3
    assert await indexes(pool, S1) == ()
    await pool.restart()
    assert await pool.driver.read_block(S1, 0) == bytes(BLOCK_BYTES)


async def test_removing_a_draft_removes_what_was_put(pool: Pool) -> None:
    await pool.driver.put_block(S1, 0, block(0))
    for _ in range(2):
        await pool.driver.remove_snapshot(S1)
    assert (await pool.driver.observe()).drafts == frozenset()
    await pool.driver.seal_snapshot(S1, 1, "", 0)
    assert await indexes(pool, S1) == ()


async def test_a_child_shows_its_parent_where_nothing_was_put(pool: Pool) -> None:
    await made(pool, S1, b0=block(0), b1=block(1))
    await made(pool, S2, parent=S1, size_gib=2, b1=block(11), b3000=block(3), b2=bytes(BLOCK_BYTES))
    found = [await pool.driver.read_block(S2, index) for index in (0, 1, 2, 3000)]
    assert found == [block(0), block(11), bytes(BLOCK_BYTES), block(3)]
    assert await indexes(pool, S2) == (0, 1, 2, 3000)
    changed = await pool.driver.held_blocks(S2, 0, 100, S1)
    assert (changed.indexes, changed.before) == ((1, 2, 3000), {1})
    await pool.driver.remove_snapshot(S1)
    await pool.restart()
    assert await pool.driver.read_block(S2, 0) == block(0)
    with pytest.raises(BadRequest):
        await pool.driver.seal_snapshot(S3, 1, S2)
    with pytest.raises(NoSuchSnapshot):
        await pool.driver.seal_snapshot(S3, 2, S1)


async def test_a_block_of_zeros_hides_the_parent_s(pool: Pool) -> None:
    await made(pool, S1, b0=block(0))
    await made(pool, S2, parent=S1, b0=bytes(BLOCK_BYTES))
    assert await pool.driver.read_block(S2, 0) == bytes(BLOCK_BYTES)
    assert await indexes(pool, S2, than=S1) == (0,)


async def test_blocks_come_in_pages(pool: Pool) -> None:
    wanted = (0, 5, 1023, 1024, 4095)
    for index in wanted:
        await pool.driver.put_block(S1, index, block(index))
    await pool.driver.seal_snapshot(S1, 2)
    found: list[int] = []
    first: int | None = 0
    while first is not None:
        page = await pool.driver.held_blocks(S1, first, 2)
        assert len(page.indexes) <= 2
        found += page.indexes
        first = page.next
    assert tuple(found) == wanted
    assert (await pool.driver.held_blocks(S1, 1023, 100)).indexes == wanted[2:]


async def test_a_guest_s_writes_are_read_and_told_apart(pool: Pool) -> None:
    driver = pool.driver
    await driver.ensure_volume(V1, 1)
    await driver.ensure_export(V1, "att-1")
    await pool.write(V1, 0, "a")
    await driver.ensure_snapshot(S1, V1)
    await pool.write(V1, 1, "b")
    await driver.ensure_snapshot(S2, V1)
    await driver.copy_snapshot(S3, S2)
    assert (await driver.read_block(S1, 0)).count(b"b") == 0
    assert (await driver.read_block(S2, 0)).count(b"b") > 0
    assert await driver.read_block(S3, 0) == await driver.read_block(S2, 0)
    assert [await indexes(pool, S1), await indexes(pool, S2, S1), await indexes(pool, S1, S2)] == [(0,), (0,), (0,)]
    assert await indexes(pool, S3, S2) == ()


async def test_snapshots_that_share_nothing_are_not_compared(pool: Pool) -> None:
    await made(pool, S1, b0=block(0))
    await made(pool, S2, b0=block(0))
    with pytest.raises(Unrelated):
        await pool.driver.held_blocks(S2, 0, 100, S1)
    with pytest.raises(NoSuchSnapshot):
        await pool.driver.held_blocks(S2, 0, 100, S4)


async def test_a_volume_of_what_was_put_reads_the_same_bytes(pool: Pool) -> None:
    content = b"x".ljust(4096, b"\0") * (BLOCK_BYTES // 4096) if not isinstance(pool, FilesPool) else b"x" * BLOCK_BYTES
    await made(pool, S1, b0=content)
    await pool.driver.ensure_volume(V2, 1, S1)
    await pool.driver.ensure_export(V2, "att-1")
    assert [await pool.read(V2, 0), await pool.read(V2, 3)] == ["x", "x"]
    await pool.write(V2, 3, "y")
    await pool.driver.ensure_snapshot(S2, V2)
    assert await indexes(pool, S2, S1) == (0,)
    assert (await pool.driver.read_block(S2, 0)) != content
    assert await pool.driver.read_block(S1, 0) == content


async def test_a_snapshot_is_written_out_as_it_reads_with_holes_where_it_has_nothing(
    pool: Pool, tmp_path: Path
) -> None:
    driver = pool.driver
    await made(pool, S1, size_gib=2, b0=block(0), b4095=block(9))
    await driver.ensure_volume(V1, 2, S1)
    await driver.ensure_export(V1, "att-1")
    await pool.write(V1, 1, "y")
    await driver.ensure_snapshot(S2, V1)
    await pool.write(V1, 2, "z")
    for snapshot_id in (S1, S2):
        image = tmp_path / snapshot_id
        await driver.write_out(snapshot_id, image)
        assert image.stat().st_size == 2 * GIB
        assert image.stat().st_blocks * 512 <= 4 * BLOCK_BYTES
        with image.open("rb") as file:
            for index in (0, 1, 4095):
                file.seek(index * BLOCK_BYTES)
                assert file.read(BLOCK_BYTES) == await driver.read_block(snapshot_id, index)
    with pytest.raises(NoSuchSnapshot):
        await driver.write_out(S4, tmp_path / "none")
    assert not (tmp_path / "none").exists()


# --- the files driver's own ---------------------------------------------------------------------------------------------


async def test_qemu_finds_no_fault_with_a_layer_that_was_put(files_pool: FilesPool) -> None:
    """Slots that were put twice are not in use, zeros take no room; what QEMU reads is what was put."""
    driver, chosen = files_pool.driver, random.Random(7)
    places = chosen.sample(range(4 * 2048), 40)
    for index in [*places, *places[:5]]:
        await driver.put_block(S1, index, block(index))
    await driver.put_block(S1, places[0], bytes(BLOCK_BYTES))
    await driver.seal_snapshot(S1, 4, "", 40)
    layer = str(files_pool.folder / "layers" / f"{S1}.qcow2")
    report = json.loads((await run("qemu-img", "check", "--output=json", layer)).stdout)
    assert (report.get("corruptions", 0), report.get("leaks", 0), report["check-errors"]) == (0, 0, 0)
    raw = files_pool.folder / "raw"
    await run("qemu-img", "convert", "-O", "raw", layer, str(raw))
    with raw.open("rb") as file:
        assert raw.stat().st_size == 4 * GIB
        for index in places:
            file.seek(index * BLOCK_BYTES)
            expected = block(index) if index != places[0] else bytes(BLOCK_BYTES)
            assert file.read(BLOCK_BYTES) == expected == await driver.read_block(S1, index)
    assert await indexes(files_pool, S1) == tuple(sorted(places))


async def test_a_chain_that_qemu_wrote_reads_as_qemu_reads_it(files_pool: FilesPool) -> None:
    """Data, holes, discarded ranges and zeros in three layers, and a volume that grew between them."""
    driver = files_pool.driver
    await driver.ensure_volume(V1, 1)
    await driver.ensure_export(V1, "att-1")
    address = await files_pool.address(V1)
    scripts = (
        ("write -P 1 0 3M", "write -P 2 600M 1M", "write -P 9 100K 700"),
        ("write -z 512K 64K", "write -P 3 1M 4K", "discard 601M 512K"),
        ("write -P 4 1535M 1M", "write -z 2M 1M"),
    )
    for snapshot_id, script in zip((S1, S2, S3), scripts, strict=True):
        if snapshot_id == S3:
            await driver.grow(V1, 2)
        await run("qemu-io", "-f", "raw", *(part for line in script for part in ("-c", line)), address)
        await driver.ensure_snapshot(snapshot_id, V1)
    layers = files_pool.folder / "layers"
    for number, snapshot_id in enumerate((S1, S2, S3)):
        raw = files_pool.folder / f"raw-{snapshot_id}"
        await run("qemu-img", "convert", "-O", "raw", str(layers / f"{V1}.{number}.qcow2"), str(raw))
        held = set(await indexes(files_pool, snapshot_id))
        with raw.open("rb") as file:
            for index in {*held, 0, 1, 2, 3, 4, 5, 1200, 1201, 1202, 3070}:
                file.seek(index * BLOCK_BYTES)
                content = file.read(BLOCK_BYTES).ljust(BLOCK_BYTES, b"\0")
                assert await driver.read_block(snapshot_id, index) == content, (snapshot_id, index)
                assert index in held or not any(content)
    assert set(await indexes(files_pool, S2, S1)) <= {1, 2, 1202}
    assert set(await indexes(files_pool, S3, S2)) == {4, 5, 3070, 3071}


async def test_a_crash_between_a_block_and_its_line_costs_only_that_block(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path)
    drafts.open()
    drafts.put(S1, 1, block(1))
    log = tmp_path / f"{S1}.blocks"
    whole = log.read_bytes()
    drafts.put(S1, 2, block(2))
    log.write_bytes(log.read_bytes()[: len(whole) + 13])  # half a line
    again = Drafts(tmp_path)
    again.open()
    assert set(again.written(S1).blocks) == {1}
    again.put(S1, 3, block(3))
    third = Drafts(tmp_path)
    third.open()
    assert set(third.written(S1).blocks) == {1, 3}
    skip_without_programs()
    layer = third.seal(S1, GIB, "")
    assert [qcow2.read_block([layer], index) for index in (1, 2, 3)] == [block(1), bytes(BLOCK_BYTES), block(3)]


async def test_a_first_block_without_its_line_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / f"{S1}.qcow2").write_bytes(bytes(CLUSTER_BYTES) + block(0))
    drafts = Drafts(tmp_path)
    drafts.open()
    assert drafts.names == frozenset()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["adopt", "put", "remove"])
async def test_sealing_goes_on_after_a_death_at_any_step(
    files_pool: FilesPool, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The layer is linked, or not; recorded, or not; the draft removed, or not: the next life makes the same snapshot."""
    await files_pool.driver.put_block(S1, 5, block(5))
    driver = files_pool.driver
    target = {"adopt": driver._layers, "put": driver._snapshots, "remove": driver._drafts}[step]

    def die(*_: object) -> None:
        raise OSError("the end")

    with monkeypatch.context() as patch:
        patch.setattr(target, step, die)
        with pytest.raises(OSError, match="the end"):
            await driver.seal_snapshot(S1, 1, "", 1)
    await files_pool.restart()
    await files_pool.driver.seal_snapshot(S1, 1, "", 1)
    seen = await files_pool.driver.observe()
    assert (set(seen.snapshots), seen.drafts) == ({S1}, frozenset())
    assert await files_pool.driver.read_block(S1, 5) == block(5)


async def test_many_blocks_of_a_long_chain_are_read_with_few_open_files(files_pool: FilesPool) -> None:
    """Forty readers and twenty lists of forty layers, with some descriptors to spare."""
    parent = ""
    names = [f"snap-{number:016d}" for number in range(40)]
    for number, name in enumerate(names):
        await made(files_pool, name, parent, 1, **{f"b{number}": block(number)})
        parent = name
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 150, hard))
    try:
        driver = files_pool.driver
        reads = [driver.read_block(parent, number) for number in range(40)]
        lists = [driver.held_blocks(parent, 0, 100, names[0]) for _ in range(20)]
        found = await asyncio.gather(*reads)
        pages = await asyncio.gather(*lists)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found == [block(number) for number in range(40)]
    assert {page.indexes for page in pages} == {tuple(range(1, 40))}


async def test_reading_goes_on_while_the_snapshot_is_removed(files_pool: FilesPool) -> None:
    await made(files_pool, S1, b0=block(0))
    await made(files_pool, S2, parent=S1, b1=block(1))
    driver = files_pool.driver
    reads = [asyncio.create_task(driver.read_block(S2, index)) for index in (0, 1)]
    await asyncio.sleep(0)
    await driver.remove_snapshot(S1)
    await driver.remove_snapshot(S2)
    assert [await read for read in reads] == [block(0), block(1)]
    assert list((files_pool.folder / "layers").iterdir()) == []


def test_what_no_layer_has_is_refused_rather_than_misread(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path)
    drafts.open()
    drafts.put(S1, 0, block(0))
    layer = drafts.seal(S1, GIB, "")
    whole = layer.read_bytes()
    for at, value in ((79, 4), (35, 2), (0, 0)):  # an external file, encryption, another format
        layer.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
        with pytest.raises(PoolLost):
            qcow2.LayerFile(layer)
