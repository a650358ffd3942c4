"""What is synced, and what a pretended host's disk is spared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eucapy import ledger


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were synced, in order."""
    found: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        found.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def test_a_file_and_its_folder_are_synced_before_write_file_returns(tmp_path: Path, synced: list[str]) -> None:
    ledger.write_file(tmp_path / "spec.json", b"{}")
    assert [Path(path).parent if "spec" in path else Path(path) for path in synced] == [tmp_path, tmp_path]


def test_a_pretended_hosts_disk_is_written_whole_but_not_synced(tmp_path: Path, synced: list[str]) -> None:
    disk, beside = tmp_path / "zone-a", tmp_path / "zone-a-real"
    with ledger.unsynced(disk):
        ledger.write_file(disk / "node" / "spec.json", b"one")
        ledger.sync_folder(disk)
        assert synced == []
        ledger.write_file(beside / "spec.json", b"two")
        assert len(synced) == 2
    assert (disk / "node" / "spec.json").read_bytes() == b"one"
    assert [path.name for path in (disk / "node").iterdir()] == ["spec.json"]
    ledger.write_file(disk / "node" / "spec.json", b"three")
    assert len(synced) == 4, "the exception ends with its block"
