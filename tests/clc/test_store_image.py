"""CreateStoreImageTask and CreateRestoreImageTask through boto3: an image becomes an object, and an image again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest

from eucapy.clc import stored_image
from eucapy.clc.stored_image import Device, Disk, Manifest, NotStored
from eucapy.clc.user_objects import UserObjects
from eucapy.wire.contract import Unreachable
from tests.clc.exporting import BLOCK, on_snapshots, snapshot
from tests.clc.importing import strangers
from tests.clc.launching import error, image, launch, state, step
from tests.harness.cloud import Cloud
from tests.harness.waiting import wait_until

BUCKET = "archive"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[Cloud]:
    folder: Path = tmp_path_factory.mktemp("stored") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        yield cloud


@pytest.fixture(scope="module")
def machine(ready: Cloud) -> str:
    """An image of two disks, with tags."""
    ec2, ids = ready.client("ec2"), [snapshot(ready, b0=BLOCK), snapshot(ready)]
    image_id = on_snapshots(ready, "web server (1)", *ids)
    ec2.create_tags(Resources=[image_id, ids[0]], Tags=[{"Key": "Name", "Value": "web"}])
    return image_id


def described(cloud: Cloud, image_id: str, account: str = "eucalyptus") -> dict[str, Any]:
    (found,) = cloud.client("ec2", account).describe_images(ImageIds=[image_id])["Images"]
    return dict(found)


def tasks(cloud: Cloud, **asked: Any) -> list[dict[str, Any]]:
    return list(cloud.client("ec2").describe_store_image_tasks(**asked)["StoreImageTaskResults"])


def end(cloud: Cloud, image_id: str) -> dict[str, Any]:
    """The image's newest task when it is over: uploads go on beside the loops."""

    def over() -> dict[str, Any]:
        cloud.settle()
        task = tasks(cloud, ImageIds=[image_id])[0]
        return task if task["StoreTaskState"] != "InProgress" else {}

    task = wait_until(over)
    cloud.settle()
    return task


def store(cloud: Cloud, image_id: str, bucket: str = BUCKET, **given: Any) -> str:
    return str(cloud.client("ec2").create_store_image_task(ImageId=image_id, Bucket=bucket, **given)["ObjectKey"])


def restore(cloud: Cloud, key: str, account: str = "eucalyptus", **given: Any) -> str:
    """The image, when it is there."""
    ec2 = cloud.client("ec2", account)
    image_id = str(ec2.create_restore_image_task(Bucket=BUCKET, ObjectKey=key, **given)["ImageId"])

    def over() -> bool:
        cloud.settle()
        return bool(described(cloud, image_id, account)["State"] != "pending")

    wait_until(over)
    return image_id


def left(cloud: Cloud) -> list[str]:
    """What is still being uploaded, in the bucket and in the storage's books, and what nobody wants."""
    held = [one["Key"] for one in cloud.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]
    return held + [path.name for path in cloud.dev.data.glob("*/sc/uploads/*")] + strangers(cloud)


