"""Instances whose root disk is a volume, for tests of volumes."""

from __future__ import annotations

from typing import Any

from eucapy.clc.store import images
from eucapy.clc.store.advance import advance
from eucapy.database import Tx
from eucapy.lifecycle.image import IMAGE
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
    cloud.settle()
    account = cloud.account("eucalyptus")["account_id"]

    async def registered(tx: Tx) -> str:
        row = await images.insert(
            tx,
            account=account,
            now=1.0,
            name="root on a volume",
            location="",
            source={"kind": "snapshot", "snapshot_id": snapshot_id},
            root_device=ROOT,
            root_kind="ebs",
            root_size_gib=1,
        )
        await images.insert_devices(tx, row.id, [{"device": ROOT, "snapshot_id": snapshot_id, "size_gib": 1}])
        await advance(tx, IMAGE, row, IMAGE_MADE)
        return str(row.id)

    return cloud.run(cloud.dev.database.write(registered))


IMAGE_MADE = next(edge.event for edge in IMAGE.edges if (edge.source, edge.target) == ("pending", "available"))


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
