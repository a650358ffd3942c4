"""What tests of exports begin with: snapshots with content, and images of them."""

from __future__ import annotations

import base64
import hashlib

from tests.harness.cloud import Cloud

BLOCK = b"a block of the disk".ljust(512 * 1024, b".")
ROOT = "/dev/sda1"


def snapshot(cloud: Cloud, **blocks: bytes) -> str:
    """A snapshot of 1 GiB with blocks `b0`, `b5` …"""
    ebs = cloud.client("ebs")
    snapshot_id = str(ebs.start_snapshot(VolumeSize=1)["SnapshotId"])
    for name, content in blocks.items():
        ebs.put_snapshot_block(
            SnapshotId=snapshot_id,
            BlockIndex=int(name[1:]),
            BlockData=content,
            DataLength=len(content),
            Checksum=_sha256(content),
            ChecksumAlgorithm="SHA256",
        )
    ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=len(blocks))
    cloud.settle()
    return snapshot_id


def _sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def on_snapshots(cloud: Cloud, name: str, *snapshot_ids: str, account: str = "eucalyptus") -> str:
    """An image of these disks."""
    devices = [ROOT, "/dev/sdf", "/dev/sdg"]
    mappings = [
        {"DeviceName": device, "Ebs": {"SnapshotId": one}} for device, one in zip(devices, snapshot_ids, strict=False)
    ]
    made = cloud.client("ec2", account).register_image(Name=name, RootDeviceName=ROOT, BlockDeviceMappings=mappings)
    cloud.settle()
    return str(made["ImageId"])
