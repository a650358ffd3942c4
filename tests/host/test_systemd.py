"""The cloud under systemd, for real: units that come back, guests that outlive them, a reboot, and nothing left behind.

On a machine booted for this (`tests/harness/booted.py`); the tests follow each other.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from eucapy.cli.faststart.programs import programs_of
from eucapy.cli.faststart.systemd import Units
from eucapy.cli.installation import Installation
from eucapy.run import Result
from tests.harness.booted import Booted, booted
from tests.harness.starter import cache_folder, starter_image
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.timeout(900)]
DATA = Path("/var/lib/eucapy-booted")


class Cloud:
    """The cloud on the booted machine."""

    def __init__(self, machine: Booted) -> None:
        self.machine = machine
        self.seen = Installation(machine.root / DATA.relative_to("/"))
        """The installation, seen from outside; it names paths as they are inside."""

    def faststart(self, *arguments: str, check: bool = True) -> Result:
        argv = (sys.executable, "-m", "eucapy.cli.faststart", *arguments, "--unattended", "--data", str(DATA))
        return self.machine.run("env", f"PYTHONPATH={sys.path[0]}", *argv, check=check, timeout_s=600)

    @property
    def units(self) -> list[str]:
        record = self.seen.record()
        units = Units.of(Installation(DATA), record)
        return [units.name(program) for program in programs_of(Installation(DATA))]

    def states(self) -> list[str]:
        return self.machine.run("systemctl", "is-active", *self.units, check=False).stdout.split()

    def was_restarted(self, times: int) -> bool:
        """Whether every unit was started again so many times, and runs."""
        said = self.machine.run("systemctl", "show", "--property=NRestarts", "--value", *self.units).stdout
        return said.split() == [str(times)] * len(self.units) and set(self.states()) == {"active"}

    def is_well(self) -> bool:
        return self.faststart("status", check=False).status == 0

    def guests(self) -> list[str]:
        """The process ids of its QEMU processes."""
        return self.machine.run("pgrep", "qemu-system", check=False).stdout.split()


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    starter_image()
    with booted() as machine:
        cloud = Cloud(machine)
        # Built already, and there is no network to build it from.
        shutil.copytree(cache_folder(), machine.root / DATA.relative_to("/") / "images", ignore=_not_images)
        yield cloud


def _not_images(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if Path(folder) == cache_folder() and not name.startswith(("starter-", "kernel-"))}


def test_every_program_is_a_unit_and_a_guest_lets_us_in(cloud: Cloud) -> None:
    said = cloud.faststart().stdout
    assert "kept running by systemd" in said
    assert "ssh -i" in said, "which it says after it has logged in"
    assert cloud.states() == ["active"] * len(cloud.units)
    assert len(cloud.guests()) == 1


def test_a_unit_is_never_given_up_and_guests_outlive_all_of_them(cloud: Cloud) -> None:
    """Six times in a row: systemd's own limit would be five in ten seconds."""
    guests = cloud.guests()
    for time in range(1, 7):
        cloud.machine.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", *cloud.units)
        wait_until(partial(cloud.was_restarted, time), limit_s=120)
    wait_until(cloud.is_well, limit_s=120)
    assert cloud.guests() == guests


def test_stopping_ends_the_programs_and_not_the_guests(cloud: Cloud) -> None:
    guests = cloud.guests()
    cloud.faststart("stop")
    assert cloud.states() == ["inactive"] * len(cloud.units)
    assert cloud.guests() == guests
    cloud.faststart("start")
    assert cloud.is_well()
    assert cloud.guests() == guests


def test_after_a_power_cut_the_boot_brings_everything_back(cloud: Cloud) -> None:
    cloud.machine.power_off()
    cloud.machine.boot()
    wait_until(cloud.is_well, limit_s=180)
    wait_until(cloud.guests, limit_s=120)


def test_cleaning_leaves_nothing(cloud: Cloud) -> None:
    units, machine = cloud.units, cloud.machine
    cloud.faststart("clean")
    assert machine.run("systemctl", "list-unit-files", "--no-legend", "eucapy*", check=False).stdout == ""
    assert machine.run("systemctl", "list-units", "--all", "--no-legend", "--plain", *units, check=False).stdout == ""
    assert machine.run("find", "/etc/systemd", "/run", "-name", "*eucapy*", check=False).stdout == ""
    assert machine.run("ip", "netns", "list").stdout == ""
    assert machine.run("nft", "list", "ruleset").stdout == ""
    assert cloud.guests() == []
    assert not cloud.seen.data.exists()
