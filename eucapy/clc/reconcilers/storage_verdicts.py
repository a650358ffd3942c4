"""What a storage controller's report means for volumes and snapshots, and a node's for attachments. Pure.

    volume      creating    ready                              made, or made_attached when it is attached already
                creating    failed for good                    failed
                deleting    gone                               gone
    snapshot    pending     ready                              taken
                pending     failed for good                    failed
                deleting    gone                               gone
    modification
                modifying   as large and fast as wanted    applied
                modifying   a fault for good               failed
                optimizing  the guest knows the size, or
                            no guest has the volume        settled
    attachment  attaching   the disk is in the guest, or the
                            instance is off                    plugged
                detaching   the disk is not in the guest, or
                            there is no guest                  released

An export's address counts for the node that it is for. While its server is away the address stays: the guest waits there.

The storage controller says `gone` only of what it was told to remove.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eucapy.clc.specs.storage import needs_export
from eucapy.clc.specs.volume_pace import pace
from eucapy.lifecycle import attachment as attachment_life
from eucapy.lifecycle import instance as instance_life
from eucapy.lifecycle import snapshot as snapshot_life
from eucapy.lifecycle import volume as volume_life
from eucapy.lifecycle import volume_modification as modification_life
from eucapy.wire.node import Power
from eucapy.wire.storage import Presence, SnapshotStatus, VolumeStatus


@dataclass(frozen=True)
class Verdict:
    """Follow the edge of `event` ("" for none), writing `columns`."""

    event: str = ""
    columns: dict[str, Any] = field(default_factory=dict)


NOTHING = Verdict()
_OFF = (instance_life.STOPPED, instance_life.TERMINATED)


def judge_volume(volume: Any, seen: VolumeStatus, attached: bool) -> Verdict:
    """`volume` is a row with state and size_gib."""
    if volume.state == volume_life.CREATING:
        if seen.presence is Presence.READY:
            return Verdict("made_attached" if attached else "made", {"fault": ""})
        if seen.presence is Presence.FAILED:
            return Verdict("failed", {"fault": seen.fault.message if seen.fault is not None else ""})
    elif volume.state == volume_life.DELETING and seen.presence is Presence.GONE:
        return Verdict("gone")
    return NOTHING


def judge_snapshot(snapshot: Any, seen: SnapshotStatus, now: float) -> Verdict:
    """`snapshot` is a row with state, progress and size_gib. Without an event, `columns` may still hold progress."""
    if snapshot.state == snapshot_life.PENDING:
        if seen.presence is Presence.READY:
            columns: dict[str, Any] = {"progress": 100, "completed_at": now, "fault": ""}
            if not snapshot.size_gib:  # of an import: its size was not known before
                columns["size_gib"] = seen.size_gib
            return Verdict("taken", columns)
        if seen.presence is Presence.FAILED:
            return Verdict("failed", {"fault": seen.fault.message if seen.fault is not None else ""})
        if seen.progress > snapshot.progress:
            return Verdict(columns={"progress": seen.progress})
    elif snapshot.state == snapshot_life.DELETING and seen.presence is Presence.GONE:
        return Verdict("gone")
    return NOTHING


def judge_modification(
    modification: Any, seen: VolumeStatus | None, attachment: Any | None, instance: Any | None, vm: Any | None
) -> Verdict:
    """`attachment`, `instance` and `vm` are rows of the volume's, None where there is none. `applied` carries no columns:
    what becomes of the volume's row is the caller's."""
    target_gib = modification.target_size_gib
    if modification.state == modification_life.MODIFYING:
        wanted = pace(modification.target_type, target_gib, modification.target_iops, modification.target_throughput)
        there = seen is not None and seen.presence is Presence.READY
        if seen is not None and there and seen.size_gib >= target_gib and seen.pace == wanted:
            return Verdict("applied")
        if seen is not None and seen.fault is not None and seen.fault.final:
            return Verdict("failed", {"reason": seen.fault.message})
    elif modification.state == modification_life.OPTIMIZING and _known_in_guest(attachment, instance, vm, target_gib):
        return Verdict("settled")
    return NOTHING


def _known_in_guest(attachment: Any | None, instance: Any | None, vm: Any | None, size_gib: int) -> bool:
    """The guest that has the volume knows that it is as large; or none that runs has it."""
    if attachment is None or instance is None or vm is None or instance.state != instance_life.RUNNING:
        return True
    if vm.node != instance.node or attachment.id not in vm.disks:
        return True
    return bool(vm.disk_gib.get(attachment.id, 0) >= size_gib)


def judge_export(attachment: Any, instance: Any | None, seen: VolumeStatus | None) -> dict[str, str | int]:
    """Columns of the attachment: where its volume is reachable now (`export`, to `export_node`), why not (`fault`), and how
    large it is (`size_gib`)."""
    known: dict[str, str | int] = {"size_gib": seen.size_gib} if seen is not None and seen.size_gib else {}
    return {**known, **_reachable(attachment, instance, seen)}


def _reachable(attachment: Any, instance: Any | None, seen: VolumeStatus | None) -> dict[str, str | int]:
    nowhere: dict[str, str | int] = {"export": "", "export_node": "", "fault": ""}
    if not needs_export(instance):
        return nowhere
    assert instance is not None
    export = seen.exports.get(attachment.id) if seen is not None else None
    if export is None or export.node != instance.node:
        return nowhere if attachment.export_node != instance.node else {}
    fault = export.fault.message if export.fault is not None else ""
    if not export.address and attachment.export_node == instance.node:
        return {"fault": fault}
    return {"export": export.address, "export_node": instance.node if export.address else "", "fault": fault}


def judge_attachment(attachment: Any, volume: Any, instance: Any | None, vm: Any | None) -> Verdict:
    """`instance` and `vm` are rows, None where there is none. A VM of another node than the instance's says nothing."""
    if vm is not None and (instance is None or vm.node != instance.node):
        vm = None
    if attachment.state == attachment_life.ATTACHING:
        at_rest = instance is not None and instance.state == instance_life.STOPPED
        there = volume.state == volume_life.IN_USE
        if there and (at_rest or (vm is not None and attachment.id in vm.disks)):
            return Verdict("plugged")
    elif attachment.state == attachment_life.DETACHING:
        if instance is None or instance.state in _OFF or not instance.node:
            return Verdict("released")
        if vm is not None and vm.power != Power.PENDING and attachment.id not in vm.disks:
            return Verdict("released")
    return NOTHING
