"""How fast a volume of each type is: EC2's performance as what the storage holds it to."""

from __future__ import annotations

import pytest

from eucapy.clc.specs.volume_pace import pace
from eucapy.pace import UNLIMITED, Flow
from tests.clc.test_volumes import ZONE, volume
from tests.harness.cloud import Cloud

MIB = 1 << 20


@pytest.mark.parametrize(
    ("size_gib", "iops", "burst", "mib"),
    [(1, 100, 3000, 128), (170, 510, 3000, 128), (334, 1002, 3000, 250), (1000, 3000, 0, 250), (16384, 16000, 0, 250)],
)
def test_gp2_grows_with_its_size_and_small_ones_burst(size_gib: int, iops: int, burst: int, mib: int) -> None:
    found = pace("gp2", size_gib, None, None)
    assert found.requests == Flow(per_s=iops, burst_per_s=burst, burst_s=1800 if burst else 0)
    assert (found.data, found.request_bytes) == (Flow(per_s=mib * MIB), 256 << 10)


@pytest.mark.parametrize(
    ("volume_type", "iops", "throughput", "mib"),
    [
        ("gp3", 3000, 125, 125),
        ("gp3", 16000, 1000, 1000),
        ("io1", 100, None, 25),
        ("io1", 2000, None, 500),
        ("io1", 32000, None, 500),
        ("io1", 64000, None, 1000),
        ("io2", 1000, None, 250),
        ("io2", 64000, None, 4000),
    ],
)
def test_what_is_provisioned_is_what_there_is(volume_type: str, iops: int, throughput: int | None, mib: int) -> None:
    found = pace(volume_type, 500, iops, throughput)
    assert (found.requests, found.data) == (Flow(per_s=iops), Flow(per_s=mib * MIB))


def test_spinning_disks_count_bytes_and_burst_out_of_their_size() -> None:
    assert pace("st1", 1024, None, None).data == Flow(per_s=40 * MIB, burst_per_s=250 * MIB, burst_s=4194)
    assert pace("st1", 125, None, None).data.burst_per_s == 250 * MIB * 125 // 1024
    assert pace("st1", 16384, None, None).data == Flow(per_s=500 * MIB)
    assert pace("sc1", 1024, None, None).data == Flow(per_s=12 * MIB, burst_per_s=80 * MIB, burst_s=13107)
    assert pace("sc1", 16384, None, None).data == Flow(per_s=192 * MIB, burst_per_s=250 * MIB, burst_s=67108)
    assert pace("st1", 1024, None, None).requests == Flow()


def test_a_type_that_is_not_known_has_no_limit() -> None:
    assert pace("later", 1, None, None) == UNLIMITED


def test_the_storage_holds_a_volume_to_what_it_was_made_for_and_to_what_it_becomes(cloud: Cloud) -> None:
    ec2, block = cloud.client("ec2"), cloud.dev.zones[ZONE].block
    made = volume(cloud, Size=10, VolumeType="gp3", Iops=4000, Throughput=200)
    assert cloud.run(block.observe()).volumes[made].pace == pace("gp3", 10, 4000, 200)
    ec2.modify_volume(VolumeId=made, Throughput=300)
    cloud.settle()
    assert cloud.run(block.observe()).volumes[made].pace == pace("gp3", 10, 4000, 300)
    (seen,) = ec2.describe_volumes_modifications(VolumeIds=[made])["VolumesModifications"]
    assert (seen["ModificationState"], seen["TargetThroughput"]) == ("completed", 300)


def test_a_type_without_provisioning_leaves_nothing_of_the_one_before(cloud: Cloud) -> None:
    ec2, block = cloud.client("ec2"), cloud.dev.zones[ZONE].block
    made = volume(cloud, Size=10, VolumeType="io1", Iops=500)
    ec2.modify_volume(VolumeId=made, VolumeType="standard")
    cloud.settle()
    assert cloud.run(block.observe()).volumes[made].pace == pace("standard", 10, None, None)
