"""What is missing: `plan(spec, seen, capabilities)` compares what shall be with what is. Pure; it decides everything.

Steps are grouped by item (a volume or a snapshot), so that a failing item keeps nobody else. Within an item they are done
in order. An item waits, without a step, for what it needs of another:

    volume from a snapshot      waits until the snapshot is there; impossible when it will never be
    snapshot of a volume        waits until the volume is there; impossible when it will never be
    what was made and is lost   a snapshot comes back from the archive; a volume is made again of its newest snapshot, once
                                nobody uses it. Nothing is ever made again empty, or of what it is not
    snapshot of another zone    is brought here from that zone's archive, once it is there; never kept in this one's
    copy of a snapshot          waits until that is there; impossible when it will never be
    snapshot written by blocks  waits until it is sealed, and until its parent is there; abandoned, its draft goes
    tombstone of a volume       its exports end first; snapshots that are still to be taken of it go before
    upload of a snapshot        waits until that is there; impossible when it will never be
    tombstone of a snapshot     what is still to be made of it goes before: volumes, copies, what is written over it, uploads

What no spec names is left alone: absence never destroys. An export that the spec of its volume does not name, or names for
another node, is ended, because the volume's spec is the whole truth about the volume.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from eucapy.drivers.block.base import Capabilities, PoolSeen, VolumeSeen
from eucapy.pace import UNLIMITED, Pace
from eucapy.sc.archives import ArchiveSeen
from eucapy.wire.contract import Fault
from eucapy.wire.node import NodeSource, ObjectSource
from eucapy.wire.storage import ExportSpec, SnapshotSpec, StorageSpec, UploadSpec, VolumeSpec, WrittenSpec

ARCHIVE = "archive"
_COMPARED = 8
"""So many older snapshots of a volume are offered, of which the first that is kept will do."""


@dataclass(frozen=True)
class CreateVolume:
    volume_id: str
    size_gib: int
    snapshot_id: str = ""


@dataclass(frozen=True)
class GrowVolume:
    volume_id: str
    size_gib: int


@dataclass(frozen=True)
class SetPace:
    volume_id: str
    pace: Pace


@dataclass(frozen=True)
class RemoveVolume:
    volume_id: str


@dataclass(frozen=True)
class Export:
    """`node`: the node of another host that it is for; "" on this host's socket."""

    volume_id: str
    attachment_id: str
    node: str = ""


@dataclass(frozen=True)
class Unexport:
    volume_id: str
    attachment_id: str


@dataclass(frozen=True)
class TakeSnapshot:
    snapshot_id: str
    volume_id: str


@dataclass(frozen=True)
class CopySnapshot:
    snapshot_id: str
    source_id: str


@dataclass(frozen=True)
class SealSnapshot:
    """`written`: what it stands on, and what its writer says of it."""

    snapshot_id: str
    size_gib: int
    written: WrittenSpec


@dataclass(frozen=True)
class ImportSnapshot:
    snapshot_id: str
    source: ObjectSource | NodeSource
    size_gib: int = 0


@dataclass(frozen=True)
class RemoveSnapshot:
    snapshot_id: str


@dataclass(frozen=True)
class LookIntoArchive:
    """Find out what is kept there."""


@dataclass(frozen=True)
class KeepSnapshot:
    """Into the archive, over one of `older`, the newest first."""

    snapshot_id: str
    older: tuple[str, ...] = ()


@dataclass(frozen=True)
class ForgetSnapshot:
    """Out of the archive."""

    snapshot_id: str


@dataclass(frozen=True)
class RestoreSnapshot:
    """Out of the archive into the pool. `zone`: whose archive, where it is another one's."""

    snapshot_id: str
    zone: str = ""


@dataclass(frozen=True)
class Upload:
    """`spec` names the snapshot, the format, and where to."""

    spec: UploadSpec


@dataclass(frozen=True)
class ForgetUpload:
    task_id: str


Step = (
    CreateVolume
    | GrowVolume
    | SetPace
    | RemoveVolume
    | Export
    | Unexport
    | TakeSnapshot
    | CopySnapshot
    | ImportSnapshot
    | SealSnapshot
    | RemoveSnapshot
    | LookIntoArchive
    | KeepSnapshot
    | ForgetSnapshot
    | RestoreSnapshot
    | Upload
    | ForgetUpload
)


@dataclass(frozen=True)
class Plan:
    """Steps by item, and what is wrong with items for which there is no step."""

    steps: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)


