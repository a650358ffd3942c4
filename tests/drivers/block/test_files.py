"""What only the `files` driver has: crashes between its steps, live writers, daemons that outlive it, hostile images."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import struct
from pathlib import Path
from typing import Any

import pytest

from eucapy.drivers.block import files, layers
from eucapy.drivers.block.base import NoSpace, PoolLost, UnusableImage
from eucapy.drivers.block.files import FilesDriver
from eucapy.run import RunError, run
from tests.drivers.block.conftest import BLOCK_BYTES, FilesPool
from tests.drivers.block.crashes import Crash, CrashPoint

V1, V2 = "vol-00000000000000001", "vol-00000000000000002"
S1, S2 = "snap-0000000000000001", "snap-0000000000000002"


def layer_files(pool: FilesPool) -> set[str]:
    return {path.name.removesuffix(".qcow2") for path in (pool.folder / "layers").iterdir()}


async def test_a_snapshot_of_a_written_volume_survives_a_crash_at_every_step(
    files_pool: FilesPool, crash: CrashPoint
) -> None:
    pool, died = files_pool, 0
    for at in range(60):
        for after in (False, True):
            volume_id, snapshot_id, clone = (f"{kind}-{at}-{int(after)}" for kind in ("vol", "snap", "clone"))
            await pool.driver.ensure_volume(volume_id, 1)
            await pool.driver.ensure_export(volume_id, "att-1")
            await pool.write(volume_id, 0, "a")
            crash.arm(at, after)
            try:
                await pool.driver.ensure_snapshot(snapshot_id, volume_id)
                crashed = False
            except Crash:
                crashed = True
            crash.disarm()
            died += crashed
            if crashed:
                await pool.restart()
            await pool.driver.ensure_snapshot(snapshot_id, volume_id)
            await pool.write(volume_id, 0, "b")
            await pool.driver.ensure_volume(clone, 1, snapshot_id)
            await pool.driver.ensure_export(clone, "att-2")
            assert [await pool.read(volume_id, 0), await pool.read(clone, 0)] == ["b", "a"], (at, after)
            for volume in (volume_id, clone):
                for attachment in (await pool.driver.observe()).volumes[volume].exports:
                    await pool.driver.remove_export(volume, attachment)
                await pool.driver.remove_volume(volume)
            await pool.driver.remove_snapshot(snapshot_id)
            assert layer_files(pool) == set(), (at, after)
        if not crashed:
            break
    assert died >= 14, "the crash points were not met"


async def test_a_host_that_dies_within_a_snapshot_loses_no_write(files_pool: FilesPool, crash: CrashPoint) -> None:
    """The storage daemon dies with us at every step; what was written and flushed before is in both."""
    pool = files_pool
    for at in range(60):
        volume_id, snapshot_id, clone = (f"{kind}-{at}" for kind in ("vol", "snap", "clone"))
        await pool.driver.ensure_volume(volume_id, 1)
        await pool.driver.ensure_export(volume_id, "att-1")
        await pool.write(volume_id, 0, "a")
        crash.arm(at, after=True)
        try:
            await pool.driver.ensure_snapshot(snapshot_id, volume_id)
            crashed = False
        except Crash:
            crashed = True
        crash.disarm()
        if pool.driver._volumes.get(volume_id).taking:  # type: ignore[union-attr]
            await pool.write(volume_id, 1, "c")
        pool.kill_export(volume_id)
        await pool.restart()
        await pool.driver.ensure_export(volume_id, "att-1")
        await pool.driver.ensure_snapshot(snapshot_id, volume_id)
        await pool.driver.ensure_volume(clone, 1, snapshot_id)
        await pool.driver.ensure_export(clone, "att-2")
        assert [await pool.read(volume_id, 0), await pool.read(clone, 0)] == ["a", "a"], at
        if not crashed:
            return
        assert await pool.read(volume_id, 1) in ("c", ""), at
    raise AssertionError("the snapshot never ended")


@pytest.mark.parametrize("after", [False, True])
async def test_making_and_removing_survive_a_crash_at_every_step(
    files_pool: FilesPool, crash: CrashPoint, tmp_path: Path, after: bool
) -> None:
    pool = files_pool
    image = tmp_path / "image"
    image.write_bytes(b"a" * BLOCK_BYTES)

    async def story(driver: FilesDriver) -> None:
        await driver.import_snapshot(S1, image, "raw", 1)
        await driver.ensure_volume(V1, 1, S1)
        await driver.ensure_export(V1, "att-1")
        await driver.remove_export(V1, "att-1")
        await driver.grow(V1, 2)
        await driver.ensure_snapshot(S2, V1)
        await driver.ensure_volume(V2, 2, S2)

    async def undone(driver: FilesDriver) -> None:
        await driver.remove_volume(V1)
        await driver.remove_snapshot(S2)
        await driver.remove_snapshot(S1)
        await driver.remove_volume(V2)

    for at in range(100):
        crash.arm(at, after)
        crashed = False
        for part in (story, undone):
            try:
                await part(pool.driver)
            except Crash:
                crashed = True
                crash.disarm()
                await pool.restart()
                await part(pool.driver)
            if part is story:
                counted, armed, crash.at = crash.count, crash.at, None
                await pool.driver.ensure_export(V2, "att-2")
                assert await pool.read(V2, 0) == "a", at
                await pool.driver.remove_export(V2, "att-2")
                crash.count, crash.at = counted, armed
        crash.disarm()
        assert layer_files(pool) == set(), at
        if not crashed:
            assert at > 20, "the crash points were not met"
            return
    raise AssertionError("the story never ended")


async def test_snapshots_under_a_live_writer_are_prefixes_of_what_it_wrote(files_pool: FilesPool) -> None:
    """One connection writes blocks in order and flushes each, without a pause, while snapshots are taken."""
    pool = files_pool
    blocks = 400
    await pool.driver.ensure_volume(V1, 1)
    address = await pool.driver.ensure_export(V1, "att-1")
    script = [part for n in range(blocks) for part in ("-c", f"write -f -P 97 {n * BLOCK_BYTES} {BLOCK_BYTES}")]
    writer = asyncio.create_task(run("qemu-io", "-f", "raw", *script, address))
    snapshots = []
    while not writer.done():
        snapshots.append(f"snap-{len(snapshots)}")
        await pool.driver.ensure_snapshot(snapshots[-1], V1)
    await writer
    assert len(snapshots) >= 3
    lengths = []
    for number, snapshot_id in enumerate(snapshots):
        clone = f"clone-{number}"
        await pool.driver.ensure_volume(clone, 1, snapshot_id)
        await pool.driver.ensure_export(clone, "att-2")
        lengths.append(await prefix_of_ones(pool, clone, blocks))
        await pool.driver.remove_export(clone, "att-2")
    assert lengths == sorted(lengths)
    assert await prefix_of_ones(pool, V1, blocks) == blocks


async def prefix_of_ones(pool: FilesPool, volume_id: str, blocks: int) -> int:
    """How many blocks from the start are written; what follows must be empty."""
    target = await pool.address(volume_id)
    result = await run("qemu-img", "map", "-f", "raw", "--output=json", target)
    data = sum(part["length"] for part in json.loads(result.stdout) if part["data"] and not part["zero"])
    written = data // BLOCK_BYTES
    checks = []
    if written:
        checks += ["-c", f"read -P 97 0 {written * BLOCK_BYTES}"]
    if written < blocks:
        checks += ["-c", f"read -P 0 {written * BLOCK_BYTES} {(blocks - written) * BLOCK_BYTES}"]
    result = await run("qemu-io", "-f", "raw", *checks, target)
    assert "verification failed" not in result.stdout
    return written


async def test_a_guest_keeps_its_connection_while_the_driver_restarts(files_pool: FilesPool) -> None:
    pool = files_pool
    await pool.driver.ensure_volume(V1, 1)
    address = await pool.driver.ensure_export(V1, "att-1")
    pid = pool.pid(V1)
    script = [part for n in range(200) for part in ("-c", f"write -f -P 98 {n * BLOCK_BYTES} {BLOCK_BYTES}")]
    writer = asyncio.create_task(run("qemu-io", "-f", "raw", *script, address))
    for _ in range(5):
        await pool.restart()
    await writer
    assert (pool.pid(V1), await pool.address(V1)) == (pid, address)


async def test_the_death_of_a_daemon_is_told_at_once(files_pool: FilesPool) -> None:
    told = asyncio.Event()
    files_pool.on_change = told.set
    await files_pool.restart()
    await files_pool.driver.ensure_volume(V1, 1)
    await files_pool.driver.ensure_export(V1, "att-1")
    files_pool.kill_export(V1)
    async with asyncio.timeout(10):
        await told.wait()


async def test_a_pid_file_of_another_process_is_not_believed(files_pool: FilesPool) -> None:
    await files_pool.driver.ensure_volume(V1, 1)
    folder = files_pool.run_folder / V1
    folder.mkdir()
    (folder / "pid").write_text(str(os.getpid()))
    await files_pool.restart()
    assert (await files_pool.driver.observe()).volumes[V1].exports == {}
    address = await files_pool.driver.ensure_export(V1, "att-1")
    assert address and files_pool.pid(V1) != os.getpid()


async def test_a_daemon_that_nobody_asked_for_is_ended_at_the_start(files_pool: FilesPool) -> None:
    pool = files_pool
    await pool.driver.ensure_volume(V1, 1)
    await pool.driver.ensure_export(V1, "att-1")
    record = pool.folder / "volumes" / f"{V1}.json"
    content = json.loads(record.read_text())
    del content["attachment_id"]
    record.write_text(json.dumps(content))
    pid = pool.pid(V1)
    await pool.restart()
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"
    await pool.driver.remove_volume(V1)


async def test_only_one_process_has_a_pool(files_pool: FilesPool) -> None:
    with pytest.raises(PoolLost):
        await FilesDriver(files_pool.folder, files_pool.run_folder).open(lambda: None)


async def test_sockets_and_layers_are_private(files_pool: FilesPool) -> None:
    await files_pool.driver.ensure_volume(V1, 1)
    await files_pool.driver.ensure_export(V1, "att-1")
    private = [files_pool.folder, files_pool.folder / "layers", files_pool.run_folder, files_pool.run_folder / V1]
    private += list((files_pool.folder / "layers").iterdir())
    assert [path for path in private if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


async def test_a_damaged_record_stops_its_own_volume_and_every_collection(files_pool: FilesPool) -> None:
    pool = files_pool
    await pool.driver.ensure_volume(V1, 1)
    await pool.driver.ensure_volume(V2, 1)
    record = pool.folder / "volumes" / f"{V1}.json"
    whole = record.read_bytes()
    record.write_bytes(b"{")
    await pool.restart()
    with pytest.raises(PoolLost):
        await pool.driver.ensure_export(V1, "att-1")
    with pytest.raises(PoolLost):
        await pool.driver.ensure_volume(V1, 1)
    await pool.driver.remove_volume(V2)
    assert layer_files(pool) == {f"{V1}.0", f"{V2}.0"}
    record.write_bytes(whole)
    await pool.restart()
    assert set((await pool.driver.observe()).volumes) == {V1}
    assert layer_files(pool) == {f"{V1}.0"}


async def test_a_missing_layer_is_named_and_the_rest_goes_on(files_pool: FilesPool) -> None:
    pool = files_pool
    await pool.driver.ensure_volume(V1, 1)
    await pool.driver.ensure_volume(V2, 1)
    (pool.folder / "layers" / f"{V1}.0.qcow2").unlink()
    await pool.restart()
    with pytest.raises(PoolLost, match=rf"{V1}\.0 is missing"):
        await pool.driver.ensure_export(V1, "att-1")
    await pool.driver.ensure_export(V2, "att-2")


async def test_nothing_is_made_when_the_reserve_is_touched(tmp_path: Path, short_folder: Path) -> None:
    driver = FilesDriver(tmp_path / "pool", short_folder / "run", reserve_gib=1 << 30)
    await driver.open(lambda: None)
    try:
        with pytest.raises(NoSpace):
            await driver.ensure_volume(V1, 1)
        assert (await driver.observe()).free_gib == 0
    finally:
        await driver.close()


async def test_a_layer_has_one_writer_whatever_we_believe(files_pool: FilesPool) -> None:
    """QEMU's own image locks are the last line: a second daemon on the same head does not start."""
    pool = files_pool
    await pool.driver.ensure_volume(V1, 1)
    await pool.driver.ensure_export(V1, "att-1")
    head = pool.folder / "layers" / f"{V1}.0.qcow2"
    result = await run("qemu-io", "-f", "qcow2", "-c", "write 0 64k", str(head), check=False)
    assert "lock" in result.stderr


