"""One cloud for all of these tests, and a new account for each: what an account has no other one sees."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.harness.cloud import Cloud
from tests.harness.postgres import NewDatabase

_numbers = itertools.count()


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("cloud")
    with (
        new_database() as url,
        Cloud(folder, database=url, public_ranges=["203.0.113.10-203.0.113.29"]) as cloud,
    ):
        yield cloud


@pytest.fixture
def account(region: Cloud) -> str:
    """The name of a new account."""
    return f"tenant-{next(_numbers)}"


@pytest.fixture
def ec2(region: Cloud, account: str) -> Any:
    """A client of the new account's admin."""
    return region.client("ec2", account)


@pytest.fixture(scope="module")
def image(region: Cloud) -> str:
    """A public image."""
    publisher = region.client("ec2", "publisher")
    volume_id = publisher.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    region.settle()
    snapshot_id = publisher.create_snapshot(VolumeId=volume_id)["SnapshotId"]
    region.settle()
    image_id = publisher.register_image(
        Name="public",
        RootDeviceName="/dev/sda1",
        VirtualizationType="hvm",
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot_id}}],
    )["ImageId"]
    region.settle()
    everybody = {"Add": [{"Group": "all"}]}
    publisher.modify_image_attribute(ImageId=image_id, LaunchPermission=everybody)
    return str(image_id)


@pytest.fixture
def run(region: Cloud, ec2: Any, image: str) -> Iterator[Callable[..., str]]:
    """`run(SubnetId=…)` is the id of a new instance, running; it ends with the test, as its addresses do."""
    made: list[str] = []

    def launch(settle: bool = True, **given: Any) -> str:
        wanted = {"ImageId": image, "InstanceType": "t2.nano", "MinCount": 1, "MaxCount": 1, **given}
        made.append(ec2.run_instances(**wanted)["Instances"][0]["InstanceId"])
        if settle:
            region.settle()
        return made[-1]

    yield launch
    if made:
        ec2.terminate_instances(InstanceIds=made)
        region.settle()
