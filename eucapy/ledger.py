"""Files that survive a crash: written beside, synced, renamed, and the folder synced too.

An agent's ledger (its accepted spec and generation) is such a file; it is on disk before the agent acknowledges.
A reader sees the old content or the new one, never half of either.

A folder that stands for the disk of a host that only pretends to be one may be given up to the page cache (`unsynced`):
its files still survive the end of any process, but not a power cut, which a pretended host has no other part that outlives.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

_UNSYNCED: set[str] = set()


class LedgerDamaged(Exception):
    """The file exists but is not what was written; it is kept aside for the operator."""


@contextlib.contextmanager
def unsynced(folder: Path) -> Iterator[None]:
    """While this lasts, nothing below `folder` is synced."""
    prefix = f"{folder}{os.sep}"
    _UNSYNCED.add(prefix)
    try:
        yield
    finally:
        _UNSYNCED.discard(prefix)


def syncs(path: Path) -> bool:
    """Whether files at or below `path` are synced."""
    if not _UNSYNCED:
        return True
    text = f"{path}{os.sep}"
    return not any(text.startswith(prefix) for prefix in _UNSYNCED)


def write_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace `path` atomically and durably. `mode` is set before any content is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    beside.unlink(missing_ok=True)
    # Some folders belong to less privileged programs: whatever they put in our way is not followed.
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(fd, mode)
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        if syncs(path):
            os.fsync(fd)
    except BaseException:
        os.close(fd)
        beside.unlink(missing_ok=True)
        raise
    os.close(fd)
    beside.replace(path)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Make what another program wrote into the file durable."""
    if not syncs(path):
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Make the folder's own entries (a rename, a removal) durable."""
    if not syncs(folder):
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


T = TypeVar("T", bound=msgspec.Struct)


class Ledger(Generic[T]):
    """One struct in one file."""

    def __init__(self, path: Path, kind: type[T]) -> None:
        self._path = path
        self._decoder = msgspec.json.Decoder(kind)

    def read(self) -> T | None:
        """What was last written, or None on a fresh host. Raises LedgerDamaged."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return self._decoder.decode(content)
        except msgspec.MsgspecError as error:
            raise LedgerDamaged(f"{self._path}: {error}") from error

    def write(self, value: T) -> None:
        """Returns when the value is on disk."""
        write_file(self._path, msgspec.json.encode(value))
