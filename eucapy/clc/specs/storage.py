"""A zone's rows as the StorageSpec that its storage controller is sent. Pure.

A volume is exported for its attachment while the instance is on a node and may use it: from the moment it is placed until
it is off. The export goes on through a detachment until the guest has let go, because the attachment's row does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from eucapy.clc.specs.volume_pace import pace
from eucapy.lifecycle import export_task as export_life
from eucapy.lifecycle import instance as instance_life
from eucapy.lifecycle import snapshot as snapshot_life
from eucapy.lifecycle import volume as volume_life
from eucapy.wire import codec
from eucapy.wire.node import NodeSource, ObjectSource
from eucapy.wire.storage import (
    ArchiveSource,
    ExportSpec,
    SnapshotSpec,
    StorageSpec,
    UploadSpec,
    VolumeSpec,
    WrittenSpec,
)


def storage_spec(
    zone: str,
    *,
    volumes: Iterable[Any],
    snapshots: Iterable[Any],
    attachments: Iterable[Any],
    instances: Mapping[str, Any],
    addresses: Mapping[str, str],
    needed: Collection[str] = (),
    awaited: Collection[str] = (),
    urls: Mapping[str, str] | None = None,
    writes: Mapping[str, Any] | None = None,
    exported: Iterable[tuple[str, Any, Mapping[str, Any]]] = (),
    visits: Iterable[Any] = (),
) -> StorageSpec:
    """Generation 0. `instances` by id (state, node), those that have attachments; `addresses` and `urls` of nodes by
    name; `needed` are snapshots that volumes, in whatever zone, or copies are being made of, `awaited` volumes that
    snapshots wait to be taken of: these stay until that is done; `writes`, by snapshot, those that are written by blocks;
    `exported`: what each upload is called, its task (state, bucket), and its disk, as `store/export_tasks.py` keeps it;
    `visits`: snapshots of other zones that are brought here, as `store/snapshot_visits.py` gives them."""
    exports = {
        attachment.volume_id: _export(attachment, instances[attachment.instance_id], addresses)
        for attachment in attachments
        if needs_export(instances.get(attachment.instance_id))
    }
    return StorageSpec(
        generation=0,
        zone=zone,
        volumes={row.id: _volume(row, exports.get(row.id), awaited) for row in volumes},
        snapshots={
            **{
                row.id: _snapshot(row, needed, urls or {}, (writes or {}).get(row.id))
                for row in snapshots
                if row.state != snapshot_life.ERROR or row.id in (writes or {})  # nobody tries to take it any more
            },
            **{row.snapshot_id: _visit(row) for row in visits},
        },
        uploads={name: _upload(name, task, disk) for name, task, disk in exported},
    )


def fingerprint(spec: StorageSpec) -> str:
    """The digest of what the spec says, whatever its generation."""
    return codec.digest(msgspec.structs.replace(spec, generation=0))


def needs_export(instance: Any | None) -> bool:
    """Whether the instance is somewhere where its disks may be in use."""
    return instance is not None and bool(instance.node) and instance.state in instance_life.POWERED


def _volume(row: Any, export: ExportSpec | None, awaited: Collection[str]) -> VolumeSpec:
    gone = row.state == volume_life.DELETING and row.id not in awaited
    return VolumeSpec(
        volume_id=row.id,
        size_gib=row.size_gib,
        volume_type=row.volume_type,
        snapshot_id=row.snapshot_id,
        exports=(export,) if export is not None and not gone else (),
        pace=pace(row.volume_type, row.size_gib, row.iops, row.throughput),
        made=row.state in (volume_life.AVAILABLE, volume_life.IN_USE, volume_life.DELETING),
        gone=gone,
    )


def _snapshot(row: Any, needed: Collection[str], urls: Mapping[str, str], write: Any | None) -> SnapshotSpec:
    source: NodeSource | ObjectSource | None = None
    if row.source is not None:
        if "bucket" in row.source:
            source = ObjectSource(**row.source)
        else:
            source = NodeSource(snapshot_id=row.id, url=urls.get(row.source["node"], ""), **row.source)
    return SnapshotSpec(
        source=source,
        snapshot_id=row.id,
        volume_id="" if row.copied_from or write is not None else row.volume_id,
        copy_of=row.copied_from,
        written=_written(write, row.state) if write is not None else None,
        size_gib=row.size_gib,
        taken_at=row.completed_at or row.created_at,
        made=row.completed_at is not None,
        gone=row.state == snapshot_life.DELETING and row.id not in needed,
    )


def _visit(row: Any) -> SnapshotSpec:
    return SnapshotSpec(
        snapshot_id=row.snapshot_id,
        size_gib=row.size_gib or 0,
        made=True,
        archive=ArchiveSource(zone=row.home or "", ready=bool(row.ready)),
        gone=not row.needed,
    )


def _upload(name: str, task: Any, disk: Mapping[str, Any]) -> UploadSpec:
    """Once its parts are known the storage has done its work."""
    return UploadSpec(
        task_id=name,
        snapshot_id=disk["snapshot_id"],
        format=disk["format"],
        bucket=task.bucket,
        key=disk["key"],
        upload_id=disk["upload_id"],
        description=disk.get("description", ""),
        disk_name=disk.get("disk_name", ""),
        first_part=disk.get("first_part", 1),
        most_parts=disk.get("most_parts", 5000),
        padded=disk.get("padded", False),
        gone=task.state != export_life.ACTIVE or disk.get("parts") is not None,
    )


def _written(write: Any, state: str) -> WrittenSpec:
    return WrittenSpec(
        parent=write.parent,
        sealed=write.sealed,
        blocks=write.blocks if write.sealed else None,
        checksum=write.checksum,
        abandoned=state == snapshot_life.ERROR,
    )


def _export(attachment: Any, instance: Any, addresses: Mapping[str, str]) -> ExportSpec:
    return ExportSpec(
        attachment_id=attachment.id,
        instance_id=attachment.instance_id,
        node=instance.node,
        node_address=addresses.get(instance.node, ""),
    )
