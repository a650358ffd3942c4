"""What a zone's storage reports of the uploads of exports. Called by `storage_sync.py`, inside its transaction.

    to be done     ready              its parts are noted; from then on the storage may forget it
                   failed for good    its fault is noted
                   under way          percent and stage are noted
    to be gone     gone               cleared

A task that is over and whose disks are all cleared is settled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.store import export_tasks
from eucapy.database import Tx
from eucapy.lifecycle import export_task as life
from eucapy.wire.storage import Presence, StorageStatus, UploadStatus


async def write_down(tx: Tx, zone: str, status: StorageStatus) -> bool:
    """Whether anything was new."""
    changed = False
    for task in await export_tasks.unsettled(tx):
        disks = [dict(disk) for disk in task.disks]
        for number, disk in enumerate(disks):
            seen = status.uploads.get(export_tasks.upload_name(task, number))
            if disk["zone"] == zone and export_tasks.is_told(disk) and seen is not None:
                disk.update(heard(disk, seen, task.state == life.ACTIVE))
        settled = task.state not in life.IN_MOTION and not any(export_tasks.is_told(disk) for disk in disks)
        if disks != task.disks or settled:
            await export_tasks.set_values(tx, task.id, disks=disks, settled=settled)
            changed = True
    return changed


def heard(disk: Mapping[str, Any], seen: UploadStatus, wanted: bool) -> dict[str, Any]:
    """What is to be noted of a disk. Pure."""
    if not wanted or disk.get("parts") is not None:
        return {"cleared": True} if seen.presence is Presence.GONE else {}
    if seen.presence is Presence.READY:
        return {"parts": list(seen.parts), "size_bytes": seen.size_bytes, "progress": 100}
    if seen.presence is Presence.FAILED:
        return {"fault": seen.fault.message if seen.fault is not None else "The disk could not be uploaded"}
    if seen.presence is Presence.CREATING:
        return {"progress": max(seen.progress, disk.get("progress", 0)), "stage": seen.stage}
    return {}
