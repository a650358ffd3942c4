"""Volumes and instances together, through boto3: attach, detach, roots on volumes, ends of instances, kills between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.drivers.block.base import BadRequest
from tests.clc.ebs import ROOT, ZONE, image, instance
from tests.clc.launching import node_of
from tests.clc.test_volumes import error, volume
from tests.harness.cloud import Cloud
from tests.harness.postgres import NewDatabase

DEVICE = "/dev/sdf"


def state(cloud: Cloud, volume_id: str) -> tuple[str, list[tuple[str, str, str]]]:
    """The volume's state, and its attachments: (instance, device, state)."""
    (seen,) = cloud.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"]
    return seen["State"], [(one["InstanceId"], one["Device"], one["State"]) for one in seen["Attachments"]]


def exported(cloud: Cloud, volume_id: str) -> bool:
    pool = cloud.run(cloud.dev.zones[ZONE].block.observe())
    return bool(pool.volumes[volume_id].exports)


def test_a_volume_is_attached_to_a_running_guest_and_detached_again(cloud: Cloud) -> None:
    ec2, volume_id = cloud.client("ec2"), volume(cloud)
    instance_id = instance(cloud, image(cloud))
    answer = ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=DEVICE)
    assert {name: answer[name] for name in ("VolumeId", "InstanceId", "Device", "State")} == {
        "VolumeId": volume_id,
        "InstanceId": instance_id,
        "Device": DEVICE,
        "State": "attaching",
    }
    assert state(cloud, volume_id) == ("in-use", [(instance_id, DEVICE, "attaching")])
    cloud.settle()
    ec2.get_waiter("volume_in_use").wait(VolumeIds=[volume_id])
    assert state(cloud, volume_id) == ("in-use", [(instance_id, DEVICE, "attached")])
    assert exported(cloud, volume_id)
    (seen,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"]
    assert [one["DeviceName"] for one in seen["BlockDeviceMappings"]] == [ROOT, DEVICE]
    assert seen["BlockDeviceMappings"][1]["Ebs"]["VolumeId"] == volume_id
    assert ec2.detach_volume(VolumeId=volume_id)["State"] == "detaching"
    assert ec2.detach_volume(VolumeId=volume_id)["State"] == "detaching"
    cloud.settle()
    ec2.get_waiter("volume_available").wait(VolumeIds=[volume_id])
    assert (state(cloud, volume_id), exported(cloud, volume_id)) == (("available", []), False)


def test_a_volume_is_in_use_until_the_guest_has_let_go_of_it_whatever_dies_meanwhile(cloud: Cloud) -> None:
    ec2, volume_id = cloud.client("ec2"), volume(cloud)
    instance_id = instance(cloud, image(cloud))
    ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=DEVICE)
    cloud.settle()
    node = node_of(cloud, instance_id).name
    cloud.node(node).hypervisor.make_deaf(instance_id)
    ec2.detach_volume(VolumeId=volume_id)
    cloud.settle()
    held = ("in-use", [(instance_id, DEVICE, "detaching")])
    assert (state(cloud, volume_id), exported(cloud, volume_id)) == (held, True)
    assert error(ec2.delete_volume, VolumeId=volume_id)[0] == "VolumeInUse"
    cloud.reboot()
    cloud.settle()
    assert (state(cloud, volume_id), exported(cloud, volume_id)) == (held, True)
    cloud.node(node).hypervisor.make_deaf(instance_id, deaf=False)
    cloud.advance(60)
    assert (state(cloud, volume_id), exported(cloud, volume_id)) == (("available", []), False)


def test_attachments_are_found_by_their_filters(cloud: Cloud) -> None:
    ec2, volume_id = cloud.client("ec2"), volume(cloud)
    instance_id = instance(cloud, image(cloud))
    ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=DEVICE)
    cloud.settle()
    (root,) = {one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]} - {volume_id}
    for name, value, expected in (
        ("attachment.instance-id", instance_id, {root, volume_id}),
        ("attachment.device", DEVICE, {volume_id}),
        ("attachment.status", "attached", {root, volume_id}),
        ("attachment.status", "attaching", set()),
        ("attachment.delete-on-termination", "true", {root}),
        ("attachment.delete-on-termination", "false", {volume_id}),
        ("attachment.attach-time", "2*", set()),
    ):
        found = ec2.describe_volumes(Filters=[{"Name": name, "Values": [value]}])["Volumes"]
        assert {one["VolumeId"] for one in found} == expected, name