def test_an_image_becomes_an_object_and_an_image_again(ready: Cloud, machine: str) -> None:
    ec2, s3 = ready.client("ec2"), ready.client("s3")
    key = store(ready, machine, S3ObjectTags=[{"Key": "kind", "Value": "ami + more"}])
    assert key == f"{machine}.bin"
    (task,) = tasks(ready, ImageIds=[machine])
    began = task.pop("TaskStartTime")
    kept = {"AmiId": machine, "Bucket": BUCKET, "S3objectKey": key}
    assert task == {**kept, "ProgressPercentage": 0, "StoreTaskState": "InProgress"}
    assert error(s3.head_object, Bucket=BUCKET, Key=key)[0] == "404"
    done = {**kept, "ProgressPercentage": 100, "StoreTaskState": "Completed", "TaskStartTime": began}
    assert end(ready, machine) == done
    head = s3.head_object(Bucket=BUCKET, Key=key)
    assert (head["Metadata"]["ami-name"], head["Metadata"]["ami-owner-account"]) == (
        "web server (1)",
        described(ready, machine)["OwnerId"],
    )
    assert s3.get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"] == [{"Key": "kind", "Value": "ami + more"}]
    assert error(ec2.create_restore_image_task, Bucket=BUCKET, ObjectKey=key)[0] == "InvalidAMIName.Duplicate"
    before = described(ready, machine)
    restored = restore(
        ready,
        key,
        Name="another",
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "from", "Value": "s3"}]}],
    )
    after = described(ready, restored)
    assert after["State"] == "available"
    for name in ("Architecture", "RootDeviceName", "RootDeviceType", "VirtualizationType", "Description", "BootMode"):
        assert after.get(name) == before.get(name)
    assert after["Tags"] == [{"Key": "Name", "Value": "web"}, {"Key": "from", "Value": "s3"}]
    assert [one["DeviceName"] for one in after["BlockDeviceMappings"]] == ["/dev/sda1", "/dev/sdf"]
    ids = [one["Ebs"].pop("SnapshotId") for one in after["BlockDeviceMappings"]]
    assert not set(ids) & {one["Ebs"].pop("SnapshotId") for one in before["BlockDeviceMappings"]}
    assert after["BlockDeviceMappings"] == before["BlockDeviceMappings"]
    (root,) = ec2.describe_snapshots(SnapshotIds=[ids[0]])["Snapshots"]
    assert (root["State"], root["VolumeSize"], root["Tags"]) == ("completed", 1, [{"Key": "Name", "Value": "web"}])
    (instance_id,) = launch(ready, restored, Placement={"AvailabilityZone": "us-east-1a"})
    assert state(ready, instance_id) == "running"
    ec2.terminate_instances(InstanceIds=[instance_id])
    ready.settle()
    assert left(ready) == []


def test_another_account_restores_what_it_may_read(ready: Cloud, machine: str) -> None:
    key = store(ready, machine)
    end(ready, machine)
    account = ready.client("sts", "neighbour").get_caller_identity()["Account"]
    neighbour = ready.client("ec2", "neighbour")
    code, text = error(neighbour.create_restore_image_task, Bucket=BUCKET, ObjectKey=key)
    assert code == "InvalidParameter"
    assert "403" in text
    allow = {
        "Effect": "Allow", "Principal": {"AWS": account}, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    ready.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=policy)
    restored = described(ready, restore(ready, key, "neighbour"), "neighbour")
    assert (restored["Name"], restored["OwnerId"], restored["State"]) == ("web server (1)", account, "available")
    assert error(neighbour.create_store_image_task, ImageId=machine, Bucket=BUCKET)[0] == "InvalidAMIID.NotFound"


def test_who_may_not_write_the_bucket_is_told_why(ready: Cloud, machine: str) -> None:
    statement = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
    iam = ready.client("iam")
    keys = ready.user("archivist")
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="archivist", PolicyName="ec2", PolicyDocument=document)
    client = ready.client("ec2", keys=keys)
    client.create_store_image_task(ImageId=machine, Bucket=BUCKET)
    task = end(ready, machine)
    assert (task["StoreTaskState"], "403 AccessDenied" in task["StoreTaskFailureReason"]) == ("Failed", True)
    client.create_store_image_task(ImageId=machine, Bucket="no-such-bucket")
    assert "404 NoSuchBucket" in end(ready, machine)["StoreTaskFailureReason"]
    writes = {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement, writes]})
    iam.put_user_policy(UserName="archivist", PolicyName="ec2", PolicyDocument=document)
    client.create_store_image_task(ImageId=machine, Bucket=BUCKET)
    assert end(ready, machine)["StoreTaskState"] == "Completed"
    assert left(ready) == []


