"""May this packet pass? From what the EC2 API describes, and from nothing else.

This is EC2's documentation as code, written without a look at the compiler: no import of `eucapy`, no table of its. `World`
is a set of Describe answers; `World.path` follows one packet from an interface, or from outside, to where it is delivered,
and says by what source address it is seen there, or why it is not.

A packet whose source is the sender's own passes, in this order: the source's security groups (outbound) · the gate of the
source's subnet · the route table of that subnet · the internet gateway with its one-to-one translation, or the NAT gateway
with its own address · the gate of the target's subnet · the target's security groups (inbound). A *gate* judges packets one
by one as they leave or enter a subnet, without memory, so that answers need a way of their own (`World.comes_back`); `GATES`
is where kinds of gates join.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

OUTSIDE = "outside"
"""The name of whoever is beyond the internet gateways."""

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}


@dataclass(frozen=True, slots=True)
class Asked:
    """A packet: protocol number, and ports where it has some. For ICMP `target_port` is the type, `source_port` whatever."""

    protocol: int
    target_port: int = 0
    source_port: int = 0


@dataclass(frozen=True, slots=True)
class Passed:
    """Delivered at this interface (or `OUTSIDE`), to this address of its, seen from that one."""

    at: str
    to: str
    seen_as: str


@dataclass(frozen=True, slots=True)
class Refused:
    why: str


@dataclass(frozen=True, slots=True)
class NatGateway:
    """One that works, if its subnet leads out."""

    id: str
    vpc: str
    subnet: str
    public: str


@dataclass(frozen=True, slots=True)
class Interface:
    id: str
    vpc: str
    subnet: str
    addresses: tuple[str, ...]
    public: Mapping[str, str]
    """Public address by private one."""
    groups: tuple[str, ...]
    alive: bool
    """Its instance runs."""


@dataclass
class World:
    """Describe answers, as a cloud gave them at one moment. `outside` are the addresses of the world beyond."""

    interfaces: dict[str, Interface]
    rules: dict[str, list[dict[str, Any]]]
    """By security group, as DescribeSecurityGroupRules has them."""
    tables: list[dict[str, Any]]
    gateways: dict[str, str]
    """The VPC that each internet gateway is attached to."""
    outside: frozenset[str]
    nat_gateways: dict[str, NatGateway] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    """The blocks of each prefix list."""
    gates: dict[str, Any] = field(default_factory=dict)
    """What further kinds of gates need to know, by the name of the kind."""

    def addresses(self) -> set[str]:
        """All that interfaces have, private and public."""
        found: set[str] = set()
        for interface in self.interfaces.values():
            found |= {*interface.addresses, *interface.public.values()}
        return found

    def path(
        self, origin: str, target: str, asked: Asked, source: str, *, established: bool = False
    ) -> Passed | Refused:
        """Where a connection's first packet ends, or one that is `established` and asks no group. `origin` is an
        interface's id or `OUTSIDE`, `source` the address that it is sent from."""
        if origin == OUTSIDE:
            return self._inward(target, source, asked, established)
        sender = self.interfaces[origin]
        if source not in sender.addresses:
            return Refused("the source is not its own")
        peer = self._owner(sender.vpc, target)
        if not established and not self._admits(sender, True, target, peer, asked):
            return Refused("the source's groups")
        refused = self._gates(sender, False, source, target, asked, peer)
        if refused:
            return refused
        way = self.route(sender.subnet, sender.vpc, target)
        if way == "local":
            if peer is None or not peer.alive:
                return Refused("nobody has that address")
            refused = self._gates(peer, True, source, target, asked, sender)
            if refused:
                return refused
            if not established and not self._admits(peer, False, source, sender, asked):
                return Refused("the target's groups")
            return Passed(peer.id, target, source)
        nat = self.nat_gateways.get(way)
        seen_as: str | None
        if nat is not None:
            if nat.vpc != sender.vpc or self.gateways.get(self.route(nat.subnet, nat.vpc, target)) != nat.vpc:
                return Refused("the NAT gateway's subnet is not public")
            seen_as = nat.public
        elif self.gateways.get(way) == sender.vpc:
            seen_as = sender.public.get(source)
        else:
            return Refused("no route")
        if seen_as is None:
            return Refused("the source has no public address")
        if target in self.outside:
            return Passed(OUTSIDE, target, seen_as)
        return self._inward(target, seen_as, asked, established)

    def comes_back(self, origin: str, target: str, answer: Asked, source: str, passed: Passed) -> bool:
        """Whether the `answer` to a packet that has passed gets home. Routes and groups let it, as part of a connection; gates
        ask for it as for any packet."""
        sender, receiver = self.interfaces.get(origin), self.interfaces.get(passed.at)
        private = target == passed.to and source == passed.seen_as and sender is not None
        for judge, entering, of, to, peer in (
            (receiver, False, passed.to, passed.seen_as, sender if private else None),
            (sender, True, target, source, receiver if private else None),
        ):
            if judge is not None and self._gates(judge, entering, of, to, answer, peer):
                return False
        return True

    def route(self, subnet: str, vpc: str, target: str) -> str:
        """`local`, a gateway's id, or "" : the longest prefix of the subnet's table decides."""
        address, best, found = ipaddress.IPv4Address(target), -1, ""
        for route in self._table(subnet, vpc)["Routes"]:
            block = network(route.get("DestinationCidrBlock", "255.255.255.255/32"))
            if address in block and block.prefixlen > best:
                best, found = block.prefixlen, route.get("GatewayId") or route.get("NatGatewayId", "")
        return found

    def _table(self, subnet: str, vpc: str) -> dict[str, Any]:
        main: dict[str, Any] = {"Routes": []}
        for table in self.tables:
            for association in table["Associations"]:
                if association.get("SubnetId") == subnet:
                    return table
                if association["Main"] and table["VpcId"] == vpc:
                    main = table
        return main

    def _inward(self, target: str, source: str, asked: Asked, established: bool) -> Passed | Refused:
        """From beyond the gateway to a public address."""
        for owner in self.interfaces.values():
            for private, public in owner.public.items():
                if public != target or not owner.alive:
                    continue
                if self.gateways.get(self.route(owner.subnet, owner.vpc, source)) != owner.vpc:
                    return Refused("the target's subnet is not public")
                refused = self._gates(owner, True, source, private, asked, None)
                if refused:
                    return refused
                if not established and not self._admits(owner, False, source, None, asked):
                    return Refused("the target's groups")
                return Passed(owner.id, private, source)
        return Refused("nobody has that public address")

    def _owner(self, vpc: str, address: str) -> Interface | None:
        owners = (each for each in self.interfaces.values() if each.vpc == vpc and address in each.addresses)
        return next(owners, None)

    def _admits(self, judge: Interface, outbound: bool, other: str, peer: Interface | None, asked: Asked) -> bool:
        """Whether a rule of the judge's groups admits the packet. A group as the other end means those who are in it, by
        their private addresses."""
        for group in judge.groups:
            for rule in self.rules[group]:
                if rule["IsEgress"] is not outbound or not _covers(rule, asked):
                    continue
                blocks = [rule["CidrIpv4"]] if "CidrIpv4" in rule else self.lists.get(rule.get("PrefixListId", ""))
                if blocks is not None:
                    if any(ipaddress.IPv4Address(other) in network(block) for block in blocks):
                        return True
                elif peer is not None and rule.get("ReferencedGroupInfo", {}).get("GroupId") in peer.groups:
                    return True
        return False

    def _gates(
        self, at: Interface, entering: bool, source: str, target: str, asked: Asked, peer: Interface | None
    ) -> Refused | None:
        """Between interfaces of one subnet there is no gate."""
        if peer is not None and peer.subnet == at.subnet:
            return None
        for name, gate in GATES.items():
            if name in self.gates and not gate(self.gates[name], at.subnet, entering, source, target, asked):
                return Refused(f"{name} of {at.subnet}")
        return None


