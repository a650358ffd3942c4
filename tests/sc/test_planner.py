"""The planner says what is missing, and nothing once it is done."""

from __future__ import annotations

import dataclasses

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from eucapy.drivers.block.base import Capabilities, ExportSeen, PoolSeen, SnapshotSeen, VolumeSeen
from eucapy.pace import UNLIMITED, Flow, Pace
from eucapy.sc.planner import (
    CopySnapshot,
    CreateVolume,
    Export,
    GrowVolume,
    ImportSnapshot,
    Plan,
    RemoveSnapshot,
    RemoveVolume,
    SealSnapshot,
    SetPace,
    Step,
    TakeSnapshot,
    Unexport,
    Upload,
    plan,
)
from eucapy.wire.node import ObjectSource
from eucapy.wire.storage import ExportSpec, SnapshotSpec, StorageSpec, UploadSpec, VolumeSpec, WrittenSpec

GROWS = Capabilities(name="test", grows_exported=True, largest_gib=1024)
RIGID = Capabilities(name="test", grows_exported=False, largest_gib=1024)
IMAGE = ObjectSource(bucket="images", key="tiny", etag="e", size_bytes=1, format="raw")


def export(attachment_id: str) -> ExportSpec:
    return ExportSpec(attachment_id=attachment_id, instance_id="i-1", node="n1", node_address="10.0.0.1")


def storage(*items: VolumeSpec | SnapshotSpec | UploadSpec) -> StorageSpec:
    return StorageSpec(
        generation=1,
        zone="one",
        volumes={item.volume_id: item for item in items if isinstance(item, VolumeSpec)},
        snapshots={item.snapshot_id: item for item in items if isinstance(item, SnapshotSpec)},
        uploads={item.task_id: item for item in items if isinstance(item, UploadSpec)},
    )


def pool(*items: VolumeSeen | SnapshotSeen) -> PoolSeen:
    return PoolSeen(
        pool_id="p",
        volumes={item.volume_id: item for item in items if isinstance(item, VolumeSeen)},
        snapshots={item.snapshot_id: item for item in items if isinstance(item, SnapshotSeen)},
    )


def drafting(*snapshot_ids: str) -> PoolSeen:
    """A pool with nothing but drafts."""
    return dataclasses.replace(pool(), drafts=frozenset(snapshot_ids))


def steps(
    spec: StorageSpec, seen: PoolSeen, capabilities: Capabilities = GROWS, elsewhere: frozenset[str] = frozenset()
) -> list[Step]:
    return [step for item in plan(spec, seen, capabilities, elsewhere).steps.values() for step in item]


def test_an_empty_volume_is_created() -> None:
    assert steps(storage(VolumeSpec(volume_id="v", size_gib=2)), pool()) == [CreateVolume("v", 2)]


def test_what_is_as_desired_needs_nothing() -> None:
    spec = storage(VolumeSpec(volume_id="v", size_gib=2, exports=(export("a"),)), SnapshotSpec(snapshot_id="s"))
    assert steps(spec, pool(VolumeSeen("v", 2, exports={"a": ExportSeen("nbd+unix:///v")}), SnapshotSeen("s", 1))) == []


def test_a_volume_is_given_its_pace_before_it_is_exported() -> None:
    pace = Pace(data=Flow(per_s=1))
    spec = storage(VolumeSpec(volume_id="v", size_gib=2, pace=pace, exports=(export("a"),)))
    assert steps(spec, pool()) == [CreateVolume("v", 2), SetPace("v", pace)]
    assert steps(spec, pool(VolumeSeen("v", 1))) == [GrowVolume("v", 2), SetPace("v", pace), Export("v", "a")]
    assert steps(spec, pool(VolumeSeen("v", 2, exports={"a": ExportSeen("x")}))) == [SetPace("v", pace)]
    assert steps(spec, pool(VolumeSeen("v", 2, exports={"a": ExportSeen("x")}, pace=pace))) == []


def test_an_empty_spec_destroys_nothing() -> None:
    seen = pool(VolumeSeen("v", 2, exports={"a": ExportSeen("nbd+unix:///v")}), SnapshotSeen("s", 1))
    assert plan(storage(), seen, GROWS) == Plan()


