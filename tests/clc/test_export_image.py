"""ExportImage through boto3: the disks of an image become objects of a bucket, as far as the service role may."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.clc.user_objects import UserObjects
from eucapy.wire.contract import Cursor, Unreachable
from eucapy.wire.uploads import WalrusSender
from tests.clc.exporting import BLOCK, on_snapshots, snapshot
from tests.clc.importing import BUCKET, access, export_access, role, strangers
from tests.clc.launching import error, image, step
from tests.harness.cloud import Cloud
from tests.harness.waiting import wait_until


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[Cloud]:
    """A cloud with a bucket and the role."""
    folder: Path = tmp_path_factory.mktemp("exports") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        role(cloud, policy=export_access())
        cloud.settle()
        yield cloud


@pytest.fixture(scope="module")
def machine(ready: Cloud) -> str:
    """An image whose disk has a block."""
    return on_snapshots(ready, "machine", snapshot(ready, b3=BLOCK))


def begin(cloud: Cloud, image_id: str, format: str = "VMDK", bucket: str = BUCKET, **given: Any) -> str:
    prefix = given.pop("prefix", "out/")
    answer = cloud.client("ec2").export_image(
        ImageId=image_id, DiskImageFormat=format, S3ExportLocation={"S3Bucket": bucket, "S3Prefix": prefix}, **given
    )
    return str(answer["ExportImageTaskId"])


def show(cloud: Cloud, task_id: str) -> dict[str, Any]:
    (task,) = cloud.client("ec2").describe_export_image_tasks(ExportImageTaskIds=[task_id])["ExportImageTasks"]
    return dict(task)


def end(cloud: Cloud, task_id: str) -> dict[str, Any]:
    """The task when it is over: uploads go on beside the loops."""

    def over() -> dict[str, Any]:
        cloud.settle()
        task = show(cloud, task_id)
        return task if task["Status"] not in ("active", "deleting") else {}

    task = wait_until(over)
    cloud.settle()
    return task


def keys(cloud: Cloud) -> list[str]:
    return [one["Key"] for one in cloud.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def uploads(cloud: Cloud) -> list[str]:
    """What is still being uploaded, in the bucket and in the storage's books."""
    held = [one["Key"] for one in cloud.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]
    return held + [path.name for path in cloud.dev.data.glob("*/sc/uploads/*")]


def test_an_image_becomes_an_object(ready: Cloud, machine: str) -> None:
    ec2 = ready.client("ec2")
    tags = [{"Key": "to", "Value": "aws"}]
    answer = ec2.export_image(
        ImageId=machine,
        DiskImageFormat="VMDK",
        S3ExportLocation={"S3Bucket": BUCKET, "S3Prefix": "out/"},
        Description="away",
        TagSpecifications=[{"ResourceType": "export-image-task", "Tags": tags}],
    )
    del answer["ResponseMetadata"]
    task_id = answer["ExportImageTaskId"]
    kept = {
        "Description": "away",
        "ExportImageTaskId": task_id,
        "ImageId": machine,
        "S3ExportLocation": {"S3Bucket": BUCKET, "S3Prefix": "out/"},
        "Tags": tags,
    }
    active = {**kept, "Progress": "0", "Status": "active", "StatusMessage": "validating"}
    assert answer == {**active, "DiskImageFormat": "VMDK", "RoleName": "vmimport"}
    assert show(ready, task_id) == active
    seen: list[tuple[str, int]] = []

    def over() -> bool:
        task = show(ready, task_id)
        if task["Status"] == "active":
            seen.append((task["StatusMessage"], int(task["Progress"])))
            step(ready)
        return bool(task["Status"] != "active")

    wait_until(over, every_s=0)
    assert seen[0] == ("validating", 0)
    assert {message for message, _ in seen} <= {"validating", "converting", "updating"}
    assert seen == sorted(seen, key=lambda one: one[1])
    ready.settle()
    assert show(ready, task_id) == {**kept, "Status": "completed"}
    got = ready.client("s3").get_object(Bucket=BUCKET, Key=f"out/{task_id}.vmdk")
    assert got["Body"].read() == f"vmdk of {1 << 30} bytes\n".encode()
    assert uploads(ready) == []
    assert strangers(ready) == []


def test_a_raw_disk_comes_out_as_it_is(ready: Cloud, machine: str) -> None:
    task_id = begin(ready, machine, "RAW", prefix="")
    assert end(ready, task_id)["Status"] == "completed"
    s3, key = ready.client("s3"), f"{task_id}.raw"
    assert s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == 1 << 30
    start = 3 * len(BLOCK)
    for at, expected in ((0, bytes(100)), (start, BLOCK), (start + len(BLOCK), bytes(100)), ((1 << 30) - 9, bytes(9))):
        got = s3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={at}-{at + len(expected) - 1}")
        assert got["Body"].read() == expected
    files = {path.stat().st_ino: path.stat().st_blocks * 512 for path in (ready.dev.data / "walrus").rglob("*")}
    assert sum(files.values()) < 100 << 20, "what is empty takes no room"


