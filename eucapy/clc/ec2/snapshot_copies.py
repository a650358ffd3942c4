"""Copying snapshots: CopySnapshot. The copy is independent of its source from the moment that it is completed.

Both lie in the storage of one zone and share their blocks, so that a copy takes no room and no time, and is completed
within whatever `CompletionDurationMinutes` asks for. There is one region: a copy out of another one is refused.
Source: EBS User Guide, "Copy an Amazon EBS snapshot" and "Time-based copies for Amazon EBS snapshots".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    IncorrectState,
    InvalidParameterDependency,
    InvalidParameterValue,
    SnapshotCopyUnsupportedInterRegion,
    UnsupportedOperation,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.ec2.snapshots import described
from eucapy.clc.store import snapshots
from eucapy.lifecycle import snapshot as life

MINUTES = range(15, 2881, 15)
"""What a copy may be asked to be completed within."""


@ec2.action("CopySnapshot")
async def copy_snapshot(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Of a snapshot that the account may make volumes of. EC2 answers the tags that it gave, an empty set where none."""
    _refuse_unsupported(call, p)
    minutes = p.get("CompletionDurationMinutes") or 0
    if minutes and minutes not in MINUTES:
        raise InvalidParameterValue(
            f"Value ({minutes}) for parameter CompletionDurationMinutes is invalid. It must be a multiple of 15 from 15 to "
            "2880."
        )
    description, tags = described(p), tagging.from_specifications(p, "snapshot")
    source = await snapshots.visible(call.tx, call.account, ids.check("snap", p["SourceSnapshotId"]))
    if source is None:
        raise ids.missing("snap", [p["SourceSnapshotId"]])
    if source.state != life.COMPLETED:
        raise IncorrectState(f"Snapshot is in invalid state - {source.state}")
    row = await snapshots.copy(
        call.tx,
        source,
        account=call.account,
        description=description,
        now=call.now,
        copy_minutes=minutes,
        tags=tags,
    )
    call.wake("storage_sync")
    return {"SnapshotId": row.id, "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}


def _refuse_unsupported(call: Call, p: Mapping[str, Any]) -> None:
    """What this cloud cannot do is refused, never ignored. A presigned URL only stands for the source's region."""
    if p.get("DestinationOutpostArn"):
        raise UnsupportedOperation("Outposts are not supported.")
    if p.get("DestinationAvailabilityZone"):
        raise UnsupportedOperation("Local zones are not supported.")
    if p["SourceRegion"] != call.region or (p.get("DestinationRegion") or call.region) != call.region:
        raise SnapshotCopyUnsupportedInterRegion
    if p.get("KmsKeyId") and not p.get("Encrypted"):
        raise InvalidParameterDependency(given="KmsKeyId", needed="Encrypted")
    if p.get("Encrypted"):
        raise UnsupportedOperation("Encrypted snapshots are not supported.")
