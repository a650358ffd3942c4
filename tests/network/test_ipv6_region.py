"""IPv6 from the API to the packet: a whole cloud on two hosts, whose guests meet over IPv6 as the API says."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from eucapy.eucanetd.compile.layout import TAP_MAC
from tests.network import frames
from tests.network.region import Region, region
from tests.network.test_peered_region import image
from tests.network.wires import Wire, wait_for_any

pytestmark = pytest.mark.host

OPEN_PORT, CLOSED_PORT = 4001, 5001
TRIES = 40
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def two_hosts() -> Iterator[Region]:
    with region(2) as made:
        yield made


class Side:
    """A dual-stack VPC with a guest on each host, and a group that lets one UDP port in from anywhere over IPv6."""

    def __init__(self, two_hosts: Region, block: str, image_id: str) -> None:
        ec2 = two_hosts.client()
        self.name = f"side {block}"
        self.vpc = ec2.create_vpc(CidrBlock=f"{block}.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
        (seen,) = ec2.describe_vpcs(VpcIds=[self.vpc])["Vpcs"]
        self.block = seen["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
        first = next(ipaddress.IPv6Network(self.block).subnets(new_prefix=64))
        place = ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"{block}.0.0/24", Ipv6CidrBlock=str(first))["Subnet"]
        self.subnet = place["SubnetId"]
        ec2.modify_subnet_attribute(SubnetId=self.subnet, AssignIpv6AddressOnCreation={"Value": True})
        of_vpc = [{"Name": "vpc-id", "Values": [self.vpc]}]
        self.table = ec2.describe_route_tables(Filters=of_vpc)["RouteTables"][0]["RouteTableId"]
        self.group = ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"][0]["GroupId"]
        ec2.revoke_security_group_ingress(
            GroupId=self.group, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": self.group}]}]
        )
        ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=opened("::/0"))
        ec2.create_placement_group(GroupName=self.name, Strategy="spread")
        made = ec2.run_instances(
            ImageId=image_id,
            MinCount=2,
            MaxCount=2,
            InstanceType="t2.micro",
            SubnetId=self.subnet,
            Placement={"GroupName": self.name},
        )
        self.interfaces = [one["NetworkInterfaces"][0]["NetworkInterfaceId"] for one in made["Instances"]]


def opened(block: str) -> list[dict[str, Any]]:
    return [{"IpProtocol": "udp", "FromPort": OPEN_PORT, "ToPort": OPEN_PORT, "Ipv6Ranges": [{"CidrIpv6": block}]}]


def send(one: Wire, other: Wire, port: int, mark: bytes) -> bool:
    """One datagram over IPv6; whether it has come."""
    source, target = one.addresses[-1], other.addresses[-1]
    packet = frames.udp(source, target, 4000, port, mark)
    one.put(frames.ethernet(TAP_MAC, one.mac, frames.IPV6, packet))
    wait_for_any([other], 0.05)
    return any(found.payload == mark for found in other.drain())


def arrives(one: Wire, other: Wire, port: int = OPEN_PORT) -> bool:
    mark = b"number %06d" % next(_numbers)
    return any(send(one, other, port, mark) for _ in range(TRIES))


def kept_out(one: Wire, other: Wire, port: int = OPEN_PORT) -> bool:
    mark = b"number %06d" % next(_numbers)
    return not any(send(one, other, port, mark) for _ in range(3))


def test_guests_meet_over_ipv6_as_groups_and_peerings_say(two_hosts: Region) -> None:
    ec2, made = two_hosts.client(), image(two_hosts)
    one, two = Side(two_hosts, "10.71", made), Side(two_hosts, "10.72", made)
    two_hosts.settle()
    for side in (one, two):
        near, far = (two_hosts.wires[name] for name in side.interfaces)
        assert two_hosts.host_of(near.name).name != two_hosts.host_of(far.name).name
        assert arrives(near, far), "over VXLAN"
        assert arrives(far, near)
        assert kept_out(near, far, CLOSED_PORT), "groups hold"
    pairs = list(itertools.product(*([two_hosts.wires[name] for name in side.interfaces] for side in (one, two))))
    assert all(kept_out(a, b) and kept_out(b, a) for a, b in pairs), "VPCs do not meet"
    peering = ec2.create_vpc_peering_connection(VpcId=one.vpc, PeerVpcId=two.vpc)["VpcPeeringConnection"]
    named = {"VpcPeeringConnectionId": peering["VpcPeeringConnectionId"]}
    ec2.accept_vpc_peering_connection(**named)
    for side, other in ((one, two), (two, one)):
        ec2.create_route(RouteTableId=side.table, DestinationIpv6CidrBlock=other.block, **named)
    two_hosts.settle()
    assert all(arrives(a, b) and arrives(b, a) for a, b in pairs)
    ec2.revoke_security_group_ingress(GroupId=two.group, IpPermissions=opened("::/0"))
    ec2.authorize_security_group_ingress(GroupId=two.group, IpPermissions=opened(two.block))
    two_hosts.settle()
    for wire in two_hosts.wires.values():
        wire.drain()
    assert all(kept_out(a, b, CLOSED_PORT) for a, b in pairs)
    ec2.delete_vpc_peering_connection(**named)
    two_hosts.settle()
    assert all(kept_out(a, b) and kept_out(b, a) for a, b in pairs)


def test_an_address_that_is_taken_away_is_no_longer_the_guests(two_hosts: Region) -> None:
    side = Side(two_hosts, "10.73", image_of(two_hosts))
    two_hosts.settle()
    ec2 = two_hosts.client()
    near, far = (two_hosts.wires[name] for name in side.interfaces)
    assert arrives(near, far)
    lost = far.addresses[-1]
    ec2.unassign_ipv6_addresses(NetworkInterfaceId=side.interfaces[1], Ipv6Addresses=[lost])
    two_hosts.settle()
    far.addresses = (*far.addresses, lost)
    assert kept_out(near, far), "nothing is sent to it"
    assert kept_out(far, near), "and it may not send by it"
    (given,) = ec2.assign_ipv6_addresses(NetworkInterfaceId=side.interfaces[1], Ipv6AddressCount=1)[
        "AssignedIpv6Addresses"
    ]
    two_hosts.settle()
    assert far.addresses[-1] == given
    assert arrives(near, far)
    assert arrives(far, near)


def image_of(two_hosts: Region) -> str:
    found = two_hosts.client().describe_images(Owners=["self"])["Images"]
    return str(found[0]["ImageId"]) if found else image(two_hosts)
