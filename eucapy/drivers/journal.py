"""Items by id in one file that grows by a line a change: how the fakes keep their state.

A fake stands for a host, which outlives the processes on it, and takes as little of the processor as it can: a change is
one write, whole before the verb returns. What a kill cut short at the end is no line, and not there for whoever reads. One
process at a time writes; others may read meanwhile. The writer begins the file anew when most of it is past.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from eucapy import ledger

T = TypeVar("T", bound=msgspec.Struct)

SPARED_LINES = 1000
"""As many lines may be past before the file is begun anew, or as many as there are items."""


class _Line(msgspec.Struct, frozen=True, array_like=True):
    """An item as it is from here on; null: it is gone."""

    item_id: str
    item: msgspec.Raw


class Journal(dict[str, T]):
    """The items by id. Who changes the dictionary or an item in it says so with `save`."""

    def __init__(self, path: Path, kind: type[T]) -> None:
        super().__init__()
        self._path = path
        self._decoder = msgspec.json.Decoder(kind)
        self._lines = 0
        self._fd: int | None = None

    def load(self) -> None:
        """What was last saved; nothing, on a fresh host. Writes nothing. Raises LedgerDamaged."""
        self.clear()
        self._lines = 0
        for line in _whole(self._content()).splitlines():
            try:
                held = msgspec.json.decode(line, type=_Line)
                item = None if bytes(held.item) == b"null" else self._decoder.decode(held.item)
            except msgspec.MsgspecError as error:
                raise ledger.LedgerDamaged(f"{self._path}: {error}") from error
            self._lines += 1
            if item is None:
                self.pop(held.item_id, None)
            else:
                self[held.item_id] = item

    def save(self, item_id: str) -> None:
        """Returns when the item, or its absence, is in the file."""
        if self._fd is None:
            self._fd = self._opened()
        elif self._lines > len(self) * 2 + SPARED_LINES:
            self._begin_anew()
            return
        line = _encoded(item_id, self.get(item_id))
        written = os.write(self._fd, line)
        if written < len(line):  # the disk is full: half a line must not stand before the next
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            raise OSError(f"{self._path}: no room for a line")
        if ledger.syncs(self._path):
            os.fdatasync(self._fd)
        self._lines += 1

    def close(self) -> None:
        """Let go of the file; the next `save` opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __del__(self) -> None:
        self.close()

    def _content(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b""

    def _opened(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.ftruncate(fd, len(_whole(self._content())))
        return fd

    def _begin_anew(self) -> None:
        ledger.write_file(self._path, b"".join(_encoded(item_id, item) for item_id, item in self.items()))
        self.close()
        self._fd = self._opened()
        self._lines = len(self)


def _whole(content: bytes) -> bytes:
    """Without what follows the last line's end."""
    return content[: content.rfind(b"\n") + 1]


def _encoded(item_id: str, item: Any) -> bytes:
    return msgspec.json.encode((item_id, item)) + b"\n"
