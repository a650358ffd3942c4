"""CreateInstanceExportTask, DescribeExportTasks. Cancelling: `export_image.py`.

A snapshot is taken of the instance's disk, written out, put into the bucket and removed again. VMware gets a VMDK, in an OVA
where one is asked for, Citrix and Microsoft a VHD. The API has no member for a service role: `vmimport` writes the bucket, as
for ExportImage. Source: "Exporting an instance as a VM", VM Import/Export User Guide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eucapy import ids
from eucapy.clc import ovf
from eucapy.clc.actors import Actor
from eucapy.clc.context import Call
from eucapy.clc.ec2 import import_disks, paging
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import IncorrectInstanceState, NotExportable, Unsupported
from eucapy.clc.ec2.export_image import checked_place
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import attachments, export_tasks, instances, snapshots, volumes
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row
from eucapy.lifecycle import attachment as attachment_life
from eucapy.lifecycle import export_task as life
from eucapy.lifecycle import instance as instance_life

FORMATS = {"vmware": "vmdk", "citrix": "vhd", "microsoft": "vhd"}
"""What each environment takes."""
_STATES = {life.DELETING: "cancelling", life.DELETED: "cancelled"}


class Wanted(NamedTuple):
    """What is asked for; `container` is `ova` or ""."""

    environment: str
    format: str
    container: str


@ec2.action("CreateInstanceExportTask", unchecked=("ExportToS3Task",))
async def create_instance_export_task(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    tags = tagging.from_specifications(p, "export-instance-task")
    place = p["ExportToS3Task"]
    bucket, prefix = checked_place(place.get("S3Bucket"), place.get("S3Prefix"))
    wanted = _wanted(p["TargetEnvironment"], place)
    description = import_disks.described(p.get("Description") or "")
    instance = await _instance(call, p["InstanceId"])
    volume = await _volume(call, instance)
    role = await import_disks.service_role(call, None)
    task_id = ids.new(export_tasks.INSTANCE)
    snapshot = await snapshots.create(
        call.tx,
        account=call.account,
        volume=volume,
        description=f"Created by AWS-VMExport service for {task_id}",
        now=call.now,
    )
    row = await export_tasks.insert(
        call.tx,
        task_id=task_id,
        account=call.account,
        kind=export_tasks.INSTANCE,
        source_id=instance.id,
        description=description,
        actor=Actor.of_role(role, task_id).kept(),
        bucket=bucket,
        disks=[_disk(call, task_id, prefix, wanted, instance, snapshot)],
        options=wanted._asdict(),
        message="Running",
        now=call.now,
        tags=tags,
    )
    for loop in ("exports", "storage_sync"):
        call.wake(loop)
    return {"ExportTask": view(row, [{"Key": key, "Value": value} for key, value in sorted(tags.items())])}


@ec2.action("DescribeExportTasks")
async def describe_export_tasks(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, _ = await paging.described(
        call,
        p,
        page=export_tasks.page,
        declared=export_tasks.FILTERS,
        id_column=export_tasks.table.c.id,
        prefix=export_tasks.INSTANCE,
        member="ExportTaskIds",
        extra=[export_tasks.table.c.kind == export_tasks.INSTANCE],
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"ExportTasks": [view(row, tags.get(row.id, ())) for row in rows]}


def _wanted(environment: str, place: Mapping[str, Any]) -> Wanted:
    """Raises Unsupported in AWS's words."""
    takes = FORMATS[environment]
    format_ = (place.get("DiskImageFormat") or takes).lower()
    container = (place.get("ContainerFormat") or "").lower()
    if format_ != takes:
        raise Unsupported(
            f"diskImageFormat '{format_}' not supported for targetEnvironment '{environment}'. Valid value(s): ['{takes}']."
        )
    valid = "['ova']" if environment == "vmware" else "[]"
    if container and (container != "ova" or environment != "vmware"):
        raise Unsupported(
            f"containerFormat '{container}' not supported for targetEnvironment '{environment}'. Valid value(s): {valid}."
        )
    return Wanted(environment, format_, container)


async def _instance(call: Call, instance_id: str) -> Row:
    row = await instances.by_id(call.tx, call.account, ids.check("i", instance_id))
    if row is None:
        raise ids.missing("i", [instance_id])
    if row.state not in (instance_life.RUNNING, instance_life.STOPPED):
        raise IncorrectInstanceState(f"Instance '{row.id}' is not in a state from which it can be exported.")
    return row


async def _volume(call: Call, instance: Row) -> Row:
    """The instance's one disk. Raises NotExportable."""
    held = (await attachments.of_instances(call.tx, [instance.id])).get(instance.id, [])
    held = [row for row in held if row.state in attachment_life.WANTED]
    if instance.root["kind"] != "volume" or not held:
        raise NotExportable("Only instances with an EBS root device can be exported.")
    if len(held) > 1:
        raise NotExportable("Only instances with a single disk can be exported.")
    volume = (await volumes.by_ids(call.tx, [held[0].volume_id]))[held[0].volume_id]
    origin = (await snapshots.by_ids(call.tx, [volume.snapshot_id])).get(volume.snapshot_id)
    if origin is not None and origin.account != call.account:
        raise NotExportable(
            f"The snapshot ID ({origin.id}) of the instance neither is owned by current user nor had been previously "
            "imported through VMIE."
        )
    return volume


def _disk(call: Call, task_id: str, prefix: str, wanted: Wanted, instance: Row, snapshot: Row) -> dict[str, Any]:
    """As `store/export_tasks.py` keeps it."""
    disk: dict[str, Any] = {
        "snapshot_id": snapshot.id,
        "zone": snapshot.zone,
        "size_gib": snapshot.size_gib,
        "format": wanted.format,
        "key": f"{prefix}{task_id}.{wanted.container or wanted.format}",
        "own": True,
    }
    if wanted.container:
        name = f"{task_id}-disk-1.{wanted.format}"
        disk["disk_name"] = name
        disk["description"] = ovf.describe(instance.id, name, snapshot.size_gib, instance.vcpus, instance.memory_mib)
    return disk


def view(row: Row, tags: Sequence[dict[str, str]]) -> dict[str, Any]:
    """A task as ExportTask."""
    options = row.options
    return {
        "Description": row.description,
        "ExportTaskId": row.id,
        "ExportToS3Task": {
            **({"ContainerFormat": options["container"]} if options["container"] else {}),
            "DiskImageFormat": options["format"],
            "S3Bucket": row.bucket,
            "S3Key": row.disks[0]["key"],
        },
        "InstanceExportDetails": {"InstanceId": row.source_id, "TargetEnvironment": options["environment"]},
        "State": _STATES.get(row.state, row.state),
        "StatusMessage": row.message,
        "Tags": list(tags),
    }
