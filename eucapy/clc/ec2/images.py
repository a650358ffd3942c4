"""RegisterImage, DeregisterImage, DescribeImages.

An image is made of a disk image that lies in a bucket (`ImageLocation="bucket/key"`, raw or qcow2) or of a snapshot that
its root device's mapping names. The first is `pending` until `reconcilers/images.py` has looked at the object. Who may
launch it: `image_attributes.py`, `image_availability.py`; states: `eucapy/lifecycle/image.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import image_views, launch_devices, paging
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    AuthFailure,
    InvalidAMIIDUnavailable,
    InvalidAMINameDuplicate,
    InvalidAMINameMalformed,
    InvalidBlockDeviceMapping,
    InvalidParameterCombination,
    InvalidParameterValue,
    OperationNotPermitted,
    Unsupported,
)
from eucapy.clc.ec2.launch_devices import Device, NewEphemeral, NewVolume
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import filters, images, snapshots
from eucapy.clc.store.advance import advance
from eucapy.clc.store.tags import tag_filter
from eucapy.database import Row
from eucapy.lifecycle import image as life
from eucapy.lifecycle import snapshot as snapshot_life
from eucapy.lifecycle.image import IMAGE

OPERATOR = "eucalyptus"
"""The account whose images carry the owner alias `amazon`, so that what asks for Amazon's images finds the cloud's own."""
ALIAS = "amazon"

LONGEST_DESCRIPTION = 255
LONGEST_LOCATION = 1088
"""A bucket's name, a slash and the longest key."""
_NAME = re.compile(r"[a-zA-Z0-9()\[\] ./\-'@_]{3,128}")
_ARCHITECTURES = ("x86_64", "i386")
_NOT_HERE = ("KernelId", "RamdiskId", "BillingProducts", "UefiData")


