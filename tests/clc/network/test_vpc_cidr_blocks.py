"""A VPC's further CIDR blocks: what they let be made, what they keep from going, and what guests are told of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eucapy.drivers.network.model import Route
from tests.clc.network.asking import code, error
from tests.harness.cloud import Cloud


@pytest.fixture
def vpc_id(ec2: Any) -> str:
    found: str = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    return found


def blocks(ec2: Any, vpc_id: str) -> list[str]:
    (vpc,) = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"]
    assert {one["CidrBlockState"]["State"] for one in vpc["CidrBlockAssociationSet"]} == {"associated"}
    return [one["CidrBlock"] for one in vpc["CidrBlockAssociationSet"]]


def local_routes(ec2: Any, vpc_id: str) -> list[list[str]]:
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])["RouteTables"]
    return [sorted(route["DestinationCidrBlock"] for route in one["Routes"]) for one in tables]


def test_a_block_brings_room_for_subnets_and_a_local_route_everywhere(ec2: Any, vpc_id: str) -> None:
    assert code(ec2.create_subnet, VpcId=vpc_id, CidrBlock="10.1.2.0/24") == "InvalidSubnet.Range"
    made = ec2.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock="10.1.0.0/16")
    assert made["VpcId"] == vpc_id
    assert made["CidrBlockAssociation"]["CidrBlockState"] == {"State": "associating"}
    assert blocks(ec2, vpc_id) == ["10.0.0.0/16", "10.1.0.0/16"]
    table = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
    assert local_routes(ec2, vpc_id) == [["10.0.0.0/16", "10.1.0.0/16"]] * 2
    assert ec2.create_subnet(VpcId=vpc_id, CidrBlock="10.1.2.0/24")["Subnet"]["CidrBlock"] == "10.1.2.0/24"
    inside = {"RouteTableId": table, "DestinationCidrBlock": "10.1.9.0/24", "GatewayId": "igw-01234567"}
    assert code(ec2.create_route, **inside) == "InvalidInternetGatewayID.NotFound"


def test_a_block_goes_when_no_subnet_lies_in_it(ec2: Any, vpc_id: str) -> None:
    held = ec2.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock="10.1.0.0/16")["CidrBlockAssociation"]
    subnet = ec2.create_subnet(VpcId=vpc_id, CidrBlock="10.1.2.0/24")["Subnet"]["SubnetId"]
    assert code(ec2.disassociate_vpc_cidr_block, AssociationId=held["AssociationId"]) == "InvalidCidrBlock.InUse"
    ec2.delete_subnet(SubnetId=subnet)
    gone = ec2.disassociate_vpc_cidr_block(AssociationId=held["AssociationId"])
    assert gone["CidrBlockAssociation"] == {**held, "CidrBlockState": {"State": "disassociating"}}
    assert blocks(ec2, vpc_id) == ["10.0.0.0/16"]
    assert local_routes(ec2, vpc_id) == [["10.0.0.0/16"]]
    assert error(ec2.disassociate_vpc_cidr_block, AssociationId=held["AssociationId"]) == (
        "InvalidVpcCidrBlockAssociationIdError.NotFound",
        f"The vpc CIDR block association ID '{held['AssociationId']}' does not exist",
    )


def test_the_first_block_stays(ec2: Any, vpc_id: str) -> None:
    (vpc,) = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"]
    first = vpc["CidrBlockAssociationSet"][0]["AssociationId"]
    assert error(ec2.disassociate_vpc_cidr_block, AssociationId=first) == (
        "OperationNotPermitted",
        f"The vpc CIDR block with association ID {first} may not be disassociated. It is the primary IPv4 CIDR block of "
        "the VPC",
    )


@pytest.mark.parametrize("cidr", ["10.0.128.0/17", "10.0.0.0/15", "10.1.0.0/29", "172.16.0.0/16", "192.168.0.0/24"])
def test_blocks_that_do_not_go_together(ec2: Any, vpc_id: str, cidr: str) -> None:
    assert code(ec2.associate_vpc_cidr_block, VpcId=vpc_id, CidrBlock=cidr) == "InvalidVpc.Range"
    assert blocks(ec2, vpc_id) == ["10.0.0.0/16"]


def test_five_blocks_are_the_most(ec2: Any, vpc_id: str) -> None:
    for cidr in ("100.64.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "54.1.0.0/24"):
        ec2.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock=cidr)
    assert error(ec2.associate_vpc_cidr_block, VpcId=vpc_id, CidrBlock="10.4.0.0/16") == (
        "CidrLimitExceeded",
        f"This network {vpc_id} has met its maximum number of allowed CIDRs: 5",
    )


def test_vpcs_are_found_by_any_of_their_blocks(ec2: Any, vpc_id: str) -> None:
    held = ec2.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock="10.1.0.0/16")["CidrBlockAssociation"]
    for name, value in [
        ("cidr-block-association.cidr-block", "10.0.0.0/16"),
        ("cidr-block-association.cidr-block", "10.1.*"),
        ("cidr-block-association.association-id", held["AssociationId"]),
    ]:
        found = ec2.describe_vpcs(Filters=[{"Name": name, "Values": [value]}])["Vpcs"]
        assert [vpc["VpcId"] for vpc in found] == [vpc_id], name
    assert ec2.delete_vpc(VpcId=vpc_id)


def test_a_running_guest_is_told_of_a_new_block(region: Cloud, ec2: Any, vpc_id: str, run: Callable[..., str]) -> None:
    place = ec2.create_subnet(VpcId=vpc_id, CidrBlock="10.0.1.0/24", AvailabilityZone="us-east-1a")["Subnet"][
        "SubnetId"
    ]
    instance_id = run(SubnetId=place)
    held = ec2.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock="100.64.0.0/16")["CidrBlockAssociation"]

    def told() -> tuple[tuple[str, ...], bool]:
        """By its metadata; and whether packets to the new block stay in the VPC."""
        region.settle()
        node = region.node("node-a1")
        assert node.nc.spec is not None
        things = region.run(node.network.observe()).things
        inside = any(isinstance(thing, Route) and thing.to == "100.64.0.0/16" and not thing.via for thing in things)
        return node.nc.spec.instances[instance_id].nics[0].vpc_cidrs, inside

    assert told() == (("10.0.0.0/16", "100.64.0.0/16"), True)
    ec2.disassociate_vpc_cidr_block(AssociationId=held["AssociationId"])
    assert told() == (("10.0.0.0/16",), False)
