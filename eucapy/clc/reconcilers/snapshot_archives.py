"""What a storage controller says of its archive, and of snapshots of other zones that it brought from theirs."""

from __future__ import annotations

from eucapy.clc.store import snapshot_visits, snapshots
from eucapy.database import Tx
from eucapy.wire.storage import Presence, StorageStatus


async def write_down(tx: Tx, zone: str, status: StorageStatus, generation: int) -> bool:
    """Whether anything is new. `generation`: of the spec that the storage was sent last."""
    changed = await _progress(tx, zone, status)
    return await _visits(tx, zone, status, generation) or changed


async def _progress(tx: Tx, zone: str, status: StorageStatus) -> bool:
    if not status.archives:
        return False
    changed = False
    for row in await snapshots.unarchived(tx, zone):
        seen = status.snapshots.get(row.id)
        if seen is None:
            continue
        archived = max(seen.archived or 0, row.archived or 0)
        fault = seen.archive_fault.message if seen.archive_fault is not None else ""
        if (archived, fault) != (row.archived, row.archive_fault):
            await snapshots.set_values(tx, row.id, archived=archived, archive_fault=fault)
            changed = True
    return changed


async def _visits(tx: Tx, zone: str, status: StorageStatus, generation: int) -> bool:
    """An older report may speak of an earlier visit."""
    if status.generation < generation:
        return False
    changed = False
    for row in await snapshot_visits.in_zone(tx, zone):
        seen = status.snapshots.get(row.snapshot_id)
        if not row.needed and seen is not None and seen.presence is Presence.GONE:
            await snapshot_visits.remove(tx, zone, row.snapshot_id)
            changed = True
    return changed
