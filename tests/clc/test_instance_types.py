"""The catalogue of instance types, and how it is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen
from xml.etree import ElementTree

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from eucapy.clc import instance_types
from eucapy.config import ConfigError
from tests.clc.launching import error, image, launch
from tests.harness.cloud import Cloud


def test_figures_are_awss() -> None:
    types = instance_types.load()
    assert {name: (types[name].vcpus, types[name].memory_mib) for name in ("t2.micro", "t3.medium", "m5.xlarge")} == {
        "t2.micro": (1, 1024),
        "t3.medium": (2, 4096),
        "m5.xlarge": (4, 16384),
    }
    assert (types["c5.2xlarge"].cores, types["c5.2xlarge"].threads_per_core) == (4, 2)


def test_every_type_is_a_name_that_aws_has() -> None:
    from eucapy.aws import models

    known = models.load("ec2").shape("InstanceType").enum
    assert set(instance_types.load()) <= set(known)


def test_an_operators_own_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "types.toml"
    with pytest.raises(ConfigError):
        instance_types.load(path)
    path.write_text("[x]\nhypervisor = 1\n")
    with pytest.raises(ConfigError):
        instance_types.load(path)
    path.write_text(
        '[lab]\nhypervisor = "nitro"\ncurrent = true\narchitectures = ["x86_64"]\nvirtualization = ["hvm"]\n'
        'clock_ghz = 2.0\nmanufacturer = "Intel"\nthreads_per_core = 1\nena = "supported"\nebs_optimized = "default"\n'
        'sizes = { tiny = [1, 128, "Low", 1, 1] }\n'
    )
    assert list(instance_types.load(path)) == ["lab.tiny"]
    path.write_text(path.read_text() + "disks = { huge = [1, 1] }\n")
    with pytest.raises(ConfigError, match="has no size huge"):
        instance_types.load(path)


def test_described_filtered_and_paged(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    (micro,) = ec2.describe_instance_types(InstanceTypes=["t2.micro"])["InstanceTypes"]
    assert micro["VCpuInfo"]["DefaultVCpus"] == 1
    assert micro["MemoryInfo"] == {"SizeInMiB": 1024}
    assert (micro["FreeTierEligible"], micro["BurstablePerformanceSupported"]) == (True, True)
    for name, value, expected in (
        ("vcpu-info.default-vcpus", "16", {"m5.4xlarge", "m6i.4xlarge", "c5.4xlarge", "c6i.4xlarge"}),
        ("instance-type", "t3a.*", {"t3a.nano", "t3a.2xlarge"}),
        ("processor-info.supported-architecture", "i386", {"t1.micro", "t2.nano"}),
        ("free-tier-eligible", "true", {"t2.micro", "t3.micro"}),
        ("instance-storage-info.disk.size-in-gb", "32", {"m3.large"}),
        ("processor-info.sustained-clock-speed-in-ghz", "3.1", {"m5.large"}),
        ("supported-boot-mode", "uefi", {"t3.micro"}),
        ("memory-info.size-in-mib", "512", {"t2.nano", "t3.nano", "t3a.nano"}),
    ):
        found = ec2.describe_instance_types(Filters=[{"Name": name, "Values": [value]}])["InstanceTypes"]
        assert expected <= {one["InstanceType"] for one in found}, name
        assert len(found) < len(instance_types.load()), name
    pages = ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 10})
    assert len([one for page in pages for one in page["InstanceTypes"]]) == len(instance_types.load())
    assert error(ec2.describe_instance_types, InstanceTypes=["t9.huge"]) == (
        "InvalidInstanceType",
        "The following supplied instance types do not exist: [t9.huge]",
    )


def test_every_type_is_offered_in_every_zone(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    answer = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["t2.micro"]}]
    )
    assert [one["Location"] for one in answer["InstanceTypeOfferings"]] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    everything = ec2.describe_instance_type_offerings()["InstanceTypeOfferings"]
    assert {one["Location"] for one in everything} == {"us-east-1"}


def test_types_are_found_by_what_is_wanted_of_a_machine(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")

    def found(vcpus: tuple[int, int], memory: tuple[int, int], machine: str = "x86_64", **wanted: Any) -> list[str]:
        ranges = [{"Min": least, "Max": most} for least, most in (vcpus, memory)]
        pages = ec2.get_paginator("get_instance_types_from_instance_requirements").paginate(
            ArchitectureTypes=[machine],
            VirtualizationTypes=["hvm"],
            InstanceRequirements={"VCpuCount": ranges[0], "MemoryMiB": ranges[1], **wanted},
            PaginationConfig={"PageSize": 2},
        )
        return [one["InstanceType"] for page in pages for one in page["InstanceTypes"]]

    fours = (4, 4), (16384, 16384)
    everywhere = ["m5.xlarge", "m6i.xlarge"]
    bursting = ["t2.xlarge", "t3.xlarge", "t3a.xlarge"]
    assert found(*fours) == everywhere
    assert found(*fours, BurstablePerformance="included") == everywhere + bursting
    assert found(*fours, BurstablePerformance="required") == bursting
    assert found(*fours, BurstablePerformance="required", CpuManufacturers=["amd"]) == ["t3a.xlarge"]
    assert found(*fours, AllowedInstanceTypes=["m6*", "c5.large"]) == ["m6i.xlarge"]
    assert found(*fours, ExcludedInstanceTypes=["*6i*"]) == ["m5.xlarge"]
    assert found(*fours, MemoryGiBPerVCpu={"Min": 4.5}) == []
    assert found(*fours, AcceleratorCount={"Max": 0}) == everywhere
    for impossible in (
        {"BareMetal": "required"},
        {"AcceleratorTypes": ["gpu"]},
        {"AcceleratorCount": {"Min": 1}},
        {"RequireHibernateSupport": True},
    ):
        assert found(*fours, **impossible) == []
    assert found(*fours, machine="arm64") == []
    old = found((1, 4), (1, 16384), InstanceGenerations=["previous"])
    assert {name.partition(".")[0] for name in old} == {"m1", "m3"}
    with_disks = found((1, 4), (1, 16384), LocalStorage="required", TotalLocalStorageGB={"Min": 1000})
    assert with_disks == ["m1.xlarge"]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"VCpuCount": {"Min": 4, "Max": 2}}, "InvalidParameterValue"),
        ({"VCpuCount": {"Min": -1}}, "InvalidParameterValue"),
        ({"AllowedInstanceTypes": ["m5.*"], "ExcludedInstanceTypes": ["t2.*"]}, "InvalidParameterCombination"),
        ({"NetworkBandwidthGbps": {"Min": 1.0}}, "Unsupported"),
    ],
)
def test_what_nobody_can_want_of_a_machine(cloud: Cloud, wanted: dict[str, Any], code: str) -> None:
    requirements = {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}, **wanted}
    ask = {"ArchitectureTypes": ["x86_64"], "VirtualizationTypes": ["hvm"], "InstanceRequirements": requirements}
    assert error(cloud.client("ec2").get_instance_types_from_instance_requirements, **ask)[0] == code


def asked(cloud: Cloud, agent: str = "other", **parameters: str) -> ElementTree.Element:
    """The answer of DescribeInstanceTypes, with parameters that botocore does not know."""
    keys = cloud.account("eucalyptus")
    body = urlencode({"Action": "DescribeInstanceTypes", "Version": "2016-11-15", **parameters})
    headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": agent}
    request = AWSRequest("POST", cloud.endpoint, data=body, headers=headers)
    SigV4Auth(Credentials(keys["access_key_id"], keys["secret_access_key"]), "ec2", "us-east-1").add_auth(request)
    with urlopen(Request(cloud.endpoint, body.encode(), dict(request.headers.items())), timeout=30) as answer:
        return ElementTree.fromstring(answer.read())


def test_eucalyptus_own_tool_is_told_how_many_fit_where(cloud: Cloud) -> None:
    """Two nodes a zone, of 64 processors given out fourfold; two instances take their memory."""
    space = "{http://ec2.amazonaws.com/doc/2016-11-15/}"
    cloud.settle()

    def figures(**parameters: str) -> dict[str, tuple[int, int]]:
        answer = asked(cloud, **{"InstanceType.1": "m5.xlarge", "Availability": "true", **parameters})
        (kind,) = answer.findall(f"{space}instanceTypeDetails/{space}item")
        told = [kind.findtext(f"{space}{name}") for name in ("name", "cpu", "memory", "disk")]
        assert told == ["m5.xlarge", "4", "16384", "0"]
        zones = kind.findall(f"{space}availability/{space}item")
        read = {
            name: [zone.findtext(f"{space}{name}", "") for zone in zones] for name in ("zoneName", "available", "max")
        }
        return dict(
            zip(read["zoneName"], zip(map(int, read["available"]), map(int, read["max"]), strict=True), strict=True)
        )

    before = figures()
    assert list(before) == ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert all(available == most > 2 for available, most in before.values())
    launch(cloud, image(cloud), 2, InstanceType="m5.xlarge", Placement={"AvailabilityZone": "us-east-1b"})
    cloud.settle()
    available, most = before["us-east-1b"]
    assert figures() == {**before, "us-east-1b": (available - 2, most)}
    plain = asked(cloud, agent="euca2ools/3.4.1", **{"InstanceType.1": "t2.micro"})
    assert plain.findtext(f"{space}instanceTypeDetails/{space}item/{space}name") == "t2.micro"
    assert plain.find(f"{space}instanceTypeDetails/{space}item/{space}availability/{space}item") is None
    assert asked(cloud).find(f"{space}instanceTypeDetails") is None
