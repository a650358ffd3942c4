"""What an operator does with a store's folder: back it up, restore it, read all of it, care for its master keys.

    backup, while the store works     blobs linked or copied ─► snapshot of the metadata ─► blobs again ─► all there? ─► done
                                      ▲ an object was written and removed in between: once more ────────────┘
    restore, into an empty folder     everything copied ─► every blob of the metadata is there, or the command fails

A backup is a folder of the same layout: `walrus.sqlite`, `keyring.json`, `blobs/`, and `backup.json`, which is written last:
without it, it is none. Blobs never change, so a second backup into the same folder copies what is new and drops what is no
longer referred to. On the same file system they are links and cost nothing, and so they guard against mistakes, not
against the disk. Blocking: these are commands of their own, not part of the server. Their words: `commands.py`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from eucapy import ledger
from eucapy.drivers.blob.base import is_id
from eucapy.walrus.store import snapshots

DATABASE, KEYRING, BLOBS, MANIFEST = "walrus.sqlite", "keyring.json", "blobs", "backup.json"
TRIES = 5


class UpkeepError(Exception):
    """The command cannot be carried out; the text says why."""


class Manifest(msgspec.Struct, frozen=True):
    """`backup.json`."""

    taken_at: str
    buckets: int
    versions: int
    parts: int
    blobs: int


def backup(data: Path, target: Path, keyring: Path | None = None) -> Manifest:
    """Make `target` a backup of the store in `data`, which may be at work. Raises UpkeepError, SnapshotError, OSError."""
    database = data / DATABASE
    if not database.exists():
        raise UpkeepError(f"{database} is not there: only a store with SQLite is backed up here (else: pg_dump)")
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    (target / MANIFEST).unlink(missing_ok=True)
    for _ in range(TRIES):
        _take_all(data / BLOBS, target / BLOBS)
        snapshots.take(database, target / DATABASE)
        wanted = set(snapshots.blobs(target / DATABASE))
        if all(_take(data / BLOBS, target / BLOBS, blob_id) for blob_id in sorted(wanted)):
            break
    else:
        raise UpkeepError("objects went faster than they could be copied; some blobs are missing in the store")
    _drop_others(target / BLOBS, wanted)
    source = keyring or data / KEYRING
    if source.exists():
        ledger.write_file(target / KEYRING, source.read_bytes())
    _sync(target / BLOBS)
    taken_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    manifest = Manifest(taken_at=taken_at, blobs=len(wanted), **snapshots.counts(target / DATABASE))
    ledger.write_file(target / MANIFEST, msgspec.json.encode(manifest))
    return manifest


def restore(source: Path, data: Path, keyring: Path | None = None) -> Manifest:
    """Make `data` the store that was backed up; it must not be one yet. Raises UpkeepError, SnapshotError, OSError."""
    if not (source / MANIFEST).exists():
        raise UpkeepError(f"{source} is no backup that was finished: {MANIFEST} is not there")
    if (data / DATABASE).exists():
        raise UpkeepError(f"{data} is a store already")
    manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    snapshots.check(source / DATABASE)
    missing = [blob_id for blob_id in snapshots.blobs(source / DATABASE) if not _path(source / BLOBS, blob_id).exists()]
    if missing:
        raise UpkeepError(f"{len(missing)} blobs of the backup are missing, {missing[0]} among them")
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    for blob_id in snapshots.blobs(source / DATABASE):
        _take(source / BLOBS, data / BLOBS, blob_id, link=False)
    _sync(data / BLOBS)
    if (source / KEYRING).exists():
        ledger.write_file(keyring or data / KEYRING, (source / KEYRING).read_bytes())
    snapshots.take(source / DATABASE, data / DATABASE)  # last: a restore that was cut short is no store
    return manifest


def _path(folder: Path, blob_id: str) -> Path:
    return folder / blob_id[-2:] / blob_id


def _ids(folder: Path) -> Iterator[str]:
    for shard in sorted(folder.glob("??")):
        yield from (path.name for path in sorted(shard.iterdir()) if is_id(path.name))


def _take_all(source: Path, target: Path) -> None:
    for blob_id in _ids(source):
        _take(source, target, blob_id)


def _take(source: Path, target: Path, blob_id: str, *, link: bool = True) -> bool:
    """Have the blob in `target`; whether it is there now."""
    mine, yours = _path(target, blob_id), _path(source, blob_id)
    if mine.exists():
        return True
    mine.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        if link:
            try:
                os.link(yours, mine)
            except FileExistsError:
                return True
            except FileNotFoundError:
                return False
            except OSError:  # another file system, or one without links
                _copy(yours, mine)
        else:
            _copy(yours, mine)
    except FileNotFoundError:
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    beside = target.with_name(f"{target.name}.new")
    with source.open("rb") as old, beside.open("wb") as new:
        shutil.copyfileobj(old, new, 1 << 20)
        new.flush()
        os.fsync(new.fileno())
    beside.chmod(0o600)
    beside.replace(target)


def _drop_others(folder: Path, wanted: set[str]) -> None:
    for blob_id in list(_ids(folder)):
        if blob_id not in wanted:
            _path(folder, blob_id).unlink()


def _sync(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for shard in folder.iterdir():
        if shard.is_dir():
            ledger.sync_folder(shard)
    ledger.sync_folder(folder)
