"""The units: each daemon's own file with this cloud's command line, and a target that holds them together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eucapy.cli.faststart import systemd
from eucapy.cli.faststart.programs import Program, programs_of
from eucapy.cli.installation import Installation
from eucapy.run import run_now


@pytest.fixture
def programs(tmp_path: Path) -> list[Program]:
    return programs_of(Installation(tmp_path / "a cloud"))


def test_every_program_has_a_unit_that_runs_this_cloud(programs: list[Program], tmp_path: Path) -> None:
    for program in programs:
        text = systemd.unit_text(program, tmp_path / "a cloud")
        lines = [line for line in text.splitlines() if line.startswith("ExecStart=")]
        assert len(lines) == 1
        assert str(tmp_path / "a cloud") in lines[0]
        assert f"PartOf={systemd.TARGET}" in text
        assert "Restart=always" in text
        assert "StateDirectory" not in text


def test_the_ends_of_what_guests_need_is_not_the_end_of_its_keeper(programs: list[Program], tmp_path: Path) -> None:
    """Guests, volume exports and name servers outlive the program that started them."""
    for program in programs:
        if program.name in ("libvirtd", "sc", "eucanetd"):
            assert "KillMode=process" in systemd.unit_text(program, tmp_path)


def test_a_unit_that_works_with_network_namespaces_has_no_mount_namespace(
    programs: list[Program], tmp_path: Path
) -> None:
    for program in programs:
        if program.name in ("nc", "eucanetd", "libvirtd"):
            text = systemd.unit_text(program, tmp_path)
            settings = [line.partition("=")[0] for line in text.splitlines() if not line.startswith("#")]
            assert [name for name in settings if name.startswith(("Protect", "Private", "ReadWrite"))] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(programs: list[Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(systemd, "_systemctl", lambda *arguments, **_: asked.append(arguments))
    units = tmp_path / "units"
    units.mkdir()
    written = systemd.install(programs, tmp_path / "a cloud", units)
    assert asked == [("daemon-reload",), ("enable", "--quiet", systemd.TARGET)]
    # The folders and the man pages that the units name need not be there for this.
    verdict = run_now("systemd-analyze", "verify", "--man=no", *map(str, written), check=False)
    complaints = [line for line in verdict.stderr.splitlines() if str(units) in line or "eucapy" in line]
    assert complaints == []


def test_words_of_a_command_line_mean_themselves() -> None:
    assert systemd._quoted("/plain/path") == "/plain/path"
    assert systemd._quoted("/a b/100%/$HOME") == '"/a b/100%%/$$HOME"'
