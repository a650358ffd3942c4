"""The scrubber: rot and what is missing are found, wherever the bytes lie; what is whole is not accused."""

from __future__ import annotations

import json
import os
import sqlite3
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy import pki
from eucapy.walrus import keyring
from eucapy.walrus.workers import scrubber
from eucapy.walrus.workers.scrubber import Found
from tests.walrus.server import Store

SEALED = {"ServerSideEncryption": "AES256"}


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path, scrub_mib_s=10_000.0) as running:
        running.s3.create_bucket(Bucket="own")
        yield running


def change(store: Store, statement: str, *values: Any) -> None:
    db = sqlite3.connect(store.folder / "walrus.sqlite")
    with db:
        db.execute(statement, values)
    db.close()


def blob_of(store: Store, key: str) -> Path:
    db = sqlite3.connect(store.folder / "walrus.sqlite")
    name: str
    (name,) = db.execute("SELECT content FROM versions WHERE key = ?", (key.encode(),)).fetchone()
    db.close()
    return store.folder / "blobs" / name[-2:] / name


def flip(path: Path, at: int) -> None:
    whole = bytearray(path.read_bytes())
    whole[at] ^= 1
    path.write_bytes(whole)


def faults(found: Found) -> set[tuple[str, str]]:
    return {(fault.what, fault.key) for fault in found.named}


def fill(store: Store) -> None:
    s3 = store.s3
    for size in (0, 100, 50_000):
        for how in ({}, SEALED):
            s3.put_object(Bucket="own", Key=f"{size}{'-sealed' if how else ''}", Body=os.urandom(size), **how)
    upload = s3.create_multipart_upload(Bucket="own", Key="parts")["UploadId"]
    part = s3.upload_part(Bucket="own", Key="parts", UploadId=upload, PartNumber=1, Body=os.urandom(70_000))
    s3.complete_multipart_upload(
        Bucket="own", Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )


def test_what_is_whole_is_not_accused(alone: Store) -> None:
    fill(alone)
    found = alone.work("scrubber")
    assert (found.objects, found.parts, found.faults, found.is_complete) == (7, 1, 0, True)
    assert found.bytes > 2 * (100 + 50_000) + 70_000


def test_rot_is_found_in_blobs_in_parts_and_beside_the_metadata(alone: Store) -> None:
    fill(alone)
    flip(blob_of(alone, "50000"), 40_000)
    blob_of(alone, "50000-sealed").unlink()
    for key in ("100", "100-sealed"):
        change(
            alone,
            "UPDATE inline_data SET data = zeroblob(length(data)) WHERE id = (SELECT content FROM versions WHERE key = ?)",
            key.encode(),
        )
    db = sqlite3.connect(alone.folder / "walrus.sqlite")
    (part,) = db.execute("SELECT content FROM parts").fetchone()
    db.close()
    flip(alone.folder / "blobs" / part[-2:] / part, 3)
    found = alone.work("scrubber")
    assert found.faults == 5
    named = faults(found)
    assert named >= {
        ("damaged", "50000"), ("missing", "50000-sealed"), ("damaged", "100"), ("damaged", "100-sealed"),
    }  # fmt: skip
    assert [fault.content for fault in found.named if fault.what == "damaged" and fault.bucket == ""] == [part]


def test_what_is_deleted_while_it_is_read_is_no_fault(alone: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(alone)
    worker = alone.app.workers["scrubber"]
    assert isinstance(worker, scrubber.Scrubber) and alone.app.walrus is not None
    blobs = alone.app.walrus.blobs
    verify = blobs.verify

    async def removed_first(blob_id: str) -> int:
        await blobs.remove(blob_id)
        return await verify(blob_id)

    monkeypatch.setattr(blobs, "verify", removed_first)
    real = worker._look_at_version

    async def look(bucket_id: int, version: Any) -> None:
        change(alone, "DELETE FROM versions WHERE key = ?", version.key)
        change(alone, "DELETE FROM parts")
        await real(bucket_id, version)

    monkeypatch.setattr(worker, "_look_at_version", look)
    assert alone.work("scrubber").faults == 0


def test_a_pass_goes_on_where_the_process_ended(alone: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubber, "PAGE_ROWS", 2)
    fill(alone)
    worker = alone.app.workers["scrubber"]
    assert isinstance(worker, scrubber.Scrubber)
    real, seen = worker._look_at_version, list[bytes]()

    async def look(bucket_id: int, version: Any) -> None:
        if len(seen) == 5:
            raise KeyboardInterrupt
        seen.append(version.key)
        await real(bucket_id, version)

    monkeypatch.setattr(worker, "_look_at_version", look)
    with pytest.raises(BaseException):  # noqa: B017  the process dies here
        alone.run(_die(worker))
    monkeypatch.setattr(worker, "_look_at_version", real)
    assert alone.work("scrubber").objects == 7 - 4  # two whole pages were behind it
    assert alone.work("scrubber").objects == 7


async def _die(worker: scrubber.Scrubber) -> None:
    try:
        await worker.run_once()
    except KeyboardInterrupt as error:
        raise RuntimeError("died") from error


def test_rotation_wraps_all_data_keys_anew_and_no_object_is_lost(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.s3.create_bucket(Bucket="own")
        fill(store)
        upload = store.s3.create_multipart_upload(Bucket="own", Key="open", **SEALED)["UploadId"]
        assert store.work("rewrapper").anew == 0
    keyring.rotate(tmp_path / "keyring.json")
    with Store(tmp_path) as store:
        store.work("rewrapper")
        assert store.work("rewrapper").anew == 0
    keyring.retire(tmp_path / "keyring.json")
    with Store(tmp_path) as store:
        for key in ("100-sealed", "50000-sealed"):
            assert len(store.s3.get_object(Bucket="own", Key=key)["Body"].read()) == int(key.split("-")[0])
        store.s3.upload_part(Bucket="own", Key="open", UploadId=upload, PartNumber=1, Body=b"x")


def test_components_may_ask_what_the_workers_found(tmp_path: Path) -> None:
    authority = pki.Authority.ensure(tmp_path / "pki")
    for role in ("walrus", "clc", "eucanetd"):
        authority.issue(role)
    with Store(tmp_path / "data", pki=str(tmp_path / "pki"), internal_port=0) as store:
        store.s3.create_bucket(Bucket="own")
        fill(store)
        flip(blob_of(store, "50000"), 1)
        store.work("scrubber")
        status = _status(store, pki.client_context(tmp_path / "pki", "clc"))
        assert status["workers"]["scrubber"]["faults"] == 1
        assert status["workers"]["scrubber"]["named"][0]["key"] == "50000"
        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            _status(store, pki.client_context(tmp_path / "pki", "eucanetd"))
        caught.value.close()


def _status(store: Store, tls: ssl.SSLContext) -> Any:
    url = f"https://127.0.0.1:{store.app.internal_port}/internal/status"
    with urllib.request.urlopen(url, context=tls) as answer:
        return json.loads(answer.read())
