"""Volumes: CreateVolume, DeleteVolume, DescribeVolumes.

A handler writes a row and wakes `storage_sync`, which also writes down what the storage reports. States:
`eucapy/lifecycle/volume.py`. Attaching: `attachments.py`; status and attributes: `volume_status.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging, volume_sizes
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    IncorrectState,
    InvalidParameterCombination,
    InvalidParameterDependency,
    InvalidParameterValue,
    InvalidZoneNotFoundByName,
    MissingParameter,
    UnsupportedOperation,
    VolumeInUse,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.ec2.zones import zone_ids
from eucapy.clc.store import attachments, snapshot_visits, snapshots, volume_filters, volumes
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row
from eucapy.lifecycle import snapshot as snapshot_life
from eucapy.lifecycle import volume as life

TagSets = Mapping[str, list[dict[str, str]]]


@ec2.action("CreateVolume")
async def create_volume(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_unsupported(p)
    if p.get("Size") is None and not p.get("SnapshotId"):
        raise MissingParameter(name="size/snapshot")
    zone = zone_of(call, p)
    source = await _source(call, p.get("SnapshotId"), zone)
    size_gib = _size(p.get("Size"), source)
    volume_type = p.get("VolumeType") or "gp2"
    volume_sizes.check(volume_type, size_gib, p.get("Iops"), p.get("Throughput"))
    tags = tagging.from_specifications(p, "volume")
    row = await volumes.create(
        call.tx,
        account=call.account,
        zone=zone,
        size_gib=size_gib,
        volume_type=volume_type,
        snapshot_id=source.id if source is not None else "",
        iops=p.get("Iops"),
        throughput=p.get("Throughput"),
        client_token=p.get("ClientToken") or "",
        now=call.now,
        tags=tags,
    )
    call.wake("storage_sync")
    shown = view(row, None, [{"Key": key, "Value": value} for key, value in sorted(tags.items())], zone_ids(call))
    del shown["Attachments"]
    return {**shown, "Tags": shown.get("Tags", [])}


@ec2.action("DeleteVolume")
async def delete_volume(call: Call, p: Mapping[str, Any]) -> None:
    row = await require(call, p["VolumeId"])
    attached = (await attachments.of_volumes(call.tx, [row.id])).get(row.id)
    if attached is not None:
        raise VolumeInUse(f"Volume {row.id} is currently attached to {attached.instance_id}")
    if life.VOLUME.target(row.state, "delete") is None:
        raise IncorrectState(f"The volume '{row.id}' is '{row.state}'")
    await volumes.move(call.tx, row, "delete", call.now)
    call.wake("storage_sync")


@ec2.action("DescribeVolumes")
async def describe_volumes(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    ids_of_zones = zone_ids(call)
    rows, more = await paging.described(
        call,
        p,
        page=volumes.page,
        declared=volume_filters.with_zone_ids(
            volume_filters.FILTERS, {short: zone for zone, short in ids_of_zones.items()}
        ),
        id_column=volumes.table.c.id,
        prefix="vol",
        member="VolumeIds",
    )
    shown = [row.id for row in rows]
    attached = await attachments.of_volumes(call.tx, shown)
    tags = await tag_rows.of(call.tx, shown)
    return {
        "Volumes": [view(row, attached.get(row.id), tags.get(row.id, ()), ids_of_zones) for row in rows],
        **more,
    }


def view(
    row: Row, attached: Row | None, tags: Sequence[dict[str, str]], ids_of_zones: Mapping[str, str]
) -> dict[str, Any]:
    """A row as Volume. EC2 leaves `Tags` out where there are none."""
    out: dict[str, Any] = {
        "VolumeId": row.id,
        "Size": row.size_gib,
        "SnapshotId": row.snapshot_id,
        "AvailabilityZone": row.zone,
        "AvailabilityZoneId": ids_of_zones.get(row.zone),
        "State": row.state,
        "CreateTime": row.created_at,
        "Attachments": [attachment_view(attached)] if attached is not None else [],
        "VolumeType": row.volume_type,
        "Iops": row.iops,
        "Throughput": row.throughput,
        "Encrypted": False,
        "MultiAttachEnabled": False,
        "Operator": {"Managed": False},
        "Tags": list(tags) or None,
    }
    return {name: value for name, value in out.items() if value is not None}


def attachment_view(row: Row) -> dict[str, Any]:
    """A row as VolumeAttachment."""
    return {
        "VolumeId": row.volume_id,
        "InstanceId": row.instance_id,
        "Device": row.device,
        "State": row.state,
        "AttachTime": row.attached_at,
        "DeleteOnTermination": bool(row.delete_on_termination),
    }


async def require(call: Call, volume_id: str) -> Row:
    """The account's volume; raises InvalidVolume.NotFound."""
    row = await volumes.by_id(call.tx, call.account, ids.check("vol", volume_id))
    if row is None:
        raise ids.missing("vol", [volume_id])
    return row


def zone_of(call: Call, p: Mapping[str, Any]) -> str:
    """The zone that the request names, by name or by id."""
    name, short = p.get("AvailabilityZone"), p.get("AvailabilityZoneId")
    if name and short:
        raise InvalidParameterCombination(
            "The parameter availabilityZone cannot be used with the parameter availabilityZoneId"
        )
    if name:
        if name not in call.config.zones:
            raise InvalidZoneNotFoundByName(zone=name)
        return str(name)
    if short:
        for zone, known in zone_ids(call).items():
            if known == short:
                return zone
        raise InvalidZoneNotFoundByName(zone=short)
    raise MissingParameter(name="zone")


async def _source(call: Call, snapshot_id: str | None, zone: str) -> Row | None:
    """The snapshot that the volume starts from: own, shared or public, completed, and in the zone's storage, or to be brought
    there from the archive of its own zone."""
    if not snapshot_id:
        return None
    row = await snapshots.visible(call.tx, call.account, ids.check("snap", snapshot_id))
    if row is None:
        raise ids.missing("snap", [snapshot_id])
    if row.state != snapshot_life.COMPLETED:
        raise IncorrectState(f"Snapshot is in invalid state - {row.state}")
    if row.zone != zone and not call.config.shared_storage:
        if row.archived is None:
            raise UnsupportedOperation(
                f"The snapshot '{row.id}' lies in the storage of {row.zone}; volumes can be made of it there only."
            )
        await snapshot_visits.ensure(call.tx, zone, row.id)
    return row


def _size(size_gib: int | None, source: Row | None) -> int:
    """The volume's size: at least its snapshot's."""
    if size_gib is None:
        assert source is not None, "create_volume checks that one of them is said"
        return int(source.size_gib)
    if source is not None and size_gib < source.size_gib:
        raise InvalidParameterValue(
            f"Volume of size {size_gib}GB is smaller than snapshot '{source.id}', expect size >= {source.size_gib}GB"
        )
    return size_gib


def _refuse_unsupported(p: Mapping[str, Any]) -> None:
    """What this cloud's storage cannot do is refused, never ignored."""
    if p.get("KmsKeyId") and not p.get("Encrypted"):
        raise InvalidParameterDependency(given="KmsKeyId", needed="Encrypted")
    if p.get("Encrypted"):
        raise UnsupportedOperation("Encrypted volumes are not supported.")
    if p.get("MultiAttachEnabled"):
        raise UnsupportedOperation("Multi-Attach is not supported.")
    if p.get("OutpostArn"):
        raise UnsupportedOperation("Outposts are not supported.")