async def qcow2(folder: Path, *options: str, size: str = "64M") -> Path:
    image = folder / "image.qcow2"
    await run("qemu-img", "create", "-q", "-f", "qcow2", *options, str(image), size)
    return image


async def test_a_qcow2_image_is_imported_whole(files_pool: FilesPool, tmp_path: Path) -> None:
    image = await qcow2(tmp_path)
    await run("qemu-io", "-f", "qcow2", "-c", "write -P 97 0 64k", str(image))
    await files_pool.driver.import_snapshot(S1, image, "qcow2", 0)
    await files_pool.driver.ensure_volume(V1, 1, S1)
    await files_pool.driver.ensure_export(V1, "att-1")
    assert [await files_pool.read(V1, 0), await files_pool.read(V1, 1)] == ["a", ""]


async def test_a_qcow2_image_that_reaches_outside_is_refused_before_qemu_sees_it(
    files_pool: FilesPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 100_000)
    backed = await qcow2(tmp_path, "-u", "-F", "raw", "-b", str(secret))
    with_data_file = tmp_path / "data.qcow2"
    await run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path / 'd'}", str(with_data_file), "1M")

    async def unwanted(*argv: str, **_: Any) -> None:
        raise AssertionError(f"started {argv}")

    monkeypatch.setattr(layers, "run", unwanted)
    for image in (backed, with_data_file):
        with pytest.raises(UnusableImage):
            await files_pool.driver.import_snapshot(S1, image, "qcow2", 1)


