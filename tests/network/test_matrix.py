"""Random networks under random changes: the reference and the packets agree on every pair, every kind, both ways.

Three hosts, three VPCs of which two have the same addresses, one of the subnets of each public; security groups with blocks,
groups and a prefix list as the other end; public addresses that come, go and move; gateways, routes, second addresses,
guests that stop and start. `--matrix-examples N` tells N stories, each time others; every day it is the same few.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.network.matrix import Matrix
from tests.network.reference import described
from tests.network.region import OUTSIDER, Region

pytestmark = [pytest.mark.host, pytest.mark.timeout(1800)]

UNASSIGNED = ("10.0.0.200", "10.1.0.200", "198.51.100.119")
EVERYWHERE = "0.0.0.0/0"
PEERS = (EVERYWHERE, "10.0.0.0/16", "10.0.0.0/24", "10.0.1.10/32", "10.1.0.0/16", "198.51.100.0/24", f"{OUTSIDER}/32")
PORTS: tuple[tuple[str, int, int], ...] = (
    ("tcp", 22, 22),
    ("tcp", 0, 65535),
    ("tcp", 20, 80),
    ("udp", 53, 53),
    ("udp", 0, 52),
    ("icmp", -1, -1),
    ("icmp", 8, -1),
    ("icmp", 13, 0),
    ("6", 80, 80),
    ("-1", -1, -1),
)
PLACES = (
    ("10.0.0.0/16", (("10.0.0.0/24", ("10.0.0.10", "10.0.0.11")), ("10.0.1.0/24", ("10.0.1.10", "10.0.1.11")))),
    ("10.0.0.0/16", (("10.0.0.0/24", ("10.0.0.10",)), ("10.0.1.0/24", ("10.0.1.10",)))),
    ("10.1.0.0/16", (("10.1.0.0/24", ("10.1.0.10",)), ("10.1.1.0/24", ("10.1.1.10",)))),
)

EVERY_DAY = 3
"""Stories."""

REFUSALS = {
    "InvalidPermission.Duplicate", "InvalidPermission.NotFound", "RouteAlreadyExists", "InvalidRoute.NotFound",
    "Resource.AlreadyAssociated", "Gateway.NotAttached", "DependencyViolation", "InvalidParameterValue",
    "PrivateIpAddressLimitExceeded", "AddressLimitExceeded", "NetworkAclEntryAlreadyExists",
    "InvalidNetworkAclEntry.NotFound", "InvalidPrefixListModification",
}  # fmt: skip
"""A change that the API refuses for one of these has changed nothing, and was worth a try."""


class Estate:
    """What the story is about: VPCs, each with two subnets, two route tables, three groups; and the guests."""

    def __init__(self, region: Region) -> None:
        self.region, self.ec2 = region, region.client()
        self.subnets: list[str] = []
        self.gateways: list[tuple[str, str]] = []
        self.tables: list[tuple[str, str]] = []
        self.groups: list[list[str]] = []
        self.interfaces: list[tuple[int, str]] = []
        self.instances: list[str] = []
        self.acls: list[str] = []
        self.first_acls: dict[str, str] = {}
        image = self._image()
        for number, (block, subnets) in enumerate(PLACES):
            self._build(number, block, subnets, image)
        # In a subnet whose network ACL is left alone: it is not asked about what passes the gateway.
        gateway, vpc = self.gateways[0]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        own = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        made = self.ec2.create_nat_gateway(SubnetId=self.subnets[0], AllocationId=own)["NatGateway"]
        self.nat_gateway = made["NatGatewayId"]
        region.settle()
        self.addresses = [self.ec2.allocate_address(Domain="vpc")["AllocationId"] for _ in range(4)]
        self.associations: dict[str, str] = {}
        made = self.ec2.create_managed_prefix_list(PrefixListName="matrix", AddressFamily="IPv4", MaxEntries=len(PEERS))
        self.list = made["PrefixList"]["PrefixListId"]
        self.reset()

    def _image(self) -> str:
        volume = self.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
        self.region.settle()
        snapshot = self.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        self.region.settle()
        device = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}
        image = self.ec2.register_image(
            Name="matrix", VirtualizationType="hvm", RootDeviceName="/dev/sda1", BlockDeviceMappings=[device]
        )["ImageId"]
        self.region.settle()
        return str(image)

    def _build(self, number: int, block: str, subnets: Any, image: str) -> None:
        ec2 = self.ec2
        vpc = ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.gateways.append((gateway, vpc))
        main = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"][0]
        own = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        self.tables += [(main["RouteTableId"], gateway), (own, gateway)]
        groups = [
            ec2.create_security_group(GroupName=f"g{n}", Description="of the matrix", VpcId=vpc)["GroupId"]
            for n in range(3)
        ]
        self.groups.append(groups)
        self.acls.append(ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"])
        for place, (cidr, addresses) in enumerate(subnets):
            subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=cidr)["Subnet"]["SubnetId"]
            self.subnets.append(subnet)
            self.first_acls[subnet] = self._acl_of(subnet)[1]["NetworkAclId"]
            if place == 1:
                ec2.associate_route_table(RouteTableId=own, SubnetId=subnet)
            for address in addresses:
                made = ec2.run_instances(
                    ImageId=image, InstanceType="t2.micro", MinCount=1, MaxCount=1, SubnetId=subnet,
                    PrivateIpAddress=address, SecurityGroupIds=groups[:1],
                )["Instances"][0]  # fmt: skip
                self.instances.append(made["InstanceId"])
                self.interfaces.append((number, made["NetworkInterfaces"][0]["NetworkInterfaceId"]))

    def reset(self) -> None:
        """Where every story begins: gateways attached and routed to, three guests with public addresses, groups that let out
        everything and in their own."""
        ec2 = self.ec2
        stopped = [
            instance["InstanceId"]
            for reservation in ec2.describe_instances()["Reservations"]
            for instance in reservation["Instances"]
            if instance["State"]["Name"] == "stopped"
        ]
        if stopped:
            ec2.start_instances(InstanceIds=stopped)
        for address in self.addresses:
            self.leave(address)
        for gateway, vpc in self.gateways:
            self.tried(ec2.attach_internet_gateway, InternetGatewayId=gateway, VpcId=vpc)
        for table, gateway in self.tables:
            self.tried(ec2.create_route, RouteTableId=table, DestinationCidrBlock=EVERYWHERE, GatewayId=gateway)
            ec2.replace_route(RouteTableId=table, DestinationCidrBlock=EVERYWHERE, GatewayId=gateway)
        for subnet in range(len(self.subnets)):
            self.guard(subnet, False)
        for row in ec2.describe_network_acls(NetworkAclIds=self.acls)["NetworkAcls"]:
            for entry in row["Entries"]:
                if entry["RuleNumber"] < 32767:
                    ec2.delete_network_acl_entry(
                        NetworkAclId=row["NetworkAclId"], RuleNumber=entry["RuleNumber"], Egress=entry["Egress"]
                    )
        for number, egress in itertools.product(range(len(self.acls)), (True, False)):
            self.entry(number, egress, 100, ("-1", -1, -1), EVERYWHERE, True)
        for row in ec2.describe_network_interfaces()["NetworkInterfaces"]:
            more = [one["PrivateIpAddress"] for one in row["PrivateIpAddresses"] if not one["Primary"]]
            if more:
                ec2.unassign_private_ip_addresses(NetworkInterfaceId=row["NetworkInterfaceId"], PrivateIpAddresses=more)
        for number, interface in self.interfaces:
            ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=self.groups[number][:1])
        rules: dict[tuple[str, bool], list[str]] = {}
        for rule in ec2.describe_security_group_rules()["SecurityGroupRules"]:
            rules.setdefault((rule["GroupId"], rule["IsEgress"]), []).append(rule["SecurityGroupRuleId"])
        ours = list(itertools.chain(*self.groups))
        for (group, egress), ids in rules.items():
            if group in ours:
                revoke = ec2.revoke_security_group_egress if egress else ec2.revoke_security_group_ingress
                revoke(GroupId=group, SecurityGroupRuleIds=ids)
        for peer in PEERS:
            self.entry_of_list(peer, False)
        for number in range(3):
            self.publish(number, 3 * number)
        for group in ours:
            ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[permission(("-1", -1, -1), EVERYWHERE)])
            ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission(("-1", -1, -1), group)])

    def tried(self, call: Callable[..., Any], **given: Any) -> Any:
        """The answer, or None if it was refused as some changes are."""
        try:
            return call(**given)
        except ClientError as error:
            assert error.response["Error"]["Code"] in REFUSALS, error
            return None

    def leave(self, address: str) -> None:
        """The public address is nobody's."""
        if address in self.associations:
            self.ec2.disassociate_address(AssociationId=self.associations.pop(address))

    # The changes. Each takes numbers, and means the thing with that number, counted round.

    def rule(self, add: bool, egress: bool, vpc: int, group: int, ports: tuple[str, int, int], peer: str | int) -> None:
        groups = self.groups[vpc]
        other = groups[peer % 3] if isinstance(peer, int) else peer
        verb = "authorize" if add else "revoke"
        call = getattr(self.ec2, f"{verb}_security_group_{'egress' if egress else 'ingress'}")
        self.tried(call, GroupId=groups[group % 3], IpPermissions=[permission(ports, other)])

    def by_list(self, add: bool, egress: bool, vpc: int, group: int, ports: tuple[str, int, int]) -> None:
        """A rule about whoever is in the list, which every VPC's groups may name."""
        verb = "authorize" if add else "revoke"
        call = getattr(self.ec2, f"{verb}_security_group_{'egress' if egress else 'ingress'}")
        self.tried(call, GroupId=self.groups[vpc][group % 3], IpPermissions=[permission(ports, self.list)])

    def entry_of_list(self, block: str, there: bool) -> None:
        version = self.ec2.describe_managed_prefix_lists(PrefixListIds=[self.list])["PrefixLists"][0]["Version"]
        change = {"AddEntries" if there else "RemoveEntries": [{"Cidr": block}]}
        self.tried(self.ec2.modify_managed_prefix_list, PrefixListId=self.list, CurrentVersion=version, **change)

    def empty(self, egress: bool, vpc: int, group: int) -> None:
        """Every rule of a group in one direction goes."""
        group_id = self.groups[vpc][group % 3]
        rules = self.ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group_id]}])
        ids = [rule["SecurityGroupRuleId"] for rule in rules["SecurityGroupRules"] if rule["IsEgress"] is egress]
        call = getattr(self.ec2, f"revoke_security_group_{'egress' if egress else 'ingress'}")
        if ids:
            call(GroupId=group_id, SecurityGroupRuleIds=ids)

    def join(self, guest: int, groups: list[int]) -> None:
        vpc, interface = self.interfaces[guest % len(self.interfaces)]
        chosen = sorted({self.groups[vpc][number % 3] for number in groups})
        self.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=chosen)

    def publish(self, address: int, guest: int) -> None:
        """A public address goes to a guest, from wherever it was."""
        _, interface = self.interfaces[guest % len(self.interfaces)]
        allocation = self.addresses[address % len(self.addresses)]
        self.tried(
            self.ec2.associate_address, AllocationId=allocation, NetworkInterfaceId=interface, AllowReassociation=True
        )
        rows = self.ec2.describe_addresses()["Addresses"]
        self.associations = {row["AllocationId"]: row["AssociationId"] for row in rows if "AssociationId" in row}

    def withdraw(self, address: int) -> None:
        self.leave(self.addresses[address % len(self.addresses)])

    def gateway(self, vpc: int, attach: bool) -> None:
        gateway, vpc_id = self.gateways[vpc]
        call = self.ec2.attach_internet_gateway if attach else self.ec2.detach_internet_gateway
        self.tried(call, InternetGatewayId=gateway, VpcId=vpc_id)

    def way_out(self, table: int, there: bool) -> None:
        table_id, gateway = self.tables[table % len(self.tables)]
        if there:
            self.tried(self.ec2.create_route, RouteTableId=table_id, DestinationCidrBlock=EVERYWHERE, GatewayId=gateway)
        else:
            self.tried(self.ec2.delete_route, RouteTableId=table_id, DestinationCidrBlock=EVERYWHERE)

    def behind(self, table: int) -> None:
        """The default route leads to the NAT gateway. Of the tables of its own VPC, that is: others refuse it."""
        self.tried(
            self.ec2.replace_route,
            RouteTableId=self.tables[table % 2][0],
            DestinationCidrBlock=EVERYWHERE,
            NatGatewayId=self.nat_gateway,
        )

    def _acl_of(self, subnet: str) -> tuple[str, dict[str, Any]]:
        """(association, ACL) of the subnet."""
        named = [{"Name": "association.subnet-id", "Values": [subnet]}]
        [row] = self.ec2.describe_network_acls(Filters=named)["NetworkAcls"]
        [association] = [each for each in row["Associations"] if each["SubnetId"] == subnet]
        return association["NetworkAclAssociationId"], row

    def guard(self, subnet: int, there: bool) -> None:
        """The subnet gets the VPC's ACL of our own, or the VPC's first one, which lets through everything."""
        number = subnet % len(self.subnets)
        if number == 0 and there:
            return  # the NAT gateway's
        subnet_id = self.subnets[number]
        wanted = self.acls[number // 2] if there else self.first_acls[subnet_id]
        association, row = self._acl_of(subnet_id)
        if row["NetworkAclId"] != wanted:
            self.ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=wanted)

    def entry(
        self, vpc: int, egress: bool, number: int, ports: tuple[str, int, int], block: str, allow: bool | None
    ) -> None:
        """An entry with the number comes, or goes if nothing is said of what it does."""
        place = {"NetworkAclId": self.acls[vpc], "RuleNumber": number, "Egress": egress}
        if allow is None:
            self.tried(self.ec2.delete_network_acl_entry, **place)
            return
        protocol, first, last = ports
        named = {"tcp": "6", "udp": "17", "icmp": "1"}.get(protocol, protocol)
        made: dict[str, Any] = {"Protocol": named, "CidrBlock": block, "RuleAction": "allow" if allow else "deny"}
        if named == "1":
            made["IcmpTypeCode"] = {"Type": first, "Code": last}
        elif named != "-1":
            made["PortRange"] = {"From": first, "To": last}
        self.tried(self.ec2.create_network_acl_entry, **place, **made)

    def second_address(self, guest: int) -> None:
        _, interface = self.interfaces[guest % len(self.interfaces)]
        self.tried(self.ec2.assign_private_ip_addresses, NetworkInterfaceId=interface, SecondaryPrivateIpAddressCount=1)

    def power(self, guest: int, on: bool) -> None:
        call = self.ec2.start_instances if on else self.ec2.stop_instances
        call(InstanceIds=[self.instances[guest % len(self.instances)]])


