"""Copies of root disks that fail, take long, or are not wanted any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.drivers.hypervisor.base import HypervisorError
from eucapy.drivers.hypervisor.fake import FakeHypervisor
from eucapy.drivers.imaging.base import NoSpace
from eucapy.drivers.imaging.fake import FakeImaging
from eucapy.nc.captures import MOST_TRIES
from eucapy.wire.node import CaptureStatus, Power
from tests.nc.specs import instance
from tests.nc.test_agent import ONE, Host, running

SNAP, OTHER = "snap-00000000000000001", "snap-00000000000000002"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with running(tmp_path) as made:
        await made.wants(instance())
        await made.settle()
        yield made


class Tool:
    """What copies disks: it fills the disk, or takes as long as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tries = 0
        self.full = False
        self.slow = False
        self.cut_short = 0
        flatten, copy = FakeImaging.flatten, FakeHypervisor.copy_disk

        async def off(imaging: FakeImaging, *given: Any) -> None:
            await self._go(None)
            await flatten(imaging, *given)

        async def live(hypervisor: FakeHypervisor, instance_id: str, serial: str, target: str) -> None:
            await self._go(Path(target))
            await copy(hypervisor, instance_id, serial, target)

        monkeypatch.setattr(FakeImaging, "flatten", off)
        monkeypatch.setattr(FakeHypervisor, "copy_disk", live)

    async def _go(self, target: Path | None) -> None:
        self.tries += 1
        if target is not None:
            target.write_bytes(b"half of it")
        if self.full:
            raise NoSpace("No space left on device") if target is None else HypervisorError("No space left on device")
        if self.slow:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cut_short += 1
                raise


@pytest.fixture
def tool(host: Host, monkeypatch: pytest.MonkeyPatch) -> Tool:
    return Tool(monkeypatch)


def left(host: Host) -> list[str]:
    return sorted(path.name for path in (host.folder / "nc" / "instances" / ONE).glob("*capture*"))


async def begun(host: Host, tool: Tool) -> None:
    """Until a copy is under way."""
    activation = asyncio.create_task(host.nc.loop.activate())
    while not tool.tries:  # noqa: ASYNC110
        await asyncio.sleep(0)
    activation.cancel()
    await asyncio.gather(activation, return_exceptions=True)


@pytest.mark.parametrize("run", [True, False])
async def test_a_copy_that_finds_no_room_is_given_up_after_a_few_tries(host: Host, tool: Tool, run: bool) -> None:
    tool.full = True
    await host.wants(instance(run=run, captures=(SNAP,)))
    for _ in range(2 * MOST_TRIES):
        await host.settle()
        host.clock.advance(120)
    seen = await host.look()
    fault = seen.captures[SNAP].fault
    assert fault is not None
    assert (fault.final, "No space left" in fault.message, tool.tries) == (True, True, MOST_TRIES)
    assert (seen.power, seen.fault) == (Power.RUNNING if run else Power.OFF, None)
    assert left(host) == []


async def test_with_room_again_a_copy_is_made_as_if_nothing_had_been(host: Host, tool: Tool) -> None:
    tool.full = True
    await host.wants(instance(captures=(SNAP,)))
    await host.settle()
    assert (await host.look()).captures == {}
    tool.full = False
    host.clock.advance(120)
    await host.settle()
    assert (await host.look()).captures[SNAP].size_bytes > 0


async def test_what_was_given_up_is_forgotten_with_the_wish(host: Host, tool: Tool) -> None:
    tool.full = True
    await host.wants(instance(captures=(SNAP,)))
    for _ in range(2 * MOST_TRIES):
        await host.settle()
        host.clock.advance(120)
    await host.wants(instance())
    await host.settle()
    tool.full = False
    await host.wants(instance(captures=(SNAP,)))
    await host.settle()
    assert (await host.look()).captures == {SNAP: CaptureStatus(size_bytes=left_bytes(host))}


def left_bytes(host: Host) -> int:
    return (host.folder / "nc" / "instances" / ONE / f"{SNAP}.capture").stat().st_size


async def test_a_copy_that_takes_long_keeps_nobody_from_stopping_the_guest(host: Host, tool: Tool) -> None:
    tool.slow = True
    await host.wants(instance(captures=(SNAP,)))
    await begun(host, tool)
    tool.slow = False
    await host.wants(instance(captures=(SNAP,), run=False))
    await host.settle()
    assert ((await host.look()).power, tool.cut_short) == (Power.OFF, 1)
    assert (await host.look()).captures[SNAP].size_bytes > 0


async def test_nor_from_terminating_it(host: Host, tool: Tool) -> None:
    tool.slow = True
    await host.wants(instance(captures=(SNAP,)))
    await begun(host, tool)
    await host.wants(instance(captures=(SNAP,), gone=True))
    await host.settle()
    assert ((await host.look()).power, tool.cut_short) == (Power.GONE, 1)


async def test_nor_from_starting_it_while_it_is_copied_at_rest(host: Host, tool: Tool) -> None:
    await host.wants(instance(run=False))
    await host.settle()
    tool.slow = True
    await host.wants(instance(run=False, captures=(SNAP,)))
    await begun(host, tool)
    tool.slow = False
    await host.wants(instance(starts=2, captures=(SNAP,)))
    await host.settle()
    assert ((await host.look()).power, tool.cut_short) == (Power.RUNNING, 1)
    assert (await host.look()).captures[SNAP].size_bytes > 0


async def test_copies_keep_no_other_guest_from_being_launched(host: Host, tool: Tool) -> None:
    tool.slow = True
    many = [f"i-{number:017d}" for number in range(1, 12)]
    await host.wants(*(instance(name) for name in many))
    await host.settle()
    await host.wants(*(instance(name, captures=(SNAP,)) for name in many))
    await begun(host, tool)
    other = "i-00000000000000099"
    await host.wants(*(instance(name, captures=(SNAP,)) for name in many), instance(other))
    for _ in range(3):
        await host.nc.loop.activate()
    assert (await host.look(other)).power is Power.RUNNING
    await host.wants(instance())


async def test_what_a_killed_life_was_copying_is_removed_when_nobody_wants_it(host: Host, tool: Tool) -> None:
    tool.slow = True
    await host.wants(instance(captures=(SNAP,)))
    await begun(host, tool)
    half = host.folder / "nc" / "instances" / ONE / f".{SNAP}.capture.new"
    await host.nc.stop()
    half.write_bytes(b"as kill -9 would have left it")
    host.start()
    await host.wants(instance())
    await host.settle()
    assert left(host) == [] and not half.exists()
    assert not host.nc._records.get(ONE).captured
