"""Peerings from the API to the packet: a whole cloud on two hosts, whose guests of two VPCs meet only while the API says so."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.network import frames
from tests.network.region import Region, region
from tests.network.wires import Wire, wait_for_any

pytestmark = pytest.mark.host

_numbers = itertools.count(1)
TRIES = 40


@pytest.fixture(scope="module")
def two_hosts() -> Iterator[Region]:
    with region(2) as made:
        yield made


class Side:
    """A VPC with a guest on each host; `table` is its main one."""

    def __init__(self, two_hosts: Region, block: str, image: str) -> None:
        ec2 = two_hosts.client()
        self.block, self.name = f"{block}.0.0/16", f"side {block}"
        self.vpc = ec2.create_vpc(CidrBlock=self.block)["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"{block}.0.0/24")["Subnet"]["SubnetId"]
        of_vpc = [{"Name": "vpc-id", "Values": [self.vpc]}]
        self.table = ec2.describe_route_tables(Filters=of_vpc)["RouteTables"][0]["RouteTableId"]
        self.group = ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"][0]["GroupId"]
        opened = [{"IpProtocol": "udp", "FromPort": 4000, "ToPort": 4999, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
        ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=opened)
        ec2.create_placement_group(GroupName=self.name, Strategy="spread")
        made = ec2.run_instances(
            ImageId=image,
            MinCount=2,
            MaxCount=2,
            InstanceType="t2.micro",
            SubnetId=subnet,
            Placement={"GroupName": self.name},
        )
        self.interfaces = [one["NetworkInterfaces"][0]["NetworkInterfaceId"] for one in made["Instances"]]


def image(two_hosts: Region) -> str:
    ec2 = two_hosts.client()
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    two_hosts.settle()
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    two_hosts.settle()
    device = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}
    made = ec2.register_image(Name="wire", RootDeviceName="/dev/sda1", BlockDeviceMappings=[device])
    return str(made["ImageId"])


def arrives(one: Wire, other: Wire, source_port: int = 4000, target_port: int = 4001) -> bool:
    """Whether a datagram comes from the one to the other; who is not heard is asked for some time."""
    mark = b"number %06d" % next(_numbers)
    for _ in range(TRIES):
        one.send(frames.udp(one.addresses[0], other.addresses[0], source_port, target_port, mark))
        wait_for_any([other], 0.05)
        if any(packet.payload == mark for packet in other.drain()):
            return True
    return False


def kept_out(one: Wire, other: Wire, target_port: int = 4001) -> bool:
    """Nothing came of what was sent before something that does come, on the other's own way."""
    mark = b"number %06d" % next(_numbers)
    for _ in range(3):
        one.send(frames.udp(one.addresses[0], other.addresses[0], 4100, target_port, mark))
        wait_for_any([other], 0.1)
        if any(packet.payload == mark for packet in other.drain()):
            return False
    return True


def test_guests_meet_for_as_long_as_the_api_says(two_hosts: Region) -> None:
    ec2, made = two_hosts.client(), image(two_hosts)
    one, two = Side(two_hosts, "10.61", made), Side(two_hosts, "10.62", made)
    two_hosts.settle()
    ones = [two_hosts.wires[name] for name in one.interfaces]
    twos = [two_hosts.wires[name] for name in two.interfaces]
    hosts = [two_hosts.host_of(name).name for name in (*one.interfaces, *two.interfaces)]
    assert hosts[0] != hosts[1], "so that some pairs are on one host and some on two"
    assert hosts[2] != hosts[3]
    pairs = list(itertools.product(ones, twos))

    def all_reach(way: Any = arrives) -> bool:
        return all(way(a, b) and way(b, a) for a, b in pairs)

    assert arrives(*ones), "within the VPC"
    assert all_reach(kept_out)
    asked = ec2.create_vpc_peering_connection(VpcId=one.vpc, PeerVpcId=two.vpc)["VpcPeeringConnection"]
    peering = asked["VpcPeeringConnectionId"]
    for side, other in ((one, two), (two, one)):
        ec2.create_route(RouteTableId=side.table, DestinationCidrBlock=other.block, VpcPeeringConnectionId=peering)
    two_hosts.settle()
    assert all_reach(kept_out), "nobody has accepted"
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    two_hosts.settle()
    assert all_reach()
    assert all(kept_out(a, b, 5000) for a, b in pairs), "groups hold"
    about = [{"IpProtocol": "udp", "FromPort": 5000, "ToPort": 5000, "UserIdGroupPairs": [{"GroupId": one.group}]}]
    ec2.authorize_security_group_ingress(GroupId=two.group, IpPermissions=about)
    two_hosts.settle()
    assert all(arrives(a, b, 4300, 5000) for a, b in pairs), "who is in the peer's group is let in"
    ec2.revoke_security_group_ingress(GroupId=two.group, IpPermissions=about)
    two_hosts.settle()
    assert all(kept_out(a, b, 5000) for a, b in pairs)
    ec2.delete_route(RouteTableId=two.table, DestinationCidrBlock=one.block)
    two_hosts.settle()
    assert all(arrives(a, b, 4200, 4002) for a, b in pairs), "one way there is a route"
    assert all(kept_out(b, a, 4003) for a, b in pairs), "and the other there is none"
    ec2.create_route(RouteTableId=two.table, DestinationCidrBlock=one.block, VpcPeeringConnectionId=peering)
    two_hosts.settle()
    assert all_reach()
    ec2.delete_route(RouteTableId=two.table, DestinationCidrBlock=one.block)
    by_list = ec2.create_managed_prefix_list(
        PrefixListName="side", AddressFamily="IPv4", MaxEntries=2, Entries=[{"Cidr": "192.0.2.0/24"}]
    )["PrefixList"]["PrefixListId"]
    ec2.create_route(RouteTableId=two.table, DestinationPrefixListId=by_list, VpcPeeringConnectionId=peering)
    two_hosts.settle()
    assert all(kept_out(b, a, 4003) for a, b in pairs), "the list is about others"
    change = {"PrefixListId": by_list, "CurrentVersion": 1}
    ec2.modify_managed_prefix_list(**change, AddEntries=[{"Cidr": one.block}])
    two_hosts.settle()
    assert all_reach(), "a list's entry is a route"
    change = {"PrefixListId": by_list, "CurrentVersion": 2}
    ec2.modify_managed_prefix_list(**change, RemoveEntries=[{"Cidr": one.block}])
    two_hosts.settle()
    assert all(kept_out(b, a, 4004) for a, b in pairs)
    ec2.modify_managed_prefix_list(PrefixListId=by_list, CurrentVersion=3, AddEntries=[{"Cidr": one.block}])
    two_hosts.settle()
    assert all_reach()
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)
    two_hosts.settle()
    assert all_reach(kept_out)
    assert arrives(*ones)
