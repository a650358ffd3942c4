"""ImportSnapshot through boto3: a disk in a bucket becomes a snapshot, if the service role may read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.clc.importing import BUCKET, VMDK, access, role, strangers, trust, upload
from tests.clc.launching import error, step
from tests.drivers.imaging.foreign import descriptor, vhd_footer, vmdk
from tests.harness.cloud import Cloud

DENIED = "ClientError: Disk validation failed [We do not have access to the given resource. Reason 403 Forbidden]"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[Cloud]:
    """A cloud with the bucket, one good disk and the role."""
    folder: Path = tmp_path_factory.mktemp("imports") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        upload(cloud, "disk.vmdk", VMDK)
        role(cloud)
        cloud.settle()
        yield cloud


def begin(cloud: Cloud, key: str = "disk.vmdk", format: str = "VMDK", **given: Any) -> str:
    """The id of a new task."""
    container = {"Format": format, "UserBucket": {"S3Bucket": BUCKET, "S3Key": key}}
    answer = cloud.client("ec2").import_snapshot(**{"DiskContainer": container, **given})
    return str(answer["ImportTaskId"])


def show(cloud: Cloud, task_id: str) -> dict[str, Any]:
    (task,) = cloud.client("ec2").describe_import_snapshot_tasks(ImportTaskIds=[task_id])["ImportSnapshotTasks"]
    return dict(task)


def ended(cloud: Cloud, task_id: str) -> tuple[str, str]:
    """Status and message of a task once everything rests."""
    cloud.settle()
    detail = show(cloud, task_id)["SnapshotTaskDetail"]
    return detail["Status"], detail.get("StatusMessage", "")


def snapshots(cloud: Cloud) -> list[dict[str, Any]]:
    return list(cloud.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"])


def test_a_disk_becomes_a_snapshot_step_by_step(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    tag = [{"ResourceType": "import-snapshot-task", "Tags": [{"Key": "from", "Value": "kvm"}]}]
    container = {"Description": "root", "Format": "VMDK", "UserBucket": {"S3Bucket": BUCKET, "S3Key": "disk.vmdk"}}
    answer = ec2.import_snapshot(Description="server", DiskContainer=container, TagSpecifications=tag)
    del answer["ResponseMetadata"]
    task_id = answer["ImportTaskId"]
    assert task_id.startswith("import-snap-")
    assert answer == {
        "ImportTaskId": task_id,
        "Description": "server",
        "SnapshotTaskDetail": {
            "Description": "server",
            "Encrypted": False,
            "Format": "VMDK",
            "Progress": "0",
            "Status": "active",
            "StatusMessage": "pending",
            "UserBucket": {"S3Bucket": BUCKET, "S3Key": "disk.vmdk"},
        },
        "Tags": [{"Key": "from", "Value": "kvm"}],
    }
    seen, progress = [], []
    for _ in range(12):
        step(ready)
        detail = show(ready, task_id)["SnapshotTaskDetail"]
        if detail["Status"] != "active":
            break
        seen.append(detail["StatusMessage"])
        progress.append(int(detail["Progress"]))
    assert seen[0] == "validated"
    assert progress == sorted(progress)
    ready.settle()
    detail = show(ready, task_id)["SnapshotTaskDetail"]
    snapshot_id = detail.pop("SnapshotId")
    assert detail == {
        "Description": "server",
        "DiskImageSize": float(len(VMDK)),
        "Encrypted": False,
        "Format": "VMDK",
        "Status": "completed",
        "UserBucket": {"S3Bucket": BUCKET, "S3Key": "disk.vmdk"},
    }
    (snapshot,) = ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    assert (snapshot["State"], snapshot["VolumeSize"], snapshot["Progress"]) == ("completed", 3, "100%")
    assert snapshot["VolumeId"] == "vol-ffffffff"
    volume_id = ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot_id)["VolumeId"]
    ready.settle()
    (volume,) = ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert (volume["State"], volume["Size"]) == ("available", 3)
    ec2.get_waiter("snapshot_imported").wait(ImportTaskIds=[task_id])


def test_the_uploaded_file_may_go_when_the_import_is_done(ready: Cloud) -> None:
    upload(ready, "gone.raw", b"x" * 4096)
    task_id = begin(ready, "gone.raw", "RAW")
    ready.settle()
    ready.client("s3").delete_object(Bucket=BUCKET, Key="gone.raw")
    ready.settle()
    assert ended(ready, task_id) == ("completed", "")


@pytest.mark.parametrize(
    ("name", "service", "external_id"),
    [("nobody", "", ""), ("others", "ec2.amazonaws.com", "vmimport"), ("id", "vmie.amazonaws.com", "another")],
)
def test_a_role_that_is_not_there_or_does_not_trust_is_refused(
    ready: Cloud, name: str, service: str, external_id: str
) -> None:
    if service:
        role(ready, name, service=service, external_id=external_id)
    ask = {"DiskContainer": {"Format": "RAW", "UserBucket": {"S3Bucket": BUCKET, "S3Key": "disk.vmdk"}}}
    assert error(ready.client("ec2").import_snapshot, RoleName=name, **ask) == (
        "InvalidParameter",
        f"The service role {name} provided does not exist or does not have sufficient permissions",
    )


def test_a_policy_too_narrow_ends_the_task_with_the_reason(ready: Cloud) -> None:
    before = snapshots(ready)
    role(ready, "elsewhere", policy=access("another-bucket"))
    role(ready, "lists", policy=access(BUCKET, "s3:ListBucket"))
    for name in ("elsewhere", "lists"):
        assert ended(ready, begin(ready, RoleName=name)) == ("deleted", DENIED)
    assert snapshots(ready) == before


def test_a_bucket_policy_has_its_say(ready: Cloud) -> None:
    s3, arn = ready.client("s3"), f"arn:aws:iam::{ready.account('eucalyptus')['account_id']}:role/vmimport"
    upload(ready, "secret.vmdk", VMDK)
    denial = {
        "Effect": "Deny",
        "Principal": {"AWS": arn},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/secret.vmdk",
    }
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [denial]}))
    try:
        assert ended(ready, begin(ready, "secret.vmdk")) == ("deleted", DENIED)
    finally:
        s3.delete_bucket_policy(Bucket=BUCKET)
    assert ended(ready, begin(ready, "secret.vmdk")) == ("completed", "")


def test_what_is_another_accounts_is_not_read(ready: Cloud) -> None:
    role(ready, account="other")
    container = {"Format": "VMDK", "UserBucket": {"S3Bucket": BUCKET, "S3Key": "disk.vmdk"}}
    other = ready.client("ec2", "other")
    task_id = other.import_snapshot(DiskContainer=container)["ImportTaskId"]
    ready.settle()
    (task,) = other.describe_import_snapshot_tasks(ImportTaskIds=[task_id])["ImportSnapshotTasks"]
    assert task["SnapshotTaskDetail"]["StatusMessage"] == DENIED
    unknown = error(ready.client("ec2").describe_import_snapshot_tasks, ImportTaskIds=[task_id])
    assert unknown[0] == "InvalidConversionTaskId.Malformed"
    assert ready.client("ec2").describe_import_snapshot_tasks()["ImportSnapshotTasks"]
    assert task_id not in str(ready.client("ec2").describe_import_snapshot_tasks())


NO_DISKS = {
    "none.vmdk": (None, "We do not have access to the given resource. Reason 404 Not Found"),
    "empty.raw": (b"", "The file is empty"),
    "flat.vmdk": (vmdk(descriptor(extents='RW 9 FLAT "/etc/passwd" 0')), "the data is in other files"),
    "parent.vhd": (bytes(4096) + vhd_footer(4), "The VHD is the difference to a parent"),
    "text.vhdx": (b"hello" * 100, "The image is not in VHDX format"),
    "raw.vhd": (bytes(4096), "Footers not found in the VHD"),
}


def test_what_is_no_disk_ends_the_task_and_leaves_nothing(ready: Cloud) -> None:
    before, tasks = snapshots(ready), {}
    for key, (body, why) in NO_DISKS.items():
        if body is not None:
            upload(ready, key, body)
        tasks[begin(ready, key, key.rpartition(".")[2])] = why
    ready.settle()
    for task_id, why in tasks.items():
        detail = show(ready, task_id)["SnapshotTaskDetail"]
        assert detail["Status"] == "deleted"
        assert detail["StatusMessage"].startswith("ClientError: Disk validation failed [")
        assert why in detail["StatusMessage"]
    assert snapshots(ready) == before
    assert strangers(ready) == []


def test_a_presigned_url_is_as_good_as_a_bucket(ready: Cloud) -> None:
    keys = ready.account("eucalyptus")
    store = boto3.client(
        "s3",
        endpoint_url=ready.dev.config.walrus_url,
        region_name="us-east-1",
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
    )
    url = store.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "disk.vmdk"})
    role(ready, "blind", policy=access("nothing"))
    task_id = begin(ready, DiskContainer={"Format": "VMDK", "Url": url}, RoleName="blind")
    assert ended(ready, task_id) == ("completed", "")
    detail = show(ready, task_id)["SnapshotTaskDetail"]
    assert detail["Url"] == url.partition("?")[0], "the signature is not shown"
    forged = url.replace("disk.vmdk", "gone.vmdk")
    assert ended(ready, begin(ready, DiskContainer={"Format": "VMDK", "Url": forged}, RoleName="blind"))[1] == DENIED
    plain = begin(ready, DiskContainer={"Format": "VMDK", "Url": f"s3://{BUCKET}/disk.vmdk"})
    assert ended(ready, plain) == ("completed", "")


@pytest.mark.parametrize(
    "container",
    [
        {},
        {"Format": "VMDK"},
        {"Format": "VMDK", "Url": "https://example.com/disk.vmdk"},
        {"Format": "VMDK", "Url": "file:///etc/passwd"},
        {"Format": "VMDK", "Url": f"s3://{BUCKET}/disk.vmdk", "UserBucket": {"S3Bucket": BUCKET, "S3Key": "a"}},
        {"Format": "VMDK", "UserBucket": {"S3Bucket": BUCKET}},
        {"Format": "ISO", "UserBucket": {"S3Bucket": BUCKET, "S3Key": "a.iso"}},
        {"Format": "OVA", "UserBucket": {"S3Bucket": BUCKET, "S3Key": "a.ova"}},
    ],
)
def test_containers_that_cannot_be(ready: Cloud, container: dict[str, Any]) -> None:
    assert error(ready.client("ec2").import_snapshot, DiskContainer=container)[0] == "InvalidParameter"


def test_a_cancelled_import_leaves_nothing(ready: Cloud) -> None:
    ec2, before = ready.client("ec2"), snapshots(ready)
    for rounds in (0, 1, 2):
        task_id = begin(ready)
        for _ in range(rounds):
            step(ready)
        answer = ec2.cancel_import_task(ImportTaskId=task_id, CancelReason="changed my mind")
        assert (answer["PreviousState"], answer["State"]) == ("active", "deleting")
        assert ended(ready, task_id) == ("deleted", "User initiated cancellation: changed my mind")
    assert snapshots(ready) == before
    assert strangers(ready) == []
    code, message = error(ec2.cancel_import_task, ImportTaskId=task_id)
    assert (code, task_id in message) == ("IncorrectState", True)


def test_an_object_that_is_replaced_meanwhile_is_not_taken_for_the_one_that_was_allowed(ready: Cloud) -> None:
    upload(ready, "moving.raw", b"a" * 4096)
    task_id = begin(ready, "moving.raw", "RAW")
    for loop in ready.dev.clc.loops.all():
        if loop.name == "imports":
            ready.run(loop.activate())
    assert show(ready, task_id)["SnapshotTaskDetail"]["StatusMessage"] == "validated"
    upload(ready, "moving.raw", b"b" * 4096)
    status, message = ended(ready, task_id)
    assert (status, "replaced" in message) == ("deleted", True)


def test_tasks_are_filtered_by_state_and_forgotten_after_a_week(cloud: Cloud) -> None:
    upload(cloud, "disk.vmdk", VMDK)
    role(cloud)
    ec2, good, bad = cloud.client("ec2"), begin(cloud), begin(cloud, "none.vmdk")
    cloud.settle()

    def ids(**given: Any) -> list[str]:
        return [one["ImportTaskId"] for one in ec2.describe_import_snapshot_tasks(**given)["ImportSnapshotTasks"]]

    assert ids(Filters=[{"Name": "task-state", "Values": ["completed"]}]) == [good]
    assert ids(Filters=[{"Name": "task-state", "Values": ["deleted"]}]) == [bad]
    ec2.create_tags(Resources=[good], Tags=[{"Key": "a", "Value": "b"}])
    assert ids(Filters=[{"Name": "tag:a", "Values": ["b"]}]) == [good]
    first = ec2.describe_import_snapshot_tasks(MaxResults=5)
    assert len(first["ImportSnapshotTasks"]) == 2
    cloud.advance(8 * 24 * 3600)
    assert ids() == []
    assert len(snapshots(cloud)) == 1, "what was imported stays"


def test_the_trust_of_the_user_guide_needs_its_condition(ready: Cloud) -> None:
    """The external id is what keeps others' imports from using the role."""
    iam = ready.client("iam")
    document = json.loads(trust())
    del document["Statement"][0]["Condition"]
    iam.create_role(RoleName="open", AssumeRolePolicyDocument=json.dumps(document))
    iam.put_role_policy(RoleName="open", PolicyName="p", PolicyDocument=access())
    assert ended(ready, begin(ready, RoleName="open")) == ("completed", "")
