"""Attaching volumes: AttachVolume, DetachVolume.

A handler writes the wish. `storage_sync` has the volume made reachable to the instance's node, then the node's spec carries
the disk; `attached` is the node's word. A detachment goes the other way. States: `eucapy/lifecycle/attachment.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import (
    IncorrectState,
    InvalidAttachmentNotFound,
    InvalidParameterValue,
    InvalidVolumeZoneMismatch,
    OperationNotPermitted,
    VolumeAttachmentLimitExceeded,
    VolumeInUse,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.ec2.volumes import attachment_view, require
from eucapy.clc.store import attachments, instances
from eucapy.database import Row
from eucapy.lifecycle import attachment as life
from eucapy.lifecycle import instance as instance_life
from eucapy.lifecycle import volume as volume_life

MOST_VOLUMES = 20
"""Disks that an instance may have: what its PCI bus takes beside its other devices."""

DEVICE = re.compile(r"(/dev/)?(sd[a-z]([1-9]|1[0-5])?|xvd[a-z]{1,2}([1-9]|1[0-5])?|hd[a-z]([1-9]|1[0-5])?|vd[a-z])")


@ec2.action("AttachVolume")
async def attach_volume(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    volume = await require(call, p["VolumeId"])
    instance = await _instance(call, p["InstanceId"])
    device = p["Device"]
    if not DEVICE.fullmatch(device):
        raise InvalidParameterValue(
            f"Value ({device}) for parameter device is invalid. {device} is not a valid EBS device name."
        )
    if await attachments.of_volumes(call.tx, [volume.id]):
        raise VolumeInUse(f"{volume.id} is already attached to an instance")
    if volume.state != volume_life.AVAILABLE:
        raise IncorrectState(f"{volume.id} is not 'available'.")
    if instance.state not in (instance_life.RUNNING, instance_life.STOPPED):
        raise IncorrectState(f"Instance '{instance.id}' is not 'running'.")
    if volume.zone != instance.zone:
        raise InvalidVolumeZoneMismatch(volume=volume.id, instance=instance.id)
    await _device_must_be_free(call, instance, device)
    row = await attachments.create(
        call.tx,
        volume_id=volume.id,
        instance_id=instance.id,
        device=device,
        delete_on_termination=False,
        now=call.now,
    )
    call.wake("storage_sync")
    return attachment_view(row)


@ec2.action("DetachVolume")
async def detach_volume(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Asking again while it is being detached answers the same, as EC2 does."""
    volume = await require(call, p["VolumeId"])
    instance = await _instance(call, p["InstanceId"]) if p.get("InstanceId") else None
    row = (await attachments.of_volumes(call.tx, [volume.id])).get(volume.id)
    if row is None:
        raise IncorrectState(f"Volume '{volume.id}' is in the '{volume.state}' state.")
    if instance is not None and instance.id != row.instance_id:
        raise InvalidAttachmentNotFound(f"The volume '{volume.id}' is not attached to instance '{instance.id}'.")
    if p.get("Device") and p["Device"] != row.device:
        raise InvalidAttachmentNotFound(f"The volume '{volume.id}' is not attached as device '{p['Device']}'.")
    owner = instance or await instances.by_id(call.tx, call.account, row.instance_id)
    if owner is not None and row.device == owner.root_device and owner.state != instance_life.STOPPED:
        raise OperationNotPermitted(f"Unable to detach root volume '{row.device}' from instance '{owner.id}'")
    await attachments.detach(call.tx, row)
    call.wake("storage_sync")
    call.wake("cluster_sync")
    return {**attachment_view(row), "State": life.DETACHING}


async def _instance(call: Call, instance_id: str) -> Row:
    row = await instances.by_id(call.tx, call.account, ids.check("i", instance_id))
    if row is None:
        raise ids.missing("i", [instance_id])
    return row


async def _device_must_be_free(call: Call, instance: Row, device: str) -> None:
    held = (await attachments.of_instances(call.tx, [instance.id])).get(instance.id, [])
    taken = {row.device for row in held} | {one["device"] for one in instance.ephemerals} | {instance.root_device}
    if device in taken:
        raise InvalidParameterValue(
            f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
        )
    if len(taken) >= MOST_VOLUMES:
        raise VolumeAttachmentLimitExceeded
