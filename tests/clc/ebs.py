"""Instances whose root disk is a volume, for tests of volumes."""

from __future__ import annotations

from typing import Any

from tests.harness.cloud import Cloud

ZONE = "us-east-1a"
ROOT = "/dev/sda1"


def image(cloud: Cloud) -> str:
    """An image over a snapshot of a fresh volume."""
    ec2 = cloud.client("ec2")
    volume_id = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    cloud.settle()
    snapshot_id = ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"]
    cloud.settle()
    ec2.delete_volume(VolumeId=volume_id)
    answer = ec2.register_image(
        Name="root on a volume",
        RootDeviceName=ROOT,
        VirtualizationType="hvm",
        BlockDeviceMappings=[{"DeviceName": ROOT, "Ebs": {"SnapshotId": snapshot_id}}],
    )
    cloud.settle()
    return str(answer["ImageId"])


def instance(cloud: Cloud, image_id: str, **given: Any) -> str:
    """A running instance in the first zone."""
    answer = cloud.client("ec2").run_instances(
        **{
            "ImageId": image_id,
            "InstanceType": "t2.micro",
            "MinCount": 1,
            "MaxCount": 1,
            "Placement": {"AvailabilityZone": ZONE},
            **given,
        }
    )
    cloud.settle()
    return str(answer["Instances"][0]["InstanceId"])
