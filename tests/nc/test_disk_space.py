"""A node whose disk fills: consoles are kept short, and what found no room is said and done when there is room."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.drivers.imaging.base import NoSpace
from eucapy.drivers.imaging.fake import FakeImaging
from eucapy.ledger import Ledger
from eucapy.nc.records import Record
from eucapy.wire.node import Power
from tests.nc.specs import instance
from tests.nc.test_agent import ONE, Host, running

MIB = 1 << 20
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
async def host(tmp_path: Path) -> Any:
    async with running(tmp_path) as made:
        yield made


def console(host: Host) -> Path:
    return host.folder / "nc" / "instances" / ONE / "console.log"


def occupied(path: Path) -> int:
    return path.stat().st_blocks * 512


async def test_a_guest_that_writes_without_end_fills_no_disk(host: Host) -> None:
    await host.wants(instance())
    await host.settle()
    for number in range(5):
        host.hypervisor.guest_writes(ONE, "x" * 2 * MIB + f"\nround {number}\n")
        assert await host.nc.consoles.activate()
        assert occupied(console(host)) < 2 * MIB
    newest = await host.hypervisor.console_output(ONE, MIB // 2)
    assert newest.endswith(b"round 4\n") and len(newest) == MIB // 2


async def test_a_console_that_is_short_is_left_alone(host: Host) -> None:
    await host.wants(instance())
    await host.settle()
    host.hypervisor.guest_writes(ONE, "y" * MIB)
    assert not await host.nc.consoles.activate()
    assert occupied(console(host)) >= MIB


async def test_a_hypervisor_that_is_away_keeps_no_other_console_long(host: Host) -> None:
    """It is tried again at the next round."""
    await host.wants(instance())
    await host.settle()
    host.hypervisor.guest_writes(ONE, "x" * 3 * MIB)
    host.hypervisor.hang(True)
    assert not await host.nc.consoles.activate()
    host.hypervisor.hang(False)
    assert await host.nc.consoles.activate()
    assert occupied(console(host)) < 2 * MIB


class Disk:
    """Where room is missing: the image cache, the guests' disks, or the node's own notes."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host, self.full = host, ""
        overlay, write = FakeImaging.overlay, Ledger.write

        async def make(imaging: FakeImaging, *given: Any) -> None:
            if self.full == "disks":
                raise NoSpace("qemu-img: No space left on device")
            await overlay(imaging, *given)

        def note(ledger: Ledger[Any], value: Any) -> None:
            if self.full == "notes" and isinstance(value, Record):
                raise FULL
            write(ledger, value)

        monkeypatch.setattr(FakeImaging, "overlay", make)
        monkeypatch.setattr(Ledger, "write", note)

    def fill(self, where: str) -> None:
        self.full = where
        self.host.shelf.away = FULL if where == "images" else None


@pytest.fixture
def disk(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    yield Disk(host, monkeypatch)


@pytest.mark.parametrize("where", ["images", "disks", "notes"])
async def test_a_launch_that_finds_no_room_says_so_and_goes_on_when_there_is_room(
    host: Host, disk: Disk, where: str
) -> None:
    disk.fill(where)
    await host.wants(instance())
    await host.settle()
    seen = await host.look()
    assert seen.fault is not None
    assert (seen.power, seen.fault.code, seen.fault.final) == (Power.PENDING, "NoSpace", False)
    assert "No space left" in seen.fault.message
    disk.fill("")
    host.clock.advance(120)
    await host.settle()
    seen = await host.look()
    assert (seen.power, seen.fault) == (Power.RUNNING, None)


async def test_a_guest_that_runs_is_told_apart_from_one_that_finds_no_room(host: Host, disk: Disk) -> None:
    await host.wants(instance())
    await host.settle()
    disk.fill("disks")
    second = "i-00000000000000002"
    await host.wants(instance(), instance(second))
    await host.settle()
    assert ((await host.look()).power, (await host.look()).fault) == (Power.RUNNING, None)
    assert (await host.look(second)).fault is not None


async def test_a_stop_needs_no_room(host: Host, disk: Disk) -> None:
    """The power goes even while nothing can be written down; the note is made up for."""
    await host.wants(instance())
    await host.settle()
    disk.fill("notes")
    await host.wants(instance(run=False))
    await host.settle()
    [domain] = await host.hypervisor.observe()
    assert domain.power == "off"
    disk.fill("")
    host.clock.advance(120)
    await host.settle()
    seen = await host.look()
    assert (seen.power, seen.fault) == (Power.OFF, None)
