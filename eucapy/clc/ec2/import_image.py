"""ImportImage, DescribeImportImageTasks: a machine from elsewhere as an image.

One disk container a disk, the first the one to boot from; an OVA is one container that may hold several. A handler writes a
task and wakes `imports`: `reconcilers/imports.py`. Cancelling: `import_snapshot.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import import_disks, launch_devices, paging
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import IncorrectState, InvalidParameter, UnsupportedOperation
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import import_tasks, snapshots
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row
from eucapy.lifecycle import import_task as life
from eucapy.lifecycle import snapshot as snapshot_life

FORMATS = ("raw", "vmdk", "vhd", "vhdx", "ova", "qcow2")
MOST_DISKS = 21
"""Source: "Limitations for resources", VM Import/Export User Guide."""
_ARCHITECTURES = ("x86_64", "i386")
_LICENSES = ("AWS", "BYOL")


@ec2.action("ImportImage")
async def import_image(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    if p.get("Encrypted") or p.get("KmsKeyId"):
        raise UnsupportedOperation("Encrypted imports are not supported in this region.")
    options = _options(p)
    containers = p.get("DiskContainers") or ()
    if not 1 <= len(containers) <= MOST_DISKS:
        raise InvalidParameter(f"From 1 to {MOST_DISKS} disk containers are required.")
    tags = tagging.from_specifications(p, "import-image-task", "image", "snapshot")
    disks = [await _disk(call, container) for container in containers]
    role = await import_disks.service_role(call, p.get("RoleName"))
    row = await import_tasks.insert(
        call.tx,
        account=call.account,
        kind=import_tasks.IMAGE,
        description=import_disks.described(p.get("Description") or ""),
        role=role.id,
        disks=disks,
        options=options,
        message="pending",
        now=call.now,
        tags=tags,
    )
    call.wake("imports")
    out = view(row, [{"Key": key, "Value": value} for key, value in sorted(tags.items())])
    out.pop("BootMode", None)  # no member of this answer
    return out


@ec2.action("DescribeImportImageTasks")
async def describe_import_image_tasks(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        p,
        page=import_tasks.page,
        declared=import_tasks.FILTERS,
        id_column=import_tasks.table.c.id,
        prefix=import_tasks.IMAGE,
        member="ImportTaskIds",
        extra=[import_tasks.table.c.kind == import_tasks.IMAGE],
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"ImportImageTasks": [view(row, tags.get(row.id, ())) for row in rows], **more}


def _options(p: Mapping[str, Any]) -> dict[str, str]:
    """The columns that the image gets from the request. Raises InvalidParameter and UnsupportedOperation."""
    architecture = p.get("Architecture") or "x86_64"
    if architecture not in _ARCHITECTURES:
        raise InvalidParameter(f"The architecture {architecture} is not supported. Supported: x86_64, i386.")
    platform = p.get("Platform") or ""
    if platform.lower() == "windows":
        raise UnsupportedOperation("Imports of Windows are not supported in this region.")
    if platform and platform.lower() != "linux":
        raise InvalidParameter(f"The platform {platform} is not valid. Valid: Windows, Linux.")
    if (p.get("LicenseType") or "BYOL") not in _LICENSES:
        raise InvalidParameter(f"The license type {p['LicenseType']} is not valid. Valid: AWS, BYOL.")
    return {"architecture": architecture, "boot_mode": p.get("BootMode") or ""}


async def _disk(call: Call, container: Mapping[str, Any]) -> dict[str, Any]:
    device = container.get("DeviceName") or ""
    if device and not launch_devices.is_device(device):
        raise InvalidParameter(f"The device name {device} of a disk container is not valid.")
    if not container.get("SnapshotId"):
        return import_disks.disk(call, container, FORMATS)
    snapshot_id = ids.check("snap", container["SnapshotId"])
    row = await snapshots.by_id(call.tx, call.account, snapshot_id)
    if row is None:
        raise ids.missing("snap", [snapshot_id])
    if row.state != snapshot_life.COMPLETED:
        raise IncorrectState(f"The snapshot '{snapshot_id}' is '{row.state}'")
    return {
        "format": (container.get("Format") or "raw").lower(),
        "bucket": "",
        "key": "",
        "url": "",
        "shown_url": "",
        "description": import_disks.described(container.get("Description") or ""),
        "device": device,
        "snapshot_id": snapshot_id,
        "given": True,
    }


def view(row: Row, tags: Sequence[dict[str, str]]) -> dict[str, Any]:
    """A task as ImportImageTask."""
    active = row.state == life.ACTIVE
    out: dict[str, Any] = {
        "Architecture": row.options["architecture"],
        "BootMode": row.options["boot_mode"] or None,
        "Description": row.description or None,
        "Encrypted": False,
        "ImageId": row.image_id or None,
        "ImportTaskId": row.id,
        "LicenseType": "BYOL",
        "Platform": "Linux",
        "Progress": str(row.progress) if active else None,
        "SnapshotDetails": [_detail(row, disk) for disk in row.disks],
        "Status": row.state,
        "StatusMessage": import_disks.message_of(row),
        "Tags": list(tags),
        "UsageOperation": "RunInstances" if row.state == life.COMPLETED else None,
    }
    return {name: value for name, value in out.items() if value is not None}


def _detail(row: Row, disk: Mapping[str, Any]) -> dict[str, Any]:
    if disk.get("given"):
        return {"SnapshotId": disk["snapshot_id"], "Status": row.state, "DeviceName": disk["device"] or None}
    snapshot_id = import_disks.made(row, disk)
    return {
        **import_disks.detail(row, disk),
        "DeviceName": disk["device"] or None,
        "Progress": str(row.progress) if row.state == life.ACTIVE and row.begun else None,
        "SnapshotId": snapshot_id,
        "Status": "completed" if snapshot_id else row.state,
    }
