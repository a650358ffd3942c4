"""Copies of snapshots, and snapshots of all volumes of an instance, through boto3."""

from __future__ import annotations

from typing import Any

from tests.clc import ebs
from tests.clc.test_snapshots import ids_of
from tests.clc.test_volumes import ZONE, error, snapshot, volume
from tests.harness.cloud import Cloud

HERE = "us-east-1"


def copied(cloud: Cloud, source: str, account: str | None = None, **given: Any) -> str:
    ec2 = cloud.client("ec2", account) if account else cloud.client("ec2")
    return str(ec2.copy_snapshot(SourceRegion=HERE, SourceSnapshotId=source, **given)["SnapshotId"])


def described(cloud: Cloud, snapshot_id: str) -> dict[str, Any]:
    (seen,) = cloud.client("ec2").describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    return dict(seen)


def test_a_copy_has_its_source_s_content_and_outlives_it(cloud: Cloud) -> None:
    ec2, first = cloud.client("ec2"), volume(cloud, Size=3)
    block = cloud.dev.zones[ZONE].block
    block.write(first, 0, "kept")
    source = ec2.create_snapshot(VolumeId=first)["SnapshotId"]
    cloud.settle()
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "Name", "Value": "copy"}]}]
    made = ec2.copy_snapshot(
        SourceRegion=HERE, SourceSnapshotId=source, Description="for later", TagSpecifications=tags
    )
    assert made["Tags"] == [{"Key": "Name", "Value": "copy"}]
    ec2.delete_snapshot(SnapshotId=source)  # while the copy is still to be made
    ec2.delete_volume(VolumeId=first)
    cloud.settle()
    seen = described(cloud, made["SnapshotId"])
    assert {
        name: seen[name] for name in ("State", "VolumeId", "VolumeSize", "Description", "TransferType", "Tags")
    } == {
        "State": "completed",
        "VolumeId": "vol-ffffffff",
        "VolumeSize": 3,
        "Description": "for later",
        "TransferType": "standard",
        "Tags": [{"Key": "Name", "Value": "copy"}],
    }
    assert set(cloud.run(block.observe()).snapshots) == {made["SnapshotId"]}
    again = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=made["SnapshotId"])["VolumeId"]
    cloud.settle()
    assert block.read(again, 0) == "kept"


def test_a_copy_of_a_copy_is_a_copy(cloud: Cloud) -> None:
    source = snapshot(cloud)
    first = copied(cloud, source)
    cloud.settle()
    second = copied(cloud, first)
    cloud.client("ec2").delete_snapshot(SnapshotId=first)
    cloud.settle()
    assert ids_of(cloud.client("ec2").describe_snapshots(OwnerIds=["self"])) == {source, second}
    assert described(cloud, second)["State"] == "completed"


def test_what_is_shared_may_be_copied_and_the_copy_is_the_copier_s(cloud: Cloud) -> None:
    source, friend = snapshot(cloud), cloud.account("other")["account_id"]
    refused = error(cloud.client("ec2", "other").copy_snapshot, SourceRegion=HERE, SourceSnapshotId=source)
    assert refused[0] == "InvalidSnapshot.NotFound"
    permission = {"Add": [{"UserId": friend}]}
    cloud.client("ec2").modify_snapshot_attribute(SnapshotId=source, CreateVolumePermission=permission)
    mine = copied(cloud, source, "other")
    cloud.settle()
    assert ids_of(cloud.client("ec2", "other").describe_snapshots(OwnerIds=["self"])) == {mine}
    assert error(cloud.client("ec2").describe_snapshots, SnapshotIds=[mine])[0] == "InvalidSnapshot.NotFound"


def test_a_time_based_copy_says_so(cloud: Cloud) -> None:
    ec2, source = cloud.client("ec2"), snapshot(cloud)
    plain, timed = copied(cloud, source), copied(cloud, source, CompletionDurationMinutes=30)
    cloud.settle()
    seen = described(cloud, timed)
    assert (seen["TransferType"], seen["CompletionDurationMinutes"]) == ("time-based", 30)
    for wanted, found in (("standard", {plain}), ("time-*", {timed}), ("*", {plain, timed})):
        filters = [{"Name": "transfer-type", "Values": [wanted]}]
        assert ids_of(ec2.describe_snapshots(Filters=filters)) == found