def plan(
    spec: StorageSpec,
    seen: PoolSeen,
    capabilities: Capabilities,
    elsewhere: Container[str] = frozenset(),
    uploaded: Container[str] = frozenset(),
    archive: ArchiveSeen | None = None,
    archives: bool = False,
    given_up: Mapping[str, Fault] = MappingProxyType({}),
) -> Plan:
    """What to do now. Steps of different items may be done in any order, or at once. `elsewhere`: the nodes that are on
    other hosts; `uploaded`: the uploads that are done; `archive`: what is kept there, None where that is not known;
    `archives`: whether there is one at all; `given_up`: items for which no further try will help."""
    result = Plan()
    if archives and archive is None:
        result.steps[ARCHIVE] = (LookIntoArchive(),)
    for snapshot in sorted(spec.snapshots.values(), key=lambda one: -one.taken_at):  # what comes back, the newest first
        _plan_snapshot(result, snapshot, spec, seen, uploaded, archive)
    if archive is not None:
        _plan_archive(result, spec, seen, uploaded, archive)
    for volume in spec.volumes.values():
        if volume.made and not volume.gone and volume.volume_id not in seen.volumes:
            unknown = archives and archive is None
            kept = archive.kept if archive is not None else frozenset()
            had = {*seen.snapshots, *(name for name in kept if name not in given_up)}
            _plan_recovery(result, volume, spec, seen, None if unknown else had)
        else:
            _plan_volume(result, volume, spec, seen, capabilities, elsewhere, given_up)
    for upload in spec.uploads.values():
        _plan_upload(result, upload, spec, seen, upload.task_id in uploaded)
    return result


def _plan_upload(result: Plan, upload: UploadSpec, spec: StorageSpec, seen: PoolSeen, done: bool) -> None:
    if upload.gone:
        if done:
            result.steps[upload.task_id] = (ForgetUpload(upload.task_id),)
    elif done:
        return
    elif upload.snapshot_id in seen.snapshots:
        result.steps[upload.task_id] = (Upload(upload),)
    elif not _will_be_made(spec.snapshots.get(upload.snapshot_id)):
        result.faults[upload.task_id] = Fault(
            code="SnapshotNotFound", message=f"there is no snapshot {upload.snapshot_id}", final=True
        )


def archive_item(snapshot_id: str) -> str:
    """The item under which a snapshot is kept and forgotten: what the archive does keeps nobody else."""
    return f"{ARCHIVE}/{snapshot_id}"


def _plan_archive(
    result: Plan, spec: StorageSpec, seen: PoolSeen, uploaded: Container[str], archive: ArchiveSeen
) -> None:
    """The oldest first, each over those before it."""
    older: dict[str, list[str]] = {}
    for snapshot in sorted(spec.snapshots.values(), key=lambda one: (one.taken_at, one.snapshot_id)):
        snapshot_id, there = snapshot.snapshot_id, seen.snapshots.get(snapshot.snapshot_id)
        if snapshot.archive is not None:
            continue
        if snapshot.gone:
            known = snapshot_id in archive.kept or snapshot_id in archive.begun
            if known and there is None and not _is_awaited(snapshot_id, spec, seen, uploaded):
                result.steps[archive_item(snapshot_id)] = (ForgetSnapshot(snapshot_id),)
        elif there is not None:
            line = older.setdefault(there.volume_id or _made_of(snapshot) or snapshot_id, [])
            if snapshot_id not in archive.kept:
                step = KeepSnapshot(snapshot_id, (*reversed(line[-_COMPARED:]), *_origin(snapshot)))
                result.steps[archive_item(snapshot_id)] = (step,)
            line.append(snapshot_id)


def _origin(snapshot: SnapshotSpec) -> tuple[str, ...]:
    made_of = _made_of(snapshot)
    return (made_of,) if made_of else ()