def test_a_volume_waits_for_its_snapshot() -> None:
    volume = VolumeSpec(volume_id="v", size_gib=2, snapshot_id="s")
    source = SnapshotSpec(snapshot_id="s", source=IMAGE)
    assert steps(storage(volume, source), pool()) == [ImportSnapshot("s", IMAGE)]
    assert steps(storage(volume, source), pool(SnapshotSeen("s", 1))) == [CreateVolume("v", 2, "s")]


def test_a_volume_of_a_snapshot_that_will_never_be_fails_for_good() -> None:
    volume = VolumeSpec(volume_id="v", size_gib=2, snapshot_id="s")
    for spec in (storage(volume), storage(volume, SnapshotSpec(snapshot_id="s", volume_id="w", gone=True))):
        result = plan(spec, pool(), GROWS)
        assert result.steps == {}
        assert (result.faults["v"].code, result.faults["v"].final) == ("SnapshotNotFound", True)


def test_a_snapshot_of_a_volume_that_will_never_be_fails_for_good() -> None:
    result = plan(storage(SnapshotSpec(snapshot_id="s", volume_id="v")), pool(), GROWS)
    assert (result.faults["s"].code, result.faults["s"].final) == ("VolumeNotFound", True)


def test_a_snapshot_of_a_stranger_is_taken() -> None:
    """The volume's own spec item may be confirmed gone from the spec; what is there can be copied."""
    spec = storage(SnapshotSpec(snapshot_id="s", volume_id="v"))
    assert steps(spec, pool(VolumeSeen("v", 1))) == [TakeSnapshot("s", "v")]


def test_a_copy_waits_for_its_source_and_the_source_s_end_for_the_copy() -> None:
    source = SnapshotSpec(snapshot_id="s", volume_id="v")
    copy = SnapshotSpec(snapshot_id="c", copy_of="s")
    gone = SnapshotSpec(snapshot_id="s", volume_id="v", gone=True)
    volume = VolumeSpec(volume_id="v", size_gib=1)
    assert steps(storage(volume, source, copy), pool(VolumeSeen("v", 1))) == [TakeSnapshot("s", "v")]
    assert steps(storage(source, copy), pool(SnapshotSeen("s", 1))) == [CopySnapshot("c", "s")]
    assert steps(storage(gone, copy), pool(SnapshotSeen("s", 1))) == [CopySnapshot("c", "s")]
    assert steps(storage(gone, copy), pool(SnapshotSeen("s", 1), SnapshotSeen("c", 1))) == [RemoveSnapshot("s")]


def test_a_copy_of_what_will_never_be_fails_for_good() -> None:
    copy = SnapshotSpec(snapshot_id="c", copy_of="s")
    for spec in (storage(copy), storage(copy, SnapshotSpec(snapshot_id="s", volume_id="v", gone=True))):
        result = plan(spec, pool(), GROWS)
        assert result.steps == {}
        assert (result.faults["c"].code, result.faults["c"].final) == ("SnapshotNotFound", True)


def test_a_snapshot_is_made_of_its_blocks_once_it_is_sealed() -> None:
    sealed = WrittenSpec(sealed=True, blocks=3, checksum="c")
    for written, expected in (
        (WrittenSpec(), []),
        (sealed, [SealSnapshot("s", 2, sealed)]),
        (WrittenSpec(sealed=True, abandoned=True), [RemoveSnapshot("s")]),
    ):
        spec = storage(SnapshotSpec(snapshot_id="s", size_gib=2, written=written))
        assert steps(spec, drafting("s")) == expected
        assert steps(spec, pool(SnapshotSeen("s", 2))) == []
    assert steps(storage(SnapshotSpec(snapshot_id="s", written=WrittenSpec(abandoned=True))), pool()) == []
    assert steps(storage(SnapshotSpec(snapshot_id="s", gone=True)), drafting("s")) == [RemoveSnapshot("s")]
    assert steps(storage(), drafting("s")) == []


