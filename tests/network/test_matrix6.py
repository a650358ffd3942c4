"""Random specs of a dual-stack VPC: a reference and the packets agree on every pair, every kind, both ways, in both families.

Two hosts, one VPC with two subnets, four guests, and for IPv6 the world outside; groups with blocks of both families and
groups as the other end, ACLs or none, ports that speak with outside both ways, one way or not. What passes is decided here
from what EC2's documentation says of these words, without a look at the compiler. What was established goes on under any
groups.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import pytest

from eucapy.wire.network import AclEntrySpec, AclSpec, GroupSpec, PortSpec, RemoteSpec, RuleSpec, SubnetSpec
from tests.eucanetd.cloud import NetworkCloud, network_cloud
from tests.eucanetd.specs import port, vpc6
from tests.network import frames
from tests.network.matrix import KINDS6, Matrix
from tests.network.reference import OUTSIDE, PROTOCOLS, Asked, Passed, Refused
from tests.network.wires import Guest, Outside, Wire

pytestmark = [pytest.mark.host, pytest.mark.timeout(1800)]

BLOCK = ipaddress.IPv6Network("2001:db8:a::/56")
OUTSIDER = "2001:db8:ff::99"
GATEWAY_MAC = "02:65:75:63:61:00"
SUBNETS = {"subnet-1": ("10.0.1.0/24", "2001:db8:a:1::/64"), "subnet-2": ("10.0.2.0/24", "2001:db8:a:2::/64")}
PLACES = (("subnet-1", 0), ("subnet-2", 0), ("subnet-1", 1), ("subnet-2", 1))
"""Subnet and host of each guest."""
GROUPS = ("sg-a", "sg-b", "sg-c")
BLOCKS = (
    *("::/0", "::/0", "2001:db8:a::/56", "2001:db8:a:1::/64", "2001:db8:a:2::12/128", f"{OUTSIDER}/128"),
    *("0.0.0.0/0", "0.0.0.0/0", "10.0.0.0/16", "10.0.1.0/24", "10.0.2.12/32"),
)
PROTOCOL_RANGES = (
    ("-1", -1, -1),
    ("-1", -1, -1),
    ("tcp", 22, 22),
    ("6", 0, 65535),
    ("udp", 53, 60),
    ("icmpv6", -1, -1),
    ("58", 128, -1),
    ("icmp", -1, -1),
    ("1", 8, -1),
)
ACL_RANGES = (*PROTOCOL_RANGES, ("6", 1024, 65535), ("17", 1024, 65535), ("58", 129, -1))
ROUNDS = 4
UNASSIGNED = {True: ("2001:db8:a:1::200", "2001:db8:a:9::1"), False: ("10.0.1.200", "10.0.9.1")}
NODES = {"n1": "10.8.0.1", "n2": "10.8.0.2"}


@dataclass(frozen=True)
class Story:
    """What all nodes are told, and the judge of it."""

    ports: dict[str, PortSpec]
    groups: dict[str, GroupSpec]
    acls: dict[str, AclSpec | None]
    """By subnet; None: everything passes."""


@dataclass(frozen=True)
class Judge:
    """What passes of one family."""

    story: Story
    ipv6: bool

    @property
    def ports(self) -> dict[str, PortSpec]:
        return self.story.ports

    @property
    def outside(self) -> frozenset[str]:
        return frozenset({OUTSIDER} if self.ipv6 else ())

    def addresses(self) -> set[str]:
        return {ip for each in self.ports.values() for ip in self.of(each)}

    def of(self, port: PortSpec) -> tuple[str, ...]:
        return port.ipv6s if self.ipv6 else port.private_ips

    def path(
        self, origin: str, target: str, asked: Asked, source: str, *, established: bool = False
    ) -> Passed | Refused:
        sender = self.ports.get(origin)
        receiver = next((each for each in self.ports.values() if target in self.of(each)), None)
        if sender is not None and not established and not self._admits(sender, True, target, asked):
            return Refused("the source's groups")
        if not self._gates(sender, receiver, source, target, asked):
            return Refused("an ACL")
        if sender is not None and target == OUTSIDER:
            return Passed(OUTSIDE, target, source) if sender.way6 else Refused("no way out")
        if receiver is None:
            return Refused("nobody has that address")
        if sender is None and receiver.way6 != "internet" and not (established and receiver.way6):
            return Refused("no way in")
        if not established and not self._admits(receiver, False, source, asked):
            return Refused("the target's groups")
        return Passed(receiver.interface_id, target, source)

    def comes_back(self, origin: str, target: str, answer: Asked, source: str, passed: Passed) -> bool:
        """Only gates are asked of answers."""
        return self._gates(self.ports.get(passed.at), self.ports.get(origin), target, source, answer)

    def _admits(self, judge: PortSpec, outbound: bool, other: str, asked: Asked) -> bool:
        for name in judge.groups:
            group = self.story.groups[name]
            for rule in group.egress if outbound else group.ingress:
                if _covers(rule, asked) and (
                    other in self._members(rule.group) if rule.group else _within(other, rule.cidr)
                ):
                    return True
        return False

    def _members(self, group: str) -> set[str]:
        return {ip for each in self.ports.values() if group in each.groups for ip in self.of(each)}

    def _gates(
        self, sender: PortSpec | None, receiver: PortSpec | None, source: str, target: str, asked: Asked
    ) -> bool:
        if sender is not None and receiver is not None and sender.subnet_id == receiver.subnet_id:
            return True
        for judge, other, entering in ((sender, target, False), (receiver, source, True)):
            acl = self.story.acls[judge.subnet_id] if judge is not None else None
            if acl is None:
                continue
            entries = acl.ingress if entering else acl.egress
            first = (each for each in entries if _covers(each, asked) and _within(other, each.cidr))
            if not any(each.allow for each in [*first][:1]):
                return False
        return True


def _within(address: str, block: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(block)


def _covers(rule: RuleSpec | AclEntrySpec, asked: Asked) -> bool:
    if rule.protocol == "-1":
        return True
    if PROTOCOLS.get(rule.protocol, rule.protocol) not in (asked.protocol, str(asked.protocol)):
        return False
    if asked.protocol in (PROTOCOLS["icmp"], PROTOCOLS["icmpv6"]):
        return rule.from_port in (-1, asked.target_port)
    return rule.from_port <= asked.target_port <= rule.to_port


class Guest6(Guest):
    """A guest that sends everything of IPv6 by its router."""

    def send(self, packet: bytes) -> None:
        if packet[0] >> 4 == 4:
            super().send(packet)
            return
        self.put(frames.ethernet(GATEWAY_MAC, self.mac, frames.IPV6, packet))


class Outside6(Outside):
    """Beyond the gateway; it knows behind which host a guest is."""

    routes: dict[str, str]

    def send(self, packet: bytes) -> None:
        target = str(ipaddress.IPv6Address(packet[24:40]))
        self.put(frames.ethernet(self.routes.get(target, frames.BROADCAST), self.mac, frames.IPV6, packet))


def told(chance: random.Random) -> Story:
    """Any story, of some use: what lets everything through is not rare."""

    def rules() -> tuple[RuleSpec, ...]:
        made = []
        for _ in range(chance.randrange(4)):
            protocol, first, last = chance.choice(PROTOCOL_RANGES)
            end = {"group": chance.choice(GROUPS)} if chance.random() < 0.3 else {"cidr": chance.choice(BLOCKS)}
            made.append(RuleSpec(protocol=protocol, from_port=first, to_port=last, **end))
        return tuple(made)

    def entries() -> tuple[AclEntrySpec, ...]:
        made = []
        for _ in range(chance.randrange(1, 4)):
            protocol, first, last = chance.choice(ACL_RANGES)
            allow, block = chance.random() < 0.6, chance.choice(BLOCKS)
            made.append(AclEntrySpec(allow=allow, protocol=protocol, from_port=first, to_port=last, cidr=block))
        return (
            *made,
            AclEntrySpec(allow=chance.random() < 0.8, protocol="-1", cidr=chance.choice(("::/0", "0.0.0.0/0"))),
        )

    ports = {}
    for number, (subnet, _host) in enumerate(PLACES, start=1):
        block4, block6 = SUBNETS[subnet]
        made = port(
            number,
            block4.replace("0/24", str(10 + number)),
            subnet_id=subnet,
            ipv6s=(f"{block6.removesuffix('/64')}{10 + number}",),
            groups=tuple(sorted(chance.sample(GROUPS, chance.choice((1, 1, 2))))),
            way6=chance.choice(("internet", "internet", "egress-only", "")),
        )
        ports[made.interface_id] = made
    groups = {}
    for name in GROUPS:
        members = tuple(ip for each in ports.values() if name in each.groups for ip in (*each.private_ips, *each.ipv6s))
        everything = (RuleSpec(protocol="-1", cidr="::/0"),) if chance.random() < 0.5 else ()
        groups[name] = GroupSpec(
            group_id=name, vpc_id="vpc-a", ingress=rules(), egress=(*rules(), *everything), members=members
        )
    acls = {
        subnet: AclSpec(acl_id=f"acl-{number}", ingress=entries(), egress=entries()) if chance.random() < 0.4 else None
        for number, subnet in enumerate(SUBNETS)
    }
    return Story(ports, groups, acls)


async def lay_out(cloud: NetworkCloud, story: Story) -> None:
    subnets = tuple(
        SubnetSpec(
            subnet_id=name,
            cidr=cidr,
            cidr6=cidr6,
            gateway=cidr.replace("0/24", "1"),
            acl=acl.acl_id if (acl := story.acls[name]) is not None else "",
        )
        for name, (cidr, cidr6) in SUBNETS.items()
    )
    acls = tuple(acl for acl in story.acls.values() if acl is not None)
    for number, node in enumerate(cloud.nodes):
        here = [each for each, (_, host) in zip(story.ports.values(), PLACES, strict=True) if host == number]
        away = [each for each in story.ports.values() if each not in here]
        remotes = tuple(
            RemoteSpec(ip=ip, node=f"n{2 - number}") for each in away for ip in (*each.private_ips, *each.ipv6s)
        )
        spec = msgspec.structs.replace(vpc6(remotes=remotes), subnets=subnets, acls=acls)
        await node.give([spec], here, tuple(story.groups.values()), NODES)


@dataclass
class Laid:
    cloud: NetworkCloud
    runner: asyncio.Runner
    wires: dict[str, Wire]


@pytest.fixture(scope="module")
def laid() -> Iterator[Laid]:
    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        context = network_cloud(2, public6=True)
        cloud = runner.run(context.__aenter__())
        stack.callback(lambda: runner.run(context.__aexit__(None, None, None)))
        story = told(random.Random(0))
        outside = Outside6(cloud.net.wire.name, OUTSIDER)
        stack.callback(outside.close)
        macs = []
        for host in cloud.net.hosts:
            host.run("ip", "-6", "route", "add", "2001:db8:ff::/64", "dev", "eth1")
            host.run("ip", "-6", "neigh", "add", OUTSIDER, "lladdr", Outside.MAC, "dev", "eth1", "nud", "permanent")
            macs.append(host.run("ip", "-o", "link", "show", "eth1").stdout.split("link/ether ")[1].split()[0])
        wires: dict[str, Wire] = {OUTSIDE: outside}
        outside.routes = {}
        runner.run(lay_out(cloud, story))
        for each, (_, host) in zip(story.ports.values(), PLACES, strict=True):
            tap = (cloud.net.hosts[host].name, each.tap, each.mac)
            block = SUBNETS[each.subnet_id][0]
            guest = Guest6(each.interface_id, *tap, each.ipv6s, block, block.replace("0/24", "1"))
            stack.callback(guest.close)
            wires[each.interface_id] = guest
            outside.routes[each.ipv6s[0]] = macs[host]
        for node in cloud.nodes:
            runner.run(node.settle())
        yield Laid(cloud, runner, wires)


def seeds(config: pytest.Config) -> Sequence[int]:
    """The same few every day, others when more are asked for."""
    asked = config.getoption("--matrix-examples")
    return range(1, 4) if not asked else [random.SystemRandom().randrange(1 << 32) for _ in range(asked)]


def test_every_packet_goes_where_the_words_of_ec2_say(laid: Laid, request: pytest.FixtureRequest) -> None:
    # One matrix a family for all stories: a connection of an earlier one is known for what it is.
    guests = {name: wire for name, wire in laid.wires.items() if name != OUTSIDE}
    matrices = {True: Matrix(laid.wires, KINDS6), False: Matrix(guests)}
    for seed in seeds(request.config):
        chance = random.Random(seed)
        for number in range(ROUNDS):
            story = told(chance)
            laid.runner.run(lay_out(laid.cloud, story))
            for ipv6, matrix in matrices.items():
                judge = Judge(story, ipv6)
                for name, wire in guests.items():
                    wire.addresses = judge.of(story.ports[name])
                matrix.round(judge, UNASSIGNED[ipv6])
                assert not matrix.faults, (seed, number, matrix.faults[:10], story)
    for matrix in matrices.values():
        assert 0 < matrix.passed < matrix.judged
        assert matrix.continued > 0
