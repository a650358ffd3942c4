"""Kill -9 under concurrent load, again and again: what was acknowledged is there, whole; what was not is whole or not there.

Writers own keys of their own, so that a model knows what each key may hold: the last acknowledged state, or the one whose
request was under way when the process died. `EUCAPY_KILLS=200` makes a long run of it.
"""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.walrus.server import Process, client

KILLS = int(os.environ.get("EUCAPY_KILLS", "4"))
WRITERS = 4
KEYS_EACH = 12
ABSENT = ""
MIB = 1 << 20


def bytes_for(seed: str, size: int) -> bytes:
    """The same bytes for the same seed."""
    return random.Random(seed).randbytes(size)


class Key:
    """What a key may hold: digests of contents; ABSENT for no object."""

    def __init__(self) -> None:
        self.acknowledged = ABSENT
        self.under_way: str | None = None

    def allowed(self) -> set[str]:
        return {self.acknowledged} | ({self.under_way} if self.under_way is not None else set())


class Writer:
    """One client: writes, overwrites, deletes and uploads in parts, one request after the other."""

    def __init__(self, number: int, s3: Any, round_number: int, keys: dict[str, Key]) -> None:
        self.number = number
        self.s3 = s3
        self.random = random.Random(f"{number} {round_number}")
        self.round = round_number
        self.keys = keys
        self.done = 0

    def run(self, stop: threading.Event) -> None:
        """Until the process dies under it."""
        while not stop.is_set():
            name = f"writer-{self.number}/{self.random.randrange(KEYS_EACH):02d}"
            key = self.keys.setdefault(name, Key())
            try:
                self._step(name, key)
            except (BotoCoreError, ClientError, OSError):
                return  # what was under way stays a possibility
            self.done += 1

    def _step(self, name: str, key: Key) -> None:
        what = self.random.random()
        if what < 0.15:
            key.under_way = ABSENT
            self.s3.delete_object(Bucket="killed", Key=name)
        else:
            seed = f"{name} {self.round} {self.done}"
            data = self._content(seed, what)
            key.under_way = hashlib.sha256(data).hexdigest()
            if what < 0.9:
                self.s3.put_object(Bucket="killed", Key=name, Body=data)
            else:
                self._in_parts(name, data)
        key.acknowledged, key.under_way = key.under_way or ABSENT, None

    def _content(self, seed: str, what: float) -> bytes:
        size = self.random.randrange(1, 16_000) if what < 0.6 else self.random.randrange(16_000, 900_000)
        return bytes_for(seed, size if what < 0.9 else 5 * MIB + size)

    def _in_parts(self, name: str, data: bytes) -> None:
        upload = self.s3.create_multipart_upload(Bucket="killed", Key=name)["UploadId"]
        pieces = [data[: 5 * MIB], data[5 * MIB :]]
        parts = [
            {
                "PartNumber": n,
                "ETag": self.s3.upload_part(Bucket="killed", Key=name, UploadId=upload, PartNumber=n, Body=piece)[
                    "ETag"
                ],
            }
            for n, piece in enumerate(pieces, 1)
        ]
        self.s3.complete_multipart_upload(Bucket="killed", Key=name, UploadId=upload, MultipartUpload={"Parts": parts})


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    started = Process(tmp_path)
    yield started
    started.close()


def compare(s3: Any, keys: dict[str, Key]) -> int:
    """Every key against the model, and the listing against the keys; how many objects there are."""
    present: dict[str, str] = {}
    for name, key in keys.items():
        try:
            answer = s3.get_object(Bucket="killed", Key=name)
            data = answer["Body"].read()
            assert len(data) == answer["ContentLength"]
            found = hashlib.sha256(data).hexdigest()
            present[name] = answer["ETag"]
        except s3.exceptions.NoSuchKey:
            found = ABSENT
        assert found in key.allowed(), f"{name} holds what nobody wrote last"
        key.acknowledged, key.under_way = found, None
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="killed")
    assert {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", [])} == present
    return len(present)


@pytest.mark.timeout(60 + 20 * KILLS)
def test_nothing_acknowledged_is_lost_or_torn(process: Process, tmp_path: Path) -> None:
    process.start()
    s3 = client(process.port, connect_timeout=5, read_timeout=20)
    s3.create_bucket(Bucket="killed")
    keys: dict[str, Key] = {}
    moment = random.Random(7)
    done = 0
    for round_number in range(KILLS):
        stop = threading.Event()
        writers = [Writer(n, s3, round_number, keys) for n in range(WRITERS)]
        with ThreadPoolExecutor(WRITERS) as pool:
            running = [pool.submit(writer.run, stop) for writer in writers]
            stop.wait(0.3 + moment.random())
            process.kill()
            stop.set()
            for each in running:
                each.result(60)
        done += sum(writer.done for writer in writers)
        process.start()
        compare(s3, keys)
    assert done > KILLS * WRITERS, "the writers hardly wrote"
    objects = compare(s3, keys)
    assert process.stop() == 0
    s3.close()
    check_space(tmp_path / "data", objects)


def check_space(data: Path, objects: int) -> None:
    """After a sweep without grace, every blob belongs to an object or to an upload that is still open, and is whole."""
    import asyncio

    from eucapy.clock import ManualClock
    from eucapy.drivers.blob import loader
    from eucapy.walrus.store import content, engine, migrating
    from eucapy.walrus.workers.collector import Collector

    async def work() -> None:
        db = engine.open_store(f"sqlite:///{data}/walrus.sqlite")
        await migrating.upgrade(db)
        blobs = loader.load("files", data / "blobs")
        await blobs.start()
        await Collector(db, blobs, ManualClock(time.time() + 10), 3600, 0).sweep()
        left = [blob_id async for blob_id in blobs.scan()]
        for blob_id in left:
            assert await db.read(lambda tx, blob_id=blob_id: content.is_referred(tx, blob_id))  # type: ignore[misc]
            await blobs.verify(blob_id)
        await db.close()

    assert objects > 0
    asyncio.run(work())