def test_what_is_written_over_a_parent_keeps_it_until_it_is_made() -> None:
    parent = SnapshotSpec(snapshot_id="p", gone=True)
    open_, sealed = (WrittenSpec(parent="p", sealed=each) for each in (False, True))
    for written, expected in ((open_, []), (sealed, [SealSnapshot("s", 1, sealed)])):
        child = SnapshotSpec(snapshot_id="s", size_gib=1, written=written)
        assert steps(storage(parent, child), pool(SnapshotSeen("p", 1))) == expected
    child = SnapshotSpec(snapshot_id="s", size_gib=1, written=sealed)
    assert steps(storage(parent, child), pool(SnapshotSeen("p", 1), SnapshotSeen("s", 1))) == [RemoveSnapshot("p")]
    abandoned = SnapshotSpec(snapshot_id="s", written=WrittenSpec(parent="p", abandoned=True))
    assert steps(storage(parent, abandoned), pool(SnapshotSeen("p", 1))) == [RemoveSnapshot("p")]
    fault = plan(storage(child), pool(), GROWS).faults["s"]
    assert (fault.code, fault.final) == ("SnapshotNotFound", True)


def test_an_export_whose_server_died_is_made_again() -> None:
    spec = storage(VolumeSpec(volume_id="v", size_gib=2, exports=(export("a"),)))
    assert steps(spec, pool(VolumeSeen("v", 2, exports={"a": ExportSeen("")}))) == [Export("v", "a")]


def test_another_attachment_takes_over_after_the_first_is_ended() -> None:
    spec = storage(VolumeSpec(volume_id="v", size_gib=2, exports=(export("b"),)))
    assert steps(spec, pool(VolumeSeen("v", 2, exports={"a": ExportSeen("x")}))) == [
        Unexport("v", "a"),
        Export("v", "b"),
    ]


def test_a_node_on_another_host_gets_an_export_of_its_own_and_loses_the_one_of_the_node_before() -> None:
    spec = storage(VolumeSpec(volume_id="v", size_gib=2, exports=(export("a"),)))
    away = frozenset({"n1"})
    assert steps(spec, pool(VolumeSeen("v", 2)), elsewhere=away) == [Export("v", "a", "n1")]
    right = pool(VolumeSeen("v", 2, exports={"a": ExportSeen("nbds://h:1/v", "n1")}))
    assert steps(spec, right, elsewhere=away) == []
    for other in ("", "n2"):
        wrong = pool(VolumeSeen("v", 2, exports={"a": ExportSeen("x", other)}))
        assert steps(spec, wrong, elsewhere=away) == [Unexport("v", "a"), Export("v", "a", "n1")]


def test_growth_waits_for_the_end_of_the_export_where_the_driver_needs_that() -> None:
    exported = storage(VolumeSpec(volume_id="v", size_gib=3, exports=(export("a"),)))
    seen = pool(VolumeSeen("v", 2, exports={"a": ExportSeen("x")}))
    assert steps(exported, seen, GROWS) == [GrowVolume("v", 3)]
    waiting = plan(exported, seen, RIGID)
    assert (waiting.steps, waiting.faults["v"].final) == ({}, False)
    detached = storage(VolumeSpec(volume_id="v", size_gib=3))
    assert steps(detached, seen, RIGID) == [Unexport("v", "a"), GrowVolume("v", 3)]


def test_a_tombstone_ends_exports_first() -> None:
    spec = storage(VolumeSpec(volume_id="v", size_gib=2, gone=True))
    assert steps(spec, pool(VolumeSeen("v", 2, exports={"a": ExportSeen("x")}))) == [
        Unexport("v", "a"),
        RemoveVolume("v"),
    ]
    assert steps(spec, pool()) == []


def test_a_deleted_volume_stays_until_its_last_snapshot_is_taken() -> None:
    spec = storage(VolumeSpec(volume_id="v", size_gib=2, gone=True), SnapshotSpec(snapshot_id="s", volume_id="v"))
    assert steps(spec, pool(VolumeSeen("v", 2))) == [TakeSnapshot("s", "v")]
    assert steps(spec, pool(VolumeSeen("v", 2), SnapshotSeen("s", 2))) == [RemoveVolume("v")]


