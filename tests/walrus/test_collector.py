"""The collector and what it guards against: lost blobs, doubtful writes, missing and damaged bytes, full disks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.aws.errors import AccessDenied
from eucapy.clock import ManualClock
from eucapy.database import Database
from eucapy.drivers.blob.memory import MemoryBlobs
from eucapy.walrus import receiving
from eucapy.walrus.context import Walrus
from eucapy.walrus.errors import InsufficientStorage
from eucapy.walrus.keyring import Keyring, fresh
from eucapy.walrus.receiving import Expected, InMemory
from eucapy.walrus.store import buckets, content, engine, migrating, objects
from eucapy.walrus.store.objects import New
from eucapy.walrus.workers.collector import Collector
from tests.walrus.conftest import Refused
from tests.walrus.server import Store

GRACE_S = 600.0


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = engine.open_store(f"sqlite:///{tmp_path}/s.sqlite")
    await migrating.upgrade(database)
    yield database
    await database.close()


@pytest.fixture
def walrus(db: Database) -> Walrus:
    import time

    clock, blobs = ManualClock(time.time()), MemoryBlobs()
    return Walrus(db, blobs, Collector(db, blobs, clock, 3600, GRACE_S), clock, "us-east-1", 1024, Keyring([fresh()]))


async def ids(walrus: Walrus) -> set[str]:
    return {blob_id async for blob_id in walrus.blobs.scan()}


async def receive(walrus: Walrus, size: int = 5000) -> receiving.Received:
    return await receiving.receive(walrus, InMemory(os.urandom(size)), Expected(), 1 << 30)


async def keep(walrus: Walrus, received: receiving.Received, key: bytes = b"k") -> None:
    async def work(tx: Any) -> None:
        bucket = await buckets.by_name(tx, "b")
        if bucket is None:
            await buckets.insert(tx, "b", "o", "1", "r", 1, "BucketOwnerEnforced")
            bucket = await buckets.by_name(tx, "b")
        assert bucket is not None
        await objects.put(
            tx, bucket, New(key, 1, received.size, received.md5, "{}", received.place, received.blob_id, received.data)
        )

    await received.keep(work)


async def test_a_blob_that_a_crash_left_is_found_after_the_grace_and_no_other(walrus: Walrus) -> None:
    await keep(walrus, await receive(walrus))
    kept = await ids(walrus)
    lost = await receive(walrus)
    assert await walrus.collector.sweep() == 0
    assert isinstance(walrus.clock, ManualClock)
    walrus.clock.advance(GRACE_S + 1)
    assert await walrus.collector.sweep() == 1
    assert lost.blob_id not in await ids(walrus)
    assert await ids(walrus) == kept
    assert await walrus.collector.sweep() == 0


async def test_a_sweep_between_the_bytes_and_their_metadata_takes_nothing(walrus: Walrus) -> None:
    """However long the body took, and however far the machine's time leapt meanwhile: an id is as old as its upload."""
    received = await receive(walrus)
    assert isinstance(walrus.clock, ManualClock)
    walrus.clock.advance(10 * GRACE_S)
    assert await walrus.collector.sweep() == 0
    await keep(walrus, received)
    walrus.clock.advance(10 * GRACE_S)
    assert await walrus.collector.sweep() == 0
    assert await ids(walrus) == {received.blob_id}


async def test_what_is_held_is_not_lost_until_it_is_released(walrus: Walrus) -> None:
    received = await receive(walrus)
    assert isinstance(walrus.clock, ManualClock)
    assert received.blob_id is not None
    walrus.collector.hold(received.blob_id)
    for _ in range(3):
        walrus.clock.advance(GRACE_S + 1)
        assert await walrus.collector.sweep() == 0
    walrus.collector.release([received.blob_id])
    assert await walrus.collector.sweep() == 0
    walrus.clock.advance(GRACE_S + 1)
    assert await walrus.collector.sweep() == 1


async def test_a_doubt_that_two_look_into_at_once_is_resolved_once(walrus: Walrus) -> None:
    lost = await receive(walrus)
    walrus.collector.doubt(lost.blob_id)
    await asyncio.gather(walrus.collector.settle(), walrus.collector.settle())
    assert await ids(walrus) == set()