def test_what_limits_a_session_limits_what_it_stores(ready: Cloud, machine: str) -> None:
    iam, sts = ready.client("iam"), ready.client("sts")
    caller = sts.get_caller_identity()
    trust = {"Effect": "Allow", "Principal": {"AWS": caller["Account"]}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName="archivist", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    allow = {"Effect": "Allow", "Action": ["ec2:*", "s3:*"], "Resource": "*"}
    whole = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName="archivist", PolicyName="all", PolicyDocument=whole)
    less = json.dumps({"Version": "2012-10-17", "Statement": [{**allow, "Action": "ec2:*"}]})
    for given, expected in (({}, "Completed"), ({"Policy": less}, "Failed")):
        keys = sts.assume_role(RoleArn=arn, RoleSessionName="mine", **given)["Credentials"]
        client = boto3.client(
            "ec2",
            endpoint_url=ready.endpoint,
            region_name=ready.dev.config.region,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )
        client.create_store_image_task(ImageId=machine, Bucket=BUCKET)
        assert end(ready, machine)["StoreTaskState"] == expected
    assert left(ready) == []


@pytest.mark.parametrize("steps", range(5))
def test_storing_goes_on_after_the_cloud_died(ready: Cloud, machine: str, steps: int) -> None:
    store(ready, machine)
    for _ in range(steps):
        step(ready)
    ready.reboot()
    assert end(ready, machine)["StoreTaskState"] == "Completed"
    assert left(ready) == []


