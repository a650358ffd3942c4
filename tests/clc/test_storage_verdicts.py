"""What reports mean for volumes, snapshots and attachments; what the storage is told of them; what a volume may be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eucapy.clc.ec2 import volume_sizes
from eucapy.clc.reconcilers.storage_verdicts import (
    judge_attachment,
    judge_export,
    judge_modification,
    judge_snapshot,
    judge_volume,
)
from eucapy.clc.specs.storage import fingerprint, storage_spec
from eucapy.clc.specs.volume_pace import pace
from eucapy.errors import ApiError
from eucapy.lifecycle.attachment import ATTACHMENT
from eucapy.lifecycle.instance import INSTANCE
from eucapy.lifecycle.snapshot import SNAPSHOT
from eucapy.lifecycle.volume import VOLUME
from eucapy.wire.contract import Fault
from eucapy.wire.storage import ExportSpec, ExportStatus, Presence, SnapshotStatus, VolumeSpec, VolumeStatus

Row = SimpleNamespace


def volume(state: str, **columns: Any) -> Row:
    made = {"id": "vol-1", "size_gib": 2, "volume_type": "gp2", "iops": 100, "throughput": None, "snapshot_id": ""}
    return Row(**{**made, "state": state, **columns})


def seen_volume(presence: Presence) -> VolumeStatus:
    fault = Fault(code="x", message="why", final=True) if presence is Presence.FAILED else None
    return VolumeStatus(volume_id="vol-1", presence=presence, fault=fault)


@pytest.mark.parametrize(
    ("state", "presence", "attached", "event"),
    [
        ("creating", Presence.CREATING, False, ""),
        ("creating", Presence.READY, False, "made"),
        ("creating", Presence.READY, True, "made_attached"),
        ("creating", Presence.FAILED, False, "failed"),
        ("available", Presence.READY, False, ""),
        ("deleting", Presence.READY, False, ""),
        ("deleting", Presence.GONE, False, "gone"),
        ("available", Presence.GONE, False, ""),
    ],
)
def test_a_volume_moves_by_the_storages_word(state: str, presence: Presence, attached: bool, event: str) -> None:
    assert judge_volume(volume(state), seen_volume(presence), attached).event == event


def test_a_volume_that_failed_says_why() -> None:
    assert judge_volume(volume("creating"), seen_volume(Presence.FAILED), False).columns == {"fault": "why"}


@pytest.mark.parametrize(
    ("state", "presence", "event"),
    [
        ("pending", Presence.CREATING, ""),
        ("pending", Presence.READY, "taken"),
        ("pending", Presence.FAILED, "failed"),
        ("completed", Presence.READY, ""),
        ("deleting", Presence.READY, ""),
        ("deleting", Presence.GONE, "gone"),
    ],
)
def test_a_snapshot_moves_by_the_storages_word(state: str, presence: Presence, event: str) -> None:
    seen = SnapshotStatus(snapshot_id="snap-1", presence=presence)
    assert judge_snapshot(Row(state=state, progress=0, size_gib=1), seen, 1.0).event == event


def test_progress_only_grows() -> None:
    seen = SnapshotStatus(snapshot_id="snap-1", presence=Presence.CREATING, progress=40)
    assert judge_snapshot(Row(state="pending", progress=10), seen, 1.0).columns == {"progress": 40}
    assert judge_snapshot(Row(state="pending", progress=50), seen, 1.0).columns == {}


RUNNING = Row(id="i-1", state="running", node="n1")
STOPPED = Row(id="i-1", state="stopped", node="n1")
ENDED = Row(id="i-1", state="terminated", node="n1")
NOWHERE = Row(id="i-1", state="pending", node="")


def vm(*disks: str, node: str = "n1", power: str = "running") -> Row:
    return Row(node=node, power=power, disks=list(disks))


@pytest.mark.parametrize(
    ("state", "volume_state", "instance", "guest", "event"),
    [
        ("attaching", "in-use", RUNNING, vm(), ""),
        ("attaching", "in-use", RUNNING, None, ""),
        ("attaching", "in-use", RUNNING, vm("vatt-1"), "plugged"),
        ("attaching", "in-use", RUNNING, vm("vatt-1", node="n2"), ""),
        ("attaching", "in-use", STOPPED, None, "plugged"),
        ("attaching", "creating", STOPPED, None, ""),
        ("attached", "in-use", RUNNING, vm(), ""),
        ("detaching", "in-use", RUNNING, vm("vatt-1"), ""),
        ("detaching", "in-use", RUNNING, None, ""),
        ("detaching", "in-use", RUNNING, vm(power="pending"), ""),
        ("detaching", "in-use", RUNNING, vm(), "released"),
        ("detaching", "in-use", STOPPED, vm("vatt-1", power="off"), "released"),
        ("detaching", "in-use", ENDED, vm("vatt-1"), "released"),
        ("detaching", "in-use", NOWHERE, None, "released"),
        ("detaching", "in-use", None, None, "released"),
    ],
)
def test_an_attachment_moves_by_the_nodes_word(
    state: str, volume_state: str, instance: Row | None, guest: Row | None, event: str
) -> None:
    attachment = Row(id="vatt-1", state=state)
    assert judge_attachment(attachment, volume(volume_state), instance, guest).event == event


@given(
    st.sampled_from(sorted(VOLUME.states)),
    st.sampled_from(list(Presence)),
    st.booleans(),
    st.sampled_from(sorted(ATTACHMENT.states)),
    st.sampled_from([None, *(Row(id="i-1", state=name, node=node) for name in INSTANCE.states for node in ("", "n1"))]),
    st.sampled_from([None, vm(), vm("vatt-1"), vm("vatt-1", power="off"), vm(power="gone"), vm(node="n2")]),
    st.sampled_from(sorted(SNAPSHOT.states)),
)
def test_no_verdict_is_an_event_that_the_lifecycle_does_not_know(
    volume_state: str,
    presence: Presence,
    attached: bool,
    attachment_state: str,
    instance: Row | None,
    guest: Row | None,
    snapshot_state: str,
) -> None:
    event = judge_volume(volume(volume_state), seen_volume(presence), attached).event
    assert not event or VOLUME.target(volume_state, event)
    attachment = Row(id="vatt-1", state=attachment_state)
    event = judge_attachment(attachment, volume(volume_state), instance, guest).event
    assert not event or ATTACHMENT.target(attachment_state, event)
    seen = SnapshotStatus(snapshot_id="snap-1", presence=presence)
    event = judge_snapshot(Row(state=snapshot_state, progress=0, size_gib=1), seen, 1.0).event
    assert not event or SNAPSHOT.target(snapshot_state, event)


ATTACHED = Row(id="vatt-1", volume_id="vol-1", instance_id="i-1")


def compiled(volumes: list[Row], instance: Row | None = None) -> VolumeSpec:
    spec = storage_spec(
        "one",
        volumes=volumes,
        snapshots=[],
        attachments=[ATTACHED] if instance else [],
        instances={"i-1": instance} if instance else {},
        addresses={"n1": "10.0.0.1"},
    )
    return spec.volumes["vol-1"]


def test_a_volume_is_exported_while_its_instance_may_use_it() -> None:
    export = ExportSpec(attachment_id="vatt-1", instance_id="i-1", node="n1", node_address="10.0.0.1")
    for state, exports in {
        "pending": (export,),
        "running": (export,),
        "stopping": (export,),
        "shutting-down": (export,),
        "stopped": (),
        "terminated": (),
    }.items():
        assert compiled([volume("in-use")], Row(id="i-1", state=state, node="n1")).exports == exports
    assert compiled([volume("in-use")], NOWHERE).exports == ()


def test_a_tombstone_is_exported_to_nobody() -> None:
    spec = compiled([volume("deleting")], RUNNING)
    assert (spec.gone, spec.exports) == (True, ())


def test_a_volume_that_was_there_is_said_to_be_made_until_it_is_gone() -> None:
    """Or a pool that lost it would get an empty one of its name: also while a snapshot of it is awaited before it goes."""
    for state, made in {"creating": False, "available": True, "in-use": True, "error": False}.items():
        assert compiled([volume(state)]).made is made
    spec = storage_spec(
        "one",
        volumes=[volume("deleting")],
        snapshots=[],
        attachments=[],
        instances={},
        addresses={},
        awaited=["vol-1"],
    ).volumes["vol-1"]
    assert (spec.gone, spec.made) == (False, True)


def test_the_fingerprint_is_of_the_content_alone() -> None:
    one = storage_spec("one", volumes=[volume("available")], snapshots=[], attachments=[], instances={}, addresses={})
    other = storage_spec("one", volumes=[volume("in-use")], snapshots=[], attachments=[], instances={}, addresses={})
    larger = storage_spec(
        "one", volumes=[volume("in-use", size_gib=3)], snapshots=[], attachments=[], instances={}, addresses={}
    )
    assert fingerprint(one) == fingerprint(other) != fingerprint(larger)


@pytest.mark.parametrize(
    ("volume_type", "size_gib", "iops", "throughput", "code"),
    [
        ("gp2", 1, None, None, ""),
        ("gp2", 0, None, None, "InvalidParameterValue"),
        ("gp2", 16385, None, None, "InvalidParameterValue"),
        ("gp2", 10, 100, None, "InvalidParameterCombination"),
        ("gp3", 1, 3000, 125, ""),
        ("gp3", 1, 3001, None, "InvalidParameterValue"),
        ("gp3", 10, 2999, None, "InvalidParameterValue"),
        ("gp3", 10, None, 1001, "InvalidParameterValue"),
        ("gp3", 10, None, 750, ""),
        ("gp3", 10, None, 751, "InvalidParameterValue"),
        ("gp3", 10, 4000, 1000, ""),
        ("gp3", 10, 3999, 1000, "InvalidParameterValue"),
        ("gp2", 10, None, 125, "InvalidParameterCombination"),
        ("io1", 10, None, None, "MissingParameter"),
        ("io1", 3, 100, None, "InvalidParameterValue"),
        ("io1", 10, 501, None, "InvalidParameterValue"),
        ("io1", 10, 500, None, ""),
        ("st1", 124, None, None, "InvalidParameterValue"),
        ("standard", 1024, None, None, ""),
        ("standard", 1025, None, None, "InvalidParameterValue"),
        ("tape", 1, None, None, "InvalidParameterValue"),
    ],
)
def test_sizes_and_performance_follow_the_volumes_type(
    volume_type: str, size_gib: int, iops: int | None, throughput: int | None, code: str
) -> None:
    try:
        volume_sizes.check(volume_type, size_gib, iops, throughput)
    except ApiError as error:
        assert error.code == code
    else:
        assert code == ""


def exported(address: str, node: str = "n1") -> VolumeStatus:
    export = ExportStatus(attachment_id="vatt-1", node=node, address=address)
    return VolumeStatus(volume_id="vol-1", presence=Presence.READY, size_gib=2, exports={"vatt-1": export})


def test_an_address_counts_for_the_node_that_it_is_for_and_stays_while_its_server_is_away() -> None:
    """Else a storage that restarts would have the node take the disk out of the guest."""
    fresh = Row(id="vatt-1", export="", export_node="", fault="")
    known = Row(id="vatt-1", export="x", export_node="n1", fault="")
    here, moved, off = (
        Row(state="running", node="n1"),
        Row(state="running", node="n2"),
        Row(state="stopped", node="n1"),
    )
    assert judge_export(fresh, here, exported("x")) == {"size_gib": 2, "export": "x", "export_node": "n1", "fault": ""}
    assert judge_export(known, here, exported("")) == {"size_gib": 2, "fault": ""}
    assert judge_export(known, here, None) == {}
    nowhere = {"export": "", "export_node": "", "fault": ""}
    assert judge_export(known, moved, exported("x")) == {"size_gib": 2, **nowhere}
    assert judge_export(known, off, exported("x")) == {"size_gib": 2, **nowhere}


@pytest.mark.parametrize(
    ("state", "size_gib", "known_gib", "event"),
    [
        ("modifying", 2, None, ""),
        ("modifying", 3, None, "applied"),
        ("optimizing", 3, None, "settled"),
        ("optimizing", 3, 2, ""),
        ("optimizing", 3, 3, "settled"),
    ],
)
def test_a_modification_moves_by_the_storages_word_and_then_by_the_guests(
    state: str, size_gib: int, known_gib: int | None, event: str
) -> None:
    modification = Row(state=state, target_size_gib=3, target_type="gp3", target_iops=3000, target_throughput=125)
    seen = VolumeStatus(volume_id="vol-1", presence=Presence.READY, size_gib=size_gib, pace=pace("gp3", 3, 3000, 125))
    machine = Row(node="n1", disks=["vatt-1"], disk_gib={"vatt-1": known_gib}) if known_gib is not None else None
    verdict = judge_modification(modification, seen, Row(id="vatt-1"), Row(state="running", node="n1"), machine)
    assert verdict.event == event


def test_a_modification_is_not_applied_before_the_volume_is_as_fast_as_wanted() -> None:
    modification = Row(state="modifying", target_size_gib=3, target_type="gp3", target_iops=4000, target_throughput=125)
    slow, fast = (
        VolumeStatus(volume_id="vol-1", presence=Presence.READY, size_gib=3, pace=pace("gp3", 3, iops, 125))
        for iops in (3000, 4000)
    )
    assert judge_modification(modification, slow, None, None, None).event == ""
    assert judge_modification(modification, fast, None, None, None).event == "applied"
