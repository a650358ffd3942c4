"""Kill -9 under concurrent load, again and again: what was acknowledged is there, whole; what was not is whole or not there.

Writers own keys of their own, so that a model knows what each key may hold: the last acknowledged state, or the one whose
request was under way when the process died. They put, copy, delete one and many and upload in parts, encrypted and not, into
a bucket without versions and into one with them, where every acknowledged version must stay and is replicated once. Meanwhile
the workers expire, scrub, replicate and collect as fast as they can. `EUCAPY_KILLS=500` makes a long run of it.
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

from tests.harness.waiting import wait_until
from tests.walrus.server import Process, client

KILLS = int(os.environ.get("EUCAPY_KILLS", "24"))
WRITERS = 4
KEYS_EACH = 12
ABSENT = ""
SEALED = {"ServerSideEncryption": "AES256"}
WORKERS = {
    "lifecycle_s": 0.05, "lifecycle_day_s": 0.05, "sweep_s": 0.5, "sweep_grace_s": 30.0, "scrub_s": 1.0,
}  # fmt: skip
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

    def __init__(self, number: int, s3: Any, round_number: int, keys: dict[str, Key], versions: dict[str, str]) -> None:
        self.number = number
        self.s3 = s3
        self.random = random.Random(f"{number} {round_number}")
        self.round = round_number
        self.versions = versions
        self.keys = keys
        self.done = 0
        self.touched: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Until the process dies under it."""
        while not stop.is_set():
            name = f"writer-{self.number}/{self.random.randrange(KEYS_EACH):02d}"
            key = self.keys.setdefault(name, Key())
            self.touched.add(name)
            try:
                self._step(name, key)
            except (BotoCoreError, ClientError, OSError):
                return  # what was under way stays a possibility
            self.done += 1

    def _step(self, name: str, key: Key) -> None:
        what = self.random.random()
        seed = f"{name} {self.round} {self.done}"
        if what < 0.1:
            key.under_way = ABSENT
            self.s3.delete_object(Bucket="killed", Key=name)
        elif what < 0.15:
            key.under_way = ABSENT
            self.s3.delete_objects(Bucket="killed", Delete={"Objects": [{"Key": name}, {"Key": "never there"}]})
        elif what < 0.25:
            self._add_version(name, bytes_for(seed, self.random.randrange(1, 30_000)))
        elif what < 0.3:
            self.s3.put_object(Bucket="fleeting", Key=name, Body=b"gone before you look")
        else:
            data = self._content(seed, what)
            key.under_way = hashlib.sha256(data).hexdigest()
            how = SEALED if self.random.random() < 0.4 else {}
            if what < 0.4:
                self.s3.put_object(Bucket="sources", Key=name, Body=data, **how)
                self.s3.copy_object(Bucket="killed", Key=name, CopySource=f"sources/{name}", **how)
            elif what < 0.97:
                self.s3.put_object(Bucket="killed", Key=name, Body=data, **how)
            else:
                self._in_parts(name, data, how)
        if key.under_way is not None:
            key.acknowledged, key.under_way = key.under_way, None

    def _add_version(self, name: str, data: bytes) -> None:
        """Each in its place in the history, and none of them ever removed."""
        if self.random.random() < 0.2:
            self.s3.delete_object(Bucket="versions", Key=name)
            return
        version = self.s3.put_object(Bucket="versions", Key=name, Body=data)["VersionId"]
        self.versions[f"{name}?{version}"] = hashlib.sha256(data).hexdigest()

    def _content(self, seed: str, what: float) -> bytes:
        size = self.random.randrange(1, 16_000) if what < 0.8 else self.random.randrange(16_000, 300_000)
        return bytes_for(seed, size if what < 0.97 else 5 * MIB + size)

    def _in_parts(self, name: str, data: bytes, how: dict[str, str]) -> None:
        upload = self.s3.create_multipart_upload(Bucket="killed", Key=name, **how)["UploadId"]
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
    started = Process(tmp_path, **WORKERS)
    yield started
    started.close()


def compare(s3: Any, keys: dict[str, Key]) -> int:
    """Every key against the model, and the listing against the keys; how many objects there are."""
    present = compare_some(s3, keys)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="killed")
    assert {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", [])} == present
    return len(present)


def compare_some(s3: Any, keys: dict[str, Key]) -> dict[str, str]:
    """These keys against the model; the entity tags of those that there are."""
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
    return present


def history(s3: Any, bucket: str) -> list[tuple[str, str]]:
    """(key, version id) of all versions and delete markers, in order."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    return [
        (entry["Key"], entry["VersionId"])
        for page in pages
        for kind in ("Versions", "DeleteMarkers")
        for entry in page.get(kind, [])
    ]


def compare_versions(s3: Any, versions: dict[str, str], bucket: str = "versions") -> None:
    """Every acknowledged version is there, whole."""
    for name, digest in versions.items():
        key, _, version = name.partition("?")
        data = s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()
        assert hashlib.sha256(data).hexdigest() == digest, f"{name} is not what was acknowledged"


@pytest.mark.timeout(60 + 10 * KILLS)
def test_nothing_acknowledged_is_lost_or_torn(process: Process, tmp_path: Path) -> None:
    process.start()
    s3 = client(process.port, connect_timeout=5, read_timeout=20)
    for bucket in ("killed", "sources", "versions", "replicas", "fleeting"):
        s3.create_bucket(Bucket=bucket)
    for bucket in ("versions", "replicas"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    replicate = {
        "ID": "all", "Status": "Enabled", "Priority": 1, "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Enabled"}, "Destination": {"Bucket": "arn:aws:s3:::replicas"},
    }  # fmt: skip
    replication = {"Role": "arn:aws:iam::111122223333:role/replicator", "Rules": [replicate]}
    s3.put_bucket_replication(Bucket="versions", ReplicationConfiguration=replication)
    expire = {"ID": "all", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket="fleeting", LifecycleConfiguration={"Rules": [expire]})
    keys: dict[str, Key] = {}
    versions: dict[str, str] = {}
    moment = random.Random(7)
    done = 0
    for round_number in range(KILLS):
        stop = threading.Event()
        writers = [Writer(n, s3, round_number, keys, versions) for n in range(WRITERS)]
        with ThreadPoolExecutor(WRITERS) as pool:
            running = [pool.submit(writer.run, stop) for writer in writers]
            stop.wait(0.1 + 0.5 * moment.random())
            process.kill()
            stop.set()
            for each in running:
                each.result(60)
        done += sum(writer.done for writer in writers)
        process.start()
        touched = {name: keys[name] for writer in writers for name in writer.touched}
        compare_some(s3, touched)
        compare_versions(s3, dict(list(versions.items())[-WRITERS:]))
    assert done > KILLS * WRITERS, "the writers hardly wrote"
    objects = compare(s3, keys)
    compare_versions(s3, versions)
    wait_until(lambda: history(s3, "replicas") == history(s3, "versions"), every_s=0.2)
    compare_versions(s3, versions, "replicas")
    process.stop()
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
