"""ModifyVolume through boto3: volumes that grow and change while they are used, and the refusals in EC2's words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clc import ebs
from tests.clc.test_volumes import error, volume
from tests.harness.cloud import Cloud

HOURS = 3600.0


def modification(cloud: Cloud, volume_id: str) -> dict[str, Any]:
    (found,) = cloud.client("ec2").describe_volumes_modifications(VolumeIds=[volume_id])["VolumesModifications"]
    return dict(found)


def shown(cloud: Cloud, volume_id: str) -> tuple[Any, ...]:
    """Size, type, IOPS and throughput, as DescribeVolumes has them."""
    (found,) = cloud.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"]
    return tuple(found.get(name) for name in ("Size", "VolumeType", "Iops", "Throughput"))


def test_a_volume_grows_and_both_views_follow(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    made = volume(cloud, Size=1)
    answer = ec2.modify_volume(VolumeId=made, Size=50)["VolumeModification"]
    del answer["StartTime"]
    assert answer == {
        "VolumeId": made,
        "ModificationState": "modifying",
        "OriginalSize": 1,
        "OriginalIops": 100,
        "OriginalVolumeType": "gp2",
        "OriginalMultiAttachEnabled": False,
        "TargetSize": 50,
        "TargetIops": 150,
        "TargetVolumeType": "gp2",
        "TargetMultiAttachEnabled": False,
        "Progress": 0,
    }
    assert shown(cloud, made) == (1, "gp2", 100, None)
    cloud.settle()
    assert shown(cloud, made) == (50, "gp2", 150, None)
    after = modification(cloud, made)
    assert (after["ModificationState"], after["Progress"]) == ("completed", 100)
    assert after["EndTime"] >= after["StartTime"]
    pool = cloud.run(cloud.dev.zones[ebs.ZONE].block.observe())
    assert pool.volumes[made].size_gib == 50


@pytest.mark.parametrize("node", ["node-a1", "node-a2"])
def test_a_running_guest_is_told_before_the_modification_is_completed(cloud: Cloud, node: str) -> None:
    """On the storage's own host, and on another where the volume comes through a proxy."""
    ec2 = cloud.client("ec2")
    image = ebs.image(cloud)
    here = next(
        name for name in (ebs.instance(cloud, image) for _ in range(6)) if name in cloud.node(node).hypervisor._domains
    )
    extra = volume(cloud)
    ec2.attach_volume(VolumeId=extra, InstanceId=here, Device="/dev/sdf")
    cloud.settle()
    hypervisor = cloud.node(node).hypervisor
    hypervisor.hang(True)
    ec2.modify_volume(VolumeId=extra, Size=7)
    cloud.settle()
    assert modification(cloud, extra)["ModificationState"] == "optimizing"
    assert shown(cloud, extra)[0] == 7
    hypervisor.hang(False)
    cloud.advance(60)
    assert modification(cloud, extra)["ModificationState"] == "completed"
    serial = extra.replace("-", "")[:20]
    assert hypervisor._domains[here].grown == {serial: 7}
    assert bool(cloud.node(node).proxies.refreshed) == (node == "node-a2")


def test_the_type_and_its_performance_change(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    made = volume(cloud, Size=100)
    for wish, becomes in (
        ({"VolumeType": "gp3"}, (100, "gp3", 3000, 125)),
        ({"Iops": 4000, "Throughput": 300}, (100, "gp3", 4000, 300)),
        ({"Size": 200}, (200, "gp3", 4000, 300)),
        ({"VolumeType": "io2"}, (200, "io2", 3000, None)),
        ({"VolumeType": "gp2"}, (200, "gp2", 600, None)),
        ({"VolumeType": "standard"}, (200, "standard", None, None)),
    ):
        cloud.advance(6 * HOURS)
        ec2.modify_volume(VolumeId=made, **wish)
        cloud.settle()
        assert shown(cloud, made) == becomes


def test_refusals(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    made = volume(cloud, Size=10)
    assert error(ec2.modify_volume, VolumeId=made, Size=9) == (
        "InvalidParameterValue",
        "New size cannot be smaller than existing size",
    )
    assert error(ec2.modify_volume, VolumeId=made)[0] == "MissingParameter"
    assert error(ec2.modify_volume, VolumeId=made, Size=20000)[0] == "InvalidParameterValue"
    assert error(ec2.modify_volume, VolumeId=made, Iops=5000)[0] == "InvalidParameterCombination"
    assert error(ec2.modify_volume, VolumeId=made, VolumeType="gp3", Iops=90000)[0] == "InvalidParameterValue"
    assert error(ec2.modify_volume, VolumeId=made, VolumeType="st1")[0] == "InvalidParameterValue"
    assert error(ec2.modify_volume, VolumeId=made, MultiAttachEnabled=True)[0] == "UnsupportedOperation"
    assert error(ec2.modify_volume, VolumeId="vol-00000000000000000", Size=20)[0] == "InvalidVolume.NotFound"
    fresh = ec2.create_volume(AvailabilityZone=ebs.ZONE, Size=1)["VolumeId"]
    assert error(ec2.modify_volume, VolumeId=fresh, Size=2)[0] == "IncorrectState"
    assert shown(cloud, made) == (10, "gp2", 100, None)


def test_one_modification_at_a_time_and_six_hours_between_them(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    made = volume(cloud, Size=10)
    ec2.modify_volume(VolumeId=made, Size=20)
    assert error(ec2.modify_volume, VolumeId=made, Size=30) == (
        "IncorrectModificationState",
        f"Volume {made} cannot be modified in modification state MODIFYING",
    )
    cloud.advance(5.9 * HOURS)
    code, message = error(ec2.modify_volume, VolumeId=made, Size=30)
    assert code == "VolumeModificationRateExceeded"
    assert message.startswith("You've reached the maximum modification rate per volume limit.")
    cloud.advance(0.2 * HOURS)
    ec2.modify_volume(VolumeId=made, Size=30)


def test_modifications_are_described_filtered_and_go_with_their_volume(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    one, two, never = (volume(cloud, Size=size) for size in (1, 2, 3))
    ec2.modify_volume(VolumeId=one, Size=11)
    cloud.settle()
    ec2.modify_volume(VolumeId=two, VolumeType="gp3")

    def found(**filters: str) -> set[str]:
        wanted = [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in filters.items()]
        answer = ec2.describe_volumes_modifications(Filters=wanted)["VolumesModifications"]
        return {item["VolumeId"] for item in answer}

    assert found() == {one, two}
    assert found(modification_state="completed") == {one}
    assert (found(target_size="11"), found(target_volume_type="gp3"), found(original_size="2")) == ({one}, {two}, {two})
    assert error(ec2.describe_volumes_modifications, VolumeIds=[never])[0] == "InvalidVolumeModification.NotFound"
    assert cloud.client("ec2", "stranger").describe_volumes_modifications()["VolumesModifications"] == []
    ec2.delete_volume(VolumeId=one)
    cloud.settle()
    assert found() == {two}


def test_a_growth_that_was_interrupted_anywhere_ends_all_the_same(cloud: Cloud) -> None:
    for number, after in ((0, False), (0, True)):
        made = volume(cloud, Size=1)
        cloud.dev.zones[ebs.ZONE].block.fail_at(number, after=after)
        cloud.client("ec2").modify_volume(VolumeId=made, Size=5)
        cloud.settle()
        cloud.reboot()
        cloud.advance(120)
        assert modification(cloud, made)["ModificationState"] == "completed"
        assert shown(cloud, made)[0] == 5