def _plan_snapshot(
    result: Plan,
    snapshot: SnapshotSpec,
    spec: StorageSpec,
    seen: PoolSeen,
    uploaded: Container[str],
    archive: ArchiveSeen | None,
) -> None:
    snapshot_id = snapshot.snapshot_id
    there = snapshot_id in seen.snapshots
    if snapshot.gone:
        if not _is_awaited(snapshot_id, spec, seen, uploaded) if there else snapshot_id in seen.drafts:
            result.steps[snapshot_id] = (RemoveSnapshot(snapshot_id),)
    elif there:
        return
    elif snapshot.archive is not None:
        if snapshot.archive.ready:
            result.steps[snapshot_id] = (RestoreSnapshot(snapshot_id, snapshot.archive.zone),)
    elif snapshot.made:
        if archive is not None and snapshot_id in archive.kept:
            result.steps[snapshot_id] = (RestoreSnapshot(snapshot_id),)
        else:
            result.faults[snapshot_id] = Fault(
                code="SnapshotLost", message=f"{snapshot_id} was in the pool, and is neither there nor in the archive"
            )
    elif snapshot.source is not None:
        result.steps[snapshot_id] = (ImportSnapshot(snapshot_id, snapshot.source, snapshot.size_gib),)
    elif snapshot.written is not None:
        _plan_written(result, snapshot, snapshot.written, spec, seen)
    elif snapshot.copy_of:
        _plan_copy(result, snapshot, spec, seen)
    elif snapshot.volume_id in seen.volumes:
        result.steps[snapshot_id] = (TakeSnapshot(snapshot_id, snapshot.volume_id),)
    elif (volume := spec.volumes.get(snapshot.volume_id)) is not None and volume.made:
        # The volume that comes back is not the one that it was to be taken of.
        lost = f"{snapshot.volume_id} was in the pool, and is not there any more"
        result.faults[snapshot_id] = Fault(code="VolumeLost", message=lost, final=True)
    elif not _will_be_made(spec.volumes.get(snapshot.volume_id)):
        result.faults[snapshot_id] = Fault(
            code="VolumeNotFound", message=f"there is no volume {snapshot.volume_id}", final=True
        )


def _is_awaited(snapshot_id: str, spec: StorageSpec, seen: PoolSeen, uploaded: Container[str]) -> bool:
    """Whether a volume, a copy, what is written over it or an upload is still to be made of the snapshot. What was made and is
    lost will not be made of it again; for one of another zone the cloud has answered by its tombstone."""
    if (snapshot := spec.snapshots.get(snapshot_id)) is not None and snapshot.archive is not None:
        return False
    if any(
        upload.snapshot_id == snapshot_id and not upload.gone and upload.task_id not in uploaded
        for upload in spec.uploads.values()
    ):
        return True
    return any(
        volume.snapshot_id == snapshot_id
        and not volume.gone
        and not volume.made
        and volume.volume_id not in seen.volumes
        for volume in spec.volumes.values()
    ) or any(
        _made_of(other) == snapshot_id and not other.gone and not other.made and other.snapshot_id not in seen.snapshots
        for other in spec.snapshots.values()
    )


def _made_of(snapshot: SnapshotSpec) -> str:
    """The snapshot that this one is made of, "" for none."""
    if snapshot.source is not None:
        return ""
    if snapshot.written is not None:
        return "" if snapshot.written.abandoned else snapshot.written.parent
    return snapshot.copy_of


def _plan_written(
    result: Plan, snapshot: SnapshotSpec, written: WrittenSpec, spec: StorageSpec, seen: PoolSeen
) -> None:
    snapshot_id, parent = snapshot.snapshot_id, written.parent
    if written.abandoned:
        if snapshot_id in seen.drafts:
            result.steps[snapshot_id] = (RemoveSnapshot(snapshot_id),)
    elif not written.sealed:
        return
    elif not parent or parent in seen.snapshots:
        result.steps[snapshot_id] = (SealSnapshot(snapshot_id, snapshot.size_gib, written),)
    elif not _will_be_made(spec.snapshots.get(parent)):
        result.faults[snapshot_id] = Fault(
            code="SnapshotNotFound", message=f"there is no snapshot {parent}", final=True
        )


def _plan_copy(result: Plan, copy: SnapshotSpec, spec: StorageSpec, seen: PoolSeen) -> None:
    if copy.copy_of in seen.snapshots:
        result.steps[copy.snapshot_id] = (CopySnapshot(copy.snapshot_id, copy.copy_of),)
    elif not _will_be_made(spec.snapshots.get(copy.copy_of)):
        result.faults[copy.snapshot_id] = Fault(
            code="SnapshotNotFound", message=f"there is no snapshot {copy.copy_of}", final=True
        )


def _plan_volume(
    result: Plan,
    volume: VolumeSpec,
    spec: StorageSpec,
    seen: PoolSeen,
    capabilities: Capabilities,
    elsewhere: Container[str],
    given_up: Mapping[str, Fault],
) -> None:
    volume_id = volume.volume_id
    there = seen.volumes.get(volume_id)
    if volume.gone:
        if there is None:
            return
        awaited = any(
            snapshot.volume_id == volume_id
            and _is_taken(snapshot)
            and not snapshot.made
            and not snapshot.gone
            and snapshot.snapshot_id not in seen.snapshots
            for snapshot in spec.snapshots.values()
        )
        steps: list[Step] = [Unexport(volume_id, attachment_id) for attachment_id in there.exports]
        if not awaited:
            steps.append(RemoveVolume(volume_id))
        if steps:
            result.steps[volume_id] = tuple(steps)
        return
    if there is None:
        _plan_creation(result, volume, spec, seen, given_up)
        return
    _plan_changes(result, volume, there, capabilities, elsewhere)


