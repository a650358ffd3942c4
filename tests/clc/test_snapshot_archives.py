"""Snapshots outlive the pool that they were taken in, and serve the zones that have another one."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from eucapy.clc.store import snapshot_visits, snapshots
from eucapy.wire.archive import WalrusArchive
from eucapy.wire.contract import Unreachable
from tests.harness.cloud import Cloud

A, B = "us-east-1a", "us-east-1b"


def pool(cloud: Cloud, zone: str = A) -> Any:
    return cloud.dev.zones[zone].block


def volume(cloud: Cloud, zone: str = A, **given: Any) -> str:
    given = given or {"Size": 1}
    volume_id = str(cloud.client("ec2").create_volume(AvailabilityZone=zone, **given)["VolumeId"])
    cloud.settle()
    return volume_id


def snapshot(cloud: Cloud, volume_id: str) -> str:
    snapshot_id = str(cloud.client("ec2").create_snapshot(VolumeId=volume_id)["SnapshotId"])
    cloud.settle()
    return snapshot_id


def written(cloud: Cloud) -> tuple[str, str]:
    """A volume of the first zone with a word in it, and its snapshot."""
    volume_id = volume(cloud)
    pool(cloud).write(volume_id, 0, "kept")
    return volume_id, snapshot(cloud, volume_id)


def state(cloud: Cloud, volume_id: str) -> str:
    return str(cloud.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"])


def told(cloud: Cloud) -> list[dict[str, object]]:
    return cloud.run(cloud.dev.database.read(snapshots.archives))


def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise Unreachable("away")

    for name in ("put", "get", "remove", "names"):
        monkeypatch.setattr(WalrusArchive, name, away)


def test_a_snapshot_is_completed_at_once_and_the_operator_sees_how_far_its_archive_is(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume_id = volume(cloud)
    snapshot(cloud, volume_id)
    assert told(cloud) == [{"zone": A, "snapshots": 1, "kept": 1, "percent": 100, "fault": ""}]
    with monkeypatch.context() as patched:
        silent(patched)
        second = snapshot(cloud, volume_id)
        (shown,) = cloud.client("ec2").describe_snapshots(SnapshotIds=[second])["Snapshots"]
        assert (shown["State"], shown["Progress"]) == ("completed", "100%")
        assert state(cloud, volume(cloud, SnapshotId=second)) == "available"
        assert told(cloud) == [{"zone": A, "snapshots": 2, "kept": 1, "percent": 50, "fault": "away"}]
    cloud.advance(120)
    assert told(cloud) == [{"zone": A, "snapshots": 2, "kept": 2, "percent": 100, "fault": ""}]


def test_what_the_pool_lost_is_rebuilt_before_a_volume_is_made_of_it(cloud: Cloud) -> None:
    volume_id, snapshot_id = written(cloud)
    pool(cloud).write(volume_id, 0, "later")
    cloud.run(pool(cloud).remove_snapshot(snapshot_id))
    made = volume(cloud, SnapshotId=snapshot_id)
    assert (state(cloud, made), pool(cloud).read(made, 0)) == ("available", "kept")


def test_a_volume_is_made_in_another_zone_which_keeps_nothing_of_the_snapshot(cloud: Cloud) -> None:
    _, snapshot_id = written(cloud)
    made = volume(cloud, B, SnapshotId=snapshot_id)
    assert (state(cloud, made), pool(cloud, B).read(made, 0)) == ("available", "kept")
    assert cloud.run(pool(cloud, B).observe()).snapshots == {}
    assert cloud.run(cloud.dev.database.read(lambda tx: snapshot_visits.in_zone(tx, B))) == []
    again = volume(cloud, B, SnapshotId=snapshot_id)
    assert pool(cloud, B).read(again, 0) == "kept"


def test_the_other_zone_waits_for_the_archive(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        silent(patched)
        _, snapshot_id = written(cloud)
        made = volume(cloud, B, SnapshotId=snapshot_id)
        # Deleted, it stays for the volume that is still to be made.
        cloud.client("ec2").delete_snapshot(SnapshotId=snapshot_id)
        cloud.settle()
        assert state(cloud, made) == "creating"
    for _ in range(3):
        cloud.advance(120)
    assert (state(cloud, made), pool(cloud, B).read(made, 0)) == ("available", "kept")
    for zone in (A, B):
        assert cloud.run(pool(cloud, zone).observe()).snapshots == {}
    archives = cloud.dev.zones[A].storage._executor.archives
    assert archives is not None
    assert cloud.run(archives._archive._store.names("")) == []  # type: ignore[arg-type]


def test_a_zone_that_keeps_no_archive_keeps_its_snapshots_to_itself(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud.dev.zones[A].storage._executor, "archives", None)
    _, snapshot_id = written(cloud)
    with pytest.raises(ClientError, match="lies in the storage of us-east-1a"):
        volume(cloud, B, SnapshotId=snapshot_id)


def test_no_account_sees_the_archive(cloud: Cloud) -> None:
    written(cloud)
    assert cloud.client("s3").list_buckets()["Buckets"] == []
