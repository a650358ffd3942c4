"""CreateImage: an image of an instance as it is, its volumes and its root disk as snapshots.

Unless `NoReboot` is given, a running guest is shut down for the moment in which its disks are copied and started again, as
EC2's reboot does: what the snapshots hold was at rest. The instance stays `running` meanwhile. A root disk that is not a
volume is copied by its node and becomes a snapshot too, so that the image boots from a volume wherever it is launched.

The handler writes the image and its snapshots, `pending`; `reconcilers/captures.py` sees them through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import launch_devices
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import IncorrectInstanceState, UnsupportedOperation
from eucapy.clc.ec2.images import ALIAS, OPERATOR, described, device_columns, free_name
from eucapy.clc.ec2.launch_devices import Device, NewEphemeral, NewVolume
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import attachments, image_captures, images, instances, snapshots, volumes
from eucapy.clc.store.snapshots import NO_VOLUME
from eucapy.database import Row
from eucapy.lifecycle import attachment as attachment_life
from eucapy.lifecycle import instance as life


class Disk(NamedTuple):
    """A disk of the instance that becomes a snapshot: a volume, or the root on its node (`NO_VOLUME`)."""

    id: str
    zone: str
    size_gib: int
    device: str
    mapping: NewVolume


@ec2.action("CreateImage", unchecked=("Name",))
async def create_image(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    if p.get("SnapshotLocation") == "local":
        raise UnsupportedOperation("Local snapshots are not supported in this region.")
    name, description = await free_name(call, p["Name"]), described(p.get("Description") or "")
    image_tags = tagging.from_specifications(p, "image", "snapshot")
    snapshot_tags = tagging.from_specifications(p, "snapshot", "image")
    instance = await _instance(call, p["InstanceId"])
    wanted = p.get("BlockDeviceMappings") or ()
    left_out = {entry.get("DeviceName") for entry in wanted if entry.get("NoDevice") is not None}
    disks = [disk for disk in await _disks(call, instance) if disk.device not in left_out]
    devices = _devices(disks, instance, wanted)
    row = await images.insert(
        call.tx,
        account=call.account,
        now=call.now,
        name=name,
        owner_alias=ALIAS if call.principal.account_name == OPERATOR else "",
        description=description,
        location=f"{call.account}/{name}",
        root_kind=images.EBS,
        root_device=instance.root_device,
        source={"kind": "snapshot", "snapshot_id": ""},
        source_instance_id=instance.id,
        architecture=instance.architecture,
        **await _like_its_image(call, instance, p),
    )
    rest = instance.state == life.RUNNING and not p.get("NoReboot")
    made = {
        disk.device: await snapshots.create(
            call.tx,
            account=call.account,
            volume=disk,
            description=f"Created by CreateImage({instance.id}) for {row.id}",
            now=call.now,
            tags=snapshot_tags,
            capture=row.id,
            awaits=rest or disk.id == NO_VOLUME,
        )
        for disk in disks
    }
    root = made[instance.root_device]
    await images.set_values(
        call.tx, row.id, source={"kind": "snapshot", "snapshot_id": root.id}, root_size_gib=root.size_gib
    )
    await images.insert_devices(call.tx, row.id, [_columns(device, made) for device in devices])
    await tagging.put(call, "image", row.id, image_tags)
    await image_captures.insert(
        call.tx,
        image_id=row.id,
        account=call.account,
        instance_id=instance.id,
        root_snapshot_id=root.id if root.volume_id == NO_VOLUME else "",
        rest=rest,
        now=call.now,
    )
    for loop in ("captures", "storage_sync", "cluster_sync"):
        call.wake(loop)
    return {"ImageId": row.id}


async def _instance(call: Call, instance_id: str) -> Row:
    row = await instances.by_id(call.tx, call.account, ids.check("i", instance_id))
    if row is None:
        raise ids.missing("i", [instance_id])
    if row.state not in (life.RUNNING, life.STOPPED, life.STOPPING):
        raise IncorrectInstanceState(f"Instance '{row.id}' is not in a state from which an image can be created.")
    return row


async def _disks(call: Call, instance: Row) -> list[Disk]:
    """The instance's disks that last, the root first."""
    held = (await attachments.of_instances(call.tx, [instance.id])).get(instance.id, [])
    held = [row for row in held if row.state in attachment_life.WANTED]
    rows = await volumes.by_ids(call.tx, [row.volume_id for row in held])
    disks: list[Disk] = []
    if instance.root["kind"] != "volume":
        size_gib = max(1, instance.root["size_gib"])
        mapping = NewVolume(device=instance.root_device, size_gib=size_gib)
        disks.append(Disk(NO_VOLUME, instance.zone, size_gib, instance.root_device, mapping))
    for attachment in held:
        volume = rows[attachment.volume_id]
        own_iops = volume.iops if volume.volume_type in ("io1", "io2", "gp3") else None
        mapping = NewVolume(
            device=attachment.device,
            size_gib=volume.size_gib,
            volume_type=volume.volume_type,
            delete_on_termination=bool(attachment.delete_on_termination),
            iops=own_iops,
            throughput=volume.throughput,
        )
        disks.append(Disk(volume.id, volume.zone, volume.size_gib, attachment.device, mapping))
    return sorted(disks, key=lambda disk: (disk.device != instance.root_device, disk.device))


def _devices(disks: Sequence[Disk], instance: Row, wanted: Sequence[Mapping[str, Any]]) -> list[Device]:
    """The image's mappings: the instance's, changed by the request's. Raises InvalidBlockDeviceMapping and the like."""
    own: dict[str, Device] = {disk.device: disk.mapping for disk in disks}
    own.update({one["device"]: NewEphemeral(one["name"], one["device"]) for one in instance.ephemerals})
    merged = launch_devices.merge(own, wanted, None, instance.root_device, images.EBS)
    sizes = {disk.device: disk.size_gib for disk in disks}
    return [
        launch_devices.check_volume(device, sizes.get(device.device)) if isinstance(device, NewVolume) else device
        for device in merged
    ]


def _columns(device: Device, made: Mapping[str, Row]) -> dict[str, Any]:
    columns = device_columns(device)
    return {**columns, "snapshot_id": made[device.device].id} if device.device in made else columns


async def _like_its_image(call: Call, instance: Row, p: Mapping[str, Any]) -> dict[str, Any]:
    """What the new image takes over from the one that the instance was launched from, as far as that is still known."""
    image = await images.by_id(call.tx, instance.image_id)
    columns: dict[str, Any] = {"source_image_id": instance.image_id, "boot_mode": p.get("BootModeOverride") or ""}
    if image is not None:
        columns.update({name: getattr(image, name) for name in ("ena", "sriov", "platform", "tpm", "imds")})
        columns["boot_mode"] = columns["boot_mode"] or image.boot_mode
    return columns
