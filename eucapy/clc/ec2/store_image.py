"""CreateStoreImageTask, DescribeStoreImageTasks, CreateRestoreImageTask: an image with all that it has as one object.

Both work in a bucket with the rights of the caller. Storing is a task of `reconcilers/exports.py`; what is read back
(`stored_image.py`) becomes an image and its snapshots at once, `pending` until the storage has fetched them. Source: EC2 User
Guide, "Store and restore an AMI using S3".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from eucapy import ids
from eucapy.aws.timestamps import milliseconds
from eucapy.clc.actors import Actor
from eucapy.clc.context import Call
from eucapy.clc.ec2 import launch_devices, paging
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    InvalidAMIIDUnavailable,
    InvalidParameter,
    InvalidParameterValue,
    InvalidRequest,
    ResourceCountExceeded,
)
from eucapy.clc.ec2.images import ALIAS, OPERATOR, described, device_columns, free_name
from eucapy.clc.ec2.launch_devices import Device, NewEphemeral, NewVolume
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import export_tasks, filters, images, snapshots
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store.snapshots import NO_VOLUME
from eucapy.clc.stored_image import Device as StoredDevice
from eucapy.clc.stored_image import Disk, Manifest
from eucapy.database import Row
from eucapy.lifecycle import export_task as life
from eucapy.lifecycle import image as image_life
from eucapy.lifecycle import snapshot as snapshot_life

MOST_GIB = 1200
"""Of snapshots in all the images that an account is storing at a time."""
MOST_IMAGES = 20
"""That DescribeStoreImageTasks may be asked for by id."""
MOST_PARTS = 9999
"""Of an upload, the manifest's aside."""
_KEPT = ("architecture", "platform", "root_device", "boot_mode", "tpm", "imds", "sriov", "ena")


@dataclass(frozen=True)
class Origin:
    """What a snapshot of a restored image is taken of: nothing that is here."""

    zone: str
    size_gib: int
    id: str = NO_VOLUME


