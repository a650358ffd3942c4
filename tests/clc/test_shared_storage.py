"""Zones whose storage controllers work on one pool: a snapshot serves them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness.cloud import Cloud

A, B = "us-east-1a", "us-east-1b"


@pytest.fixture
def shared(tmp_path: Path, new_database: Any) -> Iterator[Cloud]:
    with new_database() as url, Cloud(tmp_path / "cloud", database=url, shared_storage=True) as running:
        yield running


def snapshot(cloud: Cloud) -> str:
    """Of a volume in the first zone, completed."""
    ec2 = cloud.client("ec2")
    volume_id = ec2.create_volume(AvailabilityZone=A, Size=2)["VolumeId"]
    cloud.settle()
    snapshot_id = str(ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"])
    cloud.settle()
    return snapshot_id


def test_a_volume_is_made_of_a_snapshot_that_another_zone_took(shared: Cloud) -> None:
    ec2 = shared.client("ec2")
    volume_id = ec2.create_volume(AvailabilityZone=B, SnapshotId=snapshot(shared))["VolumeId"]
    shared.settle()
    (volume,) = ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert (volume["State"], volume["AvailabilityZone"], volume["Size"]) == ("available", B, 2)


def test_a_deleted_snapshot_stays_until_the_volumes_of_all_zones_are_made(shared: Cloud) -> None:
    ec2, snapshot_id = shared.client("ec2"), snapshot(shared)
    volume_id = ec2.create_volume(AvailabilityZone=B, SnapshotId=snapshot_id)["VolumeId"]
    ec2.delete_snapshot(SnapshotId=snapshot_id)
    shared.settle()
    (volume,) = ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert volume["State"] == "available"
    with pytest.raises(ClientError, match=r"InvalidSnapshot\.NotFound"):
        ec2.describe_snapshots(SnapshotIds=[snapshot_id])
    pool = shared.run(shared.dev.zones[A].block.observe())
    assert snapshot_id not in pool.snapshots
