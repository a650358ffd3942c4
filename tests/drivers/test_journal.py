"""The fakes' journal: what was saved is found again, whatever cut the last life short."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from eucapy.drivers import journal
from eucapy.drivers.journal import Journal
from eucapy.ledger import LedgerDamaged


class Thing(msgspec.Struct):
    size: int
    name: str = ""


def opened(path: Path) -> Journal[Thing]:
    things: Journal[Thing] = Journal(path, Thing)
    things.load()
    return things


def test_nothing_is_there_on_a_fresh_host(tmp_path: Path) -> None:
    assert opened(tmp_path / "folder" / "things") == {}
    assert list(tmp_path.iterdir()) == [], "reading wrote something"


def test_what_was_saved_last_is_found_again(tmp_path: Path) -> None:
    things = opened(tmp_path / "folder" / "things")
    things["a"], things["b"], things["c"] = Thing(1), Thing(2, 'two\n"lines"'), Thing(3)
    for name in "abc":
        things.save(name)
    things["a"].size = 10
    things.save("a")
    del things["c"]
    things.save("c")
    assert opened(tmp_path / "folder" / "things") == {"a": Thing(10), "b": Thing(2, 'two\n"lines"')}


@pytest.mark.parametrize("kept", [1, 10, -1])
def test_a_line_that_a_kill_cut_short_was_never_there(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "things"
    things = opened(path)
    things["a"] = Thing(1)
    things.save("a")
    whole = path.read_bytes()
    things["a"] = Thing(2)
    things.save("a")
    path.write_bytes(whole + path.read_bytes()[len(whole) :][:kept])

    again = opened(path)
    assert again == {"a": Thing(1)}
    again["b"] = Thing(3)
    again.save("b")
    assert opened(path) == {"a": Thing(1), "b": Thing(3)}


def test_the_file_is_begun_anew_when_most_of_it_is_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SPARED_LINES", 10)
    path = tmp_path / "things"
    things = opened(path)
    things["kept"] = Thing(7)
    things.save("kept")
    for size in range(1000):
        things["a"] = Thing(size)
        things.save("a")
        assert opened(path) == {"kept": Thing(7), "a": Thing(size)}
    assert len(path.read_bytes().splitlines()) <= 15


def test_a_damaged_line_is_told(tmp_path: Path) -> None:
    path = tmp_path / "things"
    path.write_bytes(b'["a",{"size":1}]\n["a",{"size":"large"}]\n')
    with pytest.raises(LedgerDamaged, match="things"):
        opened(path)