def test_a_deleted_snapshot_stays_until_the_last_volume_is_made_of_it() -> None:
    spec = storage(SnapshotSpec(snapshot_id="s", gone=True), VolumeSpec(volume_id="v", size_gib=2, snapshot_id="s"))
    assert steps(spec, pool(SnapshotSeen("s", 2))) == [CreateVolume("v", 2, "s")]
    assert steps(spec, pool(SnapshotSeen("s", 2), VolumeSeen("v", 2, "s"))) == [RemoveSnapshot("s")]


def test_a_deleted_snapshot_stays_until_it_is_uploaded() -> None:
    upload = UploadSpec(task_id="t", snapshot_id="s", format="raw", bucket="b", key="k", upload_id="u")
    spec = storage(SnapshotSpec(snapshot_id="s", gone=True), upload)
    seen = pool(SnapshotSeen("s", 2))
    assert steps(spec, seen) == [Upload(upload)]
    assert list(plan(spec, seen, GROWS, uploaded={"t"}).steps.values()) == [(RemoveSnapshot("s"),)]
    given_up = storage(SnapshotSpec(snapshot_id="s", gone=True), msgspec.structs.replace(upload, gone=True))
    assert steps(given_up, seen) == [RemoveSnapshot("s")]


VOLUMES, SNAPSHOTS, ATTACHMENTS = ("v1", "v2", "v3"), ("s1", "s2", "s3"), ("a1", "a2")
sizes = st.integers(1, 4)
paces = st.sampled_from((UNLIMITED, Pace(data=Flow(per_s=1))))


writings = st.builds(
    WrittenSpec, parent=st.sampled_from(("", *SNAPSHOTS)), sealed=st.booleans(), abandoned=st.booleans()
)


@st.composite
def specs(draw: st.DrawFn) -> StorageSpec:
    volumes = [
        VolumeSpec(
            volume_id=volume_id,
            size_gib=draw(sizes),
            snapshot_id=draw(st.sampled_from(("", *SNAPSHOTS))),
            exports=tuple(export(name) for name in draw(st.lists(st.sampled_from(ATTACHMENTS), max_size=1))),
            pace=draw(paces),
            gone=draw(st.booleans()),
        )
        for volume_id in draw(st.lists(st.sampled_from(VOLUMES), unique=True))
    ]
    snapshots = [
        SnapshotSpec(
            snapshot_id=snapshot_id,
            volume_id=draw(st.sampled_from(VOLUMES)),
            copy_of=draw(st.sampled_from(("", "", *SNAPSHOTS))),
            source=draw(st.sampled_from((None, IMAGE))),
            written=draw(st.one_of(st.none(), st.none(), writings)),
            gone=draw(st.booleans()),
        )
        for snapshot_id in draw(st.lists(st.sampled_from(SNAPSHOTS), unique=True))
    ]
    return storage(*volumes, *snapshots)


@st.composite
def pools(draw: st.DrawFn) -> PoolSeen:
    exports = st.builds(ExportSeen, st.sampled_from(("", "nbd+unix:///v")), st.sampled_from(("", "n1", "n2")))
    addresses = st.dictionaries(st.sampled_from(ATTACHMENTS), exports, max_size=1)
    seen = pool(
        *(
            VolumeSeen(v, draw(sizes), "", draw(addresses), draw(paces))
            for v in draw(st.lists(st.sampled_from(VOLUMES), unique=True))
        ),
        *(SnapshotSeen(s, draw(sizes)) for s in draw(st.lists(st.sampled_from(SNAPSHOTS), unique=True))),
    )
    drafts = draw(st.frozensets(st.sampled_from(SNAPSHOTS))) - seen.snapshots.keys()
    return dataclasses.replace(seen, drafts=drafts)


