"""ImportSnapshot, DescribeImportSnapshotTasks, CancelImportTask.

A handler writes a task and wakes `imports`, which sees it through: `reconcilers/imports.py`. Disks and the service role:
`import_disks.py`; whole machines: `import_image.py`; states: `eucapy/lifecycle/import_task.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import import_disks, paging
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import IncorrectState, InvalidParameter, UnsupportedOperation
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import import_tasks
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row
from eucapy.lifecycle import import_task as life

FORMATS = ("raw", "vmdk", "vhd", "vhdx", "qcow2")
"""AWS takes the first three."""


@ec2.action("ImportSnapshot")
async def import_snapshot(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    if p.get("Encrypted") or p.get("KmsKeyId"):
        raise UnsupportedOperation("Encrypted imports are not supported in this region.")
    if not p.get("DiskContainer"):
        raise InvalidParameter("A disk container is required.")
    tags = tagging.from_specifications(p, "import-snapshot-task")
    disk = import_disks.disk(call, p["DiskContainer"], FORMATS)
    description = import_disks.described(p.get("Description") or "")
    role = await import_disks.service_role(call, p.get("RoleName"))
    row = await import_tasks.insert(
        call.tx,
        account=call.account,
        kind=import_tasks.SNAPSHOT,
        description=description,
        role=role.id,
        disks=[disk],
        options={},
        message="pending",
        now=call.now,
        tags=tags,
    )
    call.wake("imports")
    return view(row, [{"Key": key, "Value": value} for key, value in sorted(tags.items())])


@ec2.action("DescribeImportSnapshotTasks")
async def describe_import_snapshot_tasks(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        p,
        page=import_tasks.page,
        declared=import_tasks.FILTERS,
        id_column=import_tasks.table.c.id,
        prefix=import_tasks.SNAPSHOT,
        member="ImportTaskIds",
        extra=[import_tasks.table.c.kind == import_tasks.SNAPSHOT],
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"ImportSnapshotTasks": [view(row, tags.get(row.id, ())) for row in rows], **more}


@ec2.action("CancelImportTask")
async def cancel_import_task(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """What it had made so far is removed. A task that is over cannot be cancelled any more."""
    if not p.get("ImportTaskId"):
        raise InvalidParameter("An import task id is required.")
    row = await _own(call, p["ImportTaskId"])
    if row.state != life.ACTIVE:
        raise IncorrectState(f"The import task {row.id} is {row.state} and cannot be cancelled.")
    reason = p.get("CancelReason") or ""
    message = f"User initiated cancellation: {reason}" if reason else "User initiated cancellation"
    await import_tasks.move(call.tx, row, "cancel", call.now, message=message[:255])
    call.wake("imports")
    return {"ImportTaskId": row.id, "PreviousState": life.ACTIVE, "State": life.DELETING}


def view(row: Row, tags: Sequence[dict[str, str]]) -> dict[str, Any]:
    """A task as ImportSnapshotTask."""
    (disk,) = row.disks
    active = row.state == life.ACTIVE
    detail = {
        **import_disks.detail(row, disk),
        "Description": row.description or disk["description"],
        "Encrypted": False,
        "Progress": str(row.progress) if active else None,
        "SnapshotId": import_disks.made(row, disk),
        "Status": row.state,
        "StatusMessage": import_disks.message_of(row),
    }
    return {
        "ImportTaskId": row.id,
        "Description": row.description or None,
        "SnapshotTaskDetail": {name: value for name, value in detail.items() if value is not None},
        "Tags": list(tags),
    }


async def _own(call: Call, task_id: str) -> Row:
    ids.check(import_tasks.SNAPSHOT, task_id, import_tasks.IMAGE)
    row = await import_tasks.by_id(call.tx, call.account, task_id)
    if row is None:
        raise ids.missing(task_id.rpartition("-")[0], [task_id])
    return row
