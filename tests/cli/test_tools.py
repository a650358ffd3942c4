"""What the installer puts on the path, and what it tells a person to look at."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from eucapy.cli.faststart import command, running
from eucapy.cli.installation import Installation, Record


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The first cloud of a machine, whose environment has both tools."""
    environment = tmp_path / "environment"
    environment.mkdir()
    for name in ("python", "eucapy", "aws"):
        (environment / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(environment / "python"))
    monkeypatch.setattr(command, "DEFAULT_DATA", tmp_path / "cloud")
    monkeypatch.setenv("PATH", str(environment))
    (tmp_path / "cloud").mkdir()
    (tmp_path / "tools").mkdir()
    return Installation(tmp_path / "cloud")


def test_both_tools_are_linked_and_put_on_record(installation: Installation, tmp_path: Path) -> None:
    record = Record()
    command._link_tools(installation, record, tmp_path / "tools")
    assert sorted(path.name for path in (tmp_path / "tools").iterdir()) == ["aws", "eucapy"]
    assert sorted(record.made) == [str(tmp_path / "tools" / name) for name in ("aws", "eucapy")]


def test_what_the_machine_has_of_that_name_stays(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aws").touch(mode=0o755)
    (tmp_path / "tools" / "eucapy").write_text("somebody else's")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    record = Record()
    command._link_tools(installation, record, tmp_path / "tools")
    assert [path.name for path in (tmp_path / "tools").iterdir()] == ["eucapy"]
    assert (tmp_path / "tools" / "eucapy").read_text() == "somebody else's"
    assert record.made == []


def test_a_second_cloud_leaves_the_tools_to_the_first(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    command._link_tools(Installation(tmp_path / "second"), Record(), tmp_path / "tools")
    assert list((tmp_path / "tools").iterdir()) == []


@pytest.mark.parametrize(
    ("supervised_by", "prefix", "seen"),
    [("own", "euca-", "log/clc.log"), ("systemd", "euca-", "journalctl -u eucapy-clc"),
     ("systemd", "euca1f3-", "journalctl -u eucapy1f3-clc")],
)  # fmt: skip
def test_a_person_is_sent_to_where_the_log_is(
    installation: Installation, supervised_by: str, prefix: str, seen: str
) -> None:
    installation.save(Record(supervised_by=supervised_by, prefix=prefix))
    assert running.where_logged(installation, "clc").endswith(seen)
