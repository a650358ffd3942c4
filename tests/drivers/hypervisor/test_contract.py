"""What every hypervisor driver promises (`eucapy/drivers/hypervisor/base.py`), asked of the fake and of libvirt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from eucapy.drivers.hypervisor.base import (
    Disk,
    DiskConflict,
    DomainNotFound,
    Event,
    EventKind,
    FileSource,
    HypervisorError,
    Nic,
    Power,
    Reason,
)
from tests.drivers.hypervisor.benches import Bench, LibvirtBench


@asynccontextmanager
async def heard(bench: Bench) -> AsyncIterator[list[Event]]:
    """The events of the driver, as they come."""
    events: list[Event] = []

    async def listen() -> None:
        async for event in bench.driver.events():
            events.append(event)

    task = asyncio.create_task(listen())

    async def connected() -> bool:
        return any(event.kind is EventKind.CONNECTED for event in events)

    # An already open connection has nothing to tell; the first verb of a new driver opens it.
    try:
        await bench.until("connected", connected)
        yield events
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def hears(bench: Bench, events: list[Event], kind: EventKind, instance_id: str, detail: str = "") -> None:
    async def holds() -> bool:
        return any((e.kind, e.instance_id, e.detail) == (kind, instance_id, detail) for e in events)

    await bench.until(f"{kind} of {instance_id}", holds)


async def test_one_domain_is_seen_as_among_all(bench: Bench) -> None:
    spec = bench.spec("i-1")
    assert await bench.driver.observe_one(spec.instance_id) is None
    await bench.driver.ensure_defined(spec)
    assert [await bench.driver.observe_one(spec.instance_id)] == await bench.driver.observe()


async def test_capabilities_describe_the_host(bench: Bench) -> None:
    found = await bench.driver.capabilities()
    assert found.cpus >= 1
    assert found.memory_mib >= 512
    assert "x86_64" in found.architectures
    assert found.acceleration_reason
    assert await bench.driver.capabilities() == found


async def test_a_definition_is_observed_as_it_was_given(bench: Bench) -> None:
    spec = bench.spec(
        "i-defined",
        bench.disk("root"),
        msgspec.structs.replace(bench.disk("data"), read_only=True),
        nics=(Nic(mac="52:54:00:aa:00:01", tap="tap-a"), Nic(mac="52:54:00:aa:00:02", tap="tap-b", mtu=1400)),
        vcpus=2,
        memory_mib=256,
        labels={"starts": "3", "note": "<&>"},
    )
    await bench.driver.ensure_defined(spec)
    seen = await bench.seen("i-defined")
    assert seen is not None
    assert (seen.power, seen.reason) == (Power.OFF, Reason.UNKNOWN)
    assert (seen.uuid, seen.vcpus, seen.memory_mib) == (spec.uuid, 2, 256)
    assert (seen.disks, seen.nics, seen.labels) == (spec.disks, spec.nics, spec.labels)


async def test_defining_again_changes_the_definition(bench: Bench) -> None:
    await bench.driver.ensure_defined(bench.spec("i-1"))
    await bench.driver.ensure_defined(bench.spec("i-1", memory_mib=256))
    (seen,) = await bench.driver.observe()
    assert seen.memory_mib == 256


async def test_defining_a_running_domain_is_for_its_next_start(bench: Bench) -> None:
    spec = await bench.blank("i-1")
    await bench.driver.ensure_defined(msgspec.structs.replace(spec, memory_mib=256))
    (running,) = await bench.driver.observe()
    assert (running.power, running.memory_mib) == (Power.RUNNING, 192)
    await bench.driver.destroy("i-1")
    await bench.driver.start("i-1")
    (running,) = await bench.driver.observe()
    assert (running.power, running.memory_mib) == (Power.RUNNING, 256)


async def test_another_incarnation_replaces_one_that_is_off_but_not_one_that_runs(bench: Bench) -> None:
    spec = await bench.blank("i-1")
    other = msgspec.structs.replace(spec, uuid="ec200000-1111-4000-8000-000000000000")
    with pytest.raises(HypervisorError):
        await bench.driver.ensure_defined(other)
    await bench.driver.destroy("i-1")
    await bench.driver.ensure_defined(other)
    (seen,) = await bench.driver.observe()
    assert seen.uuid == other.uuid


async def test_verbs_on_a_domain_that_is_not_there_say_so(bench: Bench) -> None:
    driver = bench.driver
    calls = [
        driver.start("i-none"),
        driver.shutdown("i-none"),
        driver.destroy("i-none"),
        driver.reboot("i-none"),
        driver.reset("i-none"),
        driver.resume("i-none"),
        driver.attach_disk("i-none", bench.disk("vol1")),
        driver.detach_disk("i-none", "vol1"),
        driver.attach_nic("i-none", Nic(mac="52:54:00:aa:00:01", tap="t")),
        driver.detach_nic("i-none", "t"),
        driver.console_output("i-none"),
        driver.trim_console("i-none"),
        driver.screenshot("i-none"),
        driver.sensors("i-none"),
    ]
    for call in calls:
        with pytest.raises(DomainNotFound) as raised:
            await call
        assert raised.value.instance_id == "i-none"
    await driver.undefine("i-none")


async def test_start_and_destroy_are_idempotent(bench: Bench) -> None:
    await bench.blank("i-1")
    await bench.driver.start("i-1")
    (seen,) = await bench.driver.observe()
    assert (seen.power, seen.reason) == (Power.RUNNING, Reason.NONE)
    for _ in range(2):
        await bench.driver.destroy("i-1")
        (seen,) = await bench.driver.observe()
        assert (seen.power, seen.reason) == (Power.OFF, Reason.DESTROYED)


async def test_power_verbs_leave_a_domain_that_is_off_alone(bench: Bench) -> None:
    await bench.driver.ensure_defined(bench.spec("i-1"))
    for verb in (bench.driver.shutdown, bench.driver.reboot, bench.driver.reset, bench.driver.resume):
        await verb("i-1")
    (seen,) = await bench.driver.observe()
    assert seen.power is Power.OFF


async def test_a_disk_that_is_not_there_fails_the_start_and_only_it(bench: Bench) -> None:
    gone = Disk(serial="gone", source=FileSource(str(bench.folder / "gone.raw"), "raw"))
    await bench.driver.ensure_defined(bench.spec("i-1", gone))
    with pytest.raises(HypervisorError):
        await bench.driver.start("i-1")
    (seen,) = await bench.driver.observe()
    assert seen.power is Power.OFF
    bench.disk("gone")
    await bench.driver.start("i-1")


async def test_undefine_removes_a_running_domain_and_leaves_its_files(bench: Bench) -> None:
    spec = await bench.blank("i-1")
    for _ in range(2):
        await bench.driver.undefine("i-1")
        assert await bench.driver.observe() == []
    assert Path(spec.console_log).exists()
    root = spec.disks[0].source
    assert isinstance(root, FileSource)
    assert Path(root.path).exists()


async def test_a_guest_without_ears_keeps_running(bench: Bench) -> None:
    await bench.blank("i-1")
    await bench.driver.shutdown("i-1")
    await bench.driver.reboot("i-1")
    await bench.driver.reset("i-1")
    (seen,) = await bench.driver.observe()
    assert seen.power is Power.RUNNING


async def test_a_disk_is_attached_once_and_for_good(bench: Bench) -> None:
    await bench.blank("i-1")
    disk = bench.disk("vol0123456789abcdef0")
    for _ in range(2):
        await bench.driver.attach_disk("i-1", disk)
        (seen,) = await bench.driver.observe()
        assert disk in seen.disks
        assert len(seen.disks) == 2
    await bench.driver.destroy("i-1")
    await bench.driver.start("i-1")
    (seen,) = await bench.driver.observe()
    assert disk in seen.disks


async def test_a_disk_is_attached_to_a_domain_that_is_off(bench: Bench) -> None:
    await bench.driver.ensure_defined(bench.spec("i-1"))
    await bench.driver.attach_disk("i-1", bench.disk("vol1"))
    (seen,) = await bench.driver.observe()
    assert bench.disk("vol1") in seen.disks
    await bench.driver.detach_disk("i-1", "vol1")
    (seen,) = await bench.driver.observe()
    assert [disk.serial for disk in seen.disks] == ["i-1-root"]


async def test_the_same_serial_over_another_source_is_refused(bench: Bench) -> None:
    await bench.blank("i-1")
    await bench.driver.attach_disk("i-1", bench.disk("vol1"))
    other = msgspec.structs.replace(bench.disk("vol1"), source=bench.disk("vol2").source)
    with pytest.raises(DiskConflict):
        await bench.driver.attach_disk("i-1", other)


async def test_an_attach_that_fails_leaves_nothing(bench: Bench) -> None:
    await bench.blank("i-1")
    gone = Disk(serial="gone", source=FileSource(str(bench.folder / "gone.raw"), "raw"))
    with pytest.raises(HypervisorError):
        await bench.driver.attach_disk("i-1", gone)
    (seen,) = await bench.driver.observe()
    assert gone not in seen.disks
    await bench.driver.destroy("i-1")
    await bench.driver.start("i-1")
    (seen,) = await bench.driver.observe()
    assert gone not in seen.disks


async def test_many_disks_come_and_go(bench: Bench) -> None:
    await bench.driver.ensure_defined(bench.spec("i-1"))
    disks = [bench.disk(f"vol{number}") for number in range(12)]
    for disk in disks:
        await bench.driver.attach_disk("i-1", disk)
    await bench.driver.detach_disk("i-1", "vol3")
    await bench.driver.attach_disk("i-1", disks[3])
    await bench.driver.start("i-1")
    (seen,) = await bench.driver.observe()
    assert {disk.serial for disk in seen.disks} == {"i-1-root", *(disk.serial for disk in disks)}


async def test_a_disk_behind_nbd_is_attached_and_observed(bench: Bench) -> None:
    await bench.blank("i-1")
    disk = await bench.nbd_disk("vol-nbd")
    await bench.driver.attach_disk("i-1", disk)
    await bench.driver.attach_disk("i-1", disk)
    (seen,) = await bench.driver.observe()
    assert disk in seen.disks


async def test_a_disk_that_the_guest_keeps_is_left_out_at_the_next_start(bench: Bench) -> None:
    await bench.blank("i-1")
    await bench.driver.attach_disk("i-1", bench.disk("vol1"))
    for _ in range(2):  # asking again while the guest still has it is no error
        await bench.driver.detach_disk("i-1", "vol1")
        (seen,) = await bench.driver.observe()
        assert bench.disk("vol1") in seen.disks
    await bench.driver.detach_disk("i-1", "unknown")
    await bench.driver.destroy("i-1")
    await bench.driver.start("i-1")
    (seen,) = await bench.driver.observe()
    assert bench.disk("vol1") not in seen.disks


async def test_the_console_log_is_read_from_its_end_and_trimmed_at_its_beginning(bench: Bench) -> None:
    spec = await bench.blank("i-1")
    _append(Path(spec.console_log), b"old\n" * (1 << 20) + b"the newest line\n")
    assert (await bench.driver.console_output("i-1", 16)) == b"the newest line\n"
    assert len(await bench.driver.console_output("i-1", 1000)) == 1000
    before = Path(spec.console_log).stat().st_blocks
    await bench.driver.trim_console("i-1", 65536)
    assert Path(spec.console_log).stat().st_blocks < before / 8
    assert (await bench.driver.console_output("i-1", 16)) == b"the newest line\n"


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(data)


async def test_the_screen_is_a_picture_while_the_domain_runs(bench: Bench) -> None:
    await bench.blank("i-1")
    picture = await bench.driver.screenshot("i-1")
    assert picture.media_type == "image/png"
    assert picture.content.startswith(b"\x89PNG\r\n")
    await bench.driver.destroy("i-1")
    with pytest.raises(HypervisorError):
        await bench.driver.screenshot("i-1")


async def test_sensors_count_time_and_disks(bench: Bench) -> None:
    await bench.blank("i-1")
    values = await bench.driver.sensors("i-1")
    assert values["cpu.time"] > 0
    assert values["block.count"] == 1
    await bench.driver.destroy("i-1")
    assert isinstance(await bench.driver.sensors("i-1"), dict)


async def test_events_tell_what_happens(bench: Bench) -> None:
    async with heard(bench) as events:
        await bench.blank("i-1")
        await hears(bench, events, EventKind.DEFINED, "i-1")
        await hears(bench, events, EventKind.STARTED, "i-1")
        await bench.driver.attach_disk("i-1", bench.disk("vol1"))
        await hears(bench, events, EventKind.DISK_ADDED, "i-1", "vol1")
        await bench.driver.destroy("i-1")
        await hears(bench, events, EventKind.STOPPED, "i-1")
        await bench.driver.undefine("i-1")
        await hears(bench, events, EventKind.UNDEFINED, "i-1")


async def test_close_ends_the_events(bench: Bench) -> None:
    async with heard(bench):
        events = bench.driver.events()
        reading = asyncio.create_task(_drain(events))
        await asyncio.sleep(0)
        await bench.driver.close()
        async with asyncio.timeout(30):
            await reading
    await bench.restart()


async def _drain(events: AsyncIterator[Event]) -> None:
    async for _ in events:
        pass


async def test_domains_outlive_the_hypervisors_daemon(bench: Bench) -> None:
    await bench.blank("i-runs")
    await bench.driver.attach_disk("i-runs", bench.disk("vol1"))
    await bench.driver.ensure_defined(bench.spec("i-off"))
    before = sorted(await bench.driver.observe(), key=lambda item: item.instance_id)
    await bench.restart()
    after = sorted(await bench.driver.observe(), key=lambda item: item.instance_id)
    assert [(item.instance_id, item.power, item.disks) for item in after] == [
        (item.instance_id, item.power, item.disks) for item in before
    ]


async def test_a_living_guest_reboots_when_asked(bench: Bench) -> None:
    async with heard(bench) as events:
        await bench.living("i-1")
        await bench.driver.reboot("i-1")
        await bench.until_console("i-1", "READY", times=2)
        await hears(bench, events, EventKind.REBOOTED, "i-1")
        (seen,) = await bench.driver.observe()
        assert (seen.power, seen.reason) == (Power.RUNNING, Reason.NONE)


async def test_a_living_guest_obeys_the_power_button_and_starts_again(bench: Bench) -> None:
    await bench.living("i-1")
    await bench.driver.shutdown("i-1")
    seen = await bench.until_power("i-1", Power.OFF)
    assert seen.reason is Reason.SHUTDOWN
    await bench.driver.start("i-1")
    await bench.until_console("i-1", "READY", times=2)


async def test_a_living_guest_lets_go_of_a_disk(bench: Bench) -> None:
    async with heard(bench) as events:
        await bench.living("i-1")
        await bench.driver.attach_disk("i-1", bench.disk("vol0123456789abcdef0"))
        if isinstance(bench, LibvirtBench):
            await bench.until_console("i-1", "disk vdb added: 16 MiB, serial vol0123456789abcdef0")
        await bench.driver.detach_disk("i-1", "vol0123456789abcdef0")
        await hears(bench, events, EventKind.DISK_REMOVED, "i-1", "vol0123456789abcdef0")
        (seen,) = await bench.driver.observe()
        assert len(seen.disks) == 1


async def test_a_living_guest_gets_a_network_card_and_lets_go_of_it(bench: Bench) -> None:
    card = Nic(mac="52:54:00:aa:00:02", tap="ev-nic-2", mtu=1400)
    async with heard(bench) as events:
        await bench.living("i-1")
        for _ in range(2):
            await bench.driver.attach_nic("i-1", card)
            (seen,) = await bench.driver.observe()
            assert seen.nics == (card,)

        async def let_go() -> bool:
            # One that has not noticed the card yet does not hear that it shall go.
            await bench.driver.detach_nic("i-1", card.tap)
            (seen,) = await bench.driver.observe()
            return seen.nics == ()

        await bench.until("the card is gone", let_go)
        await hears(bench, events, EventKind.NIC_REMOVED, "i-1", card.tap)
        await bench.driver.detach_nic("i-1", card.tap)
        await bench.driver.attach_nic("i-1", card)  # the same tap again
        (seen,) = await bench.driver.observe()
        assert seen.nics == (card,)


async def test_a_network_card_comes_and_goes_with_the_next_start(bench: Bench) -> None:
    await bench.driver.ensure_defined(bench.spec("i-1"))
    card = Nic(mac="52:54:00:aa:00:03", tap="ev-nic-3")
    for _ in range(2):
        await bench.driver.attach_nic("i-1", card)
    (seen,) = await bench.driver.observe()
    assert seen.nics == (card,)
    for _ in range(2):
        await bench.driver.detach_nic("i-1", card.tap)
    (seen,) = await bench.driver.observe()
    assert seen.nics == ()


async def test_a_crash_is_told_from_a_shutdown(bench: Bench) -> None:
    async with heard(bench) as events:
        await bench.blank("i-1")
        await bench.crash("i-1")
        seen = await bench.until_power("i-1", Power.OFF)
        assert seen.reason is Reason.CRASHED
        await hears(bench, events, EventKind.CRASHED, "i-1")