@ec2.action("CreateStoreImageTask")
async def create_store_image_task(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    image = await _image(call, p["ImageId"])
    devices = (await images.devices_of(call.tx, [image.id])).get(image.id, [])
    held = await _readable(call, image, devices)
    await _check_room(call, sum(row.size_gib for row in held))
    key, task_id = f"{image.id}.bin", ids.new(export_tasks.STORED)
    disks = [
        {
            "snapshot_id": row.id,
            "zone": row.zone,
            "size_gib": row.size_gib,
            "format": "qcow2",
            "key": key,
            "padded": True,
            "most_parts": min(5000, MOST_PARTS // len(held)),
        }
        for row in held
    ]
    await export_tasks.insert(
        call.tx,
        task_id=task_id,
        account=call.account,
        kind=export_tasks.STORED,
        source_id=image.id,
        description="",
        actor=Actor.of_principal(call.principal).kept(),
        bucket=p["Bucket"],
        disks=disks,
        options={
            "headers": _headers(call, image, p.get("S3ObjectTags") or ()),
            "manifest": msgspec.to_builtins(await _manifest(call, image, devices, held)),
        },
        message="",
        now=call.now,
        tags={},
    )
    call.wake("exports")
    return {"ObjectKey": key}


@ec2.action("DescribeStoreImageTasks")
async def describe_store_image_tasks(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The newest first. With ids the filters do not count."""
    limit, token = paging.bounds(p, "ImageIds", low=1, high=200)
    wanted = [ids.check("ami", value) for value in dict.fromkeys(p.get("ImageIds") or ())]
    if len(wanted) > MOST_IMAGES:
        raise InvalidParameterValue(f"At most {MOST_IMAGES} image ids may be given.")
    conditions = filters.where(export_tasks.STORED_FILTERS, p.get("Filters"))
    if wanted:
        conditions = [export_tasks.table.c.source_id.in_(wanted)]
    after = _position(paging.position(call, token))
    rows = await export_tasks.stored(call.tx, call.account, conditions, after, paging.one_more(limit))
    known = {row.source_id for row in rows}
    absent = [
        value for value in wanted if value not in known and not await images.visible(call.tx, call.account, value)
    ]
    if absent:
        raise ids.missing("ami", absent)
    rows, more = paging.cut(rows, limit)
    following = {"NextToken": call.token(f"{rows[-1].created_at!r} {rows[-1].id}")} if more else {}
    return {"StoreImageTaskResults": [view(row) for row in rows], **following}


@ec2.action("CreateRestoreImageTask", unchecked=("Name",))
async def create_restore_image_task(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    tags = tagging.from_specifications(p, "image", "snapshot")
    snapshot_tags = tagging.from_specifications(p, "snapshot", "image")
    bucket, key = p["Bucket"], p["ObjectKey"]
    who = Actor.of_principal(call.principal)
    found = await call.aside((who, bucket, key), lambda: call.stored.read(who, bucket, key))
    manifest: Manifest | None = getattr(found, "manifest", None)
    if manifest is None:
        raise InvalidParameter(f"The object {bucket}/{key} cannot be restored: {found.reason}.")
    name = await free_name(call, p.get("Name") or manifest.name)
    devices = _devices(manifest)
    row = await images.insert(
        call.tx,
        account=call.account,
        now=call.now,
        name=name,
        owner_alias=ALIAS if call.principal.account_name == OPERATOR else "",
        description=described(manifest.description),
        location=f"{call.account}/{name}",
        root_kind=images.EBS,
        root_size_gib=manifest.disks[0].size_gib,
        source={"kind": "snapshot", "snapshot_id": ""},
        **{column: getattr(manifest, column) for column in _KEPT},
    )
    source = {"bucket": bucket, "key": key, "etag": found.etag, "size_bytes": found.size_bytes, "format": "qcow2"}
    made = [await _restored(call, row, disk, source, snapshot_tags) for disk in manifest.disks]
    await images.set_values(call.tx, row.id, source={"kind": "snapshot", "snapshot_id": made[0]})
    columns = [device_columns(device) for device, _ in devices]
    for one, (_, number) in zip(columns, devices, strict=True):
        one["snapshot_id"] = "" if number is None else made[number]
    await images.insert_devices(call.tx, row.id, columns)
    await tagging.put(call, "image", row.id, {**_checked(manifest.tags), **tags})
    for loop in ("storage_sync", "images"):
        call.wake(loop)
    return {"ImageId": row.id}


async def _image(call: Call, image_id: str) -> Row:
    row = await images.visible(call.tx, call.account, ids.check("ami", image_id))
    if row is None:
        raise ids.missing("ami", [image_id])
    if row.state != image_life.AVAILABLE:
        raise InvalidAMIIDUnavailable(image=row.id)
    if row.root_kind != images.EBS:
        raise InvalidRequest(f"The image {row.id} is not backed by Amazon EBS and cannot be stored.")
    return row


async def _readable(call: Call, image: Row, devices: Sequence[Row]) -> list[Row]:
    """The image's snapshots, the root's first. Who may launch it may not necessarily read them."""
    root = image.source["snapshot_id"]
    found = []
    for snapshot_id in dict.fromkeys([root, *(device.snapshot_id for device in devices if device.snapshot_id)]):
        row = await snapshots.visible(call.tx, call.account, snapshot_id)
        if row is None or row.state != snapshot_life.COMPLETED:
            raise InvalidRequest("You do not have permission to access the storage of this ami")
        found.append(row)
    return found


async def _check_room(call: Call, more_gib: int) -> None:
    """Whether that much more may be stored now. Raises ResourceCountExceeded."""
    under_way = [export_tasks.table.c.state == life.ACTIVE]
    rows = await export_tasks.stored(call.tx, call.account, under_way, None, None)
    held = sum(disk["size_gib"] for row in rows for disk in row.disks)
    if held and held + more_gib > MOST_GIB:
        raise ResourceCountExceeded(f"Images of at most {MOST_GIB} GB may be stored at a time.")


def _headers(call: Call, image: Row, tags: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of the object: what AWS writes into its metadata, and its tags."""
    told = {
        "ami-name": image.name,
        "ami-description": image.description,
        "ami-registered-date": milliseconds(image.created_at),
        "ami-owner-account": image.account,
        "ami-store-date": milliseconds(call.now),
    }
    headers = {f"x-amz-meta-{name}": quote(value, safe=" :/()[]'@_.-") for name, value in told.items() if value}
    if tags:
        headers["x-amz-tagging"] = urlencode({tag.get("Key") or "": tag.get("Value") or "" for tag in tags})
    return headers


async def _manifest(call: Call, image: Row, devices: Sequence[Row], held: Sequence[Row]) -> Manifest:
    """Where the disks lie is not known yet. Tags come along as far as they are the caller's."""
    own = await tag_rows.of(call.tx, [row.id for row in (image, *held) if row.account == call.account])

    def tags(row: Row) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in own.get(row.id, ()) if not tag["Key"].startswith("aws:")}

    places = {row.id: number for number, row in enumerate(held)}
    return Manifest(
        name=image.name,
        description=image.description,
        tags=tags(image),
        disks=[Disk(size_gib=row.size_gib, description=row.description, tags=tags(row)) for row in held],
        devices=[
            StoredDevice(
                device=device.device,
                disk=places.get(device.snapshot_id),
                virtual_name=device.virtual_name,
                size_gib=device.size_gib,
                volume_type=device.volume_type,
                delete_on_termination=bool(device.delete_on_termination),
                iops=device.iops,
                throughput=device.throughput,
            )
            for device in devices
        ],
        **{column: getattr(image, column) for column in _KEPT},
    )


def _devices(manifest: Manifest) -> list[tuple[Device, int | None]]:
    """The mappings, checked like a request's, and the place of each one's disk. Raises InvalidBlockDeviceMapping and more."""
    found: list[tuple[Device, int | None]] = []
    for one in manifest.devices:
        if not launch_devices.is_device(one.device):
            raise InvalidParameter(f"The stored image has a device with the name {one.device}.")
        if one.virtual_name:
            found.append((NewEphemeral(one.virtual_name, one.device), None))
            continue
        volume = NewVolume(
            device=one.device,
            size_gib=one.size_gib,
            volume_type=one.volume_type,
            delete_on_termination=one.delete_on_termination,
            iops=one.iops,
            throughput=one.throughput,
        )
        disk_gib = None if one.disk is None else manifest.disks[one.disk].size_gib
        found.append((launch_devices.check_volume(volume, disk_gib), one.disk))
    return found


async def _restored(call: Call, image: Row, disk: Disk, source: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """The id of the snapshot that the disk becomes."""
    row = await snapshots.create(
        call.tx,
        account=call.account,
        volume=Origin(call.config.zones[0], disk.size_gib),
        description=disk.description,
        now=call.now,
        tags={**_checked(disk.tags), **tags},
        capture=image.id,
    )
    place = {"start": disk.start, "length_bytes": disk.length_bytes, "adapt": False}
    await snapshots.set_values(call.tx, row.id, source={**source, **place})
    return str(row.id)


def _checked(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that were stored, as good as a request's. Raises InvalidParameterValue, TagLimitExceeded."""
    return tagging.checked([{"Key": key, "Value": value} for key, value in tags.items()])


def _position(text: str) -> tuple[float, str] | None:
    at, _, task_id = text.partition(" ")
    return (float(at), task_id) if task_id else None


def view(row: Row) -> dict[str, Any]:
    """A task as StoreImageTaskResult."""
    failed = row.state in (life.DELETING, life.DELETED)
    out: dict[str, Any] = {
        "AmiId": row.source_id,
        "TaskStartTime": row.created_at,
        "Bucket": row.bucket,
        "S3objectKey": row.disks[0]["key"],
        "ProgressPercentage": row.progress,
        "StoreTaskState": export_tasks.STORE_STATES[row.state],
        "StoreTaskFailureReason": row.message if failed else None,
    }
    return {name: value for name, value in out.items() if value is not None}
