"""What a launch says of the machine itself: taken over, defaulted, or refused in EC2's words."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from eucapy.clc import instance_types
from eucapy.clc.ec2 import launch_options
from eucapy.clc.ec2.launch_devices import NewEphemeral, NewVolume, check_volume, ephemerals, merge
from eucapy.errors import ApiError

TYPES = instance_types.load()
ONE = {"MinCount": 1, "MaxCount": 1}


def parsed(**given: Any) -> dict[str, Any]:
    return launch_options.parse({**ONE, "InstanceType": "t2.micro", **given}, TYPES).columns


def refusal(**given: Any) -> tuple[str, str]:
    with pytest.raises(ApiError) as caught:
        parsed(**given)
    return caught.value.code, caught.value.text


def test_defaults_are_ec2s() -> None:
    machine = launch_options.parse(ONE, TYPES)
    assert machine.kind.name == "m1.small"
    assert parsed() == {
        "auto_recovery": "default",
        "capacity_reservation": "open",
        "cores": 1,
        "credits": "standard",
        "ebs_optimized": False,
        "ena": False,
        "hostname_type": "ip-name",
        "instance_type": "t2.micro",
        "keep_from_stop": False,
        "keep_from_termination": False,
        "memory_mib": 1024,
        "metadata_enabled": True,
        "metadata_hops": 1,
        "metadata_ipv6": False,
        "metadata_tags": False,
        "metadata_tokens": "optional",
        "monitoring": False,
        "name_a_record": False,
        "shutdown_behavior": "stop",
        "threads": 1,
        "user_data": None,
        "vcpus": 1,
    }


def test_an_image_of_imds_v2_makes_tokens_required() -> None:
    columns = launch_options.parse(ONE, TYPES, "v2.0").columns
    assert (columns["metadata_tokens"], columns["metadata_hops"]) == ("required", 2)


def test_fewer_cores_are_fewer_processors() -> None:
    columns = parsed(InstanceType="c5.4xlarge", CpuOptions={"CoreCount": 2, "ThreadsPerCore": 1})
    assert (columns["vcpus"], columns["cores"], columns["threads"]) == (2, 2, 1)


def test_user_data_is_at_most_16_kib_of_base64() -> None:
    most = base64.b64encode(b"x" * 16384).decode()
    assert parsed(UserData=most)["user_data"] == most
    assert refusal(UserData=base64.b64encode(b"x" * 16385).decode()) == (
        "InvalidParameterValue",
        "User data is limited to 16384 bytes",
    )
    assert refusal(UserData="not base64!") == (
        "InvalidUserData.Malformed",
        "Invalid BASE64 encoding of user data.",
    )


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"InstanceType": "t9.huge"}, "InvalidParameterValue"),
        ({"MinCount": 0}, "InvalidParameterValue"),
        ({"MinCount": 3, "MaxCount": 2}, "InvalidParameterCombination"),
        ({"MetadataOptions": {"HttpPutResponseHopLimit": 65}}, "InvalidParameterValue"),
        ({"MetadataOptions": {"HttpEndpoint": "disabled", "HttpTokens": "required"}}, "InvalidParameterCombination"),
        ({"CpuOptions": {"CoreCount": 2, "ThreadsPerCore": 1}}, "InvalidParameterValue"),
        (
            {"InstanceType": "m5.large", "CreditSpecification": {"CpuCredits": "standard"}},
            "InvalidParameterCombination",
        ),
        ({"Placement": {"Tenancy": "dedicated"}}, "Unsupported"),
        ({"HibernationOptions": {"Configured": True}}, "Unsupported"),
        ({"EnclaveOptions": {"Enabled": True}}, "Unsupported"),
        ({"InstanceMarketOptions": {"MarketType": "spot"}}, "Unsupported"),
    ],
)
def test_refused(given: dict[str, Any], code: str) -> None:
    assert refusal(**given)[0] == code


ROOT = {"/dev/sda1": NewVolume("/dev/sda1", snapshot_id="snap-1", size_gib=8)}


def devices(wanted: list[dict[str, Any]], kind: str = "t2.micro", root_kind: str = "ebs") -> list[Any]:
    return merge(ROOT if root_kind == "ebs" else {}, wanted, TYPES[kind], "/dev/sda1", root_kind)


def test_the_request_changes_the_images_root_member_by_member() -> None:
    (root,) = devices([{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20, "DeleteOnTermination": False}}])
    assert root == NewVolume("/dev/sda1", snapshot_id="snap-1", size_gib=20, delete_on_termination=False)


def test_no_device_removes_what_the_image_has() -> None:
    image = {**ROOT, "/dev/sdf": NewVolume("/dev/sdf", size_gib=1)}
    left = merge(image, [{"DeviceName": "/dev/sdf", "NoDevice": ""}], TYPES["t2.micro"], "/dev/sda1", "ebs")
    assert [one.device for one in left] == ["/dev/sda1"]


def test_instance_store_disks_are_those_that_the_type_has() -> None:
    wanted = [
        {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
        {"DeviceName": "/dev/sdc", "VirtualName": "ephemeral1"},
    ]
    assert ephemerals(devices(wanted, "m1.small"), TYPES["m1.small"]) == [
        {"name": "ephemeral0", "device": "/dev/sdb", "size_gib": 160}
    ]
    assert not any(isinstance(one, NewEphemeral) for one in devices(wanted, "t2.micro"))


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"DeviceName": "/dev/sdf", "Ebs": {}}, "MissingParameter"),
        ({"DeviceName": "/dev/sda1", "NoDevice": ""}, "InvalidBlockDeviceMapping"),
        ({"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": "snap-2"}}, "InvalidBlockDeviceMapping"),
        ({"DeviceName": "disk", "Ebs": {"VolumeSize": 1}}, "InvalidParameterValue"),
        ({"DeviceName": "/dev/sdf", "VirtualName": "ram0"}, "InvalidBlockDeviceMapping"),
        ({"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "Encrypted": True}}, "Unsupported"),
    ],
)
def test_mappings_refused(entry: dict[str, Any], code: str) -> None:
    with pytest.raises(ApiError) as caught:
        devices([entry])
    assert caught.value.code == code


def test_an_image_in_a_bucket_has_its_root_on_the_node() -> None:
    with pytest.raises(ApiError) as caught:
        devices([{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 1}}], root_kind="instance-store")
    assert caught.value.code == "InvalidBlockDeviceMapping"


def test_a_volume_is_never_smaller_than_its_snapshot() -> None:
    with pytest.raises(ApiError) as caught:
        check_volume(NewVolume("/dev/sdf", snapshot_id="snap-1", size_gib=1), 8)
    assert caught.value.text == "Volume of size 1GB is smaller than snapshot 'snap-1', expect size >= 8GB"
    assert check_volume(NewVolume("/dev/sdf", snapshot_id="snap-1"), 8).size_gib == 8
