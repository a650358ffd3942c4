"""Elastic and automatic public addresses through boto3, and what of them reaches the nodes."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eucapy.ledger import Ledger
from eucapy.wire.network import NetworkSpec
from tests.clc.network.asking import code, default_vpc, error, gateway, named, own_vpc, subnet, without_metadata
from tests.harness.cloud import Cloud

POOL = [ipaddress.IPv4Address("203.0.113.10") + number for number in range(20)]
Run = Callable[..., str]


@pytest.fixture(autouse=True)
def given_back(ec2: Any, run: Run) -> Iterator[None]:
    """The pool is small and shared: a test leaves nothing allocated."""
    yield
    for address in ec2.describe_addresses()["Addresses"]:
        if "AssociationId" in address:
            ec2.disassociate_address(AssociationId=address["AssociationId"])
        ec2.release_address(AllocationId=address["AllocationId"])


def allocate(ec2: Any, **given: Any) -> tuple[str, str]:
    """(allocation, address)."""
    made = ec2.allocate_address(Domain="vpc", **given)
    return made["AllocationId"], made["PublicIp"]


def public_ip(ec2: Any, instance_id: str) -> str | None:
    (reservation,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    found: str | None = reservation["Instances"][0].get("PublicIpAddress")
    return found


def interface_of(ec2: Any, instance_id: str) -> dict[str, Any]:
    found = ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}])
    (interface,) = found["NetworkInterfaces"]
    return dict(interface)


def on_the_nodes(region: Cloud, instance_id: str) -> list[tuple[str, str]]:
    """The public pairs of the instance's port, as its node was told: in the ledger of the node's network daemon."""
    region.settle()
    ledgers = [
        Ledger(region.dev.data / zone.name / node / "eucanetd" / "spec.json", NetworkSpec)
        for zone in region.dev.zones.values()
        for node in zone.nodes
    ]
    specs = [spec for ledger in ledgers if (spec := ledger.read()) is not None]
    held = [port.public for spec in specs for port in spec.ports.values() if port.instance_id == instance_id]
    (pairs,) = held
    return list(pairs)


def test_an_address_comes_from_the_pool_and_goes_back(ec2: Any) -> None:
    made = without_metadata(ec2.allocate_address(Domain="vpc"))
    assert ipaddress.IPv4Address(made["PublicIp"]) in POOL
    assert made == {
        "AllocationId": made["AllocationId"],
        "PublicIp": made["PublicIp"],
        "Domain": "vpc",
        "PublicIpv4Pool": "amazon",
        "NetworkBorderGroup": "us-east-1",
    }
    assert ec2.describe_addresses()["Addresses"] == [made]
    ec2.release_address(AllocationId=made["AllocationId"])
    assert ec2.describe_addresses()["Addresses"] == []
    assert error(ec2.release_address, AllocationId=made["AllocationId"]) == (
        "InvalidAllocationID.NotFound",
        f"The allocation ID '{made['AllocationId']}' does not exist",
    )
    assert error(ec2.describe_addresses, PublicIps=[made["PublicIp"]]) == (
        "InvalidAddress.NotFound",
        f"Address '{made['PublicIp']}' not found.",
    )


def test_a_certain_address_can_be_asked_for(region: Cloud, ec2: Any) -> None:
    assert allocate(ec2, Address="203.0.113.20")[1] == "203.0.113.20"
    other = region.client("ec2", "stranger")
    assert code(other.allocate_address, Address="203.0.113.20") == "InvalidIPAddress.InUse"
    assert code(other.allocate_address, Address="203.0.113.99") == "InvalidAddress.NotFound"
    assert code(other.release_address, PublicIp="203.0.113.20") == "InvalidAddress.NotFound"


def test_the_pool_ends(ec2: Any) -> None:
    held = {allocate(ec2)[1] for _ in POOL}
    assert held == {str(address) for address in POOL}
    assert code(ec2.allocate_address, Domain="vpc") == "InsufficientAddressCapacity"


def test_an_instance_in_the_default_vpc_has_an_automatic_address(region: Cloud, ec2: Any, run: Run) -> None:
    instance_id = run()
    first = public_ip(ec2, instance_id)
    assert first is not None
    assert ipaddress.IPv4Address(first) in POOL
    interface = interface_of(ec2, instance_id)
    assert interface["Association"]["IpOwnerId"] == "amazon"
    assert on_the_nodes(region, instance_id) == [(interface["PrivateIpAddress"], first)]
    assert ec2.describe_addresses()["Addresses"] == [], "it is nobody's elastic address"
    ec2.stop_instances(InstanceIds=[instance_id])
    region.settle()
    assert public_ip(ec2, instance_id) is None
    ec2.start_instances(InstanceIds=[instance_id])
    region.settle()
    assert ipaddress.IPv4Address(public_ip(ec2, instance_id) or "") in POOL


def test_an_elastic_address_takes_the_automatic_ones_place_and_gives_it_back(
    region: Cloud, account: str, ec2: Any, run: Run
) -> None:
    owner, instance_id = region.account(account)["account_id"], run()
    allocation, ip = allocate(ec2)
    association = ec2.associate_address(AllocationId=allocation, InstanceId=instance_id)["AssociationId"]
    assert public_ip(ec2, instance_id) == ip
    interface = interface_of(ec2, instance_id)
    assert interface["Association"] == {
        "AllocationId": allocation,
        "AssociationId": association,
        "IpOwnerId": owner,
        "PublicDnsName": f"ec2-{ip.replace('.', '-')}.compute-1.amazonaws.com",
        "PublicIp": ip,
    }
    (seen,) = ec2.describe_addresses()["Addresses"]
    assert seen == {
        "AllocationId": allocation,
        "AssociationId": association,
        "Domain": "vpc",
        "InstanceId": instance_id,
        "NetworkInterfaceId": interface["NetworkInterfaceId"],
        "NetworkInterfaceOwnerId": owner,
        "PrivateIpAddress": interface["PrivateIpAddress"],
        "PublicIp": ip,
        "PublicIpv4Pool": "amazon",
        "NetworkBorderGroup": "us-east-1",
    }
    assert on_the_nodes(region, instance_id) == [(interface["PrivateIpAddress"], ip)]
    assert error(ec2.release_address, AllocationId=allocation) == (
        "InvalidIPAddress.InUse",
        f"Address {ip} is in use.",
    )
    ec2.disassociate_address(AssociationId=association)
    again = public_ip(ec2, instance_id)
    assert again not in (None, ip)
    assert on_the_nodes(region, instance_id) == [(interface["PrivateIpAddress"], again)]
    assert error(ec2.disassociate_address, AssociationId=association) == (
        "InvalidAssociationID.NotFound",
        f"The association ID '{association}' does not exist",
    )


def test_an_elastic_address_stays_through_stop_and_start_and_outlives_the_instance(
    region: Cloud, ec2: Any, run: Run
) -> None:
    instance_id = run()
    allocation, ip = allocate(ec2)
    ec2.associate_address(AllocationId=allocation, InstanceId=instance_id)
    ec2.stop_instances(InstanceIds=[instance_id])
    region.settle()
    assert public_ip(ec2, instance_id) == ip
    ec2.start_instances(InstanceIds=[instance_id])
    region.settle()
    assert public_ip(ec2, instance_id) == ip
    ec2.terminate_instances(InstanceIds=[instance_id])
    region.settle()
    (seen,) = ec2.describe_addresses()["Addresses"]
    assert (seen["PublicIp"], "AssociationId" in seen) == (ip, False)


def test_an_address_moves_unless_told_not_to(ec2: Any, run: Run) -> None:
    first, second = run(), run()
    allocation, ip = allocate(ec2)
    association = ec2.associate_address(AllocationId=allocation, InstanceId=first)["AssociationId"]
    again = ec2.associate_address(AllocationId=allocation, InstanceId=first, AllowReassociation=False)
    assert again["AssociationId"] == association
    assert error(ec2.associate_address, AllocationId=allocation, InstanceId=second, AllowReassociation=False) == (
        "Resource.AlreadyAssociated",
        f"resource {allocation} is already associated with associate-id {association}",
    )
    ec2.associate_address(PublicIp=ip, InstanceId=second)
    assert public_ip(ec2, second) == ip
    assert public_ip(ec2, first) not in (None, ip)


def test_a_pending_instance_takes_no_address(region: Cloud, ec2: Any, run: Run) -> None:
    instance_id = run(settle=False)
    allocation, _ = allocate(ec2)
    assert error(ec2.associate_address, AllocationId=allocation, InstanceId=instance_id) == (
        "InvalidInstanceID",
        f"The pending instance '{instance_id}' is not in a valid state for this operation.",
    )
    region.settle()
    ec2.associate_address(AllocationId=allocation, InstanceId=instance_id)


def test_an_address_can_stand_for_a_secondary_one(region: Cloud, ec2: Any, run: Run) -> None:
    instance_id = run()
    interface = interface_of(ec2, instance_id)
    interface_id, primary = interface["NetworkInterfaceId"], interface["PrivateIpAddress"]
    got = ec2.assign_private_ip_addresses(NetworkInterfaceId=interface_id, SecondaryPrivateIpAddressCount=1)
    (secondary,) = [entry["PrivateIpAddress"] for entry in got["AssignedPrivateIpAddresses"]]
    allocation, ip = allocate(ec2)
    ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=interface_id, PrivateIpAddress=secondary)
    automatic = public_ip(ec2, instance_id)
    assert automatic not in (None, ip)
    assert sorted(on_the_nodes(region, instance_id)) == sorted([(primary, automatic), (secondary, ip)])
    assert (
        code(
            ec2.associate_address, AllocationId=allocation, NetworkInterfaceId=interface_id, PrivateIpAddress="10.9.9.9"
        )
        == "InvalidParameterValue"
    )
    ec2.unassign_private_ip_addresses(NetworkInterfaceId=interface_id, PrivateIpAddresses=[secondary])
    assert "AssociationId" not in ec2.describe_addresses()["Addresses"][0]


def test_an_address_stands_for_a_free_interface(ec2: Any) -> None:
    place = ec2.describe_subnets(Filters=named(vpc_id=default_vpc(ec2)))["Subnets"][0]["SubnetId"]
    made = ec2.create_network_interface(SubnetId=place)["NetworkInterface"]
    allocation, ip = allocate(ec2)
    ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=made["NetworkInterfaceId"])
    (seen,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[made["NetworkInterfaceId"]])["NetworkInterfaces"]
    assert seen["Association"]["PublicIp"] == ip
    ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])
    assert "AssociationId" not in ec2.describe_addresses()["Addresses"][0]


def test_a_public_address_leads_out_only_where_the_route_table_does(region: Cloud, ec2: Any, run: Run) -> None:
    vpc_id = own_vpc(ec2)
    place = subnet(ec2, vpc_id)
    instance_id = run(SubnetId=place)
    assert public_ip(ec2, instance_id) is None
    allocation, ip = allocate(ec2)
    assert error(ec2.associate_address, AllocationId=allocation, InstanceId=instance_id) == (
        "Gateway.NotAttached",
        f"Network {vpc_id} is not attached to any internet gateway",
    )
    door = gateway(ec2, vpc_id)
    association = ec2.associate_address(AllocationId=allocation, InstanceId=instance_id)["AssociationId"]
    assert on_the_nodes(region, instance_id) == [], "there is no route to the gateway yet"
    (table,) = ec2.describe_route_tables(Filters=named(vpc_id=vpc_id))["RouteTables"]
    ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=door)
    private = interface_of(ec2, instance_id)["PrivateIpAddress"]
    assert on_the_nodes(region, instance_id) == [(private, ip)]
    assert error(ec2.detach_internet_gateway, InternetGatewayId=door, VpcId=vpc_id) == (
        "DependencyViolation",
        f"Network {vpc_id} has some mapped public address(es). "
        "Please unmap those public address(es) before detaching the gateway.",
    )
    ec2.disassociate_address(AssociationId=association)
    ec2.detach_internet_gateway(InternetGatewayId=door, VpcId=vpc_id)


def test_addresses_are_found_by_every_filter(ec2: Any, run: Run) -> None:
    instance_id = run()
    tag = [{"ResourceType": "elastic-ip", "Tags": [{"Key": "Name", "Value": "front"}]}]
    allocation, ip = allocate(ec2, TagSpecifications=tag)
    allocate(ec2)
    association = ec2.associate_address(AllocationId=allocation, InstanceId=instance_id)["AssociationId"]
    interface = interface_of(ec2, instance_id)
    for name, value, found in [
        ("allocation-id", allocation, 1),
        ("association-id", association, 1),
        ("association-id", "*", 1),
        ("domain", "vpc", 2),
        ("instance-id", instance_id, 1),
        ("network-interface-id", interface["NetworkInterfaceId"], 1),
        ("network-interface-owner-id", interface["OwnerId"], 1),
        ("private-ip-address", interface["PrivateIpAddress"], 1),
        ("public-ip", ip, 1),
        ("network-border-group", "us-east-1", 2),
        ("tag:Name", "front", 1),
        ("tag-key", "Name", 1),
    ]:
        answer = ec2.describe_addresses(Filters=[{"Name": name, "Values": [value]}])
        assert (name, len(answer["Addresses"])) == (name, found)
    (seen,) = ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
    assert seen["Tags"] == [{"Key": "Name", "Value": "front"}]
    assert ec2.describe_addresses_attribute(AllocationIds=[allocation], Attribute="domain-name")["Addresses"] == []


def test_what_an_address_call_must_name(ec2: Any) -> None:
    allocation, ip = allocate(ec2)
    assert code(ec2.associate_address, AllocationId=allocation) == "MissingParameter"
    assert code(ec2.release_address) == "MissingParameter"
    assert code(ec2.disassociate_address) == "MissingParameter"
    assert code(ec2.release_address, AllocationId=allocation, PublicIp=ip) == "InvalidParameterCombination"
    assert code(ec2.associate_address, AllocationId=allocation, InstanceId="i-0123456789abcdef0") == (
        "InvalidInstanceID.NotFound"
    )
    ec2.disassociate_address(PublicIp=ip)
