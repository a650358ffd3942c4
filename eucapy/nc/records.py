"""What the node remembers of each instance: one durable file in the instance's own folder.

Everything else is seen on the host. What cannot be seen is which start and which reboot a guest is under, and when it was
asked to shut down; these are written before the deed (`starts`), or after it (`reboots`), so that a crash in between
repeats a harmless thing and never loses one:

* dead before the power-on but after `starts` was written: `starting` still stands, so whatever the domain is off for is
  from before, and it is started;
* dead after a reboot or a shutdown was asked for but before that was written: the guest is asked once more.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from eucapy import ledger
from eucapy.folders import ensure_folder
from eucapy.ledger import Ledger


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Times are seconds since the epoch, 0 for never."""

    instance_id: str
    starts: int = 0
    """The `starts` of the spec under which the guest was last powered on."""
    starting: bool = False
    """The power-on under `starts` was begun; cleared once the guest was seen to run."""
    reboots: int = 0
    started_at: float = 0.0
    asked_at: float = 0.0
    """When the guest was asked to shut down; 0 while nobody asked since its start."""
    ended: str = ""
    """How the guest ended under `starts`, once that was seen: `guest`."""
    captured: bool = False
    """There were copies of the root disk; whether there still are is seen."""
    disk_gib: dict[str, int] = {}
    """By attachment: how large the running guest knows the disk to be, at least."""
    attachments: dict[str, str] = {}
    """By serial number: the attachment that a volume came by. The spec forgets one that shall go before the guest does."""
    base: str = ""
    """File name of the cached image that the root disk stands on."""


class Records:
    """The instances' folders under one root: `<root>/<instance id>/` with `record.json`, disks and the console log."""

    def __init__(self, root: Path, group_id: int | None = None) -> None:
        """Members of the group may pass through the folders: guests' QEMU processes."""
        self.root = root
        self._group_id = group_id
        self._held: dict[str, Record] = {}
        self._folders: dict[str, Path] = {}
        ensure_folder(root, group_id)
        for folder in root.iterdir():
            if folder.is_dir():
                ensure_folder(folder, group_id)
                record = Ledger(folder / "record.json", Record).read()
                self._held[folder.name] = record or Record(instance_id=folder.name)

    def folder(self, instance_id: str) -> Path:
        known = self._folders.get(instance_id)
        if known is None:
            known = self._folders[instance_id] = self.root / instance_id
        return known

    def known(self) -> dict[str, Record]:
        """Every instance that has a folder here."""
        return dict(self._held)

    def get(self, instance_id: str) -> Record:
        return self._held.get(instance_id) or Record(instance_id=instance_id)

    def put(self, record: Record) -> None:
        """Returns when it is on disk."""
        if self._held.get(record.instance_id) == record:
            return
        folder = self.folder(record.instance_id)
        ensure_folder(folder, self._group_id)
        Ledger(folder / "record.json", Record).write(record)
        self._held[record.instance_id] = record

    def remove(self, instance_id: str) -> None:
        """Forget the instance and remove everything in its folder, the record last."""
        folder = self.folder(instance_id)
        if folder.exists():
            for entry in folder.iterdir():
                if entry.name != "record.json":
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            shutil.rmtree(folder)
            ledger.sync_folder(self.root)
        self._held.pop(instance_id, None)
        self._folders.pop(instance_id, None)
