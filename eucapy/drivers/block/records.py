"""Records: one small file per volume and snapshot, which say what exists and what was about to be done.

A record is written atomically and durably (`eucapy.ledger`). What a verb does in several steps it first writes down here,
so that after a crash `files.py` finishes it instead of guessing. A record that cannot be read is set aside in memory: its
item is not touched, nothing is collected while there is one, and the rest of the pool goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from eucapy import ledger
from eucapy.pace import UNLIMITED, Pace

log = logging.getLogger(__name__)


class VolumeRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A volume: its `head` is the layer that its writer writes.

    `taking` and `next_head` are a snapshot in progress: the head will be frozen as that snapshot and the next one put
    over it. `attachment_id` is whom the volume is exported to; with `node`, on another host, where it comes to `port`.
    """

    volume_id: str
    size_gib: int
    head: str
    snapshot_id: str = ""
    attachment_id: str = ""
    node: str = ""
    port: int = 0
    taking: str = ""
    next_head: str = ""
    pace: Pace = UNLIMITED

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that this record needs, whichever of them is the head by now."""
        return (self.head, self.next_head) if self.next_head else (self.head,)


class SnapshotRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A snapshot: a frozen layer, which it may share with its copies."""

    snapshot_id: str
    size_gib: int
    layer: str
    volume_id: str = ""

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)


RecordT = TypeVar("RecordT", VolumeRecord, SnapshotRecord)


class Records(Generic[RecordT]):
    """The records of one kind, in memory and on disk."""

    def __init__(self, folder: Path, kind: type[RecordT]) -> None:
        self._folder = folder
        self._kind: type[RecordT] = kind
        self._records: dict[str, RecordT] = {}
        self.damaged: set[str] = set()

    def open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._records.clear()
        self.damaged.clear()
        for path in self._folder.iterdir():
            if path.name.endswith(".new"):
                path.unlink()
            elif path.name.endswith(".json"):
                self._read(path)

    def _read(self, path: Path) -> None:
        identifier = path.name.removesuffix(".json")
        try:
            record = ledger.Ledger(path, self._kind).read()
        except ledger.LedgerDamaged as error:
            log.error("damaged record", extra={"data": {"item": identifier, "reason": str(error)}})
            self.damaged.add(identifier)
            return
        if record is not None:
            self._records[identifier] = record

    def get(self, identifier: str) -> RecordT | None:
        return self._records.get(identifier)

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._records

    def __iter__(self) -> Iterator[RecordT]:
        return iter(list(self._records.values()))

    def put(self, identifier: str, record: RecordT) -> RecordT:
        """Returns when the record is on disk."""
        ledger.write_file(self._folder / f"{identifier}.json", msgspec.json.encode(record))
        self._records[identifier] = record
        return record

    def remove(self, identifier: str) -> None:
        """Returns when the record is gone from the disk."""
        if self._records.pop(identifier, None) is not None:
            (self._folder / f"{identifier}.json").unlink(missing_ok=True)
            ledger.sync_folder(self._folder)
