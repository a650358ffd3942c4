"""Writing snapshots: StartSnapshot, PutSnapshotBlock, CompleteSnapshot.

A snapshot that was started is `pending` and has a row of its writing (`store/snapshot_writes.py`). Its blocks go straight to
the storage of its zone, which keeps them in a draft; CompleteSnapshot writes what there has to be, and the storage makes the
snapshot of it: `completed`, or `error` where count or checksum say otherwise. One that rests longer than its timeout is given
up (`reconcilers/deadlines.py`). A parent's content is shared, not copied.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eucapy.clc.blocks import BLOCK_BYTES, BLOCKS_IN_GIB
from eucapy.clc.context import Call, Later
from eucapy.clc.ebs.service import ConcurrentLimitExceededException, asking, ebs, invalid, missing, readable
from eucapy.clc.store import components, snapshot_writes, snapshots
from eucapy.database import Row
from eucapy.lifecycle import snapshot as life

LARGEST_GIB = 65536
"""Source: StartSnapshot, "VolumeSize"."""
MINUTES = 60
"""Source: StartSnapshot, "Timeout": what it is where the request does not say."""
MOST_PENDING = 100
"""Source: "Amazon EBS endpoints and quotas", pending snapshots per account."""
MOST_TAGS = 50
TOUCHED_S = 60.0
"""How exactly it is known when a snapshot was last written: a block is no reason to write a row."""


@dataclass(frozen=True)
class _Nothing:
    """What the snapshot is taken of, as `snapshots.create` asks: no volume."""

    zone: str
    size_gib: int
    id: str = snapshots.NO_VOLUME


@ebs.action("StartSnapshot")
async def start_snapshot(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    size_gib, tags = p["VolumeSize"], _tags(p)
    if p.get("Encrypted") is not None and p.get("ParentSnapshotId"):
        raise invalid("INVALID_PARAMETER_VALUE", "Encrypted and ParentSnapshotId can't be specified in one request.")
    if p.get("Encrypted") or p.get("KmsKeyArn"):
        raise invalid("INVALID_PARAMETER_VALUE", "Encrypted snapshots are not supported.")
    if size_gib > LARGEST_GIB:
        raise invalid("INVALID_VOLUME_SIZE", f"The volume size must be at most {LARGEST_GIB} GiB.")
    parent = await readable(call, p["ParentSnapshotId"]) if p.get("ParentSnapshotId") else None
    if parent is not None and size_gib < parent.size_gib:
        raise invalid(
            "INVALID_VOLUME_SIZE",
            f"The volume size must be at least that of the parent snapshot, {parent.size_gib} GiB.",
        )
    if await snapshot_writes.count_open(call.tx, call.account) >= MOST_PENDING:
        raise ConcurrentLimitExceededException(most=MOST_PENDING)
    row = await snapshots.create(
        call.tx,
        account=call.account,
        volume=_Nothing(parent.zone if parent is not None else await _zone(call), size_gib),
        description=p.get("Description") or "",
        now=call.now,
        tags=tags,
    )
    timeout_s = (p.get("Timeout") or MINUTES) * 60.0
    parent_id = parent.id if parent is not None else ""
    await snapshot_writes.insert(call.tx, row, parent=parent_id, timeout_s=timeout_s, now=call.now)
    call.wake("storage_sync")
    answer = {
        "SnapshotId": row.id,
        "OwnerId": row.account,
        "Status": row.state,
        "StartTime": row.created_at,
        "VolumeSize": size_gib,
        "BlockSize": BLOCK_BYTES,
        "Description": p.get("Description"),
        "ParentSnapshotId": parent_id or None,
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())] or None,
    }
    return {name: value for name, value in answer.items() if value is not None}


@ebs.action("PutSnapshotBlock")
async def put_snapshot_block(call: Call, p: Mapping[str, Any]) -> Later:
    row, write = await _written(call, p["SnapshotId"])
    snapshot_id, zone, index = str(row.id), str(row.zone), p["BlockIndex"]
    if row.state != life.PENDING or write.sealed:
        raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot '{snapshot_id}' is not pending.")
    if write.touched_at + write.timeout_s < call.now:
        raise invalid("WRITE_REQUEST_TIMEOUT", f"The time to write the snapshot '{snapshot_id}' is over.")
    if index >= row.size_gib * BLOCKS_IN_GIB:
        raise invalid("INVALID_BLOCK", f"The block index {index} is past the end of the snapshot.")
    content = p["BlockData"]
    if p["DataLength"] != BLOCK_BYTES:
        raise invalid("INVALID_PARAMETER_VALUE", f"The data length must be {BLOCK_BYTES}.")
    if len(content) != BLOCK_BYTES:
        raise invalid("INVALID_PARAMETER_VALUE", "Failed to read block data")
    checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
    if p["Checksum"] != checksum:
        raise invalid("INVALID_BLOCK", "The checksum of the block data does not match the one in the request.")
    if call.now - write.touched_at >= TOUCHED_S:
        await snapshot_writes.touch(call.tx, snapshot_id, call.now)
    if p.get("Progress") is not None and p["Progress"] != row.progress:
        await snapshots.set_values(call.tx, snapshot_id, progress=p["Progress"])

    async def work() -> Mapping[str, Any]:
        async with asking(snapshot_id):
            await call.blocks.put(zone, snapshot_id, index, content)
        return {"Checksum": checksum, "ChecksumAlgorithm": "SHA256"}

    return Later(work)


@ebs.action("CompleteSnapshot")
async def complete_snapshot(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """A second time with the same words is the same request."""
    row, write = await _written(call, p["SnapshotId"])
    blocks, checksum = p["ChangedBlocksCount"], p.get("Checksum") or ""
    if write.sealed and (write.blocks, write.checksum) == (blocks, checksum):
        return {"Status": row.state}
    if row.state != life.PENDING or write.sealed:
        raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot '{row.id}' is not pending.")
    await snapshot_writes.seal(call.tx, row.id, blocks=blocks, checksum=checksum)
    call.wake("storage_sync")
    return {"Status": row.state}


async def _written(call: Call, snapshot_id: str) -> tuple[Row, Row]:
    """The account's own snapshot and its writing. Raises ResourceNotFoundException, ValidationException."""
    row = await snapshots.by_id(call.tx, call.account, snapshot_id)
    if row is None:
        raise missing(snapshot_id)
    write = await snapshot_writes.of(call.tx, snapshot_id)
    if write is None:
        raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot '{snapshot_id}' was not started by StartSnapshot.")
    return row, write


async def _zone(call: Call) -> str:
    """Where a snapshot of nothing lies: in the first zone that has a storage controller."""
    served = {row.zone for row in await components.of_kind(call.tx, "sc")}
    return next((zone for zone in call.config.zones if zone in served), call.config.zones[0])


def _tags(p: Mapping[str, Any]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in p.get("Tags") or ():
        key = tag.get("Key") or ""
        if not key or key.lower().startswith("aws:"):
            raise invalid("INVALID_TAG", "Tag keys can't be empty, and can't start with 'aws:'.")
        if key in tags:
            raise invalid("INVALID_TAG", f"Duplicate tag key '{key}' specified.")
        tags[key] = tag.get("Value") or ""
    if len(tags) > MOST_TAGS:
        raise invalid("INVALID_TAG", f"At most {MOST_TAGS} tags can be specified.")
    return tags
