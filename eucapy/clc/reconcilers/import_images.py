"""What ImportImage makes when its disks are there: an image. Called by `imports.py`, inside its transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eucapy.clc.store import images
from eucapy.clc.store.advance import advance
from eucapy.database import Row, Tx
from eucapy.lifecycle.image import IMAGE

ROOT = "/dev/sda1"
_MESSAGES = {
    "downloading": "converting",
    "converting": "converting",
    "updating": "updating",
    "preparing": "preparing ami",
}


def message(stage: str) -> str:
    """The task's status message while its disks are in the stage."""
    return _MESSAGES[stage]


async def register(tx: Tx, task: Row, made: Sequence[Row], now: float) -> str:
    """The image of the task, available: the first disk is its root. Returns its id. AWS names it by the task."""
    root = made[0]
    row = await images.insert(
        tx,
        account=task.account,
        now=now,
        name=task.id,
        location=f"{task.account}/{task.id}",
        source={"kind": "snapshot", "snapshot_id": root.id},
        root_kind=images.EBS,
        root_device=ROOT,
        root_size_gib=root.size_gib,
        description=f"AWS-VMImport service: Linux - {task.description}"[:255] if task.description else "AWS-VMImport",
        ena=True,
        **task.options,
    )
    devices = [task.disks[number]["device"] or device_name(number) for number in range(len(made))]
    devices[0] = ROOT
    await images.insert_devices(tx, row.id, [_mapping(device, one) for device, one in zip(devices, made, strict=True)])
    await advance(tx, IMAGE, row, "ready")
    return str(row.id)


def device_name(number: int) -> str:
    """The device of the disk at that place: `/dev/sda1`, `/dev/sdb`, …"""
    return f"/dev/sd{chr(ord('a') + number)}" if number else ROOT


def _mapping(device: str, snapshot: Row) -> dict[str, Any]:
    return {
        "device": device,
        "virtual_name": "",
        "snapshot_id": snapshot.id,
        "size_gib": snapshot.size_gib,
        "volume_type": "gp2",
        "delete_on_termination": True,
        "iops": None,
        "throughput": None,
    }
