"""Snapshots through boto3: taken, described, shared, deleted; what is made of them; storage that comes and goes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clc.test_volumes import ZONE, error, snapshot, volume
from tests.harness.cloud import Cloud


def ids_of(answer: dict[str, Any]) -> set[str]:
    return {one["SnapshotId"] for one in answer["Snapshots"]}


def test_a_snapshot_is_pending_then_completed_as_the_waiter_sees_it(cloud: Cloud) -> None:
    ec2, volume_id = cloud.client("ec2"), volume(cloud, Size=3)
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "Name", "Value": "nightly"}]}]
    made = ec2.create_snapshot(VolumeId=volume_id, Description="before the change", TagSpecifications=tags)
    del made["ResponseMetadata"], made["StartTime"]
    snapshot_id = made.pop("SnapshotId")
    assert made == {
        "Description": "before the change",
        "Encrypted": False,
        "OwnerId": cloud.account("eucalyptus")["account_id"],
        "Progress": "",
        "State": "pending",
        "Tags": [{"Key": "Name", "Value": "nightly"}],
        "VolumeId": volume_id,
        "VolumeSize": 3,
    }
    cloud.settle()
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot_id])
    (seen,) = ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    assert (seen["State"], seen["Progress"], seen["StorageTier"]) == ("completed", "100%", "standard")
    assert seen["CompletionTime"] >= seen["StartTime"]
    assert seen["Tags"] == [{"Key": "Name", "Value": "nightly"}]


def test_a_volume_of_a_snapshot_has_its_content_and_at_least_its_size(cloud: Cloud) -> None:
    ec2, first = cloud.client("ec2"), volume(cloud, Size=2)
    block = cloud.dev.zones[ZONE].block
    block.write(first, 0, "before")
    source = ec2.create_snapshot(VolumeId=first)["SnapshotId"]
    cloud.settle()
    block.write(first, 0, "after")
    made = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=source)
    larger = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=source, Size=5)
    cloud.settle()
    assert (made["Size"], larger["Size"], made["SnapshotId"]) == (2, 5, source)
    assert [block.read(one, 0) for one in (first, made["VolumeId"], larger["VolumeId"])] == [
        "after",
        "before",
        "before",
    ]
    assert error(ec2.create_volume, AvailabilityZone=ZONE, SnapshotId=source, Size=1) == (
        "InvalidParameterValue",
        f"Volume of size 1GB is smaller than snapshot '{source}', expect size >= 2GB",
    )


def test_a_snapshot_and_its_volume_outlive_each_other(cloud: Cloud) -> None:
    ec2, first = cloud.client("ec2"), volume(cloud)
    source = ec2.create_snapshot(VolumeId=first)["SnapshotId"]
    ec2.delete_volume(VolumeId=first)
    cloud.settle()
    assert ec2.describe_snapshots(SnapshotIds=[source])["Snapshots"][0]["State"] == "completed"
    made = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=source)["VolumeId"]
    ec2.delete_snapshot(SnapshotId=source)
    cloud.settle()
    assert ec2.describe_volumes(VolumeIds=[made])["Volumes"][0]["State"] == "available"
    message = f"The snapshot '{source}' does not exist."
    assert error(ec2.describe_snapshots, SnapshotIds=[source]) == ("InvalidSnapshot.NotFound", message)


def test_a_deleted_snapshot_is_not_shown_while_it_is_removed(cloud: Cloud) -> None:
    ec2, source = cloud.client("ec2"), snapshot(cloud)
    ec2.delete_snapshot(SnapshotId=source)
    assert ids_of(ec2.describe_snapshots()) == set()
    assert error(ec2.delete_snapshot, SnapshotId=source)[0] == "InvalidSnapshot.NotFound"
    cloud.settle()
    assert cloud.run(cloud.dev.zones[ZONE].block.observe()).snapshots == {}


def test_what_cannot_be_is_refused(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    creating = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    assert error(ec2.create_snapshot, VolumeId=creating)[0] == "IncorrectState"
    assert error(ec2.create_snapshot, VolumeId="vol-00000000000000000")[0] == "InvalidVolume.NotFound"
    cloud.settle()
    assert error(ec2.create_snapshot, VolumeId=creating, Description="x" * 256)[0] == "InvalidParameterValue"
    pending = ec2.create_snapshot(VolumeId=creating)["SnapshotId"]
    assert error(ec2.create_volume, AvailabilityZone=ZONE, SnapshotId=pending) == (
        "IncorrectState",
        "Snapshot is in invalid state - pending",
    )


def test_sharing_lets_others_make_volumes_and_nothing_else(cloud: Cloud) -> None:
    ec2, other = cloud.client("ec2"), cloud.client("ec2", "other")
    friend, source = cloud.account("other")["account_id"], snapshot(cloud)
    assert error(other.create_volume, AvailabilityZone=ZONE, SnapshotId=source)[0] == "InvalidSnapshot.NotFound"
    ec2.modify_snapshot_attribute(SnapshotId=source, CreateVolumePermission={"Add": [{"UserId": friend}]})
    answer = ec2.describe_snapshot_attribute(SnapshotId=source, Attribute="createVolumePermission")
    assert answer["CreateVolumePermissions"] == [{"UserId": friend}]
    assert ids_of(other.describe_snapshots()) == {source}
    assert ids_of(other.describe_snapshots(OwnerIds=["self"])) == set()
    assert ids_of(other.describe_snapshots(RestorableByUserIds=["self"])) == {source}
    assert other.create_volume(AvailabilityZone=ZONE, SnapshotId=source)["SnapshotId"] == source
    for refused in (
        error(other.delete_snapshot, SnapshotId=source),
        error(other.modify_snapshot_attribute, SnapshotId=source, CreateVolumePermission={"Add": [{"Group": "all"}]}),
        error(other.describe_snapshot_attribute, SnapshotId=source, Attribute="createVolumePermission"),
    ):
        assert refused[0] == "InvalidSnapshot.NotFound"
    ec2.modify_snapshot_attribute(
        SnapshotId=source, Attribute="createVolumePermission", OperationType="remove", UserIds=[friend]
    )
    assert ids_of(other.describe_snapshots()) == set()


def test_a_public_snapshot_is_everybodys_until_it_is_reset(cloud: Cloud) -> None:
    ec2, other, source = cloud.client("ec2"), cloud.client("ec2", "other"), snapshot(cloud)
    ec2.modify_snapshot_attribute(
        SnapshotId=source, Attribute="createVolumePermission", OperationType="add", GroupNames=["all"]
    )
    answer = ec2.describe_snapshot_attribute(SnapshotId=source, Attribute="createVolumePermission")
    assert answer["CreateVolumePermissions"] == [{"Group": "all"}]
    assert ids_of(other.describe_snapshots(RestorableByUserIds=["all"])) == {source}
    ec2.reset_snapshot_attribute(SnapshotId=source, Attribute="createVolumePermission")
    assert ids_of(other.describe_snapshots()) == set()
    answer = ec2.describe_snapshot_attribute(SnapshotId=source, Attribute="createVolumePermission")
    assert answer["CreateVolumePermissions"] == []


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "MissingParameter"),
        ({"CreateVolumePermission": {"Add": [{"UserId": "bob"}]}}, "InvalidParameterValue"),
        ({"CreateVolumePermission": {"Add": [{"Group": "friends"}]}}, "InvalidParameterValue"),
        ({"UserIds": ["123456789012"]}, "MissingParameter"),
        ({"Attribute": "colour"}, "InvalidParameterValue"),
    ],
)
def test_a_permission_that_means_nothing_is_refused(cloud: Cloud, given: dict[str, Any], code: str) -> None:
    source = snapshot(cloud)
    assert error(cloud.client("ec2").modify_snapshot_attribute, SnapshotId=source, **given)[0] == code


def test_every_documented_filter_finds_what_it_says(cloud: Cloud) -> None:
    ec2, volume_id = cloud.client("ec2"), volume(cloud, Size=4)
    first = ec2.create_snapshot(VolumeId=volume_id, Description="one")["SnapshotId"]
    cloud.settle()
    second = ec2.create_snapshot(VolumeId=volume_id, Description="two")["SnapshotId"]
    ec2.create_tags(Resources=[second], Tags=[{"Key": "k", "Value": "v"}])
    year = f"{ec2.describe_snapshots()['Snapshots'][0]['StartTime'].year}-*"
    owner, both = cloud.account("eucalyptus")["account_id"], {first, second}
    for name, value, expected in (
        ("description", "o*", {first}),
        ("encrypted", "false", both),
        ("owner-alias", "amazon", set()),
        ("owner-id", owner, both),
        ("progress", "100%", {first}),
        ("snapshot-id", second, {second}),
        ("start-time", year, both),
        ("status", "completed", {first}),
        ("status", "pending", {second}),
        ("storage-tier", "standard", both),
        ("transfer-type", "standard", set()),
        ("tag:k", "v", {second}),
        ("tag-key", "k", {second}),
        ("volume-id", volume_id, both),
        ("volume-size", "4", both),
    ):
        found = ids_of(ec2.describe_snapshots(Filters=[{"Name": name, "Values": [value]}]))
        assert found == expected, (name, value)


def test_pages_show_every_snapshot_once(cloud: Cloud) -> None:
    ec2, volume_id = cloud.client("ec2"), volume(cloud)
    made = {ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"] for _ in range(7)}
    pages = list(ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], PaginationConfig={"PageSize": 5}))
    assert [len(page["Snapshots"]) for page in pages] == [5, 2]
    assert set().union(*map(ids_of, pages)) == made
