"""How a launch and a template become one: parameter by parameter, the launch has the last word."""

from __future__ import annotations

from typing import Any

import pytest

from eucapy.clc.ec2.launch_template_merge import as_request, inherited

COUNTS = {"MinCount": 1, "MaxCount": 1}


def disk(device: str, **ebs: Any) -> dict[str, Any]:
    return {"DeviceName": device, "Ebs": ebs}


@pytest.mark.parametrize(
    ("template", "request_", "expected"),
    [
        ({"ImageId": "ami-1"}, {}, {"ImageId": "ami-1"}),
        ({"ImageId": "ami-1"}, {"ImageId": "ami-2"}, {"ImageId": "ami-2"}),
        ({"KeyName": "mine"}, {"KeyName": ""}, {"KeyName": "mine"}),
        ({"DisableApiStop": True}, {"DisableApiStop": False}, {"DisableApiStop": False}),
        (
            {"MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"}},
            {"MetadataOptions": {"HttpTokens": "optional"}},
            {"MetadataOptions": {"HttpTokens": "optional", "HttpEndpoint": "enabled"}},
        ),
        (
            {"IamInstanceProfile": {"Arn": "a"}},
            {"IamInstanceProfile": {"Name": "b"}},
            {"IamInstanceProfile": {"Name": "b"}},
        ),
        ({"SecurityGroupIds": ["sg-1"]}, {"SecurityGroups": ["mine"]}, {"SecurityGroups": ["mine"]}),
        ({"InstanceRequirements": {"MemoryMiB": {}}}, {"InstanceType": "t2.micro"}, {"InstanceType": "t2.micro"}),
        ({"RamDiskId": "ari-1"}, {}, {"RamdiskId": "ari-1"}),
        (
            {
                "BlockDeviceMappings": [
                    disk("/dev/sda1", VolumeSize=8, VolumeType="gp3"),
                    disk("/dev/sdb", VolumeSize=1),
                ]
            },
            {"BlockDeviceMappings": [disk("/dev/sdc", VolumeSize=3), disk("/dev/sda1", VolumeSize=20)]},
            {
                "BlockDeviceMappings": [
                    disk("/dev/sda1", VolumeSize=20, VolumeType="gp3"),
                    disk("/dev/sdb", VolumeSize=1),
                    disk("/dev/sdc", VolumeSize=3),
                ]
            },
        ),
        (
            {"BlockDeviceMappings": [disk("/dev/sdb", VolumeSize=1)]},
            {"BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "NoDevice": ""}]},
            {"BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "NoDevice": ""}]},
        ),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"}]},
            {"BlockDeviceMappings": [disk("/dev/sdb", VolumeSize=1)]},
            {"BlockDeviceMappings": [disk("/dev/sdb", VolumeSize=1)]},
        ),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": "subnet-1", "AssociatePublicIpAddress": True}]},
            {"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": "subnet-2"}, {"DeviceIndex": 1}]},
            {
                "NetworkInterfaces": [
                    {"DeviceIndex": 0, "SubnetId": "subnet-2", "AssociatePublicIpAddress": True},
                    {"DeviceIndex": 1},
                ]
            },
        ),
        (
            {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b"}]}]},
            {
                "TagSpecifications": [
                    {"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "2"}]},
                    {"ResourceType": "volume", "Tags": [{"Key": "c"}]},
                ]
            },
            {
                "TagSpecifications": [
                    {"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "2"}, {"Key": "b"}]},
                    {"ResourceType": "volume", "Tags": [{"Key": "c"}]},
                ]
            },
        ),
    ],
)
def test_a_launch_overrides(template: dict[str, Any], request_: dict[str, Any], expected: dict[str, Any]) -> None:
    assert as_request(template, {**COUNTS, **request_}) == {**COUNTS, **expected}


def test_a_version_on_the_base_of_another_says_what_changes_and_takes_no_snapshots_over() -> None:
    source = {
        "ImageId": "ami-1",
        "InstanceType": "t2.micro",
        "SecurityGroups": ["mine"],
        "BlockDeviceMappings": [disk("/dev/sda1", SnapshotId="snap-1", VolumeSize=8)],
    }
    assert inherited(source, {"InstanceType": "t3.micro", "SecurityGroupIds": ["sg-1"]}) == {
        "ImageId": "ami-1",
        "InstanceType": "t3.micro",
        "SecurityGroupIds": ["sg-1"],
        "BlockDeviceMappings": [disk("/dev/sda1", VolumeSize=8)],
    }
    given = {"BlockDeviceMappings": [disk("/dev/sdb", SnapshotId="snap-2")]}
    assert inherited(source, given)["BlockDeviceMappings"] == given["BlockDeviceMappings"]
    assert source["BlockDeviceMappings"] == [disk("/dev/sda1", SnapshotId="snap-1", VolumeSize=8)]
