"""What every blob driver promises, run over all of them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eucapy.drivers.blob import base, loader
from eucapy.drivers.blob.base import BLOCK_BYTES, BlobDriver, BlobMissing


@pytest.fixture(params=["files", "memory"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobDriver]:
    driver = loader.load(request.param, tmp_path / "blobs")
    await driver.start()
    yield driver


async def put(blobs: BlobDriver, *pieces: bytes) -> str:
    async with blobs.create() as writer:
        for piece in pieces:
            await writer.write(piece)
        stored = await writer.put()
        writer.commit()
    assert stored.size == sum(map(len, pieces))
    return stored.blob_id


async def content(blobs: BlobDriver, blob_id: str) -> bytes:
    async with await blobs.open(blob_id) as reader:
        return await reader.read(0, reader.size)


async def ids(blobs: BlobDriver) -> set[str]:
    return {blob_id async for blob_id in blobs.scan()}


@pytest.mark.parametrize("size", [0, 1, 4096, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 17])
async def test_what_was_put_is_read_back(blobs: BlobDriver, size: int) -> None:
    data = os.urandom(size)
    blob_id = await put(blobs, data)
    assert await content(blobs, blob_id) == data
    assert await blobs.verify(blob_id) == size
    assert await ids(blobs) == {blob_id}


async def test_pieces_of_any_size_make_one_blob(blobs: BlobDriver) -> None:
    data = os.urandom(2 * BLOCK_BYTES + 5)
    pieces = [data[:3], data[3:BLOCK_BYTES], data[BLOCK_BYTES : BLOCK_BYTES + 7], b"", data[BLOCK_BYTES + 7 :]]
    blob_id = await put(blobs, *pieces)
    assert await content(blobs, blob_id) == data
    assert await blobs.verify(blob_id) == len(data)


async def test_a_range_is_read_alone(blobs: BlobDriver) -> None:
    data = os.urandom(BLOCK_BYTES * 2)
    async with await blobs.open(await put(blobs, data)) as reader:
        assert await reader.read(BLOCK_BYTES - 3, 7) == data[BLOCK_BYTES - 3 : BLOCK_BYTES + 4]
        with pytest.raises(base.BlobDamaged):
            await reader.read(len(data) - 2, 3)


async def test_a_writer_left_before_put_leaves_nothing(blobs: BlobDriver) -> None:
    with pytest.raises(RuntimeError):
        async with blobs.create() as writer:
            await writer.write(bytes(BLOCK_BYTES + 1))
            raise RuntimeError("the client went away")
    assert await ids(blobs) == set()


async def test_a_blob_put_and_not_committed_stays_whole(blobs: BlobDriver) -> None:
    with pytest.raises(RuntimeError):
        async with blobs.create() as writer:
            await writer.write(b"doubtful")
            stored = await writer.put()
            raise RuntimeError("nobody knows whether the metadata was committed")
    assert await content(blobs, stored.blob_id) == b"doubtful"


async def test_removing_twice_is_no_error_and_reading_then_is(blobs: BlobDriver) -> None:
    blob_id = await put(blobs, b"x")
    await blobs.remove(blob_id)
    await blobs.remove(blob_id)
    with pytest.raises(BlobMissing):
        await blobs.open(blob_id)
    with pytest.raises(BlobMissing):
        await blobs.verify(blob_id)
    with pytest.raises(BlobMissing):
        await blobs.clone(blob_id)


async def test_a_reader_outlives_the_removal(blobs: BlobDriver) -> None:
    blob_id = await put(blobs, b"still here")
    async with await blobs.open(blob_id) as reader:
        await blobs.remove(blob_id)
        assert await reader.read(0, 10) == b"still here"


async def test_a_clone_lives_on_its_own(blobs: BlobDriver) -> None:
    original = await put(blobs, b"shared bytes")
    clone = await blobs.clone(original)
    assert clone != original
    await blobs.remove(original)
    assert await content(blobs, clone) == b"shared bytes"
    assert await blobs.verify(clone) == 12


async def test_an_id_is_known_as_one_and_nothing_else(blobs: BlobDriver) -> None:
    blob_id = await put(blobs, b"")
    assert base.is_id(blob_id)
    assert not base.is_id("../" + blob_id[3:])
    assert not base.is_id(blob_id.upper() + "0")


async def test_usage_tells_the_room_that_is_left(blobs: BlobDriver) -> None:
    usage = await blobs.usage()
    assert 0 < usage.free_bytes <= usage.total_bytes


async def test_a_descriptor_is_there_exactly_when_promised(blobs: BlobDriver) -> None:
    async with await blobs.open(await put(blobs, b"0123456789")) as reader:
        fd = reader.descriptor()
        assert (fd is not None) == blobs.capabilities.descriptors
        if fd is not None:
            assert os.pread(fd, 3, 4) == b"456"


def test_an_unknown_driver_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no blob driver"):
        loader.load("tape", tmp_path)