@ec2.action("RegisterImage", unchecked=("Name",))
async def register_image(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    columns = _columns(p)
    name = await free_name(call, p["Name"])
    tags = tagging.from_specifications(p, "image")
    root_device = columns["root_device"]
    devices = launch_devices.of_request(p.get("BlockDeviceMappings") or ())
    location = p.get("ImageLocation") or ""
    if location:
        if root_device in {device.device for device in devices}:
            raise InvalidParameterCombination("The root device of an image in a bucket takes no block device mapping.")
        columns.update(root_kind=images.INSTANCE_STORE, location=location, source=_object(location))
    else:
        devices, root = await _of_snapshots(call, devices, root_device)
        columns.update(
            root_kind=images.EBS,
            location=f"{call.account}/{name}",
            source={"kind": "snapshot", "snapshot_id": root.snapshot_id},
            root_size_gib=root.size_gib or 0,
        )
    row = await images.insert(
        call.tx,
        account=call.account,
        now=call.now,
        name=name,
        owner_alias=ALIAS if call.principal.account_name == OPERATOR else "",
        **columns,
    )
    await images.insert_devices(call.tx, row.id, [device_columns(device) for device in devices])
    await tagging.put(call, "image", row.id, tags)
    if not location:
        await advance(call.tx, IMAGE, row, "ready")
    call.wake("images")
    return {"ImageId": row.id}


@ec2.action("DeregisterImage")
async def deregister_image(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Instances that run from it go on, and can be stopped and started. Its snapshots go with it where that is wanted and no
    other image needs them."""
    row = await own(call, p["ImageId"])
    if image_views.protection(row, call.now):
        raise OperationNotPermitted(f"The image '{row.id}' is protected from being deregistered.")
    devices = (await images.devices_of(call.tx, [row.id])).get(row.id, [])
    await advance(call.tx, IMAGE, row, "deregister")
    await images.strip(call.tx, row.id)
    call.wake("captures")
    if not p.get("DeleteAssociatedSnapshots"):
        return {"Return": True}
    wanted = dict.fromkeys(device.snapshot_id for device in devices if device.snapshot_id)
    return {"Return": True, "DeleteSnapshotResults": [await _deleted(call, snapshot_id) for snapshot_id in wanted]}


async def _deleted(call: Call, snapshot_id: str) -> dict[str, str]:
    """A snapshot of a deregistered image, deleted or not, as DeleteSnapshotReturnCode."""
    held = await snapshots.by_id(call.tx, call.account, snapshot_id)
    if held is None or await images.using_snapshot(call.tx, snapshot_id):
        return {"SnapshotId": snapshot_id, "ReturnCode": "skipped"}
    await snapshots.move(call.tx, held, "delete", call.now)
    call.wake("storage_sync")
    return {"SnapshotId": snapshot_id, "ReturnCode": "success"}


@ec2.action("DescribeImages")
async def describe_images(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    limit, token = paging.bounds(p, "ImageIds")
    table = images.table
    conditions = [
        images.visible_to(call.account),
        *filters.where(images.FILTERS, p.get("Filters"), tags=tag_filter(table.c.id)),
    ]
    wanted = p.get("ImageIds") or []
    if wanted:
        asked = [ids.check("ami", value, "aki", "ari") for value in wanted]
        known = await images.existing(call.tx, call.account, wanted)
        missing = [value for value in asked if value not in known]
        if missing:
            raise ids.missing("ami", missing)
        conditions.append(table.c.id.in_(wanted))
    else:
        if not p.get("IncludeDeprecated"):
            conditions.append(images.not_deprecated_for(call.account, call.now))
        if not p.get("IncludeDisabled"):
            conditions.append(images.not_disabled())
    if p.get("Owners"):
        conditions.append(images.owned_by(call.account, p["Owners"]))
    if p.get("ExecutableUsers"):
        conditions.append(images.executable_by(call.account, p["ExecutableUsers"]))
    rows = await images.page(call.tx, conditions, paging.position(call, token), paging.one_more(limit))
    rows, more = paging.cut(rows, limit)
    out: dict[str, Any] = {"Images": await image_views.shown(call, rows)}
    if more:
        out["NextToken"] = call.token(rows[-1].id)
    return out


async def own(call: Call, image_id: str) -> Row:
    """The account's own image. Raises Malformed, NotFound, Unavailable, and AuthFailure for another account's."""
    row = await images.by_id(call.tx, ids.check("ami", image_id, "aki", "ari"))
    if row is None:
        raise ids.missing("ami", [image_id])
    if row.account != call.account:
        if await images.visible(call.tx, call.account, image_id) is None:
            raise ids.missing("ami", [image_id])
        raise AuthFailure(images=image_id)
    if row.state == life.DEREGISTERED:
        raise InvalidAMIIDUnavailable(f"The image ID '{image_id}' is no longer available")
    return row


async def free_name(call: Call, name: str) -> str:
    """A name that a new image may have. Raises InvalidAMIName.Malformed and .Duplicate."""
    if not _NAME.fullmatch(name):
        raise InvalidAMINameMalformed
    taken = await images.by_name(call.tx, call.account, name)
    if taken is not None:
        raise InvalidAMINameDuplicate(name=name, image=taken.id)
    return name


def _columns(p: Mapping[str, Any]) -> dict[str, Any]:
    for name in _NOT_HERE:
        if p.get(name):
            raise Unsupported(f"The parameter {name} is not supported in this region.")
    if p.get("VirtualizationType") not in (None, "", "hvm"):
        raise Unsupported("The virtualization type paravirtual is not supported in this region.")
    architecture = p.get("Architecture") or "x86_64"
    if architecture not in _ARCHITECTURES:
        raise InvalidParameterValue(f"The architecture '{architecture}' is not supported in this region.")
    if p.get("TpmSupport"):
        raise Unsupported("NitroTPM is not supported in this region.")
    return {
        "architecture": architecture,
        "description": described(p.get("Description") or ""),
        "root_device": _root_device(p.get("RootDeviceName") or "/dev/sda1"),
        "ena": bool(p.get("EnaSupport", False)),
        "sriov": p.get("SriovNetSupport") or "",
        "boot_mode": p.get("BootMode") or "",
        "imds": p.get("ImdsSupport") or "",
    }


def described(text: str) -> str:
    """A description that is not too long. Source: API reference, RegisterImage and CreateImage."""
    if len(text) > LONGEST_DESCRIPTION:
        raise InvalidParameterValue(
            f"Value ({text}) for parameter description is invalid. Up to {LONGEST_DESCRIPTION} characters are allowed."
        )
    return text


def _root_device(name: str) -> str:
    if not launch_devices.is_device(name):
        raise InvalidParameterValue(f"Value ({name}) for parameter rootDeviceName is invalid. Not a device name.")
    return name


def _object(location: str) -> dict[str, str]:
    bucket, _, key = location.strip("/").partition("/")
    if not bucket or not key or len(location) > LONGEST_LOCATION:
        raise InvalidParameterValue(
            f"Value ({location}) for parameter imageLocation is invalid. Expected: 'bucket/key' of a disk image."
        )
    return {"kind": "object", "bucket": bucket, "key": key}


async def _of_snapshots(call: Call, devices: Sequence[Device], root_device: str) -> tuple[list[Device], NewVolume]:
    """The mappings with their final sizes, and the root's."""
    checked: list[Device] = []
    root: NewVolume | None = None
    for device in devices:
        if isinstance(device, NewVolume):
            device = launch_devices.check_volume(device, await _snapshot_gib(call, device.snapshot_id))
            if device.device == root_device:
                root = device
        checked.append(device)
    if root is None or not root.snapshot_id:
        raise InvalidBlockDeviceMapping("No root snapshot specified in device mapping.")
    return checked, root


async def _snapshot_gib(call: Call, snapshot_id: str) -> int | None:
    if not snapshot_id:
        return None
    snapshot = await snapshots.visible(call.tx, call.account, ids.check("snap", snapshot_id))
    if snapshot is None:
        raise ids.missing("snap", [snapshot_id])
    if snapshot.state != snapshot_life.COMPLETED:
        raise InvalidParameterValue(f"Snapshot '{snapshot_id}' is not 'completed'.")
    return int(snapshot.size_gib)


def device_columns(device: Device) -> dict[str, Any]:
    """A mapping as `images.insert_devices` takes it."""
    columns: dict[str, Any] = {
        "device": device.device,
        "virtual_name": "",
        "snapshot_id": "",
        "size_gib": None,
        "volume_type": "gp2",
        "delete_on_termination": True,
        "iops": None,
        "throughput": None,
    }
    if isinstance(device, NewEphemeral):
        return {**columns, "virtual_name": device.name}
    return {
        **columns,
        "snapshot_id": device.snapshot_id,
        "size_gib": device.size_gib,
        "volume_type": device.volume_type,
        "delete_on_termination": device.delete_on_termination,
        "iops": device.iops,
        "throughput": device.throughput,
    }
