"""Flow logs from the API to the packet and back to a bucket: what a log tells of every pair is what the reference says."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from eucapy.clc.reconcilers.flow_logs import FILE_S, LATE_S
from eucapy.eucanetd.flows import WINDOW_S
from tests.network import frames
from tests.network.reference import Asked, Passed, Refused, World, described
from tests.network.region import OUTSIDER, Region, region
from tests.network.test_peered_region import image
from tests.network.wires import Wire

pytestmark = pytest.mark.host

PORTS = (4001, 4600, 5000)
TRIES = 200
FORMAT = (
    "${interface-id} ${flow-direction} ${action} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${packets} ${log-status}"
)
ANYWHERE = [{"CidrIp": "10.0.0.0/8"}]

Told = tuple[str, str, str, str, str, int, int, int]
"""Interface, way, verdict, addresses, ports, packets."""


@pytest.fixture(scope="module")
def two_hosts() -> Iterator[Region]:
    with region(2) as made:
        yield made


def udp(first: int, last: int) -> list[dict[str, Any]]:
    return [{"IpProtocol": "udp", "FromPort": first, "ToPort": last, "IpRanges": ANYWHERE}]


def build(two_hosts: Region) -> tuple[str, list[str]]:
    """A VPC with two subnets, a guest of each on both hosts; groups and an ACL that differ about ports. The VPC and the
    interfaces."""
    ec2, made = two_hosts.client(), image(two_hosts)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    interfaces = []
    for number, (into, out) in enumerate((((4000, 4999), (0, 65535)), ((4000, 4500), (4500, 5000)))):
        place = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(GroupName=f"g{number}", Description="d", VpcId=vpc)["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=udp(*into))
        everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
        ec2.authorize_security_group_egress(GroupId=group, IpPermissions=udp(*out))
        ec2.create_placement_group(GroupName=f"p{number}", Strategy="spread")
        ran = ec2.run_instances(
            ImageId=made,
            MinCount=2,
            MaxCount=2,
            InstanceType="t2.micro",
            SubnetId=place,
            SecurityGroupIds=[group],
            Placement={"GroupName": f"p{number}"},
        )
        interfaces += [one["NetworkInterfaces"][0]["NetworkInterfaceId"] for one in ran["Instances"]]
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    for number, (egress, last) in enumerate(((False, 4700), (True, 4700)), start=100):
        ec2.create_network_acl_entry(
            NetworkAclId=acl,
            RuleNumber=number,
            Protocol="17",
            RuleAction="allow",
            Egress=egress,
            CidrBlock="0.0.0.0/0",
            PortRange={"From": 4000, "To": last},
        )
    of_place = [{"Name": "association.subnet-id", "Values": [place]}]
    (held,) = ec2.describe_network_acls(Filters=of_place)["NetworkAcls"]
    (association,) = [one for one in held["Associations"] if one["SubnetId"] == place]
    ec2.replace_network_acl_association(AssociationId=association["NetworkAclAssociationId"], NetworkAclId=acl)
    return vpc, interfaces


def expected(world: World, origin: str, owner: str, packet: tuple[str, str, int, int]) -> set[Told]:
    """What a log of the VPC tells of one datagram."""
    source, target, source_port, target_port = packet
    sent = (origin, "egress", "ACCEPT", *packet, 1)
    came = (owner, "ingress", "REJECT", *packet, 1)
    match world.path(origin, target, Asked(17, target_port, source_port), source):
        case Passed():
            return {sent, (owner, "ingress", "ACCEPT", *packet, 1)}
        case Refused(why) if why in ("the source's groups", f"network ACL of {world.interfaces[origin].subnet}"):
            return {(origin, "egress", "REJECT", *packet, 1)}
        case Refused(why):
            assert why in ("the target's groups", f"network ACL of {world.interfaces[owner].subnet}"), why
            return {sent, came}


def send(wire: Wire, source: str, target: str, source_port: int, target_port: int) -> None:
    """Once the next hop has answered ARP."""
    assert any(wire._resolve(wire.next_hop(target)) for _ in range(TRIES))
    wire.send(frames.udp(source, target, source_port, target_port, b"probe"))


def test_a_log_tells_of_every_pair_what_the_reference_says(two_hosts: Region) -> None:
    ec2, s3, cloud = two_hosts.client(), two_hosts.client("s3"), two_hosts.cloud
    vpc, interfaces = build(two_hosts)
    two_hosts.settle()
    assert len({two_hosts.host_of(name).name for name in interfaces}) == 2
    s3.create_bucket(Bucket="told")
    made = ec2.create_flow_logs(
        ResourceIds=[vpc],
        ResourceType="VPC",
        TrafficType="ALL",
        LogDestinationType="s3",
        LogDestination="arn:aws:s3:::told",
        LogFormat=FORMAT,
    )
    assert made["Unsuccessful"] == []
    two_hosts.settle()
    cloud.advance(FILE_S - cloud.clock.time() % FILE_S + 1)
    world = described(ec2, [OUTSIDER])
    wanted: set[Told] = set()
    source_ports = itertools.count(20000)
    for one, other in itertools.permutations(interfaces, 2):
        for port in PORTS:
            source, target = world.interfaces[one].addresses[0], world.interfaces[other].addresses[0]
            packet = (source, target, next(source_ports), port)
            wanted |= expected(world, one, other, packet)
            send(two_hosts.wires[one], *packet)
    verdicts = {(way, verdict) for _, way, verdict, *_ in wanted}
    assert verdicts == set(itertools.product(("egress", "ingress"), ("ACCEPT", "REJECT")))
    cloud.advance(WINDOW_S)
    cloud.advance(FILE_S + LATE_S)
    assert told(s3) == wanted


def told(s3: Any) -> set[Told]:
    """All that is in the bucket."""
    found: set[Told] = set()
    for one in s3.list_objects_v2(Bucket="told")["Contents"]:
        text = gzip.decompress(s3.get_object(Bucket="told", Key=one["Key"])["Body"].read()).decode()
        for line in text.splitlines()[1:]:
            *words, source_port, target_port, packets, status = line.split()
            if status == "OK":
                interface, way, verdict, source, target = words
                record = (interface, way, verdict, source, target, int(source_port), int(target_port), int(packets))
                assert record not in found
                found.add(record)
    return found