async def test_a_raw_image_that_pretends_to_be_qcow2_stays_raw(files_pool: FilesPool, tmp_path: Path) -> None:
    """A guest writes its own first sector; it must not become a header that we obey."""
    image = await qcow2(tmp_path, "-u", "-F", "raw", "-b", "/etc/hostname")
    await files_pool.driver.import_snapshot(S1, image, "raw", 1)
    await files_pool.driver.ensure_volume(V1, 1, S1)
    address = await files_pool.driver.ensure_export(V1, "att-1")
    magic = struct.unpack(">I", image.read_bytes()[:4])[0]
    result = await run("qemu-io", "-f", "raw", "-c", "read -v 0 512", address)
    assert magic == 0x514649FB and "51 46 49 fb" in result.stdout


async def test_a_broken_qcow2_image_leaves_nothing_behind(files_pool: FilesPool, tmp_path: Path) -> None:
    image = await qcow2(tmp_path)
    await run("qemu-io", "-f", "qcow2", "-c", "write -P 97 0 1M", str(image))
    content = bytearray(image.read_bytes())
    content[65536 * 3 :] = b"\xff" * (len(content) - 65536 * 3)
    image.write_bytes(content)
    with pytest.raises(UnusableImage):
        await files_pool.driver.import_snapshot(S1, image, "qcow2", 1)
    assert list((files_pool.folder / "layers").iterdir()) == []