def permission(ports: tuple[str, int, int], peer: str) -> dict[str, Any]:
    protocol, first, last = ports
    made: dict[str, Any] = {"IpProtocol": protocol}
    if protocol != "-1":
        made |= {"FromPort": first, "ToPort": last}
    if peer.startswith("sg-"):
        return {**made, "UserIdGroupPairs": [{"GroupId": peer}]}
    if peer.startswith("pl-"):
        return {**made, "PrefixListIds": [{"PrefixListId": peer}]}
    return {**made, "IpRanges": [{"CidrIp": peer}]}


Change = tuple[Any, ...]

_guest, _address, _vpc, _three = (st.integers(0, top) for top in (7, 3, 2, 2))
_rule = st.tuples(
    st.just("rule"), st.sampled_from([True, True, True, False]), st.booleans(), _vpc, _three, st.sampled_from(PORTS),
    st.one_of(st.sampled_from(PEERS), _three),
)  # fmt: skip
_entry = st.tuples(
    st.just("entry"), _vpc, st.booleans(), st.sampled_from([10, 50, 100, 150]),
    st.sampled_from([*PORTS, ("tcp", 1024, 65535)]), st.sampled_from(PEERS), st.sampled_from([True, False, False, None]),
)  # fmt: skip
CHANGES: st.SearchStrategy[Change] = st.one_of(
    _rule,
    _rule,
    _rule,
    st.tuples(
        st.just("by_list"), st.sampled_from([True, True, False]), st.booleans(), _vpc, _three, st.sampled_from(PORTS)
    ),
    st.tuples(st.just("entry_of_list"), st.sampled_from(PEERS), st.sampled_from([True, True, False])),
    st.tuples(st.just("empty"), st.booleans(), _vpc, _three),
    st.tuples(st.just("join"), _guest, st.lists(_three, min_size=1, max_size=3)),
    st.tuples(st.just("publish"), _address, _guest),
    st.tuples(st.just("publish"), _address, _guest),
    st.tuples(st.just("withdraw"), _address),
    st.tuples(st.just("gateway"), _vpc, st.booleans()),
    st.tuples(st.just("way_out"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("behind"), st.integers(0, 1)),
    st.tuples(st.just("guard"), st.integers(1, 5), st.sampled_from([True, True, False])),
    st.tuples(st.just("guard"), st.integers(1, 5), st.sampled_from([True, True, False])),
    _entry,
    _entry,
    st.tuples(st.just("second_address"), _guest),
    st.tuples(st.just("power"), _guest, st.booleans()),
)
"""The names of `Estate`'s methods, with their arguments."""

STORIES = st.lists(st.lists(CHANGES, min_size=2, max_size=8), min_size=2, max_size=3)
"""Changes between rounds."""


@pytest.fixture(scope="module")
def estate(three_hosts: Region) -> Estate:
    return Estate(three_hosts)


UNANSWERED: list[list[Change]] = [
    [("guard", 1, True), ("entry", 0, True, 10, ("tcp", 1024, 65535), EVERYWHERE, False)],
    [("entry", 0, True, 10, ("tcp", 1024, 65535), EVERYWHERE, None), ("behind", 0)],
]
"""A subnet whose network ACL lets connections in and no answers out; then it does, from behind a NAT gateway."""


def test_packets_do_what_the_api_says(estate: Estate, pytestconfig: pytest.Config) -> None:
    region, matrix = estate.region, Matrix(estate.region.wires)
    told: list[int] = []

    def story(rounds: list[list[Change]]) -> None:
        estate.reset()
        region.settle()
        for changes in rounds:
            for name, *arguments in changes:
                getattr(estate, name)(*arguments)
            region.settle()
            matrix.round(described(estate.ec2, [OUTSIDER]), UNASSIGNED)
            faults, matrix.faults = matrix.faults, []
            assert not faults, "\n".join(faults[:20])
            told.append(len(changes))

    examples = pytestconfig.getoption("--matrix-examples")
    budget = settings(
        max_examples=examples or EVERY_DAY,
        deadline=None,
        derandomize=not examples,
        database=None,
        phases=(Phase.generate, Phase.shrink) if examples else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    story(UNANSWERED)
    assert matrix.unheard, "what arrives, and the answer does not"
    budget(given(STORIES)(story))()
    figures = {"rounds": len(told), "judged": matrix.judged, "passed": matrix.passed, "continued": matrix.continued}
    figures["unheard"] = matrix.unheard
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\nmatrix: {figures}")
    assert matrix.passed > len(told) * 20
    assert matrix.judged - matrix.passed > len(told) * 20
