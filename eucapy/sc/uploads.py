"""Uploads of disk images into the object store: sending one, and knowing which are done.

A done upload's parts are kept in a small file of its own, on disk before they are told, until its tombstone comes: whoever dies
in between sends the parts again, which replaces those that are there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from eucapy import ledger
from eucapy.sc.transfer import TransferError
from eucapy.wire.contract import Unreachable
from eucapy.wire.storage import UploadSpec
from eucapy.wire.uploads import NoSuchUpload, PartSender, padded_bytes


class Done(msgspec.Struct, frozen=True):
    """A file `<task>.json`."""

    upload_id: str
    parts: tuple[str, ...]
    size_bytes: int


class Uploads:
    """Those of one storage controller; `folder` holds what is known of the done ones, and nothing else."""

    def __init__(self, sender: PartSender, folder: Path) -> None:
        self._sender, self._folder = sender, folder
        self._done: dict[str, Done] = {}

    def open(self) -> None:
        """Learn what earlier lives did. A record that cannot be read counts for nothing: its upload is done again."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._done.clear()
        for path in self._folder.glob("*.json"):
            try:
                held = ledger.Ledger(path, Done).read()
            except ledger.LedgerDamaged:
                continue
            if held is not None:
                self._done[path.stem] = held

    @property
    def done(self) -> Mapping[str, Done]:
        """By task."""
        return self._done

    async def send(self, spec: UploadSpec, file: Path, told: Callable[[int], None]) -> None:
        """Put the file into the upload; `told` hears percents. Returns when that is known for good. Raises TransferError."""
        size_bytes = file.stat().st_size
        if spec.padded:
            size_bytes = padded_bytes(size_bytes, spec.most_parts)
            os.truncate(file, size_bytes)

        def sent(count: int) -> None:
            told(100 * count // max(1, size_bytes))

        try:
            parts = await self._sender.send(
                file, spec.bucket, spec.key, spec.upload_id, sent, spec.first_part, spec.most_parts
            )
        except NoSuchUpload as error:
            raise TransferError("UploadGone", str(error), final=True) from error
        except Unreachable as error:
            raise TransferError("StoreUnreachable", str(error), final=False) from error
        done = Done(spec.upload_id, tuple(parts), size_bytes)
        ledger.Ledger(self._path(spec.task_id), Done).write(done)
        self._done[spec.task_id] = done

    def forget(self, task_id: str) -> None:
        """The cloud controller has what it wanted, or wants it no more."""
        self._path(task_id).unlink(missing_ok=True)
        self._done.pop(task_id, None)

    def _path(self, task_id: str) -> Path:
        return self._folder / f"{task_id}.json"
