"""CopyImage: an image of one's own with the content of another that one may read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clc import ebs
from tests.clc.launching import error, image, launch, state
from tests.harness.cloud import Cloud

REGION = "us-east-1"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[Cloud]:
    folder: Path = tmp_path_factory.mktemp("copies") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def source(ready: Cloud) -> str:
    """An image over a snapshot."""
    return ebs.image(ready)


def show(cloud: Cloud, image_id: str, account: str = "eucalyptus") -> dict[str, Any]:
    (one,) = cloud.client("ec2", account).describe_images(ImageIds=[image_id])["Images"]
    return dict(one)


def snapshot_of(shown: dict[str, Any]) -> str:
    return str(shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"])


def test_a_copy_has_snapshots_of_its_own_and_outlives_its_source(ready: Cloud) -> None:
    ec2, original = ready.client("ec2"), ebs_image(ready)
    ec2.create_tags(Resources=[original], Tags=[{"Key": "a", "Value": "b"}])
    copy = ec2.copy_image(Name="copy", SourceImageId=original, SourceRegion=REGION, CopyImageTags=True)["ImageId"]
    assert show(ready, copy)["State"] == "pending"
    ready.settle()
    first, second = show(ready, original), show(ready, copy)
    assert (second["State"], second["SourceImageId"], second["Name"]) == ("available", original, "copy")
    assert second["Tags"] == [{"Key": "a", "Value": "b"}]
    assert snapshot_of(first) != snapshot_of(second)
    (snapshot,) = ec2.describe_snapshots(SnapshotIds=[snapshot_of(second)])["Snapshots"]
    assert original in snapshot["Description"]
    assert snapshot["State"] == "completed"
    ec2.deregister_image(ImageId=original)
    ec2.delete_snapshot(SnapshotId=snapshot_of(first))
    ready.settle()
    (instance_id,) = launch(ready, copy, Placement={"AvailabilityZone": ebs.ZONE})
    assert state(ready, instance_id) == "running"


def ebs_image(cloud: Cloud) -> str:
    """A second image, under a name of its own."""
    ec2 = cloud.client("ec2")
    volume_id = ec2.create_volume(AvailabilityZone=ebs.ZONE, Size=1)["VolumeId"]
    cloud.settle()
    snapshot_id = ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"]
    cloud.settle()
    mapping = [{"DeviceName": ebs.ROOT, "Ebs": {"SnapshotId": snapshot_id}}]
    return str(ec2.register_image(Name="original", RootDeviceName=ebs.ROOT, BlockDeviceMappings=mapping)["ImageId"])


def test_an_image_in_a_bucket_is_copied_over_the_same_object(ready: Cloud) -> None:
    original = image(ready, "in-a-bucket")
    ec2 = ready.client("ec2")
    copy = ec2.copy_image(Name="of a bucket", SourceImageId=original, SourceRegion=REGION, Description="d")["ImageId"]
    ready.settle()
    shown = show(ready, copy)
    assert (shown["State"], shown["RootDeviceType"], shown["Description"]) == ("available", "instance-store", "d")
    assert shown["ImageLocation"] == show(ready, original)["ImageLocation"]


def test_launch_permission_alone_does_not_let_copy(ready: Cloud, source: str) -> None:
    ec2, other = ready.client("ec2"), ready.client("ec2", "other")
    ask = {"Name": "theirs", "SourceImageId": source, "SourceRegion": REGION}
    assert error(other.copy_image, **ask)[0] == "InvalidAMIID.NotFound"
    account = [{"UserId": ready.account("other")["account_id"]}]
    ec2.modify_image_attribute(ImageId=source, LaunchPermission={"Add": account})
    assert error(other.copy_image, **ask) == (
        "InvalidRequest",
        "You do not have permission to access the storage of this ami",
    )
    snapshot_id = snapshot_of(show(ready, source))
    ec2.modify_snapshot_attribute(SnapshotId=snapshot_id, CreateVolumePermission={"Add": account})
    copy = other.copy_image(**ask)["ImageId"]
    ready.settle()
    shown = show(ready, copy, "other")
    assert (shown["State"], shown["OwnerId"]) == ("available", ready.account("other")["account_id"])


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"SourceRegion": "eu-west-1"}, "InvalidRequest"),
        ({"Name": "x"}, "InvalidAMIName.Malformed"),
        ({"Name": "root on a volume"}, "InvalidAMIName.Duplicate"),
        ({"SourceImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"Encrypted": True}, "UnsupportedOperation"),
        ({"DestinationOutpostArn": "arn:aws:outposts:us-east-1:1:outpost/op-1"}, "UnsupportedOperation"),
    ],
)
def test_what_cannot_be_copied(ready: Cloud, source: str, given: dict[str, Any], code: str) -> None:
    ask = {"Name": "another", "SourceImageId": source, "SourceRegion": REGION, **given}
    assert error(ready.client("ec2").copy_image, **ask)[0] == code
