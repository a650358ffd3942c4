"""Snapshots: CreateSnapshot, DeleteSnapshot, DescribeSnapshots.

A handler writes a row and wakes `storage_sync`. States: `eucapy/lifecycle/snapshot.py`; sharing:
`snapshot_attributes.py`; copying: `snapshot_copies.py`; of all volumes of an instance: `snapshot_sets.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import IncorrectState, InvalidParameterValue, InvalidSnapshotInUse, UnsupportedOperation
from eucapy.clc.ec2.service import ec2
from eucapy.clc.ec2.volumes import require as require_volume
from eucapy.clc.store import filters, images, snapshots
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row, Tx
from eucapy.lifecycle import volume as volume_life

LONGEST_DESCRIPTION = 255


@ec2.action("CreateSnapshot")
async def create_snapshot(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    if p.get("OutpostArn"):
        raise UnsupportedOperation("Outposts are not supported.")
    volume = await require_volume(call, p["VolumeId"])
    if volume.state not in (volume_life.AVAILABLE, volume_life.IN_USE):
        raise IncorrectState(f"The volume '{volume.id}' is '{volume.state}'")
    description = described(p)
    tags = tagging.from_specifications(p, "snapshot")
    row = await snapshots.create(
        call.tx, account=call.account, volume=volume, description=description, now=call.now, tags=tags
    )
    call.wake("storage_sync")
    return taken(row, tags)


def described(p: Mapping[str, Any]) -> str:
    """The description of a snapshot to be made. Raises InvalidParameterValue."""
    description = p.get("Description") or ""
    if len(description) > LONGEST_DESCRIPTION:
        raise InvalidParameterValue(
            f"Value ({description}) for parameter description is invalid. Up to 255 characters are allowed."
        )
    return str(description)


def taken(row: Row, tags: Mapping[str, str]) -> dict[str, Any]:
    """A snapshot that was just asked for, as CreateSnapshot and CreateSnapshots answer it."""
    return {
        "SnapshotId": row.id,
        "VolumeId": row.volume_id,
        "VolumeSize": row.size_gib,
        "State": row.state,
        "StartTime": row.created_at,
        "Progress": "",
        "OwnerId": row.account,
        "Description": row.description,
        "Encrypted": False,
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())],
    }


@ec2.action("DeleteSnapshot")
async def delete_snapshot(call: Call, p: Mapping[str, Any]) -> None:
    row = await require(call, p["SnapshotId"])
    users = await images.using_snapshot(call.tx, row.id)
    if users:
        raise InvalidSnapshotInUse(snapshot=row.id, image=users[0])
    await snapshots.move(call.tx, row, "delete", call.now)
    call.wake("storage_sync")


@ec2.action("DescribeSnapshots")
async def describe_snapshots(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """All that the account may make volumes of: its own, those shared with it, and public ones."""
    extra: list[filters.Condition] = []
    if p.get("OwnerIds"):
        extra.append(snapshots.owned_by(call.account, p["OwnerIds"]))
    if p.get("RestorableByUserIds"):
        extra.append(snapshots.restorable_by(call.account, p["RestorableByUserIds"]))
    rows, more = await paging.described(
        call,
        p,
        page=_page,
        declared=snapshots.FILTERS,
        id_column=snapshots.table.c.id,
        prefix="snap",
        member="SnapshotIds",
        extra=extra,
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows if row.account == call.account])
    return {"Snapshots": [view(row, tags.get(row.id, ())) for row in rows], **more}


def view(row: Row, tags: Sequence[dict[str, str]]) -> dict[str, Any]:
    """A row as Snapshot. EC2 leaves `Tags` out where there are none; tags are their owner's only."""
    out: dict[str, Any] = {
        "SnapshotId": row.id,
        "VolumeId": row.volume_id,
        "VolumeSize": row.size_gib,
        "State": row.state,
        "StateMessage": row.fault or None,
        "StartTime": row.created_at,
        "CompletionTime": row.completed_at,
        "Progress": f"{row.progress}%",
        "OwnerId": row.account,
        "Description": row.description,
        "Encrypted": False,
        "StorageTier": "standard",
        "Tags": list(tags) or None,
    }
    if row.copied_from:
        out["TransferType"] = snapshots.TIME_BASED if row.copy_minutes else snapshots.STANDARD
        out["CompletionDurationMinutes"] = row.copy_minutes or None
    return {name: value for name, value in out.items() if value is not None}


async def require(call: Call, snapshot_id: str) -> Row:
    """The account's own snapshot; raises InvalidSnapshot.NotFound."""
    row = await snapshots.by_id(call.tx, call.account, ids.check("snap", snapshot_id))
    if row is None:
        raise ids.missing("snap", [snapshot_id])
    return row


async def _page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    return await snapshots.page(tx, [snapshots.visible_to(account), *conditions], after, limit)
