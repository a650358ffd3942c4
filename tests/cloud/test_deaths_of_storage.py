"""Everything dies after every single step of what is done with snapshots, and comes back: it is done after all.

How: `test_deaths.py`.
"""

from __future__ import annotations

from typing import Any

from tests.clc import ebs
from tests.cloud.test_deaths import DEVICE, Stage, at_every_step, stage

__all__ = ["stage"]


def taken(stage: Stage) -> list[dict[str, Any]]:
    return list(stage.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"])


def pool(stage: Stage) -> Any:
    return stage.cloud.run(stage.cloud.dev.zones[ebs.ZONE].block.observe())


def content(stage: Stage, snapshot_id: str) -> str:
    """What a volume that is made of it holds."""
    made = stage.ec2.create_volume(AvailabilityZone=ebs.ZONE, SnapshotId=snapshot_id)["VolumeId"]
    stage.cloud.settle()
    found = stage.word(made)
    stage.ec2.delete_volume(VolumeId=made)
    stage.cloud.settle()
    return found


def test_a_snapshot_is_deleted_while_it_is_copied(stage: Stage) -> None:
    volume_id, kept = stage.volume(), {one["SnapshotId"] for one in taken(stage)}
    ids: dict[str, str] = {}

    def prepare() -> None:
        ids["source"] = stage.ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"]
        stage.cloud.settle()
        answer = stage.ec2.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=ids["source"])
        ids["copy"] = answer["SnapshotId"]

    def check(steps: list[str]) -> None:
        left = {one["SnapshotId"]: one["State"] for one in taken(stage) if one["SnapshotId"] not in kept}
        assert left == {ids["copy"]: "completed"}
        assert set(pool(stage).snapshots) == {*kept, ids["copy"]}
        stage.ec2.delete_snapshot(SnapshotId=ids["copy"])
        stage.cloud.settle()

    at_every_step(stage, lambda: stage.ec2.delete_snapshot(SnapshotId=ids["source"]), check, prepare)


def test_snapshots_of_all_volumes_of_an_instance(stage: Stage) -> None:
    instance_id, volume_id, kept = stage.instance("volume"), stage.volume(), len(taken(stage))
    stage.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=DEVICE)
    stage.cloud.settle()

    def check(steps: list[str]) -> None:
        new = [one for one in taken(stage) if one["Description"] == "all"]
        assert (len(new), {one["State"] for one in new}) == (2, {"completed"})
        (data,) = (one["SnapshotId"] for one in new if one["VolumeId"] == volume_id)
        assert content(stage, data) == "kept"
        for one in new:
            stage.ec2.delete_snapshot(SnapshotId=one["SnapshotId"])
        stage.cloud.settle()
        assert len(pool(stage).snapshots) == kept

    def story() -> None:
        stage.ec2.create_snapshots(InstanceSpecification={"InstanceId": instance_id}, Description="all")

    at_every_step(stage, story, check, lambda: None)
