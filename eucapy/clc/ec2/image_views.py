"""An image's rows as EC2's Image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from eucapy.aws.timestamps import milliseconds
from eucapy.clc.context import Call
from eucapy.clc.store import images, tags
from eucapy.database import Row


async def shown(call: Call, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The images as EC2 shows them, in the order of `rows`."""
    devices = await images.devices_of(call.tx, [row.id for row in rows])
    tagged = await tags.of(call.tx, [row.id for row in rows if row.account == call.account])
    return [view(row, devices.get(row.id, ()), tagged.get(row.id, []), call.now) for row in rows]


def view(row: Row, devices: Iterable[Row], tag_set: list[dict[str, str]], now: float) -> dict[str, Any]:
    """An Image; tags are shown to its owner alone."""
    out: dict[str, Any] = {
        "Architecture": row.architecture,
        "BlockDeviceMappings": [mapping(device) for device in devices],
        "BootMode": row.boot_mode or None,
        "CreationDate": moment(row.created_at),
        "DeprecationTime": moment(row.deprecated_at),
        "DeregistrationProtection": protection(row, now) or "disabled",
        "Description": row.description or None,
        "EnaSupport": row.ena or None,
        "Hypervisor": "xen",
        "ImageId": row.id,
        "ImageLocation": row.location,
        "ImageOwnerAlias": row.owner_alias or None,
        "ImageType": "machine",
        "ImdsSupport": row.imds or None,
        "Name": row.name,
        "OwnerId": row.account,
        "Platform": row.platform or None,
        "PlatformDetails": "Linux/UNIX",
        "ProductCodes": [],
        "Public": row.public,
        "RootDeviceName": row.root_device,
        "RootDeviceType": row.root_kind,
        "SourceImageId": row.source_image_id or None,
        "SourceInstanceId": row.source_instance_id or None,
        "SriovNetSupport": row.sriov or None,
        "State": row.state,
        "Tags": tag_set or None,
        "TpmSupport": row.tpm or None,
        "UsageOperation": "RunInstances",
        "VirtualizationType": row.virtualization,
    }
    if row.reason_code:
        out["StateReason"] = {"Code": row.reason_code, "Message": row.reason}
    return out


def protection(row: Row, now: float) -> str:
    """How the image is protected from being deregistered, in EC2's words; "" where it is not. A cool-down lasts on after the
    protection was switched off."""
    return str(row.protection) if row.protected_until is None or now < row.protected_until else ""


def moment(seconds: float | None) -> str | None:
    """A time where the API has it as a string."""
    return milliseconds(seconds) if seconds is not None else None


def mapping(device: Row) -> dict[str, Any]:
    """A BlockDeviceMapping of an image."""
    if device.virtual_name:
        return {"DeviceName": device.device, "VirtualName": device.virtual_name}
    return {
        "DeviceName": device.device,
        "Ebs": {
            "DeleteOnTermination": device.delete_on_termination,
            "Encrypted": False,
            "Iops": device.iops,
            "SnapshotId": device.snapshot_id or None,
            "Throughput": device.throughput,
            "VolumeSize": device.size_gib,
            "VolumeType": device.volume_type,
        },
    }
