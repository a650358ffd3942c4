"""What was kept in the archive comes back as it was, whatever of the chain is deleted, and wherever the work is broken off."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from eucapy.drivers.block.base import BLOCK_BYTES, NoSuchSnapshot
from eucapy.drivers.block.fake import FakeDriver, Injected
from eucapy.drivers.block.fake_content import WORDS
from eucapy.drivers.block.files import FilesDriver
from eucapy.sc import archive_format
from eucapy.sc.archive import Archive
from eucapy.sc.archive_format import Damaged, Place
from eucapy.sc.transfer import TransferError
from eucapy.wire.archive import NotKept
from eucapy.wire.contract import Unreachable
from tests.drivers.block.conftest import short_folder, skip_without_programs

__all__ = ["short_folder"]

SIZE_BLOCKS = 2048
"""Of a GiB."""


class MemoryStore:
    """`ArchiveStore` in memory. The call number `fail_at` from now on does not come through."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.sent_bytes = 0
        self.fail_at = -1

    def _call(self) -> None:
        self.fail_at -= 1
        if self.fail_at == -1:
            raise Unreachable("away")

    async def put(self, name: str, content: bytes) -> None:
        self._call()
        self.held[name] = content
        self.sent_bytes += len(content)

    async def get(self, name: str) -> bytes:
        self._call()
        if name not in self.held:
            raise NotKept(name)
        return self.held[name]

    async def remove(self, name: str) -> None:
        self._call()
        self.held.pop(name, None)

    async def names(self, prefix: str) -> list[str]:
        self._call()
        return [name for name in self.held if name.startswith(prefix)]

    def pieces(self) -> set[str]:
        return {name for name in self.held if "/pieces/" in name}


def nothing(percent: int) -> None:
    """Not heard."""


async def pool(folder: Path) -> FakeDriver:
    driver = FakeDriver(folder)
    await driver.open(lambda: None)
    return driver


async def content(driver: FakeDriver, snapshot_id: str) -> dict[int, bytes]:
    held = await driver.held_blocks(snapshot_id, 0, SIZE_BLOCKS)
    blocks = {index: await driver.read_block(snapshot_id, index) for index in held.indexes}
    return {index: block for index, block in blocks.items() if any(block)}


async def chain(driver: FakeDriver, chance: random.Random, count: int) -> list[str]:
    """Snapshots of a volume that is written between them, with blanks too."""
    await driver.ensure_volume("vol-1", 1)
    for number in range(count):
        for _ in range(chance.randrange(12)):
            driver.write("vol-1", chance.randrange(30) * WORDS + chance.randrange(2), chance.choice(["a", "b", ""]))
        await driver.ensure_snapshot(f"snap-{number}", "vol-1")
    return [f"snap-{number}" for number in range(count)]


@pytest.mark.parametrize("seed", range(12))
async def test_what_was_kept_comes_back_whatever_else_is_forgotten(tmp_path: Path, seed: int) -> None:
    chance, store = random.Random(seed), MemoryStore()
    driver = await pool(tmp_path / "pool")
    archive = Archive(store, driver, "one")
    left = await chain(driver, chance, 6)
    was = {name: await content(driver, name) for name in left}
    for number, name in enumerate(left):
        await archive.keep(name, reversed(left[:number]), nothing)
    chance.shuffle(left)
    while left:
        assert await archive.kept() == frozenset(left)
        other = await pool(tmp_path / f"other{len(left)}")
        elsewhere = Archive(store, other, "one")
        for name in left:
            await elsewhere.restore(name, nothing)
            assert await content(other, name) == was[name]
            assert (await other.observe()).snapshots[name].size_gib == 1
        await archive.forget(left.pop())
    assert store.held == {}, "nothing is left of what nobody names"


@pytest.mark.parametrize("step", range(8))
async def test_work_that_is_broken_off_is_done_again(tmp_path: Path, step: int) -> None:
    store = MemoryStore()
    driver = await pool(tmp_path / "pool")
    await chain(driver, random.Random(1), 3)
    archive = Archive(store, driver, "one")
    await archive.keep("snap-0", [], nothing)
    was = await content(driver, "snap-2")
    store.fail_at = step
    for forgets in (False, True):
        for _ in range(2):
            try:
                await (archive.forget("snap-0") if forgets else archive.keep("snap-2", ["snap-0"], nothing))
            except TransferError as error:
                assert (error.code, error.final) == ("StoreUnreachable", False)
                archive = Archive(store, driver, "one")
    assert await archive.kept() == {"snap-2"}
    other = await pool(tmp_path / "other")
    await Archive(store, other, "one").restore("snap-2", nothing)
    assert await content(other, "snap-2") == was
    await archive.forget("snap-2")
    assert store.held == {}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(4))