def test_what_cannot_be_attached_is_refused(cloud: Cloud) -> None:
    ec2, first, second = cloud.client("ec2"), volume(cloud), volume(cloud)
    image_id = image(cloud)
    instance_id = instance(cloud, image_id)
    far = volume(cloud, AvailabilityZone="us-east-1b")

    def refused(**changes: Any) -> tuple[str, str]:
        return error(ec2.attach_volume, **{"VolumeId": first, "InstanceId": instance_id, "Device": DEVICE, **changes})

    assert refused(VolumeId="vol-00000000000000000")[0] == "InvalidVolume.NotFound"
    assert refused(InstanceId="i-00000000000000000")[0] == "InvalidInstanceID.NotFound"
    assert refused(InstanceId="x")[0] == "InvalidInstanceID.Malformed"
    assert refused(Device="floppy") == (
        "InvalidParameterValue",
        "Value (floppy) for parameter device is invalid. floppy is not a valid EBS device name.",
    )
    assert refused(Device=ROOT) == (
        "InvalidParameterValue",
        f"Invalid value '{ROOT}' for unixDevice. Attachment point {ROOT} is already in use",
    )
    assert refused(VolumeId=far) == (
        "InvalidVolume.ZoneMismatch",
        f"The volume '{far}' is not in the same availability zone as instance '{instance_id}'",
    )
    creating = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    assert refused(VolumeId=creating) == ("IncorrectState", f"{creating} is not 'available'.")
    ec2.attach_volume(VolumeId=first, InstanceId=instance_id, Device=DEVICE)
    assert refused() == ("VolumeInUse", f"{first} is already attached to an instance")
    assert refused(VolumeId=second)[0] == "InvalidParameterValue"
    assert error(ec2.delete_volume, VolumeId=first) == (
        "VolumeInUse",
        f"Volume {first} is currently attached to {instance_id}",
    )
    pending = ec2.run_instances(ImageId=image_id, InstanceType="t2.micro", MinCount=1, MaxCount=1)["Instances"][0]
    assert refused(VolumeId=second, InstanceId=pending["InstanceId"])[0] == "IncorrectState"


def test_what_cannot_be_detached_is_refused(cloud: Cloud) -> None:
    ec2, volume_id = cloud.client("ec2"), volume(cloud)
    image_id = image(cloud)
    instance_id, other = instance(cloud, image_id), instance(cloud, image_id)
    assert error(ec2.detach_volume, VolumeId=volume_id)[0] == "IncorrectState"
    ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=DEVICE)
    cloud.settle()
    assert error(ec2.detach_volume, VolumeId=volume_id, InstanceId=other)[0] == "InvalidAttachment.NotFound"
    assert error(ec2.detach_volume, VolumeId=volume_id, Device="/dev/sdz")[0] == "InvalidAttachment.NotFound"
    (seen,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"]
    root = seen["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    assert error(ec2.detach_volume, VolumeId=root) == (
        "OperationNotPermitted",
        f"Unable to detach root volume '{ROOT}' from instance '{instance_id}'",
    )


def test_a_stopped_instance_takes_volumes_and_finds_them_when_it_starts(cloud: Cloud) -> None:
    ec2, volume_id = cloud.client("ec2"), volume(cloud)
    instance_id = instance(cloud, image(cloud))
    ec2.stop_instances(InstanceIds=[instance_id])
    cloud.settle()
    cloud.advance(300)
    ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=DEVICE)
    cloud.settle()
    assert state(cloud, volume_id) == ("in-use", [(instance_id, DEVICE, "attached")])
    assert not exported(cloud, volume_id)
    ec2.start_instances(InstanceIds=[instance_id])
    cloud.settle()
    assert exported(cloud, volume_id)
    ec2.stop_instances(InstanceIds=[instance_id])
    cloud.settle()
    cloud.advance(300)
    assert not exported(cloud, volume_id)
    ec2.detach_volume(VolumeId=volume_id)
    cloud.settle()
    assert state(cloud, volume_id) == ("available", [])


