"""What the fake promises beside the contract: it is a host that survives, and it fails where it is told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from eucapy.drivers.hypervisor.base import Disk, DomainSpec, FileSource, HypervisorUnavailable, Power, Reason
from eucapy.drivers.hypervisor.fake import FakeHypervisor


def spec(folder: Path, instance_id: str = "i-1") -> DomainSpec:
    return DomainSpec(
        instance_id=instance_id,
        uuid="ec200000-0000-4000-8000-000000000001",
        vcpus=1,
        memory_mib=512,
        disks=(Disk(serial="root", source=FileSource("/nowhere")),),
        console_log=str(folder / "console" / instance_id),
    )


async def test_machines_run_on_in_a_new_process(tmp_path: Path) -> None:
    fake = FakeHypervisor(tmp_path / "host")
    await fake.ensure_defined(spec(tmp_path))
    await fake.start("i-1")
    fake.make_deaf("i-1")
    again = FakeHypervisor(tmp_path / "host")
    await again.shutdown("i-1")
    (seen,) = await again.observe()
    assert seen.power is Power.RUNNING


async def test_after_a_power_cut_every_machine_is_off_for_an_unknown_reason(tmp_path: Path) -> None:
    fake = FakeHypervisor(tmp_path / "host")
    for instance_id in ("i-1", "i-2"):
        await fake.ensure_defined(spec(tmp_path, instance_id))
        await fake.start(instance_id)
    fake.host_restarts()
    assert {(item.power, item.reason) for item in await FakeHypervisor(tmp_path / "host").observe()} == {
        (Power.OFF, Reason.UNKNOWN)
    }


@pytest.mark.parametrize("after", [False, True])
async def test_the_chosen_verb_fails_once_before_or_after_its_effect(tmp_path: Path, after: bool) -> None:
    fake = FakeHypervisor(tmp_path / "host")
    await fake.ensure_defined(spec(tmp_path))
    fake.fail_at(2, after=after)
    await fake.observe()
    with pytest.raises(HypervisorUnavailable):
        await fake.start("i-1")
    (seen,) = await fake.observe()
    assert seen.power is (Power.RUNNING if after else Power.OFF)
    await fake.start("i-1")


async def test_a_launch_repeated_after_a_failure_anywhere_ends_the_same(tmp_path: Path) -> None:
    for number in range(1, 5):
        for after in (False, True):
            fake = FakeHypervisor(tmp_path / f"host-{number}-{after}")
            fake.fail_at(number, after=after)
            for _ in range(2):
                try:
                    await fake.ensure_defined(spec(tmp_path))
                    await fake.start("i-1")
                    await fake.attach_disk("i-1", Disk(serial="vol1", source=FileSource("/v")))
                    await fake.detach_disk("i-1", "vol1")
                except HypervisorUnavailable:
                    continue
            (seen,) = await fake.observe()
            assert (seen.power, [disk.serial for disk in seen.disks]) == (Power.RUNNING, ["root"])


async def test_a_hypervisor_that_is_away_answers_nothing(tmp_path: Path) -> None:
    fake = FakeHypervisor(tmp_path / "host")
    fake.hang(True)
    with pytest.raises(HypervisorUnavailable):
        await fake.observe()
    fake.hang(False)
    assert await fake.observe() == []


async def test_a_guest_paused_by_its_disk_goes_on_when_resumed(tmp_path: Path) -> None:
    fake = FakeHypervisor(tmp_path / "host")
    await fake.ensure_defined(spec(tmp_path))
    await fake.start("i-1")
    fake.disk_fails("i-1", "root")
    (seen,) = await fake.observe()
    assert (seen.power, seen.reason) == (Power.PAUSED, Reason.IO_ERROR)
    await fake.resume("i-1")
    (seen,) = await fake.observe()
    assert (seen.power, seen.reason) == (Power.RUNNING, Reason.NONE)
