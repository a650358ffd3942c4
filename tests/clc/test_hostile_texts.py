"""Texts that no database should have to refuse: the API does, with an error of EC2's, on either engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clc.launching import error, image
from tests.harness.cloud import Cloud
from tests.harness.postgres import NewDatabase

REFUSED = {"InvalidParameterValue", "InvalidKeyPair.Format", "InvalidAMIName.Malformed"}
ZONE = "us-east-1a"
NUL = "a\0b"
LONG = "x" * 5000


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> Iterator[Cloud]:
    """One for all of these tests: hardly anything comes to be in it."""
    with new_database() as url, Cloud(tmp_path_factory.mktemp("cloud"), database=url) as running:
        yield running


@pytest.fixture
def ec2(cloud: Cloud) -> Any:
    return cloud.client("ec2")


@pytest.mark.parametrize("text", [NUL, LONG], ids=["nul", "long"])
def test_no_text_that_a_column_cannot_hold_is_taken(
    cloud: Cloud, ec2: Any, text: str, request: pytest.FixtureRequest
) -> None:
    vpc_id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet_id = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    image_id, volume_id = (
        image(cloud, request.node.callspec.id),
        ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"],
    )
    cloud.settle()
    registered: dict[str, Any] = {"Name": "named", "ImageLocation": "images-eucalyptus/long.raw"}
    for name, given in (
        ("create_key_pair", {"KeyName": text}),
        ("create_security_group", {"GroupName": text, "Description": "-"}),
        ("create_security_group", {"GroupName": "named", "Description": text}),
        ("create_tags", {"Resources": [vpc_id], "Tags": [{"Key": text, "Value": ""}]}),
        ("create_tags", {"Resources": [vpc_id], "Tags": [{"Key": "k", "Value": text}]}),
        ("create_volume", {"AvailabilityZone": ZONE, "Size": 1, "ClientToken": text}),
        ("create_snapshot", {"VolumeId": volume_id, "Description": text}),
        ("create_network_interface", {"SubnetId": subnet_id, "Description": text}),
        ("create_network_interface", {"SubnetId": subnet_id, "ClientToken": text}),
        ("create_dhcp_options", {"DhcpConfigurations": [{"Key": "domain-name", "Values": [text]}]}),
        ("register_image", {**registered, "Name": text}),
        ("register_image", {**registered, "Description": text}),
        ("register_image", {**registered, "RootDeviceName": text}),
        ("register_image", {**registered, "ImageLocation": f"bucket/{text}"}),
        ("modify_image_attribute", {"ImageId": image_id, "Description": {"Value": text}}),
        ("run_instances", {"ImageId": image_id, "MinCount": 1, "MaxCount": 1, "ClientToken": text}),
    ):
        code, message = error(getattr(ec2, name), **given)
        assert code in REFUSED, (name, given, code, message)


@pytest.mark.parametrize("name", ["tag:a\0b", "tag-key", "volume-id", "status"])
def test_a_filter_of_nul_is_refused(ec2: Any, name: str) -> None:
    assert error(ec2.describe_volumes, Filters=[{"Name": name, "Values": [NUL]}])[0] == "InvalidParameterValue"


@pytest.mark.parametrize("size", [1 << 31, 1 << 63, 10**22, -(1 << 31) - 1])
def test_a_number_past_the_models_width_is_no_number(ec2: Any, size: int) -> None:
    code, message = error(ec2.create_volume, AvailabilityZone=ZONE, Size=size, ClientToken="once")
    assert (code, "Expected a value of type Integer" in message) == ("InvalidParameterValue", True)


@pytest.mark.parametrize("protocol", ["٦", "0000000000017", "²", "256"])
def test_a_protocol_is_its_number_in_plain_digits(ec2: Any, protocol: str) -> None:
    group_id = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    rule = {"IpProtocol": protocol, "FromPort": 1, "ToPort": 2, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    code, _ = error(ec2.authorize_security_group_ingress, GroupId=group_id, IpPermissions=[rule])
    assert code == "InvalidParameterValue"