def _plan_recovery(
    result: Plan, volume: VolumeSpec, spec: StorageSpec, seen: PoolSeen, had: Container[str] | None
) -> None:
    """A volume that was there comes back as its newest snapshot has it, of those that can be `had` (None: not known yet). A
    guest would not notice that its disk is another one by now: it has to be off."""
    own = [
        one
        for one in spec.snapshots.values()
        if one.volume_id == volume.volume_id
        and one.made
        and not one.gone
        and _is_taken(one)
        and (had is None or one.snapshot_id in had)
    ]
    waiting = [
        one.snapshot_id
        for one in spec.snapshots.values()
        if one.volume_id == volume.volume_id and not one.made and not one.gone and _is_taken(one)
    ]
    newest = max(own, key=lambda one: (one.taken_at, one.snapshot_id), default=None)
    lost = f"{volume.volume_id} was in the pool, and is not there any more"
    if newest is None:
        result.faults[volume.volume_id] = Fault(code="VolumeLost", message=f"{lost}; no snapshot of it can be had")
    elif waiting:
        again = f"it is made again once nobody waits for {', '.join(waiting)} of what it was"
        result.faults[volume.volume_id] = Fault(code="VolumeLost", message=f"{lost}; {again}")
    elif volume.exports:
        again = f"it is made again of {newest.snapshot_id} once nobody uses it"
        result.faults[volume.volume_id] = Fault(code="VolumeLost", message=f"{lost}; {again}")
    elif newest.snapshot_id in seen.snapshots:
        result.steps[volume.volume_id] = _creation(volume, newest.snapshot_id)
    else:
        again = f"it waits for {newest.snapshot_id}"
        result.faults[volume.volume_id] = Fault(code="VolumeLost", message=f"{lost}; {again}")


def _is_taken(snapshot: SnapshotSpec) -> bool:
    """Of its volume, by the storage."""
    return snapshot.source is None and snapshot.written is None and not snapshot.copy_of


def _creation(volume: VolumeSpec, source: str) -> tuple[Step, ...]:
    made = CreateVolume(volume.volume_id, volume.size_gib, source)
    return (made,) if volume.pace == UNLIMITED else (made, SetPace(volume.volume_id, volume.pace))


def _plan_creation(
    result: Plan, volume: VolumeSpec, spec: StorageSpec, seen: PoolSeen, given_up: Mapping[str, Fault]
) -> None:
    source = volume.snapshot_id
    if not source or source in seen.snapshots:
        result.steps[volume.volume_id] = _creation(volume, source)
    elif source in given_up:
        result.faults[volume.volume_id] = given_up[source]
    elif not _will_be_made(spec.snapshots.get(source)):
        result.faults[volume.volume_id] = Fault(
            code="SnapshotNotFound", message=f"there is no snapshot {source}", final=True
        )


def _plan_changes(
    result: Plan, volume: VolumeSpec, there: VolumeSeen, capabilities: Capabilities, elsewhere: Container[str]
) -> None:
    volume_id = volume.volume_id
    wanted = {export.attachment_id: reached_as(export, elsewhere) for export in volume.exports}
    kept = [name for name, held in there.exports.items() if wanted.get(name) == held.node]
    steps: list[Step] = [Unexport(volume_id, name) for name in there.exports if name not in kept]
    if volume.size_gib > there.size_gib:
        if capabilities.grows_exported or not kept:
            steps.append(GrowVolume(volume_id, volume.size_gib))
        else:
            result.faults[volume_id] = Fault(
                code="VolumeInUse", message=f"{volume_id} grows to {volume.size_gib} GiB once it is detached"
            )
    if volume.pace != there.pace:
        steps.append(SetPace(volume_id, volume.pace))
    steps += [
        Export(volume_id, name, node)
        for name, node in wanted.items()
        if name not in kept or not there.exports[name].address
    ]
    if steps:
        result.steps[volume_id] = tuple(steps)


def reached_as(export: ExportSpec, elsewhere: Container[str]) -> str:
    """How the driver shall make the export: for the node of that name on another host, or for this one ("")."""
    return export.node if export.node in elsewhere else ""


def _will_be_made(item: VolumeSpec | SnapshotSpec | None) -> bool:
    return item is not None and not item.gone