async def test_a_restoration_that_is_broken_off_begins_again(tmp_path: Path, step: int, after: bool) -> None:
    store = MemoryStore()
    driver = await pool(tmp_path / "pool")
    await chain(driver, random.Random(3), 2)
    await Archive(store, driver, "one").keep("snap-1", [], nothing)
    other = await pool(tmp_path / "other")
    other.fail_at(step, after=after)
    archive = Archive(store, other, "one")
    for _ in range(2):
        try:
            await archive.restore("snap-1", nothing)
        except Injected:
            continue
    assert await content(other, "snap-1") == await content(driver, "snap-1")


async def test_an_unchanged_volume_costs_a_manifest(tmp_path: Path) -> None:
    store = MemoryStore()
    driver = await pool(tmp_path / "pool")
    chance = random.Random(0)
    await driver.ensure_volume("vol-1", 1)
    for index in range(64):
        driver.write("vol-1", index * WORDS, chance.randbytes(1000).hex())
    await driver.ensure_snapshot("snap-1", "vol-1")
    await driver.ensure_snapshot("snap-2", "vol-1")
    archive, heard = Archive(store, driver, "one"), list[int]()
    await archive.keep("snap-1", [], heard.append)
    assert heard == sorted(heard)
    assert len(heard) == 8
    pieces, store.sent_bytes = store.pieces(), 0
    await archive.keep("snap-2", ["snap-1"], nothing)
    assert store.pieces() == pieces
    assert store.sent_bytes < 2000
    store.sent_bytes = 0
    await archive.keep("snap-2", ["snap-1"], nothing)
    assert store.sent_bytes == 0, "what is kept is not kept again"


