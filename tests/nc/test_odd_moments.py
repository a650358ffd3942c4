"""What a node meets once in years: a clock that is set back, a cached image that rots, a disk that stays away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from eucapy import diskimage
from eucapy.drivers.hypervisor.base import DomainStatus, Power
from eucapy.nc import planner
from eucapy.nc.agent import RESUME_PAUSE_S
from eucapy.nc.image_cache import ImageCache
from eucapy.nc.records import Record
from eucapy.wire.node import ObjectSource
from eucapy.wire.node import Power as Reported
from tests.nc.specs import instance
from tests.nc.test_agent import ONE, Host, running
from tests.nc.test_planner import GRACES, NOW, seen


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with running(tmp_path) as made:
        yield made


def test_a_clock_that_is_set_back_makes_no_stop_last_for_hours() -> None:
    running_guest = DomainStatus(instance_id=ONE, uuid="ec2", power=Power.RUNNING)
    asked = Record(instance_id=ONE, starts=1, asked_at=NOW + 3600)
    steps = planner.plan(instance(run=False), seen(domain=running_guest, record=asked), GRACES)
    assert steps == [planner.Ask(), planner.Wait(GRACES.stop_s, "the guest is asked to shut down")]


class Qcow2Shelf:
    """An object store for one qcow2 image."""

    def __init__(self) -> None:
        self.fetches = 0

    async def fetch(self, source: ObjectSource, into: Path, progress: Callable[[int], None]) -> None:
        self.fetches += 1
        into.write_bytes(diskimage.empty_qcow2(1 << 30))


@pytest.mark.parametrize("left", [b"", b"QFI\xfb" + bytes(60)], ids=["emptied", "overwritten"])
async def test_a_cached_image_that_was_spoiled_is_fetched_anew(tmp_path: Path, left: bytes) -> None:
    size_bytes = len(diskimage.empty_qcow2(1 << 30))
    source = ObjectSource(bucket="images", key="k", etag="e", size_bytes=size_bytes, format="qcow2")
    shelf = Qcow2Shelf()

    async def cached() -> Path:
        cache = ImageCache(tmp_path, shelf, 1, lambda: None)
        if cache.find(source) is None:
            cache.fetch(source)
            await cache.settle(source, 10)
        found = cache.find(source)
        assert found is not None
        return found.path

    path = await cached()
    path.chmod(0o600)
    path.write_bytes(left)
    assert (await cached()).read_bytes() == diskimage.empty_qcow2(1 << 30)
    assert shelf.fetches == 2


async def test_a_guest_whose_disk_stays_away_is_not_let_go_on_without_end(host: Host) -> None:
    await host.wants(instance())
    await host.settle()
    for _ in range(20):
        host.hypervisor.disk_fails(ONE, "root")
        await host.nc.loop.activate()
    assert host.hypervisor.calls.count(("resume", ONE)) == 1
    host.clock.advance(RESUME_PAUSE_S)
    await host.nc.loop.activate()
    assert host.hypervisor.calls.count(("resume", ONE)) == 2
    assert (await host.look()).power is Reported.RUNNING


async def test_a_guest_that_waits_for_its_disk_can_be_stopped_at_once(host: Host) -> None:
    await host.wants(instance())
    await host.settle()
    for _ in range(3):
        host.hypervisor.disk_fails(ONE, "root")
        await host.nc.loop.activate()
    await host.wants(instance(run=False))
    await host.nc.loop.activate()
    assert (await host.look()).power is Reported.OFF
