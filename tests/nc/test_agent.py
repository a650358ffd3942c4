"""A node controller over a fake host: what is asked for becomes true, whatever dies on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from eucapy.clock import ManualClock
from eucapy.drivers.hypervisor.base import Power as DomainPower
from eucapy.drivers.hypervisor.fake import FakeHypervisor
from eucapy.drivers.imaging.fake import FakeImaging
from eucapy.drivers.proxies.fake import FakeProxies
from eucapy.nc.agent import NodeController
from eucapy.nc.config import Config
from eucapy.wire.contract import Cursor, Refused, Unreachable
from eucapy.wire.node import DiskSpec, End, EphemeralSpec, InstanceSpec, InstanceStatus, NodeSpec, Power, VolumeRoot
from tests.nc.specs import Shelf, instance

ONE = "i-00000000000000001"


class Host:
    """One fake host; its controller can be killed and started again."""

    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.shelf = Shelf()
        self.generation = 0
        self.start()

    def start(self) -> None:
        self.hypervisor = FakeHypervisor(self.folder / "host")
        self.proxies = FakeProxies(self.folder / "proxies")
        config = Config(data=str(self.folder / "nc"), pki="", hypervisor="fake", stop_grace_s=60, terminate_grace_s=10)
        config = msgspec.structs.replace(config, **self.options)
        self.nc = NodeController(config, self.hypervisor, FakeImaging(), self.shelf, self.clock, self.proxies)

    async def wants(self, *instances: InstanceSpec) -> None:
        self.generation += 1
        spec = NodeSpec(generation=self.generation, node="node1", instances={i.instance_id: i for i in instances})
        assert (await self.nc.put_spec(spec)).refused is None

    async def settle(self) -> None:
        """Activate until nothing changes; failures wait their pause out on the manual clock."""
        for _ in range(60):
            if not await self.nc.loop.activate():
                self.clock.advance(2.0)
                if not await self.nc.loop.activate():
                    return
        raise AssertionError("the node does not come to rest")

    async def look(self, name: str = ONE) -> InstanceStatus:
        return (await self.nc.get_status(Cursor(), 0)).instances[name]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Host]:
    host = Host(folder)
    yield host
    await host.nc.stop()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with running(tmp_path) as made:
        yield made


async def test_an_instance_starts_from_a_cached_image(host: Host) -> None:
    await host.wants(instance())
    await host.settle()
    seen = await host.look()
    assert (seen.power, seen.starts, seen.fault) == (Power.RUNNING, 1, None)
    assert seen.started_at > 0


async def test_a_second_instance_does_not_fetch_the_image_again(host: Host) -> None:
    await host.wants(instance(), instance("i-00000000000000002"))
    await host.settle()
    await host.wants(instance(), instance("i-00000000000000002"), instance("i-00000000000000003"))
    await host.settle()
    assert host.shelf.fetches == 1
    assert (await host.look("i-00000000000000003")).power is Power.RUNNING


async def test_stop_asks_the_guest_and_start_brings_the_same_disk_back(host: Host) -> None:
    await host.wants(instance())
    await host.settle()
    disk = host.folder / "nc" / "instances" / ONE / "root.qcow2"
    before = disk.stat().st_ino
    await host.wants(instance(run=False))
    await host.settle()
    seen = await host.look()
    assert (seen.power, seen.end) == (Power.OFF, End.ASKED)
    assert ("shutdown", ONE) in host.hypervisor.calls
    assert ("destroy", ONE) not in host.hypervisor.calls
    await host.wants(instance(starts=2))
    await host.settle()
    assert (await host.look()).power is Power.RUNNING
    assert (await host.look()).starts == 2
    assert disk.stat().st_ino == before


async def test_a_deaf_guest_loses_its_power_when_its_grace_is_over(host: Host) -> None:
    await host.wants(instance())
    await host.settle()
    host.hypervisor.make_deaf(ONE)
    await host.wants(instance(run=False))
    await host.settle()
    assert (await host.look()).power is Power.STOPPING
    host.clock.advance(61)
    await host.settle()
    assert (await host.look()).power is Power.OFF


async def test_a_forced_stop_does_not_ask(host: Host) -> None:
    await host.wants(instance())
    await host.settle()
    await host.wants(instance(run=False, force_stop=True))
    await host.settle()
    assert ("shutdown", ONE) not in host.hypervisor.calls
    assert (await host.look()).power is Power.OFF


async def test_a_guest_that_powers_itself_off_stays_off_and_is_reported(host: Host) -> None:
    await host.wants(instance())
    await host.settle()
    host.hypervisor.guest_powers_off(ONE)
    await host.settle()
    seen = await host.look()
    assert (seen.power, seen.end) == (Power.OFF, End.GUEST)
    await host.wants(instance(starts=2))
    await host.settle()
    assert (await host.look()).power is Power.RUNNING


async def test_a_crashed_guest_is_started_again(host: Host) -> None:
    await host.wants(instance())
    await host.settle()
    host.hypervisor.guest_crashes(ONE)
    await host.settle()
    assert (await host.look()).power is Power.RUNNING


async def test_after_the_host_restarts_every_guest_runs_again_and_those_that_were_off_stay_off(host: Host) -> None:
    await host.wants(instance(), instance("i-00000000000000002", run=False))
    await host.settle()
    host.hypervisor.host_restarts()
    await host.settle()
    assert (await host.look()).power is Power.RUNNING
    assert (await host.look("i-00000000000000002")).power is Power.OFF


async def test_a_reboot_is_asked_for_once_for_each_count(host: Host) -> None:
    await host.wants(instance())
    await host.settle()
    await host.wants(instance(reboots=1))
    await host.settle()
    await host.wants(instance(reboots=3))
    await host.settle()
    assert host.hypervisor.calls.count(("reboot", ONE)) == 2
    assert (await host.look()).reboots == 3


async def test_a_tombstone_removes_everything(host: Host) -> None:
    await host.wants(instance(ephemerals=(EphemeralSpec(name="ephemeral0", device="/dev/sdb", size_gib=4),)))
    await host.settle()
    await host.wants(instance(gone=True))
    await host.settle()
    assert (await host.look()).power is Power.GONE
    assert not (host.folder / "nc" / "instances" / ONE).exists()
    assert await host.hypervisor.observe() == []


async def test_what_a_spec_does_not_name_is_left_alone_and_reported(host: Host) -> None:
    await host.wants(instance())
    await host.settle()
    await host.wants()
    await host.settle()
    status = await host.nc.get_status(Cursor(), 0)
    assert status.strangers == (ONE,)
    assert [domain.power for domain in await host.hypervisor.observe()] == [DomainPower.RUNNING]


async def test_volumes_are_plugged_and_unplugged_while_the_guest_runs(host: Host) -> None:
    disk = DiskSpec(
        volume_id="vol-0123456789abcdef0",
        attachment_id="vatt-1",
        device="/dev/sdf",
        export="nbd+unix:///vol-0123456789abcdef0?socket=/run/x.sock",
    )
    await host.wants(instance())
    await host.settle()
    await host.wants(instance(disks=(disk,)))
    await host.settle()
    assert (await host.look()).disks == ("vatt-1",)
    await host.wants(instance())
    await host.settle()
    assert (await host.look()).disks == ()
    [domain] = await host.hypervisor.observe()
    assert [d.serial for d in domain.disks] == ["root"]


async def test_an_instance_with_a_root_volume_waits_until_it_is_reachable(host: Host) -> None:
    root = VolumeRoot(volume_id="vol-0123456789abcdef0")
    await host.wants(instance(root=root))
    await host.settle()
    assert (await host.look()).power is Power.PENDING
    disk = DiskSpec(
        volume_id=root.volume_id, attachment_id="vatt-1", device="/dev/sda1", export="nbd+unix:///v?socket=/run/v.sock"
    )
    await host.wants(instance(root=root, disks=(disk,)))
    await host.settle()
    assert (await host.look()).power is Power.RUNNING
    assert (await host.look()).disks == ("vatt-1",)


async def test_an_image_that_was_replaced_is_a_final_fault(host: Host) -> None:
    host.shelf.changed = True
    await host.wants(instance())
    await host.settle()
    fault = (await host.look()).fault
    assert fault is not None
    assert fault.final
    assert fault.code == "Changed"


async def test_a_store_that_is_away_is_tried_again(host: Host) -> None:
    host.shelf.away = Unreachable("no answer")
    await host.wants(instance())
    await host.settle()
    fault = (await host.look()).fault
    assert fault is not None
    assert not fault.final
    host.shelf.away = None
    host.clock.advance(120)
    await host.settle()
    assert (await host.look()).power is Power.RUNNING


async def test_one_bad_instance_never_keeps_the_others(host: Host) -> None:
    bad = instance("i-00000000000000002", disks=(
        DiskSpec(volume_id="vol-1", attachment_id="a", device="/dev/sdf", export="http://nonsense"),
    ))  # fmt: skip
    await host.wants(bad, instance())
    await host.settle()
    assert (await host.look()).power is Power.RUNNING
    fault = (await host.look("i-00000000000000002")).fault
    assert fault is not None
    assert fault.code == "BadExport"


async def test_an_older_spec_and_another_one_under_the_same_generation_are_refused(host: Host) -> None:
    await host.wants(instance())
    await host.wants(instance(reboots=1))
    stale = await host.nc.put_spec(NodeSpec(generation=1, node="node1"))
    assert stale.refused is Refused.STALE
    conflict = await host.nc.put_spec(NodeSpec(generation=2, node="node1"))
    assert conflict.refused is Refused.CONFLICT
    later = await host.nc.put_spec(NodeSpec(generation=9, version="0", node="node1"))
    assert later.refused is Refused.INCOMPATIBLE


STORY: list[Callable[[], InstanceSpec]] = [
    instance,
    lambda: instance(reboots=1),
    lambda: instance(reboots=1, run=False),
    lambda: instance(reboots=1, starts=2),
    lambda: instance(reboots=1, starts=2, gone=True),
]


@pytest.mark.parametrize("after", [False, True], ids=["before the deed", "after the deed"])
@pytest.mark.parametrize("step", range(len(STORY)), ids=["launch", "reboot", "stop", "start", "terminate"])
async def test_a_controller_that_dies_at_any_call_comes_to_the_same_end(tmp_path: Path, step: int, after: bool) -> None:
    for number in range(1, 40):
        async with running(tmp_path / str(number)) as host:
            for earlier in STORY[:step]:
                await host.wants(earlier())
                await host.settle()
            host.hypervisor.calls.clear()
            await host.wants(STORY[step]())
            host.hypervisor.fail_at(number, after=after)
            await host.nc.loop.activate()
            await host.nc.stop()
            made = list(host.hypervisor.calls)
            host.start()
            await host.settle()
            made += host.hypervisor.calls
            seen = await host.look()
            want = STORY[step]()
            if want.gone:
                assert seen.power is Power.GONE
            else:
                assert seen.power is (Power.RUNNING if want.run else Power.OFF)
                assert (seen.reboots, seen.fault) == (want.reboots, None)
            if step in (0, 3):
                [domain] = await host.hypervisor.observe()
                assert domain.power is DomainPower.RUNNING
            reached = host.hypervisor.calls == [] or number > 30
        if reached:
            break
