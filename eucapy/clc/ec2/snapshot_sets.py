"""Snapshots of all volumes of an instance at once: CreateSnapshots.

Source: API reference, CreateSnapshots; EBS User Guide, "Create multi-volume Amazon EBS snapshots from an Amazon EC2
instance". A root disk that lies on its node is no volume, and is left to CreateImage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import IncorrectState, InvalidParameterValue, TagLimitExceeded, UnsupportedOperation
from eucapy.clc.ec2.service import ec2
from eucapy.clc.ec2.snapshots import described, taken
from eucapy.clc.store import attachments, instances, snapshots, volumes
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row
from eucapy.lifecycle import attachment as attachment_life
from eucapy.lifecycle import volume as volume_life

MOST_EXCLUDED = 127


@ec2.action("CreateSnapshots")
async def create_snapshots(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    if p.get("OutpostArn"):
        raise UnsupportedOperation("Outposts are not supported.")
    if p.get("Location") == "local":
        raise UnsupportedOperation("Local snapshots are not supported in this region.")
    description, given = described(p), tagging.from_specifications(p, "snapshot")
    chosen = await _chosen(call, p["InstanceSpecification"])
    inherited = await _tags_of(call, chosen) if p.get("CopyTagsFromSource") else {}
    made = []
    for volume in chosen:
        tags = {**inherited.get(volume.id, {}), **given}
        if len(tags) > tagging.MOST_TAGS:
            raise TagLimitExceeded
        row = await snapshots.create(
            call.tx, account=call.account, volume=volume, description=description, now=call.now, tags=tags
        )
        made.append(taken(row, tags))
    call.wake("storage_sync")
    return {"Snapshots": made}


async def _chosen(call: Call, wish: Mapping[str, Any]) -> list[Row]:
    """The instance's volumes that are wanted, in the order of their devices."""
    instance = await instances.by_id(call.tx, call.account, ids.check("i", wish["InstanceId"]))
    if instance is None:
        raise ids.missing("i", [wish["InstanceId"]])
    held = (await attachments.of_instances(call.tx, [instance.id])).get(instance.id, [])
    held = [row for row in held if row.state in attachment_life.WANTED]
    left_out = _left_out(wish, instance, held)
    rows = await volumes.by_ids(call.tx, [row.volume_id for row in held])
    chosen = [rows[row.volume_id] for row in held if row.volume_id not in left_out]
    if not chosen:
        raise InvalidParameterValue(f"The instance '{instance.id}' has no volumes to create snapshots of.")
    for volume in chosen:
        if volume.state != volume_life.IN_USE:
            raise IncorrectState(f"The volume '{volume.id}' is '{volume.state}'")
    return chosen


def _left_out(wish: Mapping[str, Any], instance: Row, held: list[Row]) -> set[str]:
    """The volumes that are not wanted. Data volumes are named, the root is not; what is named is the instance's."""
    named = [ids.check("vol", volume_id) for volume_id in wish.get("ExcludeDataVolumeIds") or ()]
    if len(named) > MOST_EXCLUDED:
        raise InvalidParameterValue(f"No more than {MOST_EXCLUDED} volumes can be excluded.")
    root = {row.volume_id for row in held if row.device == instance.root_device}
    for volume_id in named:
        if volume_id in root:
            raise InvalidParameterValue(
                f"The volume '{volume_id}' is the root volume; exclude it with ExcludeBootVolume."
            )
        if volume_id not in {row.volume_id for row in held}:
            raise InvalidParameterValue(f"The volume '{volume_id}' is not attached to the instance '{instance.id}'.")
    return {*named, *(root if wish.get("ExcludeBootVolume") else ())}


async def _tags_of(call: Call, chosen: list[Row]) -> dict[str, dict[str, str]]:
    """The tags that users gave to volumes, by volume: those of AWS's own (`aws:`) stay where they are."""
    tags = await tag_rows.of(call.tx, [row.id for row in chosen])
    return {
        volume_id: {tag["Key"]: tag["Value"] for tag in given if not tag["Key"].startswith("aws:")}
        for volume_id, given in tags.items()
    }
