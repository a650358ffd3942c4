"""CreateImage through boto3: what becomes of the instance meanwhile, of its disks, and of what goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from eucapy.drivers.hypervisor.base import disk_serial
from eucapy.drivers.hypervisor.fake import FakeHypervisor
from eucapy.drivers.imaging.base import NoSpace
from eucapy.drivers.imaging.fake import FakeImaging
from eucapy.nc.captures import MOST_TRIES
from tests.clc import ebs, launching
from tests.clc.test_volumes import error, volume
from tests.harness.cloud import Cloud


def image(cloud: Cloud, image_id: str) -> dict[str, Any]:
    (found,) = cloud.client("ec2").describe_images(ImageIds=[image_id])["Images"]
    return dict(found)


def mappings(cloud: Cloud, image_id: str) -> dict[str, dict[str, Any]]:
    return {one["DeviceName"]: one.get("Ebs", one) for one in image(cloud, image_id)["BlockDeviceMappings"]}


def state(cloud: Cloud, instance_id: str) -> str:
    [reservation] = cloud.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"]
    return str(reservation["Instances"][0]["State"]["Name"])


def starts(cloud: Cloud, instance_id: str) -> int:
    """How often the guest was powered on."""
    for zone in cloud.dev.zones.values():
        for node in zone.nodes.values():
            if instance_id in node.hypervisor._domains:
                return node.hypervisor._domains[instance_id].starts
    raise LookupError(instance_id)


def files(cloud: Cloud) -> list[str]:
    """What the nodes keep of copies."""
    return sorted(path.name for path in cloud.dev.data.glob("*/*/nc/instances/*/*.capture"))


@pytest.fixture
def on_volume(cloud: Cloud) -> str:
    return ebs.instance(cloud, ebs.image(cloud))


@pytest.fixture
def on_node(cloud: Cloud) -> str:
    """An instance whose root disk lies on its node."""
    launched = launching.launch(cloud, launching.image(cloud))
    cloud.settle()
    return str(launched[0] if isinstance(launched, list) else launched)


def test_every_volume_becomes_a_snapshot_and_the_image_boots(cloud: Cloud, on_volume: str) -> None:
    ec2 = cloud.client("ec2")
    extra = volume(cloud, Size=3, VolumeType="gp3")
    ec2.attach_volume(VolumeId=extra, InstanceId=on_volume, Device="/dev/sdf")
    cloud.settle()
    made = ec2.create_image(
        InstanceId=on_volume,
        Name="web 1",
        Description="as it is",
        TagSpecifications=[
            {"ResourceType": "image", "Tags": [{"Key": "a", "Value": "1"}]},
            {"ResourceType": "snapshot", "Tags": [{"Key": "b", "Value": "2"}]},
        ],
    )["ImageId"]
    assert image(cloud, made)["State"] == "pending"
    cloud.settle()
    ec2.get_waiter("image_available").wait(ImageIds=[made])
    seen = image(cloud, made)
    assert (seen["Description"], seen["RootDeviceType"], seen["SourceInstanceId"]) == ("as it is", "ebs", on_volume)
    assert seen["Tags"] == [{"Key": "a", "Value": "1"}]
    disks = mappings(cloud, made)
    assert set(disks) == {ebs.ROOT, "/dev/sdf"}
    assert (disks["/dev/sdf"]["VolumeSize"], disks["/dev/sdf"]["VolumeType"]) == (3, "gp3")
    assert (disks[ebs.ROOT]["DeleteOnTermination"], disks["/dev/sdf"]["DeleteOnTermination"]) == (True, False)
    taken = ec2.describe_snapshots(SnapshotIds=[disk["SnapshotId"] for disk in disks.values()])["Snapshots"]
    assert {snap["State"] for snap in taken} == {"completed"}
    assert {snap["Description"] for snap in taken} == {f"Created by CreateImage({on_volume}) for {made}"}
    assert [snap["Tags"] for snap in taken] == [[{"Key": "b", "Value": "2"}]] * 2
    copy = ebs.instance(cloud, made)
    assert state(cloud, copy) == "running"


def test_the_guest_is_down_for_the_moment_and_started_again(cloud: Cloud, on_volume: str) -> None:
    ec2 = cloud.client("ec2")
    before = starts(cloud, on_volume)
    ec2.create_image(InstanceId=on_volume, Name="at rest")
    cloud.settle()
    assert (starts(cloud, on_volume), state(cloud, on_volume)) == (before + 1, "running")
    ec2.create_image(InstanceId=on_volume, Name="on the fly", NoReboot=True)
    cloud.settle()
    assert starts(cloud, on_volume) == before + 1


def test_a_volume_that_is_deleted_meanwhile_is_copied_first(cloud: Cloud, on_volume: str) -> None:
    """To EC2 a snapshot that was asked for is as good as taken."""
    ec2 = cloud.client("ec2")
    extra = volume(cloud)
    ec2.attach_volume(VolumeId=extra, InstanceId=on_volume, Device="/dev/sdf")
    cloud.settle()
    guest = next(
        node.hypervisor
        for zone in cloud.dev.zones.values()
        for node in zone.nodes.values()
        if on_volume in node.hypervisor._domains
    )
    guest.make_deaf(on_volume)
    made = ec2.create_image(InstanceId=on_volume, Name="slow")["ImageId"]
    ec2.detach_volume(VolumeId=extra)
    cloud.settle()
    guest.lets_go(on_volume, disk_serial(extra))
    cloud.settle()
    ec2.delete_volume(VolumeId=extra)
    cloud.settle()
    assert image(cloud, made)["State"] == "pending"
    cloud.advance(300)
    assert image(cloud, made)["State"] == "available"
    cloud.settle()
    assert extra not in cloud.run(cloud.dev.zones["us-east-1a"].block.observe()).volumes


def test_nothing_is_copied_before_the_guest_is_down(cloud: Cloud, on_volume: str) -> None:
    ec2 = cloud.client("ec2")
    deaf = next(
        node.hypervisor
        for zone in cloud.dev.zones.values()
        for node in zone.nodes.values()
        if on_volume in node.hypervisor._domains
    )
    deaf.make_deaf(on_volume)
    made = ec2.create_image(InstanceId=on_volume, Name="slow")["ImageId"]
    cloud.settle()
    (root,) = mappings(cloud, made).values()
    (taken,) = ec2.describe_snapshots(SnapshotIds=[root["SnapshotId"]])["Snapshots"]
    assert (taken["State"], image(cloud, made)["State"], state(cloud, on_volume)) == ("pending", "pending", "running")
    cloud.advance(300)
    assert (image(cloud, made)["State"], state(cloud, on_volume)) == ("available", "running")


@pytest.mark.parametrize("no_reboot", [True, False])
def test_a_root_disk_on_the_node_becomes_a_snapshot_too(cloud: Cloud, on_node: str, no_reboot: bool) -> None:
    ec2 = cloud.client("ec2")
    before = starts(cloud, on_node)
    made = ec2.create_image(InstanceId=on_node, Name="from a node", NoReboot=no_reboot)["ImageId"]
    cloud.settle()
    seen = image(cloud, made)
    assert (seen["State"], seen["RootDeviceType"]) == ("available", "ebs")
    (root,) = mappings(cloud, made).values()
    (taken,) = ec2.describe_snapshots(SnapshotIds=[root["SnapshotId"]])["Snapshots"]
    assert (taken["State"], taken["VolumeId"], taken["VolumeSize"]) == ("completed", "vol-ffffffff", root["VolumeSize"])
    assert (starts(cloud, on_node), state(cloud, on_node)) == (before + (not no_reboot), "running")
    assert files(cloud) == []
    assert state(cloud, ebs.instance(cloud, made)) == "running"


def test_a_stopped_instance_stays_so(cloud: Cloud, on_node: str) -> None:
    ec2 = cloud.client("ec2")
    ec2.stop_instances(InstanceIds=[on_node])
    cloud.settle()
    made = ec2.create_image(InstanceId=on_node, Name="of a stopped one")["ImageId"]
    cloud.settle()
    assert (image(cloud, made)["State"], state(cloud, on_node)) == ("available", "stopped")


def test_the_requests_mappings_change_the_instances(cloud: Cloud, on_volume: str) -> None:
    ec2 = cloud.client("ec2")
    for device in ("/dev/sdf", "/dev/sdg"):
        ec2.attach_volume(VolumeId=volume(cloud), InstanceId=on_volume, Device=device)
    cloud.settle()
    made = ec2.create_image(
        InstanceId=on_volume,
        Name="other disks",
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sdf", "NoDevice": ""},
            {"DeviceName": "/dev/sdg", "Ebs": {"VolumeSize": 9, "DeleteOnTermination": True}},
            {"DeviceName": "/dev/sdh", "Ebs": {"VolumeSize": 2}},
            {"DeviceName": "/dev/sdi", "VirtualName": "ephemeral0"},
        ],
    )["ImageId"]
    cloud.settle()
    disks = mappings(cloud, made)
    assert set(disks) == {ebs.ROOT, "/dev/sdg", "/dev/sdh", "/dev/sdi"}
    assert (disks["/dev/sdg"]["VolumeSize"], disks["/dev/sdg"]["DeleteOnTermination"]) == (9, True)
    assert ("SnapshotId" in disks["/dev/sdg"], "SnapshotId" in disks["/dev/sdh"]) == (True, False)
    assert disks["/dev/sdi"]["VirtualName"] == "ephemeral0"


def test_refusals(cloud: Cloud, on_volume: str) -> None:
    ec2 = cloud.client("ec2")
    ec2.create_image(InstanceId=on_volume, Name="taken name", NoReboot=True)
    assert error(ec2.create_image, InstanceId=on_volume, Name="taken name")[0] == "InvalidAMIName.Duplicate"
    assert error(ec2.create_image, InstanceId=on_volume, Name="x")[0] == "InvalidAMIName.Malformed"
    assert error(ec2.create_image, InstanceId="i-00000000000000000", Name="nobody")[0] == "InvalidInstanceID.NotFound"
    root = [{"DeviceName": ebs.ROOT, "NoDevice": ""}]
    refused = error(ec2.create_image, InstanceId=on_volume, Name="no root", BlockDeviceMappings=root)
    assert refused[0] == "InvalidBlockDeviceMapping"
    ec2.terminate_instances(InstanceIds=[on_volume])
    cloud.settle()
    assert error(ec2.create_image, InstanceId=on_volume, Name="of the dead")[0] == "IncorrectInstanceState"


def test_an_instance_that_ends_before_its_root_is_copied_fails_the_image_with_the_reason(
    cloud: Cloud, on_node: str
) -> None:
    ec2 = cloud.client("ec2")
    made = ec2.create_image(InstanceId=on_node, Name="too late")["ImageId"]
    ec2.terminate_instances(InstanceIds=[on_node])
    cloud.settle()
    seen = image(cloud, made)
    assert seen["State"] == "failed"
    assert "the instance ended before its root disk was copied" in seen["StateReason"]["Message"]
    assert files(cloud) == []


@pytest.mark.parametrize("no_reboot", [True, False])
def test_a_node_whose_disk_is_full_fails_the_image_with_the_reason(
    cloud: Cloud, on_node: str, no_reboot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_given: Any) -> None:
        raise NoSpace("No space left on device")

    monkeypatch.setattr(FakeImaging, "flatten", full)
    monkeypatch.setattr(FakeHypervisor, "copy_disk", full)
    ec2 = cloud.client("ec2")
    made = ec2.create_image(InstanceId=on_node, Name="no room", NoReboot=no_reboot)["ImageId"]
    for _ in range(MOST_TRIES):
        cloud.settle()
        cloud.advance(60)
    seen = image(cloud, made)
    (root,) = mappings(cloud, made).values()
    (taken,) = ec2.describe_snapshots(SnapshotIds=[root["SnapshotId"]])["Snapshots"]
    assert (seen["State"], taken["State"], state(cloud, on_node)) == ("failed", "error", "running")
    assert "No space left on device" in seen["StateReason"]["Message"]
    assert taken["StateMessage"] == "No space left on device"
    assert cloud.run(cloud.dev.database.read(_captures)) == []


def test_a_deregistered_image_keeps_nobody_down(cloud: Cloud, on_volume: str) -> None:
    ec2 = cloud.client("ec2")
    made = ec2.create_image(InstanceId=on_volume, Name="never mind")["ImageId"]
    ec2.deregister_image(ImageId=made)
    cloud.settle()
    assert state(cloud, on_volume) == "running"
    assert cloud.run(cloud.dev.database.read(_captures)) == []


async def _captures(tx: Any) -> list[Any]:
    from eucapy.clc.store import image_captures

    return await image_captures.every(tx)


def test_all_processes_may_die_at_any_moment_of_it(cloud: Cloud, on_node: str) -> None:
    made = cloud.client("ec2").create_image(InstanceId=on_node, Name="through it all")["ImageId"]
    for _ in range(12):
        for loop in cloud.dev.loops()[::2]:
            cloud.run(loop.activate())
        cloud.reboot()
    cloud.settle()
    assert (image(cloud, made)["State"], state(cloud, on_node), files(cloud)) == ("available", "running", [])