def test_the_manifest_of_a_full_volume_of_8_gib_is_far_below_a_mib() -> None:
    names = [
        archive_format.packed_piece("snap-0123456789abcdef0", [bytes([n % 256]) * (n + 1)])[0] for n in range(2048)
    ]
    places = {index: Place(names[index // 8], index % 8) for index in range(8 * 2048)}
    packed = archive_format.packed_manifest(archive_format.manifest("snap-0123456789abcdef1", 8, places))
    assert len(packed) < 256 << 10
    assert archive_format.read_manifest(packed).places() == places


async def test_what_is_damaged_or_missing_is_said_and_nothing_is_made_of_it(tmp_path: Path) -> None:
    store = MemoryStore()
    driver = await pool(tmp_path / "pool")
    await driver.ensure_volume("vol-1", 1)
    driver.write("vol-1", 5, "word")
    await driver.ensure_snapshot("snap-1", "vol-1")
    await Archive(store, driver, "one").keep("snap-1", [], nothing)
    other = await pool(tmp_path / "other")
    archive = Archive(store, other, "one")
    (piece,) = store.pieces()
    whole = dict(store.held)
    for name in whole:
        for bad in (whole[name][:-1], whole[name] + b"x", b""):
            store.held = {**whole, name: bad}
            with pytest.raises(TransferError, match="was") as caught:
                await archive.restore("snap-1", nothing)
            assert (caught.value.code, caught.value.final) == ("ArchiveDamaged", True)
    store.held = {name: held for name, held in whole.items() if name != piece}
    with pytest.raises(TransferError, match="missing"):
        await archive.restore("snap-1", nothing)
    with pytest.raises(TransferError, match="not in the archive"):
        await archive.restore("snap-9", nothing)
    with pytest.raises(NoSuchSnapshot):
        await archive.keep("snap-9", [], nothing)
    assert (await other.observe()).snapshots == {}


async def test_a_sweep_spares_what_a_keep_under_way_relies_on(tmp_path: Path) -> None:
    driver = await pool(tmp_path / "pool")
    await chain(driver, random.Random(5), 3)

    class Meanwhile(MemoryStore):
        """The older snapshot is forgotten just before the manifest of the newer one comes."""

        async def put(self, name: str, content: bytes) -> None:
            if name.endswith("/manifests/snap-2"):
                await archive.forget("snap-1")
            await super().put(name, content)

    store = Meanwhile()
    archive = Archive(store, driver, "one")
    await archive.keep("snap-1", [], nothing)
    await archive.keep("snap-2", ["snap-1"], nothing)
    other = await pool(tmp_path / "other")
    await Archive(store, other, "one").restore("snap-2", nothing)
    assert await content(other, "snap-2") == await content(driver, "snap-2")
    assert await archive.kept() == {"snap-2"}


def test_a_piece_holds_no_more_than_a_piece_may() -> None:
    name, packed = archive_format.packed_piece("snap-1", [bytes(BLOCK_BYTES)] * (archive_format.PIECE_BLOCKS + 1))
    with pytest.raises(Damaged, match="bytes"):
        archive_format.read_piece(name, packed)


async def test_layers_of_files_are_kept_by_what_changed(tmp_path: Path, short_folder: Path) -> None:
    skip_without_programs()
    store, chance = MemoryStore(), random.Random(0)
    driver = FilesDriver(tmp_path / "pool", short_folder / "run")
    await driver.open(lambda: None)
    try:
        blocks = {index: chance.randbytes(BLOCK_BYTES) for index in (0, 3, 4, 17, 2047)}
        for index, block in blocks.items():
            await driver.put_block("snap-1", index, block)
        await driver.seal_snapshot("snap-1", 1)
        changed = {3: bytes(BLOCK_BYTES), 5: chance.randbytes(BLOCK_BYTES)}
        for index, block in changed.items():
            await driver.put_block("snap-2", index, block)
        await driver.seal_snapshot("snap-2", 1, "snap-1")
        archive = Archive(store, driver, "one")
        await archive.keep("snap-1", [], nothing)
        store.sent_bytes = 0
        await archive.keep("snap-2", ["snap-1"], nothing)
        assert store.sent_bytes < BLOCK_BYTES + 4096, "one block, and a manifest"
        await archive.forget("snap-1")
        for snapshot_id in ("snap-1", "snap-2"):
            await driver.remove_snapshot(snapshot_id)
        await archive.restore("snap-2", nothing)
        expected = {**blocks, **changed}
        assert {index: await driver.read_block("snap-2", index) for index in expected} == expected
    finally:
        await driver.close()


async def test_the_second_snapshot_of_an_unchanged_volume_of_8_gib_sends_far_less_than_a_mib(
    tmp_path: Path, short_folder: Path
) -> None:
    """Layers of files, in bytes that are sent."""
    skip_without_programs()
    store, chance = MemoryStore(), random.Random(2)
    driver = FilesDriver(tmp_path / "pool", short_folder / "run")
    await driver.open(lambda: None)
    try:
        for index in range(0, 8 * SIZE_BLOCKS, 256):
            await driver.put_block("snap-0", index, chance.randbytes(BLOCK_BYTES))
        await driver.seal_snapshot("snap-0", 8)
        await driver.ensure_volume("vol-1", 8, "snap-0")
        await driver.ensure_snapshot("snap-1", "vol-1")
        await driver.ensure_snapshot("snap-2", "vol-1")
        archive = Archive(store, driver, "one")
        await archive.keep("snap-1", [], nothing)
        first, store.sent_bytes = store.sent_bytes, 0
        await archive.keep("snap-2", ["snap-1"], nothing)
        assert first > 8 * SIZE_BLOCKS // 256 * BLOCK_BYTES
        assert store.sent_bytes < 32 << 10
    finally:
        await driver.close()


async def test_a_sweep_spares_what_is_kept_while_it_looks(tmp_path: Path) -> None:
    """The manifest comes between the sweep's list of manifests and its list of pieces."""
    store = MemoryStore()
    driver = await pool(tmp_path / "pool")
    await chain(driver, random.Random(2), 2)
    driver.write("vol-1", 31 * WORDS, "only in the newest")
    await driver.ensure_snapshot("snap-2", "vol-1")
    was = await content(driver, "snap-2")
    archive = Archive(store, driver, "one")
    for number in range(2):
        await archive.keep(f"snap-{number}", [f"snap-{number - 1}"], nothing)
    sending, listed = asyncio.Event(), asyncio.Event()
    put, names = store.put, store.names

    async def slow_put(name: str, content: bytes) -> None:
        if name == "one/manifests/snap-2":
            sending.set()
            await listed.wait()
        await put(name, content)

    async def slow_names(prefix: str) -> list[str]:
        found = await names(prefix)
        if prefix == "one/manifests/" and sending.is_set() and not listed.is_set():
            listed.set()
            await keeping
        return found

    store.put, store.names = slow_put, slow_names  # type: ignore[method-assign]
    keeping = asyncio.create_task(archive.keep("snap-2", ["snap-1"], nothing))
    await sending.wait()
    await archive.forget("snap-0")
    other = await pool(tmp_path / "other")
    await Archive(store, other, "one").restore("snap-2", nothing)
    assert await content(other, "snap-2") == was