def test_a_root_on_a_volume_keeps_what_was_written_over_stop_and_start(cloud: Cloud) -> None:
    ec2, block = cloud.client("ec2"), cloud.dev.zones[ZONE].block
    instance_id = instance(cloud, image(cloud))
    (root,) = (one["VolumeId"] for one in ec2.describe_volumes()["Volumes"])
    block.write(root, 0, "kept")
    ec2.stop_instances(InstanceIds=[instance_id])
    cloud.settle()
    cloud.advance(300)
    ec2.start_instances(InstanceIds=[instance_id])
    cloud.settle()
    (seen,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"]
    assert seen["State"]["Name"] == "running"
    assert seen["BlockDeviceMappings"][0]["Ebs"]["VolumeId"] == root
    assert block.read(root, 0) == "kept"


def test_termination_deletes_what_was_made_for_the_instance_and_frees_the_rest(cloud: Cloud) -> None:
    ec2, volume_id = cloud.client("ec2"), volume(cloud)
    instance_id = instance(cloud, image(cloud))
    (root,) = {one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]} - {volume_id}
    ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=DEVICE)
    cloud.settle()
    ec2.terminate_instances(InstanceIds=[instance_id])
    cloud.settle()
    cloud.advance(60)
    assert state(cloud, volume_id) == ("available", [])
    assert error(ec2.describe_volumes, VolumeIds=[root])[0] == "InvalidVolume.NotFound"
    assert set(cloud.run(cloud.dev.zones[ZONE].block.observe()).volumes) == {volume_id}


def test_an_instance_whose_root_cannot_be_made_ends_and_says_why(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    ec2, image_id = cloud.client("ec2"), image(cloud)

    async def refuse(*_: Any) -> None:
        raise BadRequest("the pool takes no such volume")

    monkeypatch.setattr(cloud.dev.zones[ZONE].block, "ensure_volume", refuse)
    instance_id = instance(cloud, image_id)
    (seen,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"]
    assert (seen["State"]["Name"], seen["StateReason"]["Code"]) == ("terminated", "Server.InternalError")
    assert "the pool takes no such volume" in seen["StateReason"]["Message"]
    cloud.settle()
    assert ec2.describe_volumes()["Volumes"] == []


@pytest.fixture
def small_cloud(tmp_path: Path, new_database: NewDatabase) -> Iterator[Cloud]:
    """One zone, one node: quick to start again."""
    with new_database() as url, Cloud(tmp_path / "cloud", database=url, zones=("a",), nodes_per_zone=1) as running:
        yield running


@pytest.mark.parametrize("verb", ["attach", "detach"])
def test_killed_at_any_moment_everything_converges(small_cloud: Cloud, verb: str) -> None:
    """All processes end after the n-th activation of some loop, and start again."""
    cloud = small_cloud
    volume_id, instance_id = volume(cloud), instance(cloud, image(cloud))
    for count in range(0, 2 * len(cloud.dev.loops()), 2):
        cloud.client("ec2").attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=DEVICE)
        go_on(cloud, count if verb == "attach" else None)
        assert state(cloud, volume_id) == ("in-use", [(instance_id, DEVICE, "attached")]), count
        cloud.client("ec2").detach_volume(VolumeId=volume_id)
        go_on(cloud, count if verb == "detach" else None)
        assert (state(cloud, volume_id), exported(cloud, volume_id)) == (("available", []), False), count


def go_on(cloud: Cloud, die_after: int | None) -> None:
    """To rest; on the way all processes end and start again, after so many activations (None: they live on)."""
    if die_after is not None:
        loops = cloud.dev.loops()
        for number in range(die_after):
            cloud.run(loops[number % len(loops)].activate())
        cloud.reboot()
    cloud.settle()
