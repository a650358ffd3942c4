"""Folders that one group may pass through, and nobody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eucapy.folders import NoSuchGroup, ensure_folder, group_id


def test_without_a_group_a_folder_is_closed_also_when_it_was_open_before(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True, mode=0o755)
    ensure_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_group_may_pass_and_not_list(tmp_path: Path) -> None:
    ensure_folder(tmp_path / "disks", os.getgid())
    found = (tmp_path / "disks").stat()
    assert (found.st_mode & 0o777, found.st_gid) == (0o710, os.getgid())


def test_groups_are_known_by_name() -> None:
    assert group_id("") is None
    assert group_id("root") == 0
    with pytest.raises(NoSuchGroup, match="there is no group nobody-at-all"):
        group_id("nobody-at-all")
