"""Instances as finished XML: whatever way it was made, it is what the view of the rows says, of this very moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from eucapy.aws import xml, xmlholes
from eucapy.clc.ec2 import instance_views, instance_xml
from eucapy.clc.store import instances
from eucapy.database import Tx
from tests.clc.launching import described, image, launch
from tests.harness.cloud import Cloud

HOSTILE = """<&>"'%s %% \x01 hole- é"""


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    instance_xml.forget()
    yield
    instance_xml.forget()


def both(cloud: Cloud) -> tuple[list[str], list[str]]:
    """All instances as DescribeInstances writes them, and as the view of their rows is written, member by member."""
    account, write = cloud.account("eucalyptus")["account_id"], xml.fragment("ec2", "Instance")

    async def work(tx: Tx) -> tuple[list[str], list[str]]:
        call: Any = SimpleNamespace(tx=tx, region=cloud.dev.config.region, config=cloud.dev.config, account=account)
        listed = await instances.page(tx, account, [], None, 1000)
        rows = await instances.by_ids(tx, [row.id for row in listed])
        plain = await instance_views.shown(call, [rows[row.id] for row in listed])
        return [str(one) for one in await instance_xml.rendered(call, listed)], [str(write(one)) for one in plain]

    found: tuple[list[str], list[str]] = cloud.run(cloud.dev.database.read(work))
    return found


def many_kinds(cloud: Cloud) -> list[str]:
    """Instances that differ in all that an instance may have."""
    ec2, image_id = cloud.client("ec2"), image(cloud)
    subnet = ec2.describe_subnets()["Subnets"][0]
    zone = subnet["AvailabilityZone"]
    plain = launch(cloud, image_id, 3)
    tags = [{"Key": HOSTILE, "Value": HOSTILE}, {"Key": "empty", "Value": ""}]
    named: dict[str, Any] = {"TagSpecifications": [{"ResourceType": "instance", "Tags": tags}], "ClientToken": "100%s"}
    tagged = launch(cloud, image_id, 2, **named)
    by_id = {"HostnameType": "resource-name", "EnableResourceNameDnsARecord": True}
    inside = launch(cloud, image_id, PrivateDnsNameOptions=by_id, Placement={"AvailabilityZone": zone})
    several = {
        "DeviceIndex": 0,
        "SubnetId": subnet["SubnetId"],
        "SecondaryPrivateIpAddressCount": 2,
        "Description": "%d",
    }
    many = launch(cloud, image_id, NetworkInterfaces=[several])
    volume = ec2.create_volume(Size=1, AvailabilityZone=zone)["VolumeId"]
    cloud.settle()
    ec2.attach_volume(VolumeId=volume, InstanceId=inside[0], Device="/dev/sdf")
    address = ec2.allocate_address()["AllocationId"]
    ec2.associate_address(AllocationId=address, InstanceId=plain[0])
    ec2.stop_instances(InstanceIds=[plain[1]])
    ec2.terminate_instances(InstanceIds=[plain[2]])
    cloud.settle()
    return [*plain, *tagged, *inside, *many]


def test_filled_forms_are_what_the_writer_would_have_written_and_a_new_process_writes_the_same(cloud: Cloud) -> None:
    made = many_kinds(cloud)
    rendered, written = both(cloud)
    assert len(rendered) == len(made)
    assert rendered == written
    instance_xml.forget()
    assert both(cloud)[0] == rendered


def test_instances_of_one_launch_share_their_form(cloud: Cloud) -> None:
    launch(cloud, image(cloud), 5)
    instance_xml.forget()
    both(cloud)
    assert (len(instance_xml._FORMS), len(instance_xml._SHELF)) == (1, 5)


def test_every_change_that_shows_is_shown_at_once(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    (instance_id,) = launch(cloud, image(cloud))
    vpc_id = described(cloud, instance_id)["VpcId"]
    nic = described(cloud, instance_id)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    group = ec2.create_security_group(GroupName="other", Description="other", VpcId=vpc_id)["GroupId"]
    address = ec2.allocate_address()["AllocationId"]
    changes: list[Callable[[], Any]] = [
        lambda: ec2.create_tags(Resources=[instance_id], Tags=[{"Key": "a", "Value": "1"}]),
        lambda: ec2.create_tags(Resources=[instance_id], Tags=[{"Key": "a", "Value": "2"}]),
        lambda: ec2.delete_tags(Resources=[instance_id], Tags=[{"Key": "a"}]),
        lambda: ec2.modify_instance_attribute(InstanceId=instance_id, Groups=[group]),
        lambda: ec2.associate_address(AllocationId=address, InstanceId=instance_id),
        lambda: ec2.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames={"Value": False}),
        lambda: ec2.assign_private_ip_addresses(NetworkInterfaceId=nic, SecondaryPrivateIpAddressCount=1),
        lambda: ec2.stop_instances(InstanceIds=[instance_id]),
        cloud.settle,
        lambda: ec2.terminate_instances(InstanceIds=[instance_id]),
        cloud.settle,
    ]
    before = both(cloud)[0]
    for number, change in enumerate(changes):
        change()
        rendered, written = both(cloud)
        assert rendered == written, number
        assert rendered != before, number
        before = rendered


def test_holes_take_any_text_and_nothing_from_outside_looks_like_one() -> None:
    first, second = xmlholes.holes(2)
    write = xml.fragment("ec2", "Instance")
    form = write({"InstanceId": second, "AmiLaunchIndex": first, "KeyName": "100%s hole-0;", "LaunchTime": first})
    assert xmlholes.cut(form)((7, "%d<x/>")) == (
        "<instanceId>%d<x/></instanceId><amiLaunchIndex>7</amiLaunchIndex>"
        "<keyName>100%s hole-0;</keyName><launchTime>7</launchTime>"
    )
    assert xmlholes.cut("100%")(()) == "100%"
    assert xmlholes.cut(write({"InstanceId": first}))(["i"]) == "<instanceId>i</instanceId>"