def apply(seen: PoolSeen, todo: list[Step]) -> PoolSeen:
    """What the steps make of a pool; each asserts what the driver would refuse."""
    volumes, snapshots, drafts = dict(seen.volumes), dict(seen.snapshots), set(seen.drafts)
    for step in todo:
        match step:
            case CreateVolume(volume_id, size_gib, source):
                assert volume_id not in volumes
                least = snapshots[source].size_gib if source else 0
                volumes[volume_id] = VolumeSeen(volume_id, max(size_gib, least), source)
            case GrowVolume(volume_id, size_gib):
                assert size_gib > volumes[volume_id].size_gib
                volumes[volume_id] = dataclasses.replace(volumes[volume_id], size_gib=size_gib)
            case SetPace(volume_id, pace):
                assert volumes[volume_id].pace != pace
                volumes[volume_id] = dataclasses.replace(volumes[volume_id], pace=pace)
            case RemoveVolume(volume_id):
                assert not volumes.pop(volume_id).exports
            case Export(volume_id, attachment_id, node):
                held = volumes[volume_id]
                assert all((name, at.node) == (attachment_id, node) for name, at in held.exports.items())
                volumes[volume_id] = dataclasses.replace(
                    held, exports={attachment_id: ExportSeen("nbd+unix:///v", node)}
                )
            case Unexport(volume_id, attachment_id):
                held = volumes[volume_id]
                exports = {name: at for name, at in held.exports.items() if name != attachment_id}
                assert exports != held.exports
                volumes[volume_id] = dataclasses.replace(held, exports=exports)
            case TakeSnapshot(snapshot_id, volume_id):
                assert snapshot_id not in snapshots
                snapshots[snapshot_id] = SnapshotSeen(snapshot_id, volumes[volume_id].size_gib, volume_id)
            case CopySnapshot(snapshot_id, source):
                assert snapshot_id not in snapshots
                snapshots[snapshot_id] = SnapshotSeen(snapshot_id, snapshots[source].size_gib)
            case ImportSnapshot(snapshot_id):
                assert snapshot_id not in snapshots
                snapshots[snapshot_id] = SnapshotSeen(snapshot_id, 1)
            case SealSnapshot(snapshot_id, _, written):
                assert snapshot_id not in snapshots
                assert not written.parent or written.parent in snapshots
                snapshots[snapshot_id] = SnapshotSeen(snapshot_id, 1)
                drafts.discard(snapshot_id)
            case RemoveSnapshot(snapshot_id):
                assert snapshots.pop(snapshot_id, None) or snapshot_id in drafts
                drafts.discard(snapshot_id)
    return PoolSeen(seen.pool_id, volumes, snapshots, drafts=frozenset(drafts))


ROUNDS = 6
"""The longest wait: a snapshot imported, a volume of it, a snapshot of that, … each one more round."""


@given(
    specs(),
    pools(),
    st.sampled_from((GROWS, RIGID)),
    st.sampled_from((frozenset(), frozenset({"n1"}))),
    st.randoms(use_true_random=False),
)
@settings(max_examples=400, deadline=None)
def test_following_the_plan_in_any_order_of_items_ends_with_nothing_to_do(
    spec: StorageSpec, seen: PoolSeen, capabilities: Capabilities, elsewhere: frozenset[str], order: object
) -> None:
    strangers = ({*seen.volumes, *seen.snapshots}) - {*spec.volumes, *spec.snapshots}
    for _ in range(ROUNDS):
        items = list(plan(spec, seen, capabilities, elsewhere).steps.values())
        order.shuffle(items)  # type: ignore[attr-defined]
        for todo in items:
            seen = apply(seen, [step for step in todo if _still_allowed(step, seen)])
    assert plan(spec, seen, capabilities, elsewhere).steps == {}
    assert strangers <= {*seen.volumes, *seen.snapshots}
    for volume in spec.volumes.values():
        if volume.gone:
            assert volume.volume_id not in seen.volumes
        elif volume.volume_id in seen.volumes:
            assert set(seen.volumes[volume.volume_id].exports) == {wish.attachment_id for wish in volume.exports}


def _still_allowed(step: Step, seen: PoolSeen) -> bool:
    """Items of one plan are done side by side: what a step needs may be gone by the time it is done, and it fails then."""
    match step:
        case CreateVolume(_, _, source):
            return not source or source in seen.snapshots
        case TakeSnapshot(_, volume_id):
            return volume_id in seen.volumes
        case CopySnapshot(_, source):
            return source in seen.snapshots
        case SealSnapshot(_, _, written):
            return not written.parent or written.parent in seen.snapshots
    return True
