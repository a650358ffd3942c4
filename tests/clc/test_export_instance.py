"""CreateInstanceExportTask through boto3: the disk of a running or stopped instance, in what each environment takes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.clc import ova
from tests.clc import ebs
from tests.clc.importing import BUCKET, export_access, role, strangers
from tests.clc.launching import error, image, launch, step
from tests.harness.cloud import Cloud
from tests.harness.waiting import wait_until


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[Cloud]:
    folder: Path = tmp_path_factory.mktemp("exports") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        role(cloud, policy=export_access())
        cloud.settle()
        yield cloud


@pytest.fixture(scope="module")
def machine(ready: Cloud) -> str:
    """A running instance with one disk of 1 GiB."""
    return ebs.instance(ready, ebs.image(ready))


def begin(cloud: Cloud, instance_id: str, environment: str = "vmware", **place: str) -> dict[str, Any]:
    answer = cloud.client("ec2").create_instance_export_task(
        InstanceId=instance_id, TargetEnvironment=environment, ExportToS3Task={"S3Bucket": BUCKET, **place}
    )
    return dict(answer["ExportTask"])


def show(cloud: Cloud, task_id: str) -> dict[str, Any]:
    (task,) = cloud.client("ec2").describe_export_tasks(ExportTaskIds=[task_id])["ExportTasks"]
    return dict(task)


def end(cloud: Cloud, task_id: str) -> dict[str, Any]:
    """The task when it is over: uploads go on beside the loops."""

    def over() -> dict[str, Any]:
        cloud.settle()
        task = show(cloud, task_id)
        return task if task["State"] not in ("active", "cancelling") else {}

    task = wait_until(over)
    cloud.settle()
    return task


def snapshots(cloud: Cloud) -> list[str]:
    return [one["SnapshotId"] for one in cloud.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]]


def body(cloud: Cloud, task: dict[str, Any]) -> bytes:
    key = task["ExportToS3Task"]["S3Key"]
    return bytes(cloud.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())


def test_an_instance_becomes_an_archive_that_vmware_takes(ready: Cloud, machine: str) -> None:
    before = snapshots(ready)
    task = begin(ready, machine, DiskImageFormat="vmdk", ContainerFormat="ova", S3Prefix="vms/")
    task_id = task["ExportTaskId"]
    expected = {
        "Description": "",
        "ExportTaskId": task_id,
        "ExportToS3Task": {
            "ContainerFormat": "ova",
            "DiskImageFormat": "vmdk",
            "S3Bucket": BUCKET,
            "S3Key": f"vms/{task_id}.ova",
        },
        "InstanceExportDetails": {"InstanceId": machine, "TargetEnvironment": "vmware"},
        "State": "active",
        "StatusMessage": "Running",
        "Tags": [],
    }
    assert task_id.startswith("export-i-")
    assert task == show(ready, task_id) == expected
    assert end(ready, task_id) == {**expected, "State": "completed", "StatusMessage": ""}
    with tarfile.open(fileobj=io.BytesIO(body(ready, task))) as archive:
        description, disk = archive.getmembers()
        text = archive.extractfile(description)
        content = archive.extractfile(disk)
        assert text is not None
        assert content is not None
        found = ova.disks(text.read(), {disk.name: (disk.offset_data, disk.size)})
        assert found == [ova.Member("vmdk", disk.offset_data, disk.size)]
        assert content.read() == f"vmdk of {1 << 30} bytes\n".encode()
    assert description.name == disk.name.replace(".vmdk", ".ovf")
    assert snapshots(ready) == before, "the snapshot that was taken is gone"
    assert strangers(ready) == []


async def _read(content: bytes) -> list[ova.Member]:
    async def part(start: int, length: int) -> bytes:
        return content[start : start + length]

    return await ova.read(part, len(content))


def test_an_archive_can_be_read_by_the_import(ready: Cloud, machine: str) -> None:
    task = begin(ready, machine, ContainerFormat="ova")
    end(ready, task["ExportTaskId"])
    (disk,) = ready.run(_read(body(ready, task)))
    assert disk.format == "vmdk"


@pytest.mark.parametrize(("environment", "format"), [("vmware", "vmdk"), ("citrix", "vhd"), ("microsoft", "vhd")])
def test_each_environment_has_its_format(ready: Cloud, machine: str, environment: str, format: str) -> None:
    task = begin(ready, machine, environment)
    assert task["ExportToS3Task"] == {
        "DiskImageFormat": format,
        "S3Bucket": BUCKET,
        "S3Key": f"{task['ExportTaskId']}.{format}",
    }
    end(ready, task["ExportTaskId"])
    assert body(ready, task) == f"{format} of {1 << 30} bytes\n".encode()


@pytest.mark.parametrize("steps", range(4))
def test_a_task_that_is_cancelled_leaves_nothing(ready: Cloud, machine: str, steps: int) -> None:
    ec2, before = ready.client("ec2"), snapshots(ready)
    task_id = begin(ready, machine)["ExportTaskId"]
    for _ in range(steps):
        step(ready)
    if show(ready, task_id)["State"] == "active":
        ec2.cancel_export_task(ExportTaskId=task_id)
        assert show(ready, task_id)["State"] == "cancelling"
        assert end(ready, task_id)["State"] == "cancelled"
    end(ready, task_id)
    assert snapshots(ready) == before
    assert ready.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
    assert strangers(ready) == []
    assert error(ec2.cancel_export_task, ExportTaskId=task_id)[0] == "IncorrectState"


def test_a_stopped_instance_is_exported_and_one_that_ends_is_not(ready: Cloud, machine: str) -> None:
    ec2 = ready.client("ec2")
    ec2.stop_instances(InstanceIds=[machine])
    assert error(begin, cloud=ready, instance_id=machine)[0] == "IncorrectInstanceState"
    ready.settle()
    assert end(ready, begin(ready, machine)["ExportTaskId"])["State"] == "completed"
    ec2.start_instances(InstanceIds=[machine])
    ready.settle()


def test_what_cannot_be_exported_is_refused(ready: Cloud, machine: str) -> None:
    ec2 = ready.client("ec2")

    def refused(instance_id: str = machine, environment: str = "vmware", **place: str) -> tuple[str, str]:
        return error(begin, cloud=ready, instance_id=instance_id, environment=environment, **place)

    text = "diskImageFormat 'raw' not supported for targetEnvironment 'citrix'. Valid value(s): ['vhd']."
    assert refused(environment="citrix", DiskImageFormat="RAW") == ("Unsupported", text)
    assert refused(environment="microsoft", ContainerFormat="ova")[0] == "Unsupported"
    assert refused(ContainerFormat="zip")[0] == "Unsupported"
    assert refused(S3Bucket="")[0] == "InvalidParameter"
    (on_node,) = launch(ready, image(ready))
    assert refused(on_node)[0] == "NotExportable"
    volume_id = ec2.create_volume(AvailabilityZone=ebs.ZONE, Size=1)["VolumeId"]
    ready.settle()
    ec2.attach_volume(VolumeId=volume_id, InstanceId=machine, Device="/dev/sdf")
    ready.settle()
    assert refused()[0] == "NotExportable"
    ec2.detach_volume(VolumeId=volume_id)
    ready.settle()
    ec2.terminate_instances(InstanceIds=[on_node])
    ready.settle()


def test_a_machine_of_another_s_image_is_not_exported(ready: Cloud) -> None:
    """Its content is not the account's to take away."""
    ready.account("neighbour")
    role(ready, account="neighbour", policy=export_access())
    ec2, neighbour = ready.client("ec2"), ready.client("ec2", "neighbour")
    image_id = ec2.describe_images(Owners=["self"], Filters=[{"Name": "root-device-type", "Values": ["ebs"]}])
    image_id = image_id["Images"][0]["ImageId"]
    ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"Group": "all"}]})
    placed = {"InstanceType": "t2.micro", "Placement": {"AvailabilityZone": ebs.ZONE}}
    made = neighbour.run_instances(ImageId=image_id, MinCount=1, MaxCount=1, **placed)["Instances"][0]["InstanceId"]
    ready.settle()
    code, text = error(
        neighbour.create_instance_export_task,
        InstanceId=made,
        TargetEnvironment="vmware",
        ExportToS3Task={"S3Bucket": BUCKET},
    )
    assert code == "NotExportable"
    assert "neither is owned by current user nor had been previously imported through VMIE" in text