def test_every_disk_becomes_an_object(ready: Cloud) -> None:
    ids = [snapshot(ready, b0=BLOCK) for _ in range(3)]
    task_id = begin(ready, on_snapshots(ready, "three", *ids), "VHD")
    assert end(ready, task_id)["Status"] == "completed"
    assert sorted(key for key in keys(ready) if task_id in key) == sorted(
        f"out/{task_id}{part}.vhd" for part in ("", "-1", "-2")
    )
    assert uploads(ready) == []


@pytest.mark.parametrize(
    ("name", "bucket", "reason"),
    [("reader", BUCKET, "403 AccessDenied"), ("vmimport", "no-such-bucket", "404 NoSuchBucket")],
)
def test_what_may_not_be_written_ends_the_task_with_the_reason(
    ready: Cloud, machine: str, name: str, bucket: str, reason: str
) -> None:
    if name == "reader":
        role(ready, name, policy=access())
    before = keys(ready)
    task_id = begin(ready, machine, bucket=bucket, RoleName=name)
    task = end(ready, task_id)
    why = "ClientError: We do not have access to the given resource. Reason " + reason
    assert (task["Status"], task["StatusMessage"]) == ("deleted", why)
    assert (keys(ready), uploads(ready)) == (before, [])


@pytest.mark.parametrize("steps", range(5))
def test_cancelling_leaves_nothing(ready: Cloud, machine: str, steps: int) -> None:
    ec2, before = ready.client("ec2"), keys(ready)
    task_id = begin(ready, machine)
    for _ in range(steps):
        step(ready)
    if show(ready, task_id)["Status"] == "active":
        ec2.cancel_export_task(ExportTaskId=task_id)
        assert show(ready, task_id)["Status"] == "deleting"
        task = end(ready, task_id)
        assert (task["Status"], task["StatusMessage"]) == ("deleted", "User initiated cancellation")
        assert keys(ready) == before
    end(ready, task_id)
    assert (uploads(ready), strangers(ready)) == ([], [])
    assert error(ec2.cancel_export_task, ExportTaskId=task_id)[0] == "IncorrectState"


def test_what_is_exported_may_be_deleted_meanwhile(ready: Cloud) -> None:
    ec2, snapshot_id = ready.client("ec2"), snapshot(ready, b0=BLOCK)
    image_id = on_snapshots(ready, "short-lived", snapshot_id)
    task_id = begin(ready, image_id, "RAW")
    ec2.deregister_image(ImageId=image_id)
    ec2.delete_snapshot(SnapshotId=snapshot_id)
    assert end(ready, task_id)["Status"] == "completed"
    ready.settle()
    got = ready.client("s3").get_object(Bucket=BUCKET, Key=f"out/{task_id}.raw", Range="bytes=0-18")
    assert got["Body"].read() == BLOCK[:19]
    assert error(ec2.describe_snapshots, SnapshotIds=[snapshot_id])[0] == "InvalidSnapshot.NotFound"
    assert strangers(ready) == []


