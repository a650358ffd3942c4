"""Network interfaces through boto3: their addresses, groups, attributes, and their place in instances."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.clc.network.asking import code, default_group, error, own_vpc, subnet
from tests.harness.cloud import Cloud

Run = Callable[..., str]


@pytest.fixture
def vpc_id(ec2: Any) -> str:
    return own_vpc(ec2)


@pytest.fixture
def place(ec2: Any, vpc_id: str) -> str:
    return subnet(ec2, vpc_id)


def make(ec2: Any, place: str, **given: Any) -> dict[str, Any]:
    return dict(ec2.create_network_interface(SubnetId=place, **given)["NetworkInterface"])


def seen(ec2: Any, interface_id: str) -> dict[str, Any]:
    (found,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface_id])["NetworkInterfaces"]
    return dict(found)


def test_a_free_interface_as_ec2_shows_it(region: Cloud, account: str, ec2: Any, vpc_id: str, place: str) -> None:
    made = make(
        ec2,
        place,
        Description="spare",
        PrivateIpAddress="10.0.1.77",
        TagSpecifications=[{"ResourceType": "network-interface", "Tags": [{"Key": "a", "Value": "b"}]}],
    )
    assert made["Status"] == "pending"
    assert re.fullmatch(r"02(:[0-9a-f]{2}){5}", made["MacAddress"])
    waiter = ec2.get_waiter("network_interface_available")
    waiter.wait(NetworkInterfaceIds=[made["NetworkInterfaceId"]], WaiterConfig={"Delay": 0, "MaxAttempts": 1})
    assert seen(ec2, made["NetworkInterfaceId"]) == {
        "AvailabilityZone": "us-east-1a",
        "AvailabilityZoneId": "use1-az6",
        "Description": "spare",
        "Groups": [{"GroupId": default_group(ec2, vpc_id), "GroupName": "default"}],
        "InterfaceType": "interface",
        "Ipv6Addresses": [],
        "MacAddress": made["MacAddress"],
        "NetworkInterfaceId": made["NetworkInterfaceId"],
        "Operator": {"Managed": False},
        "OwnerId": region.account(account)["account_id"],
        "PrivateIpAddress": "10.0.1.77",
        "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": "10.0.1.77"}],
        "RequesterManaged": False,
        "SourceDestCheck": True,
        "Status": "available",
        "SubnetId": place,
        "TagSet": [{"Key": "a", "Value": "b"}],
        "VpcId": vpc_id,
    }


def test_addresses_that_a_subnet_cannot_give(ec2: Any, place: str) -> None:
    make(ec2, place, PrivateIpAddress="10.0.1.77")
    for ip, refused in [
        ("10.0.1.77", ("InvalidIPAddress.InUse", "Address 10.0.1.77 is in use.")),
        ("10.0.2.1", ("InvalidParameterValue", "Address 10.0.2.1 does not fall within the subnet's address range")),
        ("10.0.1.3", ("InvalidParameterValue", "Address 10.0.1.3 is in subnet's reserved address range")),
        ("10.0.1.255", ("InvalidParameterValue", "Address 10.0.1.255 is in subnet's reserved address range")),
        ("nonsense", ("InvalidParameterValue", "Invalid IPv4 address: nonsense")),
    ]:
        assert error(ec2.create_network_interface, SubnetId=place, PrivateIpAddress=ip) == refused


def test_a_full_subnet_gives_no_more(ec2: Any, vpc_id: str) -> None:
    small = subnet(ec2, vpc_id, "10.0.9.0/28")
    given = {make(ec2, small)["PrivateIpAddress"] for _ in range(11)}
    assert given == {f"10.0.9.{number}" for number in range(4, 15)}
    assert error(ec2.create_network_interface, SubnetId=small) == (
        "InsufficientFreeAddressesInSubnet",
        "The specified subnet does not have enough free addresses to satisfy the request.",
    )


def test_an_address_that_is_chosen_is_none_that_the_request_names(ec2: Any, vpc_id: str) -> None:
    small = subnet(ec2, vpc_id, "10.0.9.0/28")
    named = [{"PrivateIpAddress": f"10.0.9.{number}"} for number in range(4, 14)]
    assert make(ec2, small, PrivateIpAddresses=named)["PrivateIpAddress"] == "10.0.9.14"


def test_a_launch_chooses_no_address_that_it_names_for_another_interface(run: Run, ec2: Any, vpc_id: str) -> None:
    small = subnet(ec2, vpc_id, "10.0.9.0/28")
    named = [{"PrivateIpAddress": f"10.0.9.{number}", "Primary": number == 4} for number in range(4, 14)]
    instance = run(
        NetworkInterfaces=[
            {"DeviceIndex": 0, "SubnetId": small},
            {"DeviceIndex": 1, "SubnetId": small, "PrivateIpAddresses": named},
        ]
    )
    (found,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
    assert found["PrivateIpAddress"] == "10.0.9.14"


def test_secondary_addresses_come_and_go_and_move(ec2: Any, place: str) -> None:
    first = make(ec2, place, PrivateIpAddresses=[{"PrivateIpAddress": "10.0.1.9"}])["NetworkInterfaceId"]
    second = make(ec2, place)["NetworkInterfaceId"]
    assert [entry["Primary"] for entry in seen(ec2, first)["PrivateIpAddresses"]] == [True, False]
    assert code(ec2.assign_private_ip_addresses, NetworkInterfaceId=second, PrivateIpAddresses=["10.0.1.9"]) == (
        "InvalidIPAddress.InUse"
    )
    answer = ec2.assign_private_ip_addresses(
        NetworkInterfaceId=second, PrivateIpAddresses=["10.0.1.9"], AllowReassignment=True
    )
    assert answer["AssignedPrivateIpAddresses"] == [{"PrivateIpAddress": "10.0.1.9"}]
    assert len(seen(ec2, first)["PrivateIpAddresses"]) == 1
    primary = seen(ec2, second)["PrivateIpAddress"]
    assert code(ec2.unassign_private_ip_addresses, NetworkInterfaceId=second, PrivateIpAddresses=[primary]) == (
        "InvalidParameterValue"
    )
    ec2.unassign_private_ip_addresses(NetworkInterfaceId=second, PrivateIpAddresses=["10.0.1.9"])
    assert len(seen(ec2, second)["PrivateIpAddresses"]) == 1
    make(ec2, place, PrivateIpAddress="10.0.1.9")
    too_many = error(ec2.assign_private_ip_addresses, NetworkInterfaceId=second, SecondaryPrivateIpAddressCount=50)
    assert too_many == ("PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit.")


def test_attributes_are_read_and_written_one_at_a_time(ec2: Any, vpc_id: str, place: str) -> None:
    interface_id = make(ec2, place)["NetworkInterfaceId"]
    group_id = ec2.create_security_group(GroupName="web", Description="d", VpcId=vpc_id)["GroupId"]

    def attribute(name: str) -> dict[str, Any]:
        return dict(ec2.describe_network_interface_attribute(NetworkInterfaceId=interface_id, Attribute=name))

    ec2.modify_network_interface_attribute(NetworkInterfaceId=interface_id, Description={"Value": "front"})
    ec2.modify_network_interface_attribute(NetworkInterfaceId=interface_id, SourceDestCheck={"Value": False})
    ec2.modify_network_interface_attribute(NetworkInterfaceId=interface_id, Groups=[group_id])
    assert attribute("description")["Description"] == {"Value": "front"}
    assert attribute("sourceDestCheck")["SourceDestCheck"] == {"Value": False}
    assert attribute("groupSet")["Groups"] == [{"GroupId": group_id, "GroupName": "web"}]
    assert "Attachment" not in attribute("attachment")
    ec2.reset_network_interface_attribute(NetworkInterfaceId=interface_id, SourceDestCheck="true")
    assert attribute("sourceDestCheck")["SourceDestCheck"] == {"Value": True}
    assert (
        code(
            ec2.modify_network_interface_attribute,
            NetworkInterfaceId=interface_id,
            Description={"Value": "x"},
            SourceDestCheck={"Value": True},
        )
        == "InvalidParameterCombination"
    )


def test_at_most_five_groups(ec2: Any, vpc_id: str, place: str) -> None:
    groups = [
        ec2.create_security_group(GroupName=f"g{number}", Description="d", VpcId=vpc_id)["GroupId"]
        for number in range(6)
    ]
    assert len(make(ec2, place, Groups=groups[:5])["Groups"]) == 5
    assert code(ec2.create_network_interface, SubnetId=place, Groups=groups) == (
        "SecurityGroupsPerInterfaceLimitExceeded"
    )


def test_an_instances_own_interface_goes_with_it(region: Cloud, ec2: Any, place: str, run: Run) -> None:
    instance_id = run(SubnetId=place, PrivateIpAddress="10.0.1.50")
    (found,) = ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}])[
        "NetworkInterfaces"
    ]
    attachment = found["Attachment"]
    assert (found["Status"], found["PrivateIpAddress"]) == ("in-use", "10.0.1.50")
    assert (attachment["Status"], attachment["DeviceIndex"], attachment["DeleteOnTermination"]) == ("attached", 0, True)
    assert error(ec2.delete_network_interface, NetworkInterfaceId=found["NetworkInterfaceId"]) == (
        "InvalidParameterValue",
        f"Network interface '{found['NetworkInterfaceId']}' is currently in use.",
    )
    assert error(ec2.detach_network_interface, AttachmentId=attachment["AttachmentId"]) == (
        "OperationNotPermitted",
        "The network interface at device index 0 and networkCard index 0 cannot be detached.",
    )
    ec2.terminate_instances(InstanceIds=[instance_id])
    region.settle()
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_an_interface_that_was_told_to_stay_outlives_its_instance(
    region: Cloud, ec2: Any, place: str, run: Run
) -> None:
    instance_id = run(SubnetId=place)
    (found,) = ec2.describe_network_interfaces()["NetworkInterfaces"]
    keep = {"AttachmentId": found["Attachment"]["AttachmentId"], "DeleteOnTermination": False}
    ec2.modify_network_interface_attribute(NetworkInterfaceId=found["NetworkInterfaceId"], Attachment=keep)
    ec2.terminate_instances(InstanceIds=[instance_id])
    region.settle()
    left = seen(ec2, found["NetworkInterfaceId"])
    assert (left["Status"], "Attachment" in left) == ("available", False)


def test_a_second_interface_joins_a_stopped_instance_and_leaves_it(
    region: Cloud, ec2: Any, place: str, run: Run
) -> None:
    instance_id = run(SubnetId=place, InstanceType="t2.micro")
    interface_id = make(ec2, place)["NetworkInterfaceId"]

    def attach(index: int = 1) -> dict[str, Any]:
        return {"NetworkInterfaceId": interface_id, "InstanceId": instance_id, "DeviceIndex": index}

    ec2.stop_instances(InstanceIds=[instance_id])
    region.settle()
    assert error(ec2.attach_network_interface, **attach(0)) == (
        "InvalidParameterValue",
        f"Instance '{instance_id}' already has an interface attached at device index '0'.",
    )
    attachment = ec2.attach_network_interface(**attach())["AttachmentId"]
    assert error(ec2.attach_network_interface, **attach()) == (
        "InvalidNetworkInterface.InUse",
        f"Interface: [{interface_id}] in use.",
    )
    third = make(ec2, place)["NetworkInterfaceId"]
    assert error(ec2.attach_network_interface, NetworkInterfaceId=third, InstanceId=instance_id, DeviceIndex=2) == (
        "AttachmentLimitExceeded",
        "Interface count 3 exceeds the limit for t2.micro",
    )
    ec2.start_instances(InstanceIds=[instance_id])
    region.settle()
    (reservation,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    assert len(reservation["Instances"][0]["NetworkInterfaces"]) == 2
    ec2.stop_instances(InstanceIds=[instance_id])
    region.settle()
    ec2.detach_network_interface(AttachmentId=attachment)
    assert seen(ec2, interface_id)["Status"] == "available"
    assert error(ec2.detach_network_interface, AttachmentId=attachment) == (
        "InvalidAttachmentID.NotFound",
        f"The attachment '{attachment}' does not exist.",
    )


def test_a_running_guest_gets_an_interface_and_lets_go_of_it(region: Cloud, ec2: Any, place: str, run: Run) -> None:
    instance_id, interface = run(SubnetId=place), make(ec2, place)
    interface_id = interface["NetworkInterfaceId"]

    def cards() -> list[str]:
        (guest,) = [
            one for one in region.run(region.node("node-a1").hypervisor.observe()) if one.instance_id == instance_id
        ]
        return [nic.mac for nic in guest.nics]

    def status() -> tuple[str, str, str]:
        """The interface's, its attachment's, and the latter as the instance shows it."""
        shown = seen(ec2, interface_id)
        (reservation,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        nics = reservation["Instances"][0]["NetworkInterfaces"]
        on_it = [nic["Attachment"]["Status"] for nic in nics if nic["NetworkInterfaceId"] == interface_id]
        return shown["Status"], shown.get("Attachment", {}).get("Status", ""), "".join(on_it)

    attachment = ec2.attach_network_interface(NetworkInterfaceId=interface_id, InstanceId=instance_id, DeviceIndex=1)
    assert status() == ("in-use", "attaching", "attaching")
    region.settle()
    assert status() == ("in-use", "attached", "attached")
    assert cards()[1:] == [interface["MacAddress"]]

    region.node("node-a1").hypervisor.make_deaf(instance_id)
    ec2.detach_network_interface(AttachmentId=attachment["AttachmentId"])
    region.settle()
    assert status() == ("in-use", "detaching", "detaching")
    assert code(ec2.detach_network_interface, AttachmentId=attachment["AttachmentId"]) == "IncorrectState"
    assert code(ec2.delete_network_interface, NetworkInterfaceId=interface_id) == "InvalidParameterValue"

    region.node("node-a1").hypervisor.make_deaf(instance_id, deaf=False)
    region.advance(60)
    region.settle()
    assert status() == ("available", "", "")
    assert cards()[1:] == []
    again = ec2.attach_network_interface(NetworkInterfaceId=interface_id, InstanceId=instance_id, DeviceIndex=1)
    ec2.detach_network_interface(AttachmentId=again["AttachmentId"])
    region.settle()
    assert status() == ("available", "", "")


def test_a_stop_ends_what_a_deaf_guest_would_not(region: Cloud, ec2: Any, place: str, run: Run) -> None:
    instance_id, interface_id = run(SubnetId=place), make(ec2, place)["NetworkInterfaceId"]
    attachment = ec2.attach_network_interface(NetworkInterfaceId=interface_id, InstanceId=instance_id, DeviceIndex=1)
    region.settle()
    region.node("node-a1").hypervisor.make_deaf(instance_id)
    ec2.detach_network_interface(AttachmentId=attachment["AttachmentId"])
    region.settle()
    assert seen(ec2, interface_id)["Status"] == "in-use"
    ec2.stop_instances(InstanceIds=[instance_id], Force=True)
    region.settle()
    assert seen(ec2, interface_id)["Status"] == "available"


def test_an_interface_stays_in_its_zone(region: Cloud, ec2: Any, vpc_id: str, place: str, run: Run) -> None:
    instance_id = run(SubnetId=place)
    ec2.stop_instances(InstanceIds=[instance_id])
    region.settle()
    there = make(ec2, subnet(ec2, vpc_id, "10.0.2.0/24", "us-east-1b"))["NetworkInterfaceId"]
    assert error(ec2.attach_network_interface, NetworkInterfaceId=there, InstanceId=instance_id, DeviceIndex=1) == (
        "InvalidParameterCombination",
        "You may not attach a network interface to an instance if they are not in the same availability zone",
    )


def test_interfaces_are_found_by_every_filter(
    region: Cloud, account: str, ec2: Any, vpc_id: str, place: str, run: Run
) -> None:
    owner, group_id = region.account(account)["account_id"], default_group(ec2, vpc_id)
    instance_id = run(SubnetId=place)
    free = make(ec2, place, Description="spare", PrivateIpAddresses=[{"PrivateIpAddress": "10.0.1.9"}])
    (attachment,) = [
        entry["Attachment"]
        for entry in ec2.describe_network_interfaces()["NetworkInterfaces"]
        if entry["Status"] == "in-use"
    ]
    for name, value, found in [
        ("network-interface-id", free["NetworkInterfaceId"], 1),
        ("addresses.private-ip-address", "10.0.1.9", 1),
        ("addresses.primary", "false", 1),
        ("addresses.association.public-ip", "*", 0),
        ("association.ip-owner-id", "amazon", 0),
        ("attachment.attachment-id", attachment["AttachmentId"], 1),
        ("attachment.attach-time", attachment["AttachTime"].strftime("%Y-%m-*"), 1),
        ("attachment.delete-on-termination", "true", 1),
        ("attachment.delete-on-termination", "false", 0),
        ("attachment.device-index", "0", 1),
        ("attachment.instance-id", instance_id, 1),
        ("attachment.instance-owner-id", owner, 1),
        ("attachment.status", "attached", 1),
        ("availability-zone", "us-east-1a", 2),
        ("availability-zone-id", "use1-az6", 2),
        ("description", "spare", 1),
        ("group-id", group_id, 2),
        ("group-name", "default", 2),
        ("interface-type", "interface", 2),
        ("mac-address", free["MacAddress"], 1),
        ("owner-id", owner, 2),
        ("private-dns-name", f"ip-{free['PrivateIpAddress'].replace('.', '-')}.ec2.internal", 1),
        ("private-ip-address", free["PrivateIpAddress"], 1),
        ("requester-managed", "false", 2),
        ("source-dest-check", "true", 2),
        ("status", "available", 1),
        ("status", "in-use", 1),
        ("subnet-id", place, 2),
        ("vpc-id", vpc_id, 2),
    ]:
        answer = ec2.describe_network_interfaces(Filters=[{"Name": name, "Values": [value]}])
        assert (name, len(answer["NetworkInterfaces"])) == (name, found)


def test_pages_cover_every_interface_once(ec2: Any, place: str) -> None:
    made = {make(ec2, place)["NetworkInterfaceId"] for _ in range(7)}
    pages = list(ec2.get_paginator("describe_network_interfaces").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["NetworkInterfaces"]) for page in pages] == [5, 2]
    assert {entry["NetworkInterfaceId"] for page in pages for entry in page["NetworkInterfaces"]} == made


def test_a_client_token_makes_one_interface(ec2: Any, place: str) -> None:
    first, again = (make(ec2, place, ClientToken="once") for _ in range(2))
    assert first["NetworkInterfaceId"] == again["NetworkInterfaceId"]
    assert len(ec2.describe_network_interfaces()["NetworkInterfaces"]) == 1
