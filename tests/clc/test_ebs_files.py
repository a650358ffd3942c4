"""The EBS direct APIs over real layers: what boto3 writes is what QEMU reads, and what QEMU wrote is what boto3 reads."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eucapy_services.devcloud import cloud as devcloud

from eucapy.drivers.block.files import FilesDriver
from eucapy.run import run
from tests.clc.test_ebs import BLOCK_BYTES, block, listed, put, read, written
from tests.clc.test_volumes import ZONE
from tests.harness.cloud import Cloud

pytestmark = pytest.mark.skipif(
    shutil.which("qemu-img") is None or shutil.which("qemu-storage-daemon") is None,
    reason="needs qemu-img and qemu-storage-daemon (Debian: qemu-utils, qemu-system-common)",
)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cloud]:
    """One zone, whose pool holds qcow2 layers."""
    sockets = Path(tempfile.mkdtemp(prefix="ebs-", dir="/tmp"))
    monkeypatch.setattr(devcloud, "FakeBlock", lambda folder, gib: FilesDriver(folder, sockets / "run"))
    with Cloud(tmp_path / "cloud", zones=("a",), nodes_per_zone=1) as cloud:
        yield cloud
    shutil.rmtree(sockets)


def layers(cloud: Cloud) -> Path:
    return Path(cloud.dev.data) / ZONE / "sc" / "pool" / "layers"


def raw(cloud: Cloud, layer: str, target: Path) -> bytes:
    """What QEMU reads of a layer and what is beneath it."""
    asyncio.run(run("qemu-img", "convert", "-O", "raw", str(layers(cloud) / f"{layer}.qcow2"), str(target)))
    return target.read_bytes()


def test_from_outside_into_a_volume_and_back(cloud: Cloud, tmp_path: Path) -> None:
    ec2, ebs = cloud.client("ec2"), cloud.client("ebs")
    first = written(cloud, {0: block(0), 700: block(7)})
    volume_id = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=first)["VolumeId"]
    cloud.settle()
    content = raw(cloud, f"{volume_id}.0", tmp_path / "raw")
    assert (len(content), content[:BLOCK_BYTES]) == (1 << 30, block(0))
    assert content[700 * BLOCK_BYTES : 701 * BLOCK_BYTES] == block(7)
    head = str(layers(cloud) / f"{volume_id}.0.qcow2")
    asyncio.run(run("qemu-io", "-f", "qcow2", "-c", f"write -P 5 {700 * BLOCK_BYTES + 4096} 4096", head))
    second = ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"]
    cloud.settle()
    (changed,) = ebs.list_changed_blocks(FirstSnapshotId=first, SecondSnapshotId=second)["ChangedBlocks"]
    expected = block(7)[:4096] + b"\5" * 4096 + block(7)[8192:]
    assert read(cloud, second, {"BlockIndex": 700, "BlockToken": changed["SecondBlockToken"]}) == expected
    assert read(cloud, first, {"BlockIndex": 700, "BlockToken": changed["FirstBlockToken"]}) == block(7)
    assert set(listed(cloud, second)) == {0, 700}


def test_a_child_outlives_its_parent_and_a_death_between_its_blocks(cloud: Cloud) -> None:
    parent = written(cloud, {0: block(0), 1: block(1)})
    child: Any = cloud.client("ebs").start_snapshot(VolumeSize=2, ParentSnapshotId=parent)["SnapshotId"]
    put(cloud, child, 1, block(11))
    cloud.reboot()
    put(cloud, child, 3000, block(3))
    cloud.client("ec2").delete_snapshot(SnapshotId=parent)
    cloud.client("ebs").complete_snapshot(SnapshotId=child, ChangedBlocksCount=2)
    cloud.settle()
    found = {index: read(cloud, child, token) for index, token in listed(cloud, child).items()}
    assert found == {0: block(0), 1: block(11), 3000: block(3)}
    report = asyncio.run(run("qemu-img", "check", str(layers(cloud) / f"{child}.qcow2"))).stdout
    assert "No errors were found" in report
