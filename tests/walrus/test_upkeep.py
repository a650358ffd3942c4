"""Backup and restore: what was acknowledged before a backup is in it, whole, though the store was at work; and the commands."""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.walrus import commands, upkeep
from eucapy.walrus.store.snapshots import SnapshotError
from eucapy.walrus.upkeep import UpkeepError
from tests.walrus.server import Store, client

SEALED = {"ServerSideEncryption": "AES256"}


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[tuple[Store, dict[str, bytes]]]:
    """A store with objects of every kind, and what they hold."""
    with Store(tmp_path / "store") as store:
        store.s3.create_bucket(Bucket="kept")
        model = {}
        for n, size in enumerate((0, 500, 20_000, 90_000)):
            for how in ({}, SEALED):
                key, data = f"{n}{'s' if how else ''}", os.urandom(size)
                store.s3.put_object(Bucket="kept", Key=key, Body=data, **how)
                model[key] = data
        upload = store.s3.create_multipart_upload(Bucket="kept", Key="parts")["UploadId"]
        model["parts"] = os.urandom(60_000)
        part = store.s3.upload_part(Bucket="kept", Key="parts", UploadId=upload, PartNumber=1, Body=model["parts"])
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        store.s3.complete_multipart_upload(Bucket="kept", Key="parts", UploadId=upload, MultipartUpload=parts)
        yield store, model


def contents(folder: Path, bucket: str = "kept") -> dict[str, bytes]:
    with Store(folder) as store:
        found = {}
        for page in store.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                found[entry["Key"]] = store.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        return found


def test_a_store_comes_back_from_its_backup(filled: tuple[Store, dict[str, bytes]], tmp_path: Path) -> None:
    store, model = filled
    manifest = upkeep.backup(store.folder, tmp_path / "backup")
    assert (manifest.buckets, manifest.versions, manifest.blobs) == (1, 9, 5)
    store.s3.put_object(Bucket="kept", Key="0", Body=b"after the backup")
    upkeep.restore(tmp_path / "backup", tmp_path / "again")
    assert contents(tmp_path / "again") == model


class Churn(threading.Thread):
    """Writes, overwrites and deletes while the backup is taken. Every object begins with the digest of the rest."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.s3 = client(store.port)
        self.ended = threading.Event()
        self.done = 0
        self.began = threading.Event()

    def run(self) -> None:
        chance = random.Random(1)
        while not self.ended.is_set():
            key = f"churn-{chance.randrange(8)}"
            if chance.random() < 0.3:
                self.s3.delete_object(Bucket="churn", Key=key)
            else:
                rest = chance.randbytes(chance.choice([100, 30_000]))
                self.s3.put_object(Bucket="churn", Key=key, Body=hashlib.sha256(rest).digest() + rest)
            self.done += 1
            if self.done == 20:
                self.began.set()
        self.s3.close()


def test_a_backup_under_load_holds_only_whole_objects_and_all_that_did_not_change(
    filled: tuple[Store, dict[str, bytes]], tmp_path: Path
) -> None:
    store, model = filled
    store.s3.create_bucket(Bucket="churn")
    churn = Churn(store)
    churn.start()
    assert churn.began.wait(60)
    try:
        for _ in range(3):
            before = churn.done
            upkeep.backup(store.folder, tmp_path / "backup")
            assert churn.began.wait(60) and before <= churn.done
    finally:
        churn.ended.set()
        churn.join()
    upkeep.restore(tmp_path / "backup", tmp_path / "again")
    assert contents(tmp_path / "again") == model
    for data in contents(tmp_path / "again", "churn").values():
        assert hashlib.sha256(data[32:]).digest() == data[:32]


def test_a_second_backup_takes_what_is_new_and_drops_what_is_gone(
    filled: tuple[Store, dict[str, bytes]], tmp_path: Path
) -> None:
    store, model = filled
    upkeep.backup(store.folder, tmp_path / "backup")
    store.s3.delete_object(Bucket="kept", Key="3")
    store.s3.put_object(Bucket="kept", Key="new", Body=b"n" * 50_000)
    store.settle()
    manifest = upkeep.backup(store.folder, tmp_path / "backup")
    assert manifest.blobs == len(list((tmp_path / "backup" / "blobs").glob("??/*"))) == 5
    upkeep.restore(tmp_path / "backup", tmp_path / "again")
    del model["3"]
    assert contents(tmp_path / "again") == model | {"new": b"n" * 50_000}


def test_what_is_no_whole_backup_is_not_restored(filled: tuple[Store, dict[str, bytes]], tmp_path: Path) -> None:
    store, _ = filled
    backup = tmp_path / "backup"
    upkeep.backup(store.folder, backup)
    with pytest.raises(UpkeepError, match="is a store already"):
        upkeep.restore(backup, store.folder)
    blob = next((backup / "blobs").glob("??/*"))
    blob.rename(backup / "elsewhere")
    with pytest.raises(UpkeepError, match="are missing"):
        upkeep.restore(backup, tmp_path / "again")
    (backup / "elsewhere").rename(blob)
    (backup / upkeep.MANIFEST).unlink()
    with pytest.raises(UpkeepError, match="was finished"):
        upkeep.restore(backup, tmp_path / "again")
    assert not (tmp_path / "again" / upkeep.DATABASE).exists()


def test_a_damaged_snapshot_is_not_restored(filled: tuple[Store, dict[str, bytes]], tmp_path: Path) -> None:
    store, _ = filled
    upkeep.backup(store.folder, tmp_path / "backup")
    snapshot = tmp_path / "backup" / upkeep.DATABASE
    snapshot.write_bytes(snapshot.read_bytes()[:20_000] + os.urandom(30_000))
    with pytest.raises(SnapshotError):
        upkeep.restore(tmp_path / "backup", tmp_path / "again")
    assert not (tmp_path / "again" / upkeep.DATABASE).exists()


def test_the_commands_say_what_they_did_and_exit_by_it(
    filled: tuple[Store, dict[str, bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, model = filled
    data, backup, again = str(store.folder), str(tmp_path / "backup"), str(tmp_path / "again")

    def run(*arguments: str) -> tuple[int, Any]:
        status = commands.main(list(arguments))
        out = capsys.readouterr().out
        return status, json.loads(out) if out.startswith("{") else out

    assert run("backup", "--data", data, "--to", backup)[1]["blobs"] == 5
    assert run("restore", "--from", backup, "--data", again)[0] == 0
    assert run("restore", "--from", backup, "--data", again)[0] == 1
    status, found = run("verify", "--data", again)
    assert (status, found["faults"], found["objects"]) == (0, 0, 9)
    assert "master key" in run("rotate-key", "--data", again)[1]
    assert run("retire-keys", "--data", again)[0] == 1  # four data keys are wrapped by the old one
    with Store(Path(again)) as restored:
        restored.work("rewrapper")
    assert run("retire-keys", "--data", again)[0] == 0
    assert contents(Path(again)) == model
    next((tmp_path / "again" / "blobs").glob("??/*")).unlink()
    assert run("verify", "--data", again)[0] == 1
    assert run("verify", "--data", str(tmp_path / "nothing"))[0] == 1
