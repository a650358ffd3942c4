"""Some folders belong to less privileged programs: what these put in our way is not followed."""

from __future__ import annotations

import os
from pathlib import Path

from eucapy.ledger import write_file


def test_a_file_is_written_where_it_belongs_and_nowhere_else(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("not ours")
    (tmp_path / f".note.{os.getpid()}.new").symlink_to(other)
    write_file(tmp_path / "note", b"ours")
    assert ((tmp_path / "note").read_text(), other.read_text()) == ("ours", "not ours")


def test_what_a_killed_life_under_our_number_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / f".note.{os.getpid()}.new").write_text("half")
    write_file(tmp_path / "note", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["note"]
