"""Everything dies after every single step of what is done with snapshots, and comes back: it is done after all.

How: `test_deaths.py`.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from tests.clc import ebs
from tests.cloud.test_deaths import DEVICE, Stage, at_every_step, stage
from tests.harness.cloud import Cloud
from tests.harness.postgres import NewDatabase

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


def test_a_snapshot_is_written_by_blocks_over_another_that_is_deleted(stage: Stage) -> None:
    """The client repeats what got no answer, each request with the words that it had."""
    volume_id, kept = stage.volume(), len(taken(stage))
    put = b"put".ljust(512 << 10, b"\0")
    checksum = base64.b64encode(hashlib.sha256(put).digest()).decode()
    round_number = 0
    parent = ""

    def prepare() -> None:
        nonlocal parent, round_number
        round_number += 1
        parent = stage.ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"]
        stage.cloud.settle()

    def write() -> str:
        client = stage.cloud.client("ebs")
        began = client.start_snapshot(VolumeSize=1, ParentSnapshotId=parent, ClientToken=f"token-{round_number}")
        snapshot_id = str(began["SnapshotId"])
        if stage.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]["State"] == "pending":
            client.put_snapshot_block(
                SnapshotId=snapshot_id, BlockIndex=1, BlockData=put, DataLength=len(put), Checksum=checksum,
                ChecksumAlgorithm="SHA256",
            )  # fmt: skip
        client.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=1)
        return snapshot_id

    def story() -> None:
        write()
        stage.ec2.delete_snapshot(SnapshotId=parent)

    def check(steps: list[str]) -> None:
        if len([one for one in taken(stage) if one["SnapshotId"] == parent]):
            made = write()
            stage.ec2.delete_snapshot(SnapshotId=parent)
        else:
            (made,) = (one["SnapshotId"] for one in taken(stage) if one["VolumeId"] == "vol-ffffffff")
        stage.cloud.settle()
        assert [one["State"] for one in taken(stage) if one["SnapshotId"] == made] == ["completed"]
        assert content(stage, made) == "kept"
        changed = stage.cloud.client("ebs").list_snapshot_blocks(SnapshotId=made)["Blocks"]
        assert [one["BlockIndex"] for one in changed] == [0, 1]
        stage.ec2.delete_snapshot(SnapshotId=made)
        stage.cloud.settle()
        assert (len(pool(stage).snapshots), pool(stage).drafts) == (kept, frozenset())

    at_every_step(stage, story, check, prepare)


def test_a_volume_is_made_in_another_zone_of_a_snapshot_that_is_deleted(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    """Out of the archive of the snapshot's own zone."""
    with new_database() as url, Cloud(tmp_path / "cloud", database=url, zones=("a", "b"), nodes_per_zone=1) as cloud:
        made_elsewhere(Stage(cloud))


def made_elsewhere(stage: Stage) -> None:
    volume_id, kept = stage.volume(), set(pool(stage).snapshots)
    ids: dict[str, str] = {}

    def prepare() -> None:
        ids["source"] = stage.ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"]
        stage.cloud.settle()

    def story() -> None:
        stage.ec2.create_volume(
            AvailabilityZone="us-east-1b", SnapshotId=ids["source"], ClientToken=f"made-of-{ids['source']}"
        )
        stage.ec2.delete_snapshot(SnapshotId=ids["source"])

    def check(steps: list[str]) -> None:
        if any(one["SnapshotId"] == ids["source"] for one in taken(stage)):
            story()
            stage.cloud.settle()
        (made,) = stage.ec2.describe_volumes(Filters=[{"Name": "availability-zone", "Values": ["us-east-1b"]}])[
            "Volumes"
        ]
        assert made["State"] == "available"
        zone = stage.cloud.dev.zones["us-east-1b"]
        assert zone.block.read(made["VolumeId"], 0) == "kept"
        assert stage.cloud.run(zone.block.observe()).snapshots == {}
        assert set(pool(stage).snapshots) == kept
        stage.ec2.delete_volume(VolumeId=made["VolumeId"])
        stage.cloud.settle()

    at_every_step(stage, story, check, prepare)