def test_a_disk_that_is_uploaded_needs_its_snapshot_no_more(ready: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other disk's upload is late; the snapshot of the first is gone by then."""
    send, away = WalrusSender.send, [True]

    async def late(self: WalrusSender, file: Path, bucket: str, key: str, *given: Any) -> list[str]:
        if away and key.endswith("-1.vhd"):
            raise Unreachable("the store is away")
        return await send(self, file, bucket, key, *given)

    monkeypatch.setattr(WalrusSender, "send", late)
    ec2, ids = ready.client("ec2"), [snapshot(ready), snapshot(ready)]
    image_id = on_snapshots(ready, "two", *ids)
    task_id = begin(ready, image_id, "VHD")
    ec2.deregister_image(ImageId=image_id)
    for snapshot_id in ids:
        ec2.delete_snapshot(SnapshotId=snapshot_id)

    def first_is_gone() -> bool:
        ready.settle()
        seen = [ready.run(zone.storage.get_status(Cursor(), 0.0)) for zone in ready.dev.zones.values()]
        return not any(ids[0] in status.snapshots for status in seen)

    wait_until(first_is_gone)
    assert show(ready, task_id)["Status"] == "active"
    away.clear()
    ready.advance(60)
    assert end(ready, task_id)["Status"] == "completed"


def test_who_cancels_while_an_upload_is_begun_is_heard(
    ready: Cloud, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_upload, ec2, tasks = UserObjects.begin_upload, ready.client("ec2"), [begin(ready, machine)]

    async def meanwhile(*given: Any) -> str:
        answer = await begin_upload(*given)
        if tasks:
            await asyncio.to_thread(ec2.cancel_export_task, ExportTaskId=tasks.pop())
        return answer

    task_id = tasks[0]
    monkeypatch.setattr(UserObjects, "begin_upload", meanwhile)
    task = end(ready, task_id)
    assert (task["Status"], task["StatusMessage"]) == ("deleted", "User initiated cancellation")
    assert uploads(ready) == []


def test_an_answer_that_is_lost_is_asked_for_again(ready: Cloud, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The object store did it, and nobody heard."""
    complete, away = UserObjects.complete_upload, [True]

    async def silent(*given: Any) -> None:
        await complete(*given)
        if away:
            raise Unreachable("the answer is lost")

    monkeypatch.setattr(UserObjects, "complete_upload", silent)
    task_id = begin(ready, machine)

    def done() -> bool:
        step(ready)
        return f"out/{task_id}.vmdk" in keys(ready)

    wait_until(done, every_s=0.01)
    assert show(ready, task_id)["Status"] == "active"
    assert error(ready.client("ec2").cancel_export_task, ExportTaskId=task_id)[0] == "IncorrectState"
    away.clear()
    assert end(ready, task_id)["Status"] == "completed"


@pytest.mark.parametrize("steps", range(4))
def test_an_export_goes_on_after_the_cloud_died(ready: Cloud, machine: str, steps: int) -> None:
    task_id = begin(ready, machine)
    for _ in range(steps):
        step(ready)
    ready.reboot()
    assert end(ready, task_id)["Status"] == "completed"
    assert uploads(ready) == []


def test_what_cannot_be_exported_is_refused(ready: Cloud, machine: str) -> None:
    ec2 = ready.client("ec2")
    where = {"S3Bucket": BUCKET}

    def refused(image_id: str, client: Any = ec2, **given: Any) -> tuple[str, str]:
        asked = {"ImageId": image_id, "DiskImageFormat": "RAW", "S3ExportLocation": where, **given}
        return error(client.export_image, **asked)

    assert refused(image(ready, "bucket-image"))[0] == "NotExportable"
    assert refused(machine, DiskImageFormat="QCOW2")[0] == "InvalidParameterValue"
    assert refused(machine, S3ExportLocation={"S3Bucket": BUCKET, "S3Prefix": "p" * 1000})[0] == "InvalidParameter"
    assert refused(machine, S3ExportLocation={"S3Bucket": ""})[0] in ("InvalidParameter", "MissingParameter")
    assert refused(machine, Description="d" * 256)[0] == "InvalidParameterValue"
    nobody = "The service role nobody provided does not exist or does not have sufficient permissions"
    assert refused(machine, RoleName="nobody") == ("InvalidParameter", nobody)
    account = ready.account("neighbour")
    assert account
    neighbour = ready.client("ec2", "neighbour")
    assert refused(machine, neighbour)[0] == "InvalidAMIID.NotFound"
    ec2.modify_image_attribute(ImageId=machine, LaunchPermission={"Add": [{"Group": "all"}]})
    role(ready, account="neighbour", policy=export_access())
    assert refused(machine, neighbour)[0] == "NotExportable"
    ec2.modify_image_attribute(ImageId=machine, LaunchPermission={"Remove": [{"Group": "all"}]})
    ec2.disable_image(ImageId=machine)
    assert refused(machine)[0] == "InvalidAMIID.Unavailable"
    ec2.enable_image(ImageId=machine)


def test_tasks_are_found_by_state_and_forgotten_after_a_week(ready: Cloud, machine: str) -> None:
    ec2 = ready.client("ec2")
    done, failed = begin(ready, machine), begin(ready, machine, bucket="no-such-bucket")
    for task_id in (done, failed):
        end(ready, task_id)
    under_way = begin(ready, machine)

    def found(state: str) -> set[str]:
        shown = ec2.describe_export_image_tasks(Filters=[{"Name": "task-state", "Values": [state]}])
        return {task["ExportImageTaskId"] for task in shown["ExportImageTasks"]}

    assert done in found("completed")
    assert failed in found("deleted")
    assert found("active") == {under_way}
    end(ready, under_way)
    ready.advance(8 * 24 * 3600)
    ready.settle()
    assert ec2.describe_export_image_tasks()["ExportImageTasks"] == []
    assert error(ec2.describe_export_image_tasks, ExportImageTaskIds=[done])[0] == "InvalidExportTaskID.NotFound"