Gate = Callable[[Any, str, bool, str, str, Asked], bool]
"""(what `World.gates` has for it, subnet, entering, source, target, packet) → passes."""


def acl(acls: Any, subnet: str, entering: bool, source: str, target: str, asked: Asked) -> bool:
    """The subnet's network ACL, entry by entry in the order of their numbers; what none is about is refused."""
    other = ipaddress.IPv4Address(source if entering else target)
    for entry in sorted(acls[subnet], key=lambda entry: int(entry["RuleNumber"])):
        if entry["Egress"] is entering or "CidrBlock" not in entry or other not in network(entry["CidrBlock"]):
            continue
        if entry["Protocol"] not in ("-1", str(asked.protocol)):
            continue
        if entry["Protocol"] != "-1" and not _in_range(entry, asked):
            continue
        return bool(entry["RuleAction"] == "allow")
    return False


def _in_range(entry: Mapping[str, Any], asked: Asked) -> bool:
    if asked.protocol == PROTOCOLS["icmp"]:
        return entry["IcmpTypeCode"]["Type"] in (-1, asked.target_port)
    ports = entry.get("PortRange", {"From": 0, "To": 65535})
    return bool(ports["From"] <= asked.target_port <= ports["To"])


GATES: dict[str, Gate] = {"network ACL": acl}


