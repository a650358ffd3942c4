"""What only files can suffer: rot, torn tails, leftovers, hostile ids, full disks."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from eucapy.drivers.blob import files
from eucapy.drivers.blob.base import BLOCK_BYTES, BlobDamaged, NoSpace, Writer
from eucapy.drivers.blob.files import FileBlobs


@pytest.fixture
async def blobs(tmp_path: Path) -> FileBlobs:
    driver = FileBlobs(tmp_path)
    await driver.start()
    return driver


async def put(blobs: FileBlobs, data: bytes) -> tuple[str, Path]:
    async with blobs.create() as writer:
        await writer.write(data)
        stored = await writer.put()
    return stored.blob_id, next(blobs._folder.glob(f"??/{stored.blob_id}"))


@pytest.mark.parametrize("offset", [0, BLOCK_BYTES, BLOCK_BYTES + 9, -1, -10, -30])
async def test_one_flipped_bit_anywhere_is_found(blobs: FileBlobs, offset: int) -> None:
    blob_id, path = await put(blobs, os.urandom(BLOCK_BYTES + 10))
    changed = bytearray(path.read_bytes())
    changed[offset] ^= 4
    path.write_bytes(changed)
    with pytest.raises(BlobDamaged):
        await blobs.verify(blob_id)


@pytest.mark.parametrize("piece", [1000, 65536, 100_003, 5 << 20])
async def test_zeros_take_no_room_and_read_as_zeros(blobs: FileBlobs, piece: int) -> None:
    """However the bytes come in; also where they begin and end with zeros, or hold nothing else."""
    sparse = bytearray(16 << 20)
    for at in (70_000, (5 << 20) - 10, 12 << 20):
        sparse[at : at + 20] = os.urandom(19) + b"\x01"
    for content, most in ((bytes(sparse), 1 << 20), (bytes(3 << 20), 64 << 10), (b"", 64 << 10), (b"\0", 64 << 10)):
        async with blobs.create() as writer:
            for at in range(0, len(content), piece):
                await writer.write(content[at : at + piece])
            stored = await writer.put()
        path = next(blobs._folder.glob(f"??/{stored.blob_id}"))
        assert path.stat().st_blocks * 512 <= most
        assert path.read_bytes()[: len(content)] == content
        assert (stored.size, await blobs.verify(stored.blob_id)) == (len(content), len(content))


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
async def test_a_truncated_file_is_never_opened_as_data(blobs: FileBlobs, keep: int) -> None:
    blob_id, path = await put(blobs, b"a" * 1000)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BlobDamaged):
        await blobs.open(blob_id)


@pytest.mark.parametrize("bad", ["", "../../../../etc/passwd", "a" * 31, "A" * 32, "0" * 30 + "/.", "0" * 31 + "\0"])
async def test_what_is_no_id_never_reaches_the_file_system(blobs: FileBlobs, bad: str) -> None:
    with pytest.raises(ValueError, match="not the id"):
        await blobs.open(bad)
    with pytest.raises(ValueError, match="not the id"):
        await blobs.remove(bad)


async def test_without_unnamed_files_leftovers_are_swept_at_start(tmp_path: Path) -> None:
    driver = FileBlobs(tmp_path)
    await driver.start()
    driver._unnamed = False
    blob_id, _ = await put(driver, b"kept")
    writer: Writer = driver.create()
    await writer.write(bytes(2 * BLOCK_BYTES))
    assert len(list((tmp_path / "incoming").iterdir())) == 1  # a crash here leaves it
    again = FileBlobs(tmp_path)
    await again.start()
    assert list((tmp_path / "incoming").iterdir()) == []
    assert await again.verify(blob_id) == 4
    await writer.close()


async def test_without_unnamed_files_an_abandoned_writer_cleans_up(tmp_path: Path) -> None:
    driver = FileBlobs(tmp_path)
    await driver.start()
    driver._unnamed = False
    async with driver.create() as writer:
        await writer.write(bytes(2 * BLOCK_BYTES))
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_a_full_disk_is_said_and_leaves_nothing(blobs: FileBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "write", full)
    with pytest.raises(NoSpace):
        async with blobs.create() as writer:
            await writer.write(b"x")
            await writer.put()
    assert [blob_id async for blob_id in blobs.scan()] == []


async def test_too_many_links_fall_back_to_a_copy(blobs: FileBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    blob_id, path = await put(blobs, os.urandom(BLOCK_BYTES + 3))
    link = os.link

    def refuse(source: str | Path, target: str, **options: object) -> None:
        if str(source) == str(path):
            raise OSError(errno.EMLINK, "Too many links")
        link(source, target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(files.os, "link", refuse)
    clone = await blobs.clone(blob_id)
    assert await blobs.verify(clone) == BLOCK_BYTES + 3
    assert next(blobs._folder.glob(f"??/{clone}")).stat().st_nlink == 1