def test_a_run_folder_too_long_for_a_socket_is_refused() -> None:
    with pytest.raises(files.BadRequest):
        FilesDriver(Path("/tmp/pool"), Path("/tmp") / ("x" * 90))


class Room:
    """While `full`, what QEMU's tool makes finds no room and leaves half a file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False

        async def tool(*argv: str, **options: Any) -> Any:
            if not self.full:
                return await run(*argv, **options)
            half = next(part for part in argv if part.endswith(".new"))
            Path(half).write_bytes(b"half")
            raise RunError(argv, 1, "qemu-img: No space left on device")

        monkeypatch.setattr(layers, "run", tool)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    return Room(monkeypatch)


async def test_a_snapshot_that_finds_no_room_leaves_nothing_and_keeps_the_volume_from_nothing(
    files_pool: FilesPool, room: Room
) -> None:
    driver = files_pool.driver
    await driver.ensure_volume(V1, 1)
    room.full = True
    with pytest.raises(NoSpace):
        await driver.ensure_snapshot(S1, V1)
    await driver.ensure_export(V1, "att-1")
    await files_pool.write(V1, 0, "a")
    await files_pool.restart()
    assert (layer_files(files_pool), (await files_pool.driver.observe()).snapshots) == ({f"{V1}.0"}, {})
    room.full = False
    await files_pool.driver.ensure_snapshot(S1, V1)
    assert await files_pool.read(V1, 0) == "a"


async def test_a_pool_without_room_for_an_interrupted_snapshot_is_taken_over_all_the_same(
    files_pool: FilesPool, room: Room, crash: CrashPoint
) -> None:
    """The process died after it had noted the snapshot; the next life finds the disk full, then it has room."""
    pool = files_pool
    for volume_id in (V1, V2):
        await pool.driver.ensure_volume(volume_id, 1)
        await pool.driver.ensure_export(volume_id, "att-1")
    crash.arm(0, after=True)
    with pytest.raises(Crash):
        await pool.driver.ensure_snapshot(S1, V1)
    crash.disarm()
    room.full = True
    await pool.restart()
    for volume_id in (V1, V2):
        await pool.write(volume_id, 0, "a")
    room.full = False
    await pool.driver.ensure_snapshot(S1, V1)
    assert S1 in (await pool.driver.observe()).snapshots
    assert await pool.read(V1, 0) == "a"