async def test_a_refused_write_leaves_no_blob(walrus: Walrus) -> None:
    async def refuse(tx: Any) -> None:
        raise AccessDenied()

    received = await receive(walrus)
    with pytest.raises(AccessDenied):
        await received.keep(refuse)
    await walrus.collector.settle()
    assert await ids(walrus) == set()


async def test_a_write_whose_caller_went_away_keeps_the_blob_if_it_was_committed(walrus: Walrus) -> None:
    received = await receive(walrus)
    writing = asyncio.create_task(keep(walrus, received))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await walrus.collector.settle()
    bucket = await walrus.db.read(lambda tx: buckets.by_name(tx, "b"))
    version = None if bucket is None else await walrus.db.read(lambda tx: objects.current(tx, bucket.id, b"k"))
    assert (version is not None) == (received.blob_id in await ids(walrus))


async def test_a_driver_that_fails_delays_the_removal_and_loses_nothing(walrus: Walrus) -> None:
    blobs = walrus.blobs
    assert isinstance(blobs, MemoryBlobs)
    await keep(walrus, await receive(walrus))
    await keep(walrus, await receive(walrus))
    blobs.fail_at(0)
    with pytest.raises(OSError, match="injected"):
        await walrus.collector.settle()
    assert len(await ids(walrus)) == 2
    await walrus.collector.settle()
    assert len(await ids(walrus)) == 1
    assert await walrus.db.read(lambda tx: content.dead_page(tx, 10)) == []


@pytest.mark.parametrize("step", range(8))
async def test_a_write_that_fails_at_any_step_leaves_nothing_visible(walrus: Walrus, step: int) -> None:
    blobs = walrus.blobs
    assert isinstance(blobs, MemoryBlobs)
    blobs.fail_at(step)
    try:
        await keep(walrus, await receive(walrus, 3_000_000))
    except OSError:
        assert await walrus.db.read(lambda tx: buckets.by_name(tx, "b")) is None
    blobs.fail_at(1000)
    assert isinstance(walrus.clock, ManualClock)
    await walrus.collector.sweep()
    walrus.clock.advance(GRACE_S + 1)
    await walrus.collector.sweep()
    made = await walrus.db.read(lambda tx: buckets.by_name(tx, "b"))
    assert len(await ids(walrus)) == (made is not None)


async def test_a_full_disk_is_said_as_such(db: Database) -> None:
    clock, blobs = ManualClock(), MemoryBlobs(limit_bytes=10_000)
    walrus = Walrus(db, blobs, Collector(db, blobs, clock, 3600, GRACE_S), clock, "us-east-1", 1024, Keyring([fresh()]))
    with pytest.raises(InsufficientStorage):
        await receive(walrus, 20_000)
    assert await ids(walrus) == set()
    await keep(walrus, await receive(walrus, 5_000))


def test_a_missing_blob_is_an_error_and_never_empty_data(tmp_path: Path, refused: Refused) -> None:
    with Store(tmp_path) as store:
        store.s3.create_bucket(Bucket="bkt")
        store.s3.put_object(Bucket="bkt", Key="k", Body=bytes(100_000))
        (path,) = (tmp_path / "blobs").glob("??/*")
        content_before = path.read_bytes()
        path.unlink()
        for options in ({}, {"Range": "bytes=5-9"}):
            with refused("InternalError", 500):
                store.s3.get_object(Bucket="bkt", Key="k", **options)
        path.write_bytes(content_before[:5000])
        with refused("InternalError", 500):
            store.s3.get_object(Bucket="bkt", Key="k")


def test_a_restart_finds_everything_as_it_was(tmp_path: Path) -> None:
    data = os.urandom(2_000_000)
    with Store(tmp_path) as store:
        store.s3.create_bucket(Bucket="bkt")
        store.s3.put_object(Bucket="bkt", Key="big", Body=data)
        store.s3.put_object(Bucket="bkt", Key="small", Body=b"small")
    with Store(tmp_path) as store:
        assert store.s3.get_object(Bucket="bkt", Key="big")["Body"].read() == data
        assert store.s3.get_object(Bucket="bkt", Key="small")["Body"].read() == b"small"
