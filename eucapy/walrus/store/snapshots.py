"""Snapshots of the metadata as a file, taken while the store works (SQLite; of PostgreSQL `pg_dump` takes them)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from eucapy import ledger

# `place` 2 is content.BLOB.
_BLOBS = "SELECT content FROM versions WHERE place = 2 UNION SELECT content FROM parts WHERE place = 2"
_COUNTS = {
    "buckets": "SELECT count(*) FROM buckets",
    "versions": "SELECT count(*) FROM versions",
    "parts": "SELECT count(*) FROM parts",
}


class SnapshotError(Exception):
    """The database or the snapshot cannot be read."""


@contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise SnapshotError(f"{database}: {error}") from error


def take(database: Path, target: Path) -> None:
    """Write one state of the whole database to `target`, which is replaced. Raises SnapshotError, OSError."""
    beside = target.with_name(f".{target.name}.new")
    beside.unlink(missing_ok=True)
    with _opened(database) as source, closing(sqlite3.connect(beside)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE").fetchall()
    with beside.open("rb") as written:
        os.fsync(written.fileno())
    beside.replace(target)
    ledger.sync_folder(target.parent)


def blobs(snapshot: Path) -> Iterator[str]:
    """The ids of all blobs that the snapshot refers to. Raises SnapshotError."""
    with _opened(snapshot) as db:
        for row in db.execute(_BLOBS):
            yield row[0]


def counts(snapshot: Path) -> dict[str, int]:
    """How many buckets, versions and parts there are. Raises SnapshotError."""
    with _opened(snapshot) as db:
        return {name: int(db.execute(statement).fetchone()[0]) for name, statement in _COUNTS.items()}


def check(snapshot: Path) -> None:
    """Raises SnapshotError for a file that is damaged."""
    with _opened(snapshot) as db:
        said = db.execute("PRAGMA integrity_check").fetchone()[0]
    if said != "ok":
        raise SnapshotError(f"{snapshot}: {said}")
