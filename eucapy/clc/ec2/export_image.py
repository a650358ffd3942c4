"""ExportImage, DescribeExportImageTasks, CancelExportTask.

A handler writes a task and wakes `exports`, which sees it through: `reconcilers/exports.py`. Every disk of the image becomes
an object of the bucket, the root disk `<prefix><task>.<format>`, the others `<prefix><task>-<number>.<format>`. Instances:
`export_instance.py`; states: `eucapy/lifecycle/export_task.py`. Source: "Exporting a VM directly from an Amazon Machine Image
(AMI)", VM Import/Export User Guide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc.actors import Actor
from eucapy.clc.context import Call
from eucapy.clc.ec2 import import_disks, paging
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import IncorrectState, InvalidAMIIDUnavailable, InvalidParameter, NotExportable
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import export_tasks, images, snapshots
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row
from eucapy.lifecycle import export_task as life
from eucapy.lifecycle import image as image_life
from eucapy.lifecycle import snapshot as snapshot_life

LONGEST_KEY = 1024 - 64
"""Of the prefix: what follows it has room in an object's key."""


@ec2.action("ExportImage")
async def export_image(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    tags = tagging.from_specifications(p, "export-image-task")
    place = p["S3ExportLocation"]
    bucket, prefix = checked_place(place.get("S3Bucket"), place.get("S3Prefix"))
    description = import_disks.described(p.get("Description") or "")
    image = await _image(call, p["ImageId"])
    format_ = p["DiskImageFormat"].lower()
    task_id = ids.new(export_tasks.IMAGE)
    disks = [
        {
            "snapshot_id": snapshot.id,
            "zone": snapshot.zone,
            "size_gib": snapshot.size_gib,
            "format": format_,
            "key": f"{prefix}{task_id}{f'-{number}' if number else ''}.{format_}",
        }
        for number, snapshot in enumerate(await _snapshots(call, image))
    ]
    role = await import_disks.service_role(call, p.get("RoleName"))
    row = await export_tasks.insert(
        call.tx,
        task_id=task_id,
        account=call.account,
        kind=export_tasks.IMAGE,
        source_id=image.id,
        description=description,
        actor=Actor.of_role(role, task_id).kept(),
        bucket=bucket,
        disks=disks,
        options={"prefix": prefix},
        message="validating",
        now=call.now,
        tags=tags,
    )
    call.wake("exports")
    shown = view(row, [{"Key": key, "Value": value} for key, value in sorted(tags.items())])
    return {**shown, "DiskImageFormat": p["DiskImageFormat"], "RoleName": p.get("RoleName") or import_disks.ROLE}


@ec2.action("DescribeExportImageTasks")
async def describe_export_image_tasks(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        p,
        page=export_tasks.page,
        declared=export_tasks.FILTERS,
        id_column=export_tasks.table.c.id,
        prefix=export_tasks.IMAGE,
        member="ExportImageTaskIds",
        extra=[export_tasks.table.c.kind == export_tasks.IMAGE],
        low=1,
        high=500,
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"ExportImageTasks": [view(row, tags.get(row.id, ())) for row in rows], **more}


@ec2.action("CancelExportTask")
async def cancel_export_task(call: Call, p: Mapping[str, Any]) -> None:
    """What it had made so far is removed. A task that is over, or whose objects are being put together, goes on."""
    task_id = ids.check(export_tasks.INSTANCE, p["ExportTaskId"], export_tasks.IMAGE)
    row = await export_tasks.by_id(call.tx, call.account, task_id)
    if row is None:
        raise ids.missing(export_tasks.INSTANCE, [task_id])
    if row.state != life.ACTIVE or row.sealing:
        raise IncorrectState(f"The export task {row.id} is {row.state} and cannot be cancelled.")
    await export_tasks.move(call.tx, row, "cancel", call.now, message="User initiated cancellation")
    for loop in ("exports", "storage_sync"):
        call.wake(loop)


def checked_place(bucket: str | None, prefix: str | None) -> tuple[str, str]:
    """Bucket and prefix of the request. Raises InvalidParameter."""
    if not bucket:
        raise InvalidParameter("An S3 bucket is required.")
    if prefix and len(prefix.encode()) > LONGEST_KEY:
        raise InvalidParameter(f"The S3 prefix has more than {LONGEST_KEY} bytes.")
    return bucket, prefix or ""


async def _image(call: Call, image_id: str) -> Row:
    row = await images.visible(call.tx, call.account, ids.check("ami", image_id))
    if row is None:
        raise ids.missing("ami", [image_id])
    if row.account != call.account:
        raise NotExportable(f"The image ID provided ({row.id}) is shared by another account and is not exportable.")
    if row.state != image_life.AVAILABLE:
        raise InvalidAMIIDUnavailable(image=row.id)
    if row.root_kind != images.EBS:
        raise NotExportable(f"The image ID provided ({row.id}) is backed by instance store and is not exportable.")
    return row


async def _snapshots(call: Call, image: Row) -> list[Row]:
    """Those of the image's disks, the root's first."""
    devices = (await images.devices_of(call.tx, [image.id])).get(image.id, [])
    wanted = [device.snapshot_id for device in devices if device.snapshot_id]
    root = image.source["snapshot_id"]
    held = await snapshots.by_ids(call.tx, [root, *wanted])
    found = [held.get(snapshot_id) for snapshot_id in dict.fromkeys([root, *wanted])]
    for row in found:
        if row is None or row.account != call.account or row.state != snapshot_life.COMPLETED:
            raise NotExportable(f"A snapshot of the image ID provided ({image.id}) is not owned by current user.")
    return [row for row in found if row is not None]


def view(row: Row, tags: Sequence[dict[str, str]]) -> dict[str, Any]:
    """A task as ExportImageTask."""
    out: dict[str, Any] = {
        "Description": row.description or None,
        "ExportImageTaskId": row.id,
        "ImageId": row.source_id,
        "Progress": str(row.progress) if row.state == life.ACTIVE else None,
        "S3ExportLocation": {"S3Bucket": row.bucket, "S3Prefix": row.options["prefix"]},
        "Status": row.state,
        "StatusMessage": row.message or None,
        "Tags": list(tags),
    }
    return {name: value for name, value in out.items() if value is not None}