@lru_cache(4096)
def network(block: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(block)


def _covers(rule: Mapping[str, Any], asked: Asked) -> bool:
    """Whether the rule is about such packets. Ports of other protocols than TCP, UDP and ICMP do not matter."""
    named = rule["IpProtocol"]
    if named == "-1":
        return True
    if PROTOCOLS.get(named, named) != asked.protocol and named != str(asked.protocol):
        return False
    first, last = rule.get("FromPort", -1), rule.get("ToPort", -1)
    if asked.protocol == PROTOCOLS["icmp"]:
        return bool(first in (-1, asked.target_port))
    if asked.protocol in (PROTOCOLS["tcp"], PROTOCOLS["udp"]):
        return bool(first <= asked.target_port <= last)
    return True


def described(ec2: Any, outside: Iterable[str]) -> World:
    """The world as the API tells it."""
    rules: dict[str, list[dict[str, Any]]] = {}
    for group in ec2.describe_security_groups()["SecurityGroups"]:
        rules[group["GroupId"]] = []
    for rule in ec2.describe_security_group_rules()["SecurityGroupRules"]:
        rules[rule["GroupId"]].append(rule)
    running = {
        instance["InstanceId"]
        for reservation in ec2.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
        if instance["State"]["Name"] == "running"
    }
    interfaces = {}
    for row in ec2.describe_network_interfaces()["NetworkInterfaces"]:
        private = [(one["PrivateIpAddress"], one.get("Association", {})) for one in row["PrivateIpAddresses"]]
        interfaces[row["NetworkInterfaceId"]] = Interface(
            id=row["NetworkInterfaceId"],
            vpc=row["VpcId"],
            subnet=row["SubnetId"],
            addresses=tuple(address for address, _ in private),
            public={address: more["PublicIp"] for address, more in private if "PublicIp" in more},
            groups=tuple(group["GroupId"] for group in row["Groups"]),
            alive=row.get("Attachment", {}).get("InstanceId") in running,
        )
    gateways = {
        gateway["InternetGatewayId"]: attachment["VpcId"]
        for gateway in ec2.describe_internet_gateways()["InternetGateways"]
        for attachment in gateway["Attachments"]
    }
    lists = {
        row["PrefixListId"]: [
            entry["Cidr"] for entry in ec2.get_managed_prefix_list_entries(PrefixListId=row["PrefixListId"])["Entries"]
        ]
        for row in ec2.describe_managed_prefix_lists()["PrefixLists"]
    }
    nat_gateways = {
        row["NatGatewayId"]: NatGateway(
            row["NatGatewayId"], row["VpcId"], row["SubnetId"], row["NatGatewayAddresses"][0]["PublicIp"]
        )
        for row in ec2.describe_nat_gateways()["NatGateways"]
        if row["State"] == "available"
    }
    entries = {
        association["SubnetId"]: row["Entries"]
        for row in ec2.describe_network_acls()["NetworkAcls"]
        for association in row["Associations"]
    }
    tables = ec2.describe_route_tables()["RouteTables"]
    return World(interfaces, rules, tables, gateways, frozenset(outside), nat_gateways, lists, {"network ACL": entries})
