"""Changing volumes while they are used: ModifyVolume, DescribeVolumesModifications.

A handler writes what the volume shall become and wakes `storage_sync`; the volume's own row follows when the storage has
done it, and a guest that runs is told the new size. States: `eucapy/lifecycle/volume_modification.py`.

IOPS and throughput that are not given stay as they are while the type does, and become the new type's defaults otherwise.
Source: API reference, ModifyVolume; EBS User Guide, "Requirements for Amazon EBS volume modifications".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging, volume_sizes
from eucapy.clc.ec2.errors import (
    IncorrectModificationState,
    IncorrectState,
    InvalidParameterValue,
    InvalidVolumeModificationNotFound,
    MissingParameter,
    UnsupportedOperation,
    VolumeModificationRateExceeded,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.ec2.volumes import require
from eucapy.clc.store import filters, volume_modifications, volumes
from eucapy.clc.store.tags import tag_filter
from eucapy.database import Row
from eucapy.lifecycle import volume as volume_life
from eucapy.lifecycle import volume_modification as life

REST_S = 6 * 3600
"""Between the beginnings of two modifications of a volume."""
LOW, HIGH = 5, 500
"""Of MaxResults."""
CHANGED_TYPE_IOPS = {"gp3": 3000, "io1": 3000, "io2": 3000}
"""What a volume gets when it becomes of the type and nobody says how many."""
PROGRESS = {life.MODIFYING: 0, life.OPTIMIZING: 99, life.COMPLETED: 100, life.FAILED: 0}


@ec2.action("ModifyVolume")
async def modify_volume(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    if p.get("MultiAttachEnabled"):
        raise UnsupportedOperation("Multi-Attach is not supported.")
    if all(p.get(name) is None for name in ("Size", "VolumeType", "Iops", "Throughput", "MultiAttachEnabled")):
        raise MissingParameter(
            "The request must contain at least one of the parameters size, volumeType, iops, throughput"
        )
    volume = await require(call, p["VolumeId"])
    if volume.state not in (volume_life.AVAILABLE, volume_life.IN_USE):
        raise IncorrectState(f"The volume '{volume.id}' is '{volume.state}'")
    await _require_rest(call, volume)
    row = await volume_modifications.begin(call.tx, volume, _target(volume, p), call.now)
    call.wake("storage_sync")
    return {"VolumeModification": _view(row)}


@ec2.action("DescribeVolumesModifications")
async def describe_volumes_modifications(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Volumes that were never modified have nothing to show; naming one is an error."""
    table = volume_modifications.table
    wanted = [ids.check("vol", value) for value in dict.fromkeys(p.get("VolumeIds") or ())]
    conditions = [*filters.where(volume_modifications.FILTERS, p.get("Filters"), tags=tag_filter(table.c.id))]
    limit, token = paging.bounds(p, "VolumeIds", low=LOW, high=HIGH)
    if wanted:
        await _require_modified(call, wanted)
        conditions.append(table.c.id.in_(wanted))
    rows = await volume_modifications.page(
        call.tx, call.account, conditions, paging.position(call, token), paging.one_more(limit)
    )
    rows, more = paging.cut(rows, limit)
    out: dict[str, Any] = {"VolumesModifications": [_view(row) for row in rows]}
    return {**out, "NextToken": call.token(rows[-1].id)} if more else out


async def _require_modified(call: Call, wanted: list[str]) -> None:
    unknown = set(wanted) - await volumes.existing(call.tx, call.account, wanted)
    if unknown:
        raise ids.missing("vol", sorted(unknown))
    table = volume_modifications.table
    known = {row.id for row in await volume_modifications.page(call.tx, call.account, [table.c.id.in_(wanted)])}
    for volume_id in wanted:
        if volume_id not in known:
            raise InvalidVolumeModificationNotFound(volume=volume_id)


async def _require_rest(call: Call, volume: Row) -> None:
    """No other modification is under way, and the last one is long past."""
    last = await volume_modifications.by_id(call.tx, volume.id)
    if last is None:
        return
    if last.state in life.IN_MOTION:
        raise IncorrectModificationState(volume=volume.id, state=last.state.upper())
    if last.state == life.COMPLETED and call.now < last.started_at + REST_S:
        raise VolumeModificationRateExceeded


def _target(volume: Row, p: Mapping[str, Any]) -> dict[str, Any]:
    """What the volume shall become: size_gib, type, iops, throughput."""
    size_gib = p.get("Size") or volume.size_gib
    if size_gib < volume.size_gib:
        raise InvalidParameterValue("New size cannot be smaller than existing size")
    volume_type = p.get("VolumeType") or volume.volume_type
    same = volume_type == volume.volume_type
    iops, throughput = p.get("Iops"), p.get("Throughput")
    limits = volume_sizes.LIMITS.get(volume_type)
    if iops is None and limits is not None and limits.iops is not None:
        iops = volume.iops if same else CHANGED_TYPE_IOPS[volume_type]
    if throughput is None and same:
        throughput = volume.throughput
    volume_sizes.check(volume_type, size_gib, iops, throughput)
    return {
        "size_gib": size_gib,
        "type": volume_type,
        "iops": iops if iops is not None else volumes.default_iops(volume_type, size_gib),
        "throughput": throughput if throughput is not None else volumes.BASELINE_THROUGHPUT.get(volume_type),
    }


def _view(row: Row) -> dict[str, Any]:
    """A row as VolumeModification."""
    out: dict[str, Any] = {
        "VolumeId": row.id,
        "ModificationState": row.state,
        "StatusMessage": row.reason or None,
        "TargetSize": row.target_size_gib,
        "TargetIops": row.target_iops,
        "TargetVolumeType": row.target_type,
        "TargetThroughput": row.target_throughput,
        "TargetMultiAttachEnabled": False,
        "OriginalSize": row.original_size_gib,
        "OriginalIops": row.original_iops,
        "OriginalVolumeType": row.original_type,
        "OriginalThroughput": row.original_throughput,
        "OriginalMultiAttachEnabled": False,
        "Progress": PROGRESS[row.state],
        "StartTime": row.started_at,
        "EndTime": row.ended_at,
    }
    return {name: value for name, value in out.items() if value is not None}
