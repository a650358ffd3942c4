"""What is: the status of a zone's storage, from what the driver saw and how the work goes. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping
from types import MappingProxyType

from eucapy.drivers.block.base import PoolSeen
from eucapy.sc.archives import ArchiveSeen
from eucapy.sc.planner import ARCHIVE, archive_item, reached_as
from eucapy.sc.uploads import Done
from eucapy.wire.contract import Fault
from eucapy.wire.storage import (
    Capacity,
    ExportStatus,
    Presence,
    SnapshotSpec,
    SnapshotStatus,
    StorageSpec,
    StorageStatus,
    UploadSpec,
    UploadStatus,
    VolumeSpec,
    VolumeStatus,
)


def status(
    zone: str,
    spec: StorageSpec | None,
    seen: PoolSeen,
    faults: Mapping[str, Fault],
    progress: Mapping[str, tuple[int, str]],
    elsewhere: Container[str] = frozenset(),
    busy: Container[str] = frozenset(),
    uploaded: Mapping[str, Done] = MappingProxyType({}),
    archive: ArchiveSeen | None = None,
    archives: bool = False,
) -> StorageStatus:
    """`faults` by item; `progress` in percent, with the stage, by snapshot that is being made; `elsewhere`: nodes on other
    hosts; `busy`: items that are being worked on: what may still come into being is not gone; `uploaded`: the uploads that
    are done; `archive`: what is kept there, None where that is not known; `archives`: whether there is
    one at all: what it may still have is not gone. Boot and revision are the board's."""
    volumes = spec.volumes if spec is not None else {}
    snapshots = spec.snapshots if spec is not None else {}
    named = {*volumes, *snapshots}
    return StorageStatus(
        boot="",
        revision=0,
        generation=spec.generation if spec is not None else 0,
        zone=zone,
        volumes={
            item.volume_id: _volume(item, seen, faults.get(item.volume_id), elsewhere, item.volume_id in busy)
            for item in volumes.values()
        },
        snapshots={
            name: _snapshot(
                item,
                seen,
                faults.get(name),
                *progress.get(name, (0, "")),
                name in busy or archive_item(name) in busy or (archives and archive is None),
                _archived(name, archive, progress.get(archive_item(name), (0, ""))[0]),
                faults.get(archive_item(name)) or faults.get(ARCHIVE),
            )
            for name, item in snapshots.items()
        },
        uploads={
            name: _upload(item, uploaded.get(name), faults.get(name), *progress.get(name, (0, "")), name in busy)
            for name, item in (spec.uploads if spec is not None else {}).items()
        },
        archives=archives,
        strangers=tuple(sorted({*seen.volumes, *seen.snapshots, *seen.drafts} - named)),
        capacity=Capacity(total_gib=seen.total_gib, free_gib=seen.free_gib),
    )


def _volume(
    item: VolumeSpec, seen: PoolSeen, fault: Fault | None, elsewhere: Container[str], busy: bool
) -> VolumeStatus:
    there = seen.volumes.get(item.volume_id)
    if there is None:
        return VolumeStatus(
            volume_id=item.volume_id,
            presence=_absent(item.gone, fault, busy),
            fault=None if item.gone else fault,
        )
    exports = {name: ExportStatus(attachment_id=name) for name in there.exports}
    for wish in item.exports:
        held = there.exports.get(wish.attachment_id)
        address = held.address if held is not None and held.node == reached_as(wish, elsewhere) else ""
        exports[wish.attachment_id] = ExportStatus(
            attachment_id=wish.attachment_id, node=wish.node, address=address, fault=None if address else fault
        )
    return VolumeStatus(
        volume_id=item.volume_id,
        presence=Presence.READY,
        size_gib=there.size_gib,
        exports=exports,
        pace=there.pace,
        fault=fault,
    )


def _archived(snapshot_id: str, archive: ArchiveSeen | None, percent: int) -> int | None:
    """How much of it the archive has, in percent; None where nothing is known, or nothing is there."""
    if archive is None:
        return None
    if snapshot_id in archive.kept:
        return 100
    return min(percent, 99) if snapshot_id in archive.begun else None


def _snapshot(
    item: SnapshotSpec,
    seen: PoolSeen,
    fault: Fault | None,
    percent: int,
    stage: str,
    busy: bool,
    archived: int | None,
    archive_fault: Fault | None,
) -> SnapshotStatus:
    there = seen.snapshots.get(item.snapshot_id)
    if there is None:
        return SnapshotStatus(
            archived=archived,
            archive_fault=archive_fault,
            snapshot_id=item.snapshot_id,
            presence=_absent(item.gone, fault, busy or item.snapshot_id in seen.drafts or archived is not None),
            progress=0 if item.gone else percent,
            stage="" if item.gone else stage,
            fault=None if item.gone else fault,
        )
    return SnapshotStatus(
        archived=archived,
        archive_fault=archive_fault,
        snapshot_id=item.snapshot_id,
        presence=Presence.READY,
        progress=100,
        size_gib=there.size_gib,
        fault=fault,
    )


def _upload(
    item: UploadSpec, done: Done | None, fault: Fault | None, percent: int, stage: str, busy: bool
) -> UploadStatus:
    if done is not None:
        return UploadStatus(
            task_id=item.task_id, presence=Presence.READY, progress=100, parts=done.parts, size_bytes=done.size_bytes
        )
    return UploadStatus(
        task_id=item.task_id,
        presence=_absent(item.gone, fault, busy),
        progress=0 if item.gone else percent,
        stage="" if item.gone else stage,
        fault=None if item.gone else fault,
    )


def _absent(gone: bool, fault: Fault | None, busy: bool) -> Presence:
    if gone:
        return Presence.CREATING if busy else Presence.GONE
    return Presence.FAILED if fault is not None and fault.final else Presence.CREATING
