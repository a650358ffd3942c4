"""ImportImage through boto3: disks in a bucket become an image that can be launched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.drivers.imaging.conversion import Disk
from eucapy.drivers.imaging.fake_conversion import FakeConverter
from eucapy.drivers.imaging.headers import Unsuitable
from tests.clc.importing import BUCKET, VMDK, archive, description, role, strangers, upload
from tests.clc.launching import error, launch, state, step
from tests.harness.cloud import Cloud


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[Cloud]:
    """A cloud with the bucket, one good disk and the role."""
    folder: Path = tmp_path_factory.mktemp("imports") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        upload(cloud, "disk.vmdk", VMDK)
        upload(cloud, "broken.vmdk", b"no disk" * 100)
        role(cloud)
        cloud.settle()
        yield cloud


def container(key: str = "disk.vmdk", **given: Any) -> dict[str, Any]:
    return {"Format": "VMDK", "UserBucket": {"S3Bucket": BUCKET, "S3Key": key}, **given}


def begin(cloud: Cloud, *containers: dict[str, Any], **given: Any) -> str:
    answer = cloud.client("ec2").import_image(DiskContainers=list(containers or [container()]), **given)
    return str(answer["ImportTaskId"])


def show(cloud: Cloud, task_id: str) -> dict[str, Any]:
    (task,) = cloud.client("ec2").describe_import_image_tasks(ImportTaskIds=[task_id])["ImportImageTasks"]
    return dict(task)


def image_of(cloud: Cloud, task: dict[str, Any]) -> dict[str, Any]:
    (image,) = cloud.client("ec2").describe_images(ImageIds=[task["ImageId"]])["Images"]
    return dict(image)


def test_a_machine_becomes_an_image_that_can_be_launched(ready: Cloud) -> None:
    task_id = begin(ready, container(Description="root"), Description="my server", BootMode="uefi")
    task = show(ready, task_id)
    assert (task["Status"], task["StatusMessage"], task["Progress"]) == ("active", "pending", "0")
    seen = []
    while (task := show(ready, task_id))["Status"] == "active":
        seen.append(task["StatusMessage"])
        step(ready)
    assert list(dict.fromkeys(seen))[:2] == ["pending", "validated"]
    ready.settle()
    task = show(ready, task_id)
    (detail,) = task.pop("SnapshotDetails")
    snapshot_id = detail.pop("SnapshotId")
    assert detail == {
        "Description": "root",
        "DiskImageSize": float(len(VMDK)),
        "Format": "VMDK",
        "Status": "completed",
        "UserBucket": {"S3Bucket": BUCKET, "S3Key": "disk.vmdk"},
    }
    image_id = task.pop("ImageId")
    assert task == {
        "Architecture": "x86_64",
        "BootMode": "uefi",
        "Description": "my server",
        "Encrypted": False,
        "ImportTaskId": task_id,
        "LicenseType": "BYOL",
        "Platform": "Linux",
        "Status": "completed",
        "Tags": [],
        "UsageOperation": "RunInstances",
    }
    image = image_of(ready, {"ImageId": image_id})
    assert (image["Name"], image["State"], image["BootMode"]) == (task_id, "available", "uefi")
    (mapping,) = image["BlockDeviceMappings"]
    assert (mapping["DeviceName"], mapping["Ebs"]["SnapshotId"], mapping["Ebs"]["VolumeSize"]) == (
        "/dev/sda1",
        snapshot_id,
        3,
    )
    ready.client("s3").delete_object(Bucket=BUCKET, Key="disk.vmdk")
    (instance_id,) = launch(ready, image_id, Placement={"AvailabilityZone": "us-east-1a"})
    assert state(ready, instance_id) == "running"
    upload(ready, "disk.vmdk", VMDK)


def test_several_disks_in_their_order(ready: Cloud) -> None:
    task_id = begin(ready, container(), container(DeviceName="/dev/sdf"), container())
    ready.settle()
    image = image_of(ready, show(ready, task_id))
    assert [one["DeviceName"] for one in image["BlockDeviceMappings"]] == ["/dev/sda1", "/dev/sdf", "/dev/sdc"]
    assert len({one["Ebs"]["SnapshotId"] for one in image["BlockDeviceMappings"]}) == 3


def test_an_ova_brings_its_disks(ready: Cloud) -> None:
    members = {"m.ovf": description("one.vmdk", "two.vmdk"), "one.vmdk": VMDK, "two.vmdk": VMDK}
    upload(ready, "machine.ova", archive(members))
    task_id = begin(ready, container("machine.ova", Format="ova"))
    ready.settle()
    task = show(ready, task_id)
    assert task["Status"] == "completed", task
    assert [one["Format"] for one in task["SnapshotDetails"]] == ["VMDK", "VMDK"]
    assert [one["DiskImageSize"] for one in task["SnapshotDetails"]] == [float(len(VMDK))] * 2
    image = image_of(ready, task)
    assert [one["Ebs"]["VolumeSize"] for one in image["BlockDeviceMappings"]] == [3, 3]


def test_a_snapshot_is_as_good_as_a_disk_and_outlives_a_failure(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    bucket = {"S3Bucket": BUCKET, "S3Key": "disk.vmdk"}
    ec2.import_snapshot(DiskContainer={"Format": "VMDK", "UserBucket": bucket})
    ready.settle()
    done = ec2.describe_import_snapshot_tasks()["ImportSnapshotTasks"][0]["SnapshotTaskDetail"]["SnapshotId"]
    failed = begin(ready, {"SnapshotId": done}, container("broken.vmdk"))
    ready.settle()
    assert show(ready, failed)["Status"] == "deleted"
    good = begin(ready, {"SnapshotId": done})
    ready.settle()
    (mapping,) = image_of(ready, show(ready, good))["BlockDeviceMappings"]
    assert mapping["Ebs"]["SnapshotId"] == done


def test_one_bad_disk_ends_the_task_and_nothing_is_left(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    before = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"], ec2.describe_images(Owners=["self"])["Images"]
    tasks = [begin(ready, container(), container("broken.vmdk")), begin(ready, container("broken.vmdk", Format="ova"))]
    ready.settle()
    for task_id in tasks:
        task = show(ready, task_id)
        assert task["Status"] == "deleted"
        assert task["StatusMessage"].startswith("ClientError: Disk validation failed [")
        assert "ImageId" not in task
    after = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"], ec2.describe_images(Owners=["self"])["Images"]
    assert after == before
    assert strangers(ready) == []


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"DiskContainers": []}, "InvalidParameter"),
        ({"DiskContainers": [container()] * 22}, "InvalidParameter"),
        ({"DiskContainers": [container(DeviceName="C:")]}, "InvalidParameter"),
        ({"DiskContainers": [{"SnapshotId": "snap-0123456789abcdef0"}]}, "InvalidSnapshot.NotFound"),
        ({"Architecture": "sparc"}, "InvalidParameter"),
        ({"Platform": "Windows"}, "UnsupportedOperation"),
        ({"Platform": "Plan9"}, "InvalidParameter"),
        ({"LicenseType": "mine"}, "InvalidParameter"),
        ({"RoleName": "nobody"}, "InvalidParameter"),
    ],
)
def test_requests_that_cannot_be(ready: Cloud, given: dict[str, Any], code: str) -> None:
    assert error(ready.client("ec2").import_image, **{"DiskContainers": [container()], **given})[0] == code


def test_a_machine_that_cannot_run_here_is_refused_with_the_reason(
    ready: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapted: list[int] = []

    async def adapt(self: FakeConverter, disk: Disk) -> None:
        adapted.append(disk.virtual_bytes)
        raise Unsuitable("ClientError: Unknown OS / Missing OS files.")

    monkeypatch.setattr(FakeConverter, "adapt", adapt)
    task_id = begin(ready)
    ec2, bucket = ready.client("ec2"), {"S3Bucket": BUCKET, "S3Key": "disk.vmdk"}
    data = ec2.import_snapshot(DiskContainer={"Format": "VMDK", "UserBucket": bucket})["ImportTaskId"]
    ready.settle()
    task = show(ready, task_id)
    assert (task["Status"], task["StatusMessage"]) == ("deleted", "ClientError: Unknown OS / Missing OS files.")
    (disk,) = ec2.describe_import_snapshot_tasks(ImportTaskIds=[data])["ImportSnapshotTasks"]
    assert disk["SnapshotTaskDetail"]["Status"] == "completed", "a snapshot may hold anything"
    assert adapted == [3 << 30]
    assert strangers(ready) == []


def test_a_cancelled_import_makes_no_image(ready: Cloud) -> None:
    task_id = begin(ready)
    step(ready)
    ready.client("ec2").cancel_import_task(ImportTaskId=task_id)
    ready.settle()
    task = show(ready, task_id)
    assert (task["Status"], task["StatusMessage"]) == ("deleted", "User initiated cancellation")
    assert "ImageId" not in task