@pytest.mark.parametrize("call", ["put_part", "complete_upload"])
def test_an_answer_that_is_lost_is_asked_for_again(
    ready: Cloud, machine: str, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The object store did it, and nobody heard."""
    real: Callable[..., Any] = getattr(UserObjects, call)
    lost: list[str] = []

    async def silent(*given: Any) -> Any:
        answer = await real(*given)
        if len(lost) < 3:
            lost.append(call)
            raise Unreachable("the answer is lost")
        return answer

    monkeypatch.setattr(UserObjects, call, silent)
    store(ready, machine)
    assert end(ready, machine)["StoreTaskState"] == "Completed"
    assert len(lost) == 3
    assert left(ready) == []


def test_tasks_are_listed_the_newest_first(ready: Cloud, machine: str) -> None:
    other = on_snapshots(ready, "another one", snapshot(ready))
    store(ready, other)
    store(ready, other, bucket="no-such-bucket")
    end(ready, other)
    found = tasks(ready)
    assert [one["TaskStartTime"] for one in found] == sorted((one["TaskStartTime"] for one in found), reverse=True)
    assert found[0]["Bucket"] == "no-such-bucket"
    assert [one["AmiId"] for one in tasks(ready, ImageIds=[other])] == [other, other]
    failed = tasks(
        ready, Filters=[{"Name": "task-state", "Values": ["Failed"]}, {"Name": "bucket", "Values": [BUCKET]}]
    )
    assert {(one["StoreTaskState"], one["Bucket"]) for one in failed} <= {("Failed", BUCKET)}
    pages = ready.client("ec2").get_paginator("describe_store_image_tasks").paginate(PaginationConfig={"PageSize": 1})
    assert [one for page in pages for one in page["StoreImageTaskResults"]] == found
    refused = ready.client("ec2").describe_store_image_tasks
    assert error(refused, ImageIds=[machine] * 1 + [f"ami-{n:017x}" for n in range(20)])[0] == "InvalidParameterValue"
    assert error(refused, ImageIds=["ami-0123456789abcdef0"])[0] == "InvalidAMIID.NotFound"


def test_what_cannot_be_stored_or_restored_is_refused(ready: Cloud, machine: str) -> None:
    ec2, s3 = ready.client("ec2"), ready.client("s3")
    in_bucket = image(ready, "not on a volume")
    assert error(ec2.create_store_image_task, ImageId=in_bucket, Bucket=BUCKET)[0] == "InvalidRequest"
    for name, body in (("empty", b""), ("short", b"x"), ("noise", b"noise" * 1000)):
        s3.put_object(Bucket=BUCKET, Key=name, Body=body)
        assert error(ec2.create_restore_image_task, Bucket=BUCKET, ObjectKey=name)[0] == "InvalidParameter"
    assert "404" in error(ec2.create_restore_image_task, Bucket=BUCKET, ObjectKey="nothing")[1]
    assert "404" in error(ec2.create_restore_image_task, Bucket="no-such-bucket", ObjectKey="nothing")[1]


def test_a_forged_object_makes_no_image(ready: Cloud) -> None:
    """Its manifest is in order; its disk names a file of the storage's machine as its beginning."""
    ec2, s3 = ready.client("ec2"), ready.client("s3")
    disk = b"QFI\xfb" + (3).to_bytes(4, "big") + (104).to_bytes(8, "big") + b"\x00\x00\x00\x0b/etc/passwd".ljust(488)
    forged = msgspec.structs.replace(MANIFEST, name="forged", disks=[Disk(length_bytes=len(disk), size_gib=1)])
    s3.put_object(Bucket=BUCKET, Key="forged", Body=disk + stored_image.encode(forged))
    image_id = restore(ready, "forged")
    assert described(ready, image_id)["State"] == "failed"
    ec2.deregister_image(ImageId=image_id)
    ready.settle()
    bad = msgspec.structs.replace(forged, devices=[Device(device="/dev/sda1", disk=0, volume_type="gp9")])
    s3.put_object(Bucket=BUCKET, Key="forged", Body=disk + stored_image.encode(bad))
    assert error(ec2.create_restore_image_task, Bucket=BUCKET, ObjectKey="forged")[0] == "InvalidParameterValue"


def test_stored_tasks_are_forgotten_after_a_month(ready: Cloud, machine: str) -> None:
    store(ready, machine)
    end(ready, machine)
    ready.advance(8 * 24 * 3600)
    assert tasks(ready)
    ready.advance(24 * 24 * 3600)
    ready.settle()
    assert tasks(ready) == []


# --- the object's form ------------------------------------------------------------------------------------------------

MANIFEST = Manifest(
    name="one",
    root_device="/dev/sda1",
    disks=[Disk(length_bytes=512, size_gib=1)],
    devices=[Device(device="/dev/sda1", disk=0)],
)


def read(content: bytes) -> Manifest:
    footer, size = content[-stored_image.FOOTER_BYTES :], len(content)
    length = stored_image.manifest_bytes(footer, size)
    return stored_image.decode(content[size - stored_image.FOOTER_BYTES - length : -stored_image.FOOTER_BYTES], size)


def test_what_is_written_is_read() -> None:
    assert read(bytes(512) + stored_image.encode(MANIFEST)) == MANIFEST


@pytest.mark.parametrize(
    "changed",
    [
        {"disks": []},
        {"disks": [Disk(start=1, length_bytes=512, size_gib=1)]},
        {"disks": [Disk(length_bytes=0, size_gib=1)]},
        {"disks": [Disk(length_bytes=512, size_gib=1)] * 2},
        {"devices": []},
        {"devices": [Device(device="/dev/sda1", disk=0)] * 2},
        {"devices": [Device(device="/dev/sdb", disk=0)]},
        {"devices": [Device(device="/dev/sda1", disk=1)]},
        {"devices": [Device(device="/dev/sda1", disk=-1), Device(device="/dev/sdb", disk=0)]},
        {"name": "n" * 256},
        {"disks": [Disk(length_bytes=512, size_gib=0)]},
        {"disks": [Disk(start=-1, length_bytes=512, size_gib=1)]},
        {"root_device": "/dev/sdz"},
    ],
)
def test_a_manifest_that_cannot_be_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(NotStored):
        read(bytes(512) + stored_image.encode(msgspec.structs.replace(MANIFEST, **changed)))


@pytest.mark.parametrize("length", ["", "x", "-1", "0", "1000", "99999999999", "\u0664"])
def test_a_footer_that_cannot_be_is_refused(length: str) -> None:
    footer = (stored_image.MAGIC + length.encode()).ljust(stored_image.FOOTER_BYTES)
    with pytest.raises(NotStored):
        stored_image.manifest_bytes(footer, 500)
