"""Images through boto3: registered, inspected, described, shared, deregistered, and refused in EC2's words."""

from __future__ import annotations

import struct

import pytest

from tests.clc import ebs
from tests.clc.launching import described, error, image, launch, state
from tests.harness.cloud import Cloud


@pytest.fixture
def ready(cloud: Cloud) -> Cloud:
    cloud.settle()
    return cloud


def show(cloud: Cloud, image_id: str, account: str = "eucalyptus") -> dict[str, object]:
    (one,) = cloud.client("ec2", account).describe_images(ImageIds=[image_id])["Images"]
    found: dict[str, object] = one
    return found


def register(cloud: Cloud, name: str, body: bytes) -> dict[str, object]:
    """An image of these bytes, looked at."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="raw")
    s3.put_object(Bucket="raw", Key=name, Body=body)
    image_id = cloud.client("ec2").register_image(Name=name, ImageLocation=f"raw/{name}")["ImageId"]
    assert show(cloud, image_id)["State"] == "pending"
    cloud.settle()
    return show(cloud, image_id)


def test_an_image_in_a_bucket(ready: Cloud) -> None:
    image_id = image(ready, Description="small", Architecture="i386", EnaSupport=True)
    one = show(ready, image_id)
    assert str(one.pop("CreationDate")).endswith("Z")
    assert one == {
        "Architecture": "i386",
        "BlockDeviceMappings": [],
        "DeregistrationProtection": "disabled",
        "Description": "small",
        "EnaSupport": True,
        "Hypervisor": "xen",
        "ImageId": image_id,
        "ImageLocation": "images-eucalyptus/starter.raw",
        "ImageOwnerAlias": "amazon",
        "ImageType": "machine",
        "Name": "starter",
        "OwnerId": ready.account("eucalyptus")["account_id"],
        "PlatformDetails": "Linux/UNIX",
        "ProductCodes": [],
        "Public": False,
        "RootDeviceName": "/dev/sda1",
        "RootDeviceType": "instance-store",
        "State": "available",
        "UsageOperation": "RunInstances",
        "VirtualizationType": "hvm",
    }


def test_an_image_of_a_snapshot(ready: Cloud) -> None:
    image_id = ebs.image(ready)
    one = show(ready, image_id)
    assert one["RootDeviceType"] == "ebs"
    (mapping,) = one["BlockDeviceMappings"]  # type: ignore[misc]
    snapshot = mapping["Ebs"]["SnapshotId"]
    assert mapping == {
        "DeviceName": "/dev/sda1",
        "Ebs": {
            "DeleteOnTermination": True,
            "Encrypted": False,
            "SnapshotId": snapshot,
            "VolumeSize": 1,
            "VolumeType": "gp2",
        },
    }
    code, message = error(ready.client("ec2").delete_snapshot, SnapshotId=snapshot)
    assert (code, image_id in message) == ("InvalidSnapshot.InUse", True)


def test_what_is_no_image_fails_and_says_why(ready: Cloud) -> None:
    backed = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 104, 11, 16, 1 << 30) + b"\0" * 72 + b"/etc/passwd"
    one = register(ready, "backed.qcow2", backed)
    assert one["State"] == "failed"
    assert one["StateReason"]["Code"] == "Client.InvalidImage"  # type: ignore[index]
    assert "backing file" in one["StateReason"]["Message"]  # type: ignore[index]
    ask = {"ImageId": one["ImageId"], "MinCount": 1, "MaxCount": 1}
    assert error(ready.client("ec2").run_instances, **ask) == (
        "InvalidAMIID.Unavailable",
        f"The image ID '{one['ImageId']}' is not available",
    )


def test_an_object_that_is_not_there_or_not_ones_own(ready: Cloud) -> None:
    image(ready)
    other = ready.client("ec2", "other")
    for location in ("images-eucalyptus/starter.raw", "images-eucalyptus/none", "nobucket/x"):
        image_id = other.register_image(Name=location, ImageLocation=location)["ImageId"]
        ready.settle()
        one = show(ready, image_id, "other")
        assert one["State"] == "failed", location
        assert "does not exist or cannot be read by you" in str(one["StateReason"])


def test_names_are_unique_and_well_formed(ready: Cloud) -> None:
    ec2, image_id = ready.client("ec2"), image(ready)
    assert error(ec2.register_image, Name="starter", ImageLocation="b/k") == (
        "InvalidAMIName.Duplicate",
        f"AMI name starter is already in use by AMI {image_id}",
    )
    assert error(ec2.register_image, Name="a!", ImageLocation="b/k")[0] == "InvalidAMIName.Malformed"
    ec2.deregister_image(ImageId=image_id)
    ec2.register_image(Name="starter", ImageLocation="b/k")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "InvalidBlockDeviceMapping"),
        ({"ImageLocation": "bucketonly"}, "InvalidParameterValue"),
        ({"ImageLocation": "b/k", "VirtualizationType": "paravirtual"}, "Unsupported"),
        ({"ImageLocation": "b/k", "Architecture": "arm64"}, "InvalidParameterValue"),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": "snap-12345678"}}]},
            "InvalidSnapshot.NotFound",
        ),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 1}}]}, "InvalidBlockDeviceMapping"),
    ],
)
def test_refused(ready: Cloud, given: dict[str, object], code: str) -> None:
    assert error(ready.client("ec2").register_image, Name="name", **given)[0] == code


def test_launch_permission_is_given_and_taken(ready: Cloud) -> None:
    ec2, image_id = ready.client("ec2"), image(ready)
    other = ready.account("other")["account_id"]
    theirs = ready.client("ec2", "other")
    assert error(theirs.describe_images, ImageIds=[image_id]) == (
        "InvalidAMIID.NotFound",
        f"The image id '[{image_id}]' does not exist",
    )
    ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"UserId": other}]})
    assert show(ready, image_id, "other")["ImageId"] == image_id
    assert [one["ImageId"] for one in theirs.describe_images(ExecutableUsers=["self"])["Images"]] == [image_id]
    assert error(theirs.deregister_image, ImageId=image_id)[0] == "AuthFailure"
    ec2.modify_image_attribute(ImageId=image_id, OperationType="add", UserGroups=["all"])
    answer = ec2.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")
    assert answer["LaunchPermissions"] == [{"Group": "all"}, {"UserId": other}]
    assert show(ready, image_id, "third")["Public"] is True
    assert len(ready.client("ec2", "third").describe_images(Owners=["amazon"])["Images"]) == 1
    ec2.reset_image_attribute(ImageId=image_id, Attribute="launchPermission")
    assert theirs.describe_images()["Images"] == []


def test_tags_of_an_image_are_its_owners_alone(ready: Cloud) -> None:
    ec2, image_id = ready.client("ec2"), image(ready)
    ec2.create_tags(Resources=[image_id], Tags=[{"Key": "k", "Value": "v"}])
    ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"Group": "all"}]})
    assert show(ready, image_id)["Tags"] == [{"Key": "k", "Value": "v"}]
    assert "Tags" not in show(ready, image_id, "other")


def test_filters(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    bucket, snapshot = image(ready), ebs.image(ready)
    mapping = show(ready, snapshot)["BlockDeviceMappings"][0]["Ebs"]  # type: ignore[index]
    for name, value, expected in (
        ("name", "start*", {bucket}),
        ("root-device-type", "ebs", {snapshot}),
        ("state", "available", {bucket, snapshot}),
        ("is-public", "false", {bucket, snapshot}),
        ("block-device-mapping.snapshot-id", mapping["SnapshotId"], {snapshot}),
        ("block-device-mapping.volume-size", "1", {snapshot}),
        ("image-id", bucket, {bucket}),
        ("manifest-location", "images-eucalyptus/*", {bucket}),
        ("owner-alias", "amazon", {bucket, snapshot}),
        ("platform", "windows", set()),
        ("tag:none", "x", set()),
    ):
        found = ec2.describe_images(Filters=[{"Name": name, "Values": [value]}])["Images"]
        assert {one["ImageId"] for one in found} == expected, name
    assert error(ec2.describe_images, Filters=[{"Name": "smell", "Values": ["x"]}])[0] == "InvalidParameterValue"


def test_instances_outlive_their_image(ready: Cloud) -> None:
    ec2, image_id = ready.client("ec2"), image(ready)
    (instance_id,) = launch(ready, image_id)
    ec2.deregister_image(ImageId=image_id)
    assert error(ec2.describe_images, ImageIds=[image_id])[0] == "InvalidAMIID.NotFound"
    assert error(ec2.deregister_image, ImageId=image_id)[0] == "InvalidAMIID.Unavailable"
    ec2.stop_instances(InstanceIds=[instance_id])
    ready.settle()
    ec2.start_instances(InstanceIds=[instance_id])
    ready.settle()
    assert (state(ready, instance_id), described(ready, instance_id)["ImageId"]) == ("running", image_id)


def test_a_deprecated_image_hides_from_others(ready: Cloud) -> None:
    ec2, image_id = ready.client("ec2"), image(ready)
    ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"Group": "all"}]})
    ec2.enable_image_deprecation(ImageId=image_id, DeprecateAt="2100-01-01T00:00:00Z")
    assert show(ready, image_id)["DeprecationTime"] == "2100-01-01T00:00:00.000Z"
    other = ready.client("ec2", "other")
    assert len(other.describe_images()["Images"]) == 1
    ready.advance(100 * 366 * 86400)
    assert other.describe_images()["Images"] == []
    assert len(other.describe_images(IncludeDeprecated=True)["Images"]) == 1
    assert len(ec2.describe_images()["Images"]) == 1
