"""The units: each daemon's own file with this cloud's command line, and a target that holds them together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eucapy.cli.faststart import systemd
from eucapy.cli.faststart.programs import Program, programs_of
from eucapy.cli.faststart.systemd import Units
from eucapy.cli.installation import Installation, Record
from eucapy.run import run_now


@pytest.fixture
def programs(tmp_path: Path) -> list[Program]:
    return programs_of(Installation(tmp_path / "a cloud"))


@pytest.fixture
def units(programs: list[Program], tmp_path: Path) -> Units:
    folder = tmp_path / "units"
    folder.mkdir()
    return Units(programs, tmp_path / "a cloud", folder=folder)


def test_every_program_has_a_unit_that_runs_this_cloud(programs: list[Program], units: Units, tmp_path: Path) -> None:
    for program in programs:
        text = units.text(program)
        lines = [line for line in text.splitlines() if line.startswith("ExecStart=")]
        assert len(lines) == 1
        assert str(tmp_path / "a cloud") in lines[0]
        assert "PartOf=eucapy.target" in text
        assert "Restart=always" in text
        assert "StartLimitIntervalSec=0" in text, "systemd would give a program up that ends five times in ten seconds"
        assert "StateDirectory" not in text
        assert "RuntimeDirectory" not in text, "it would be left behind"


def test_a_unit_names_no_folder_of_another_cloud(programs: list[Program], units: Units) -> None:
    """systemd does not start a unit whose ReadWritePaths are not there."""
    for program in programs:
        settings = [line for line in units.text(program).splitlines() if not line.startswith("#")]
        assert [line for line in settings if "/var/lib/eucapy" in line or "/opt/" in line] == []


def test_what_guests_need_does_not_end_with_its_keeper(programs: list[Program], units: Units) -> None:
    """Guests, volume exports, their proxies and name servers outlive the program that started them."""
    for program in programs:
        if program.name in ("libvirtd", "sc", "nc", "eucanetd"):
            assert "KillMode=process" in units.text(program)


def test_a_unit_that_works_with_network_namespaces_has_no_mount_namespace(
    programs: list[Program], units: Units
) -> None:
    for program in programs:
        if program.name in ("nc", "eucanetd", "libvirtd"):
            text = units.text(program)
            settings = [line.partition("=")[0] for line in text.splitlines() if not line.startswith("#")]
            assert [name for name in settings if name.startswith(("Protect", "Private", "ReadWrite"))] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(units: Units, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(systemd, "_systemctl", lambda *arguments, **_: asked.append(arguments))
    written = units.install()
    assert asked == [("daemon-reload",), ("enable", "--quiet", "eucapy.target")]
    # The folders and the man pages that the units name need not be there for this.
    verdict = run_now("systemd-analyze", "verify", "--man=no", *map(str, written), check=False)
    assert [line for line in verdict.stderr.splitlines() if "eucapy" in line] == []


def test_removing_leaves_no_unit_behind(units: Units, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "_systemctl", lambda *arguments, **_: None)
    assert units.install()
    units.remove()
    assert list((tmp_path / "units").iterdir()) == []


def test_two_clouds_on_one_host_have_units_of_different_names(programs: list[Program], tmp_path: Path) -> None:
    first = Units.of(Installation(tmp_path / "a"), Record(prefix="euca-"))
    second = Units.of(Installation(tmp_path / "b"), Record(prefix="euca1f3-"))
    assert first.target == "eucapy.target"
    assert second.target == "eucapy1f3.target"
    assert {first.name(program) for program in programs}.isdisjoint(second.name(program) for program in programs)


def test_words_of_a_command_line_mean_themselves() -> None:
    assert systemd._quoted("/plain/path") == "/plain/path"
    assert systemd._quoted("/a b/100%/$HOME") == '"/a b/100%%/$$HOME"'
