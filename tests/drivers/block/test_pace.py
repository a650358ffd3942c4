"""How fast volumes are: what QEMU is told, and that who asks for more waits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from eucapy.drivers.block.qmp import Qmp
from eucapy.pace import UNLIMITED, Flow, Pace
from eucapy.run import run
from tests.drivers.block.conftest import FilesPool
from tests.drivers.block.crashes import Crash, CrashPoint

V1 = "vol-1"
SOLID = Pace(
    requests=Flow(per_s=100, burst_per_s=3000, burst_s=1800), data=Flow(per_s=128 << 20), request_bytes=1 << 18
)
SPINNING = Pace(data=Flow(per_s=5 << 20, burst_per_s=31 << 20, burst_s=4194))


async def limits(pool: FilesPool) -> dict[str, Any]:
    """What the volume's daemon holds to, as far as it is not QEMU's default."""
    async with Qmp(pool.run_folder / V1 / "qmp.sock") as order:
        found = await order("qom-get", path="/objects/pace", property="limits")
    return {name: value for name, value in found.items() if value != name.endswith("-length")}


async def test_a_daemon_holds_to_the_pace_that_it_begins_with_and_to_a_later_one(files_pool: FilesPool) -> None:
    driver = files_pool.driver
    await driver.ensure_volume(V1, 1)
    await driver.ensure_export(V1, "att-1")
    assert await limits(files_pool) == {}
    await driver.set_pace(V1, SOLID)
    solid = {
        "iops-total": 100,
        "iops-total-max": 3000,
        "iops-total-max-length": 1800,
        "bps-total": 128 << 20,
        "iops-size": 1 << 18,
    }
    assert await limits(files_pool) == solid
    files_pool.kill_export(V1)
    await driver.remove_export(V1, "att-1")
    await driver.ensure_export(V1, "att-2")
    assert await limits(files_pool) == solid
    pid = files_pool.pid(V1)
    await driver.set_pace(V1, SPINNING)
    spinning = {"bps-total": 5 << 20, "bps-total-max": 31 << 20, "bps-total-max-length": 4194}
    assert await limits(files_pool) == spinning
    await driver.set_pace(V1, UNLIMITED)
    assert await limits(files_pool) == {}
    assert files_pool.pid(V1) == pid


async def test_who_asks_for_more_requests_or_bytes_waits(files_pool: FilesPool) -> None:
    """Never faster: the bucket lets a tenth of a second's worth pass at once, then 20 a second. On a machine that is busy
    with other things it takes longer."""
    driver = files_pool.driver
    await driver.ensure_volume(V1, 1)
    await driver.set_pace(V1, Pace(requests=Flow(per_s=20)))
    address = await driver.ensure_export(V1, "att-1")
    writes = [part for number in range(44) for part in ("-c", f"write -q {number * 4096} 4096")]
    assert await seconds(address, writes) >= 1.9
    await driver.set_pace(V1, Pace(data=Flow(per_s=4 << 20)))
    assert await seconds(address, ["-c", "write -q 0 4M", "-c", "read -q 0 4M", "-c", "read -q 0 4k"]) >= 1.7


async def seconds(address: str, script: list[str]) -> float:
    began = time.monotonic()
    await run("qemu-io", "-f", "raw", *script, address)
    return time.monotonic() - began


@pytest.mark.parametrize("at", range(6))
async def test_a_pace_that_was_being_set_when_the_process_died_is_set_by_the_next_call(
    files_pool: FilesPool, crash: CrashPoint, at: int
) -> None:
    driver = files_pool.driver
    await driver.ensure_volume(V1, 1)
    await driver.ensure_export(V1, "att-1")
    crash.arm(at // 2, bool(at % 2))
    try:
        await driver.set_pace(V1, SOLID)
    except Crash:
        await files_pool.restart()
    crash.disarm()
    await files_pool.driver.set_pace(V1, SOLID)
    assert (await limits(files_pool))["iops-total"] == 100
    assert (await files_pool.driver.observe()).volumes[V1].pace == SOLID


def test_a_record_of_a_volume_without_a_pace_is_one_without_limits(tmp_path: Path) -> None:
    from eucapy.drivers.block.records import Records, VolumeRecord

    (tmp_path / "vol-1.json").write_bytes(b'{"volume_id":"vol-1","size_gib":1,"head":"vol-1.0"}')
    records = Records(tmp_path, VolumeRecord)
    records.open()
    held = records.get(V1)
    assert held is not None
    assert held.pace == UNLIMITED