REFUSED = (
    ({"SourceRegion": "eu-west-1"}, "SnapshotCopyUnsupported.InterRegion"),
    ({"DestinationOutpostArn": "arn:aws:outposts:us-east-1:1:outpost/op-1"}, "UnsupportedOperation"),
    ({"KmsKeyId": "alias/mine"}, "InvalidParameterDependency"),
    ({"Encrypted": True}, "UnsupportedOperation"),
    ({"CompletionDurationMinutes": 20}, "InvalidParameterValue"),
    ({"CompletionDurationMinutes": 2895}, "InvalidParameterValue"),
    ({"Description": "x" * 256}, "InvalidParameterValue"),
    ({"SourceSnapshotId": "snap-00000000000000000"}, "InvalidSnapshot.NotFound"),
    ({"SourceSnapshotId": "vol-00000000000000000"}, "InvalidParameterValue"),
)


def test_a_copy_that_cannot_be_is_refused(cloud: Cloud) -> None:
    ec2, source = cloud.client("ec2"), snapshot(cloud)
    for given, code in REFUSED:
        wish = {"SourceRegion": HERE, "SourceSnapshotId": source, **given}
        assert error(ec2.copy_snapshot, **wish)[0] == code, given
    assert ids_of(ec2.describe_snapshots(OwnerIds=["self"])) == {source}


def test_what_is_not_completed_cannot_be_copied(cloud: Cloud) -> None:
    ec2, first = cloud.client("ec2"), volume(cloud)
    pending = ec2.create_snapshot(VolumeId=first)["SnapshotId"]
    assert error(ec2.copy_snapshot, SourceRegion=HERE, SourceSnapshotId=pending) == (
        "IncorrectState",
        "Snapshot is in invalid state - pending",
    )


def test_snapshots_of_an_instance_are_of_all_its_volumes(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    instance = ebs.instance(cloud, ebs.image(cloud))
    data = [volume(cloud, Size=size) for size in (2, 3)]
    for number, volume_id in enumerate(data):
        ec2.attach_volume(VolumeId=volume_id, InstanceId=instance, Device=f"/dev/sd{'fg'[number]}")
    cloud.settle()
    ec2.create_tags(Resources=[data[0]], Tags=[{"Key": "Name", "Value": "logs"}, {"Key": "Team", "Value": "red"}])
    block = cloud.dev.zones[ZONE].block
    block.write(data[1], 0, "data")
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "Team", "Value": "blue"}]}]
    answer = ec2.create_snapshots(
        InstanceSpecification={"InstanceId": instance},
        Description="all",
        CopyTagsFromSource="volume",
        TagSpecifications=tags,
    )["Snapshots"]
    assert [(one["VolumeSize"], one["State"], one["Description"]) for one in answer] == [
        (1, "pending", "all"),
        (2, "pending", "all"),
        (3, "pending", "all"),
    ]
    assert [one["VolumeId"] for one in answer[1:]] == data
    assert answer[1]["Tags"] == [{"Key": "Name", "Value": "logs"}, {"Key": "Team", "Value": "blue"}]
    assert answer[2]["Tags"] == [{"Key": "Team", "Value": "blue"}]
    cloud.settle()
    assert {described(cloud, one["SnapshotId"])["State"] for one in answer} == {"completed"}
    again = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=answer[2]["SnapshotId"])["VolumeId"]
    cloud.settle()
    assert block.read(again, 0) == "data"


def test_the_root_and_named_volumes_may_be_left_out(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    instance = ebs.instance(cloud, ebs.image(cloud))
    data, loose = volume(cloud), volume(cloud)
    ec2.attach_volume(VolumeId=data, InstanceId=instance, Device="/dev/sdf")
    cloud.settle()
    (mapping,) = (
        disk
        for disk in ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0][
            "BlockDeviceMappings"
        ]
        if disk["DeviceName"] == ebs.ROOT
    )
    root = mapping["Ebs"]["VolumeId"]

    def taken(**wish: Any) -> list[str]:
        answer = ec2.create_snapshots(InstanceSpecification={"InstanceId": instance, **wish})
        return [one["VolumeId"] for one in answer["Snapshots"]]

    assert taken(ExcludeBootVolume=True) == [data]
    assert taken(ExcludeDataVolumeIds=[data]) == [root]
    for wish in (
        {"ExcludeBootVolume": True, "ExcludeDataVolumeIds": [data]},
        {"ExcludeDataVolumeIds": [root]},
        {"ExcludeDataVolumeIds": [loose]},
    ):
        refused = error(ec2.create_snapshots, InstanceSpecification={"InstanceId": instance, **wish})
        assert refused[0] == "InvalidParameterValue"
    absent = {"InstanceId": "i-00000000000000000"}
    assert error(ec2.create_snapshots, InstanceSpecification=absent)[0] == "InvalidInstanceID.NotFound"
