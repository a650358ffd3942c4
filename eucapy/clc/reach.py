"""Does a packet get there, and what lets it or keeps it? The way of one packet through an account's network. Pure.

    steps, in the order in which the packet meets them
    ┌ source ──────────────────────────────────────────────┐    ┌ target ─────────────────────────────────────────────┐
     runs? · groups (out) · ACL (out) · route · translation  ──►  route back · ACL (in) · groups (in) · runs?
     ACL (in), the answer                                    ◄──  ACL (out), the answer

`explain` follows the packet as far as there is a way, and judges every step that it comes by, also behind one that refuses:
whoever mends the first refusal wants to know the next. Groups remember connections, so answers are asked of ACLs alone, for
the ports that Linux sends from (32768 to 60999). Within a subnet no ACL is asked. The source without an address is the whole
internet: only what is open to all lets it in. IPv6 goes the same way without a translation: an address is its own public one,
where its subnet leads to an internet gateway. How packets are judged: `docs/network.md`; `reach_facts.py` reads the rows.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

LOCAL = "local"
EPHEMERAL = (32768, 60999)
"""The ports that a client of Linux takes its own from: /proc/sys/net/ipv4/ip_local_port_range."""
EVERY_PORT = (0, 65535)
_NUMBERS = {"icmp": "1", "tcp": "6", "udp": "17", "icmpv6": "58"}
_ECHOES = {"icmp": (8, 0), "icmpv6": (128, 129)}
"""The types of an echo and of its answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A packet: `tcp` or `udp` to a port, or `icmp`, which is an echo. `ipv6` follows from where it goes."""

    protocol: str
    port: int = 0
    ipv6: bool = False

    def __str__(self) -> str:
        return f"{self.name} echo" if self.echoes else f"{self.protocol} {self.port}"

    @property
    def name(self) -> str:
        """The protocol as rules and entries have it."""
        return "icmpv6" if self.ipv6 and self.protocol == "icmp" else self.protocol

    @property
    def echoes(self) -> bool:
        return self.protocol == "icmp"


@dataclass(frozen=True, slots=True)
class Port:
    """A network interface. `addresses[0]` is its primary one, those of IPv6 come last; `public` is by private address."""

    id: str
    instance_id: str
    vpc_id: str
    subnet_id: str
    addresses: tuple[str, ...]
    public: Mapping[str, str]
    groups: tuple[str, ...]
    runs: bool

    def own(self, ipv6: bool) -> str:
        """Its first address of the family; "" for none."""
        return next((address for address in self.addresses if is6(address) is ipv6), "")


@dataclass(frozen=True, slots=True)
class Rule:
    """Of a security group. The other end is one of `blocks`, or a member of `peer`; ports as in `wire.network.RuleSpec`."""

    id: str
    is_egress: bool
    protocol: str
    first: int
    last: int
    blocks: tuple[str, ...] = ()
    peer: str = ""
    named: str = ""
    """How its owner wrote the other end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Of a network ACL. `protocol` is a number, or -1."""

    number: int
    is_egress: bool
    allows: bool
    protocol: str
    block: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Subnet:
    id: str
    vpc_id: str
    acl_id: str
    table_id: str
    routes: tuple[tuple[str, str], ...]
    """(block, what it leads to)."""


@dataclass(frozen=True, slots=True)
class Nat:
    """A NAT gateway; `works`: it is available and public."""

    id: str
    subnet_id: str
    public_ip: str
    works: bool


@dataclass(frozen=True)
class Facts:
    """All that the packet may meet, by ids. `gateways`: the VPC that each internet gateway is attached to; `outgoing`: that of
    each egress-only one; `peerings`: the two VPCs of each that is active."""

    ports: Mapping[str, Port]
    rules: Mapping[str, Sequence[Rule]]
    acls: Mapping[str, Sequence[Entry]]
    subnets: Mapping[str, Subnet]
    gateways: Mapping[str, str] = field(default_factory=dict)
    outgoing: Mapping[str, str] = field(default_factory=dict)
    nats: Mapping[str, Nat] = field(default_factory=dict)
    peerings: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def beyond(self, leads_to: str, vpc_id: str) -> str:
        """The VPC that a route of the VPC leads to by a peering; "" when it leads elsewhere."""
        sides = self.peerings.get(leads_to, ())
        return next((side for side in sides if side != vpc_id), "") if vpc_id in sides else ""

    def peer_towards(self, source: Port, target: str) -> str:
        """The peered VPC that the way to the address leads to; "" for none."""
        return self.beyond(route(self.subnets[source.subnet_id], target, is6(target))[1], source.vpc_id)

    def owner(self, vpc_id: str, address: str) -> Port | None:
        return next((p for p in self.ports.values() if p.vpc_id == vpc_id and address in p.addresses), None)

    def public_owner(self, address: str) -> tuple[Port, str] | None:
        """Who has the public address, and under which private one; an IPv6 address is its own."""
        for port in self.ports.values():
            if is6(address) and address in port.addresses:
                return port, address
            for private, public in port.public.items():
                if public == address:
                    return port, private
        return None


@dataclass(frozen=True, slots=True)
class Step:
    """`at`: the id of what judges; `passes` is None where nothing is decided."""

    at: str
    what: str
    passes: bool | None
    because: str


@dataclass(frozen=True)
class Way:
    """`reached`: no step refuses. `arrives_at`: the interface, or "" for the world outside."""

    reached: bool
    arrives_at: str
    seen_as: str
    steps: tuple[Step, ...]


def explain(facts: Facts, source: Port | None, address: str | None, target: str, asked: Asked) -> Way:
    """The way of the first packet of a connection from `source` (None: from outside) under its address `address` (None: any)
    to the address `target`, and of its answer."""
    asked = replace(asked, ipv6=is6(target))
    steps: list[Step] = []
    arrival, seen_as = _leave(facts, steps, source, address, target, asked) if source else (None, address)
    receiver: Port | None = None
    peer = source
    if arrival is None and _way_on(steps, source):
        found = facts.public_owner(target)
        if found is not None:
            receiver, arrival, peer = found[0], found[1], None
            _come_in(facts, steps, receiver, arrival, seen_as, asked)
        elif source is None:
            what = "address" if asked.ipv6 else "public address"
            steps.append(Step("", "address", False, f"nobody has the {what} {target}"))
    elif arrival is not None and source is not None:
        vpc_id = facts.peer_towards(source, arrival) or source.vpc_id
        receiver = facts.owner(vpc_id, arrival)
        if receiver is None:
            steps.append(Step(vpc_id, "address", False, f"nobody in the VPC has the address {arrival}"))
        else:
            if vpc_id != source.vpc_id:
                _way_back(facts, steps, receiver, source, seen_as, asked)
            _arrive(facts, steps, receiver, seen_as, asked, source)
    if receiver is not None:
        _answer(facts, steps, receiver, peer, seen_as, source, target, asked)
    elif source is not None and arrival is None and _way_on(steps, source):
        steps.append(
            Step("", "outside", None, f"{target} is not of this cloud: whether anybody answers is not known here")
        )
        steps += _acl(facts, source, False, target, asked, "the answer")
    reached = all(step.passes is not False for step in steps)
    return Way(reached, receiver.id if receiver is not None else "", seen_as or "", tuple(steps))


def _way_on(steps: Sequence[Step], source: Port | None) -> bool:
    """Whether there is a way to follow at all, refused on it or not."""
    return source is None or not any(
        step.passes is False and step.what in ("route", "translation", "address") for step in steps
    )


def _leave(
    facts: Facts, steps: list[Step], source: Port, address: str | None, target: str, asked: Asked
) -> tuple[str | None, str | None]:
    """(the address in the VPC that it goes to, or None when it goes outside; the address that it is seen from)."""
    own = address or source.own(asked.ipv6)
    if not own:
        steps.append(Step(source.id, "address", False, "it has no IPv6 address"))
        return None, None
    peer = facts.owner(facts.peer_towards(source, target) or source.vpc_id, target)
    if not source.runs:
        steps.append(Step(source.instance_id or source.id, "machine", False, "it does not run"))
    steps += _groups(facts, source, True, target, peer, asked)
    if peer is None or peer.subnet_id != source.subnet_id:
        steps += _acl(facts, source, True, target, asked)
    subnet = facts.subnets[source.subnet_id]
    block, leads_to = route(subnet, target, asked.ipv6)
    if leads_to == LOCAL:
        steps.append(Step(subnet.table_id, "route", True, f"{block} is local"))
        return target, own
    if leads_to in facts.nats:
        nat = facts.nats[leads_to]
        _, onward = route(facts.subnets[nat.subnet_id], target, asked.ipv6)
        passes = nat.works and facts.gateways.get(onward) == source.vpc_id
        lacks = f"is in {nat.subnet_id}, which leads to no internet gateway" if nat.works else "does not work"
        does = f"sends from {nat.public_ip}" if passes else lacks
        steps.append(Step(subnet.table_id, "route", passes, f"{block} leads to {nat.id}, which {does}"))
        return None, nat.public_ip
    if facts.beyond(leads_to, source.vpc_id):
        steps.append(Step(subnet.table_id, "route", True, f"{block} leads to {leads_to}"))
        return target, own
    ways6 = (facts.gateways, facts.outgoing) if asked.ipv6 else ()
    if any(ways.get(leads_to) == source.vpc_id for ways in ways6):
        steps.append(Step(subnet.table_id, "route", True, f"{block} leads to {leads_to}"))
        return None, own
    if facts.gateways.get(leads_to) == source.vpc_id:
        steps.append(Step(subnet.table_id, "route", True, f"{block} leads to {leads_to}"))
        public = source.public.get(own)
        why = f"{own} goes as {public}" if public else f"{own} has no public address"
        steps.append(Step(source.id, "translation", public is not None, why))
        return None, public
    lacks = "active" if leads_to.startswith("pcx-") else "attached"
    why = f"{block} leads to {leads_to}, which is not {lacks}" if leads_to else f"no route is about {target}"
    steps.append(Step(subnet.table_id, "route", False, why))
    return None, None


def _way_back(facts: Facts, steps: list[Step], receiver: Port, source: Port, seen_as: str | None, asked: Asked) -> None:
    """From a peer's guest."""
    subnet = facts.subnets[receiver.subnet_id]
    block, leads_to = route(subnet, seen_as, asked.ipv6)
    passes = facts.beyond(leads_to, receiver.vpc_id) == source.vpc_id
    why = f"the way back: {block} leads to {leads_to}" if leads_to else f"no route leads back to {seen_as}"
    steps.append(Step(subnet.table_id, "route", passes, why))


def _come_in(facts: Facts, steps: list[Step], receiver: Port, arrival: str, seen_as: str | None, asked: Asked) -> None:
    """From beyond the internet gateway."""
    if not asked.ipv6:
        steps.append(Step(receiver.id, "translation", True, f"{receiver.public[arrival]} is its {arrival}"))
    subnet = facts.subnets[receiver.subnet_id]
    block, leads_to = route(subnet, seen_as, asked.ipv6)
    passes = facts.gateways.get(leads_to) == receiver.vpc_id
    why = f"the way back: {block} leads to {leads_to}" if leads_to else "no route leads back to an internet gateway"
    if leads_to in facts.outgoing:
        why += ", which lets nothing in"
    steps.append(Step(subnet.table_id, "route", passes, why))
    _arrive(facts, steps, receiver, seen_as, asked, None)


def _arrive(
    facts: Facts, steps: list[Step], receiver: Port, seen_as: str | None, asked: Asked, peer: Port | None
) -> None:
    if peer is None or peer.subnet_id != receiver.subnet_id:
        steps += _acl(facts, receiver, False, seen_as, asked)
    steps += _groups(facts, receiver, False, seen_as, peer, asked)
    if not receiver.runs:
        steps.append(Step(receiver.instance_id or receiver.id, "machine", False, "it does not run"))


def _answer(
    facts: Facts, steps: list[Step], receiver: Port, peer: Port | None, seen_as: str | None, source: Port | None,
    target: str, asked: Asked,
) -> None:  # fmt: skip
    if peer is None or peer.subnet_id != receiver.subnet_id:
        steps += _acl(facts, receiver, True, seen_as, asked, "the answer")
        if source is not None:
            steps += _acl(facts, source, False, target, asked, "the answer")


def route(subnet: Subnet, target: str | None, ipv6: bool = False) -> tuple[str, str]:
    """(block, where it leads) of the longest prefix about the address, or of that about all of the family; ("", "") for
    none."""
    best, length = ("", ""), -1
    for block, leads_to in subnet.routes:
        net = _network(block)
        if net.prefixlen > length and _within(target, block, ipv6):
            best, length = (block, leads_to), net.prefixlen
    return best


def _groups(
    facts: Facts, judge: Port, egress: bool, other: str | None, peer: Port | None, asked: Asked
) -> Iterator[Step]:
    what = "groups let out" if egress else "groups let in"
    for group_id in judge.groups:
        for rule in facts.rules.get(group_id, ()):
            if rule.is_egress is not egress:
                continue
            member = peer is not None and rule.peer in peer.groups
            if _covers(rule, asked) and (member or any(_within(other, block, asked.ipv6) for block in rule.blocks)):
                yield Step(group_id, what, True, f"{rule.id}: {_worded(rule)}")
                return
    named = ", ".join(judge.groups)
    why = f"no rule of {named} is about {asked} {'to' if egress else 'from'} {other or 'everywhere'}"
    yield Step(judge.groups[0] if judge.groups else judge.id, what, False, why)


def _covers(rule: Rule, asked: Asked) -> bool:
    if rule.protocol == "-1":
        return True
    if rule.protocol not in (asked.name, _NUMBERS[asked.name]):
        return False
    if rule.protocol == _NUMBERS[asked.name]:
        return True  # by number: no ports
    if asked.echoes:
        return rule.first in (-1, _ECHOES[asked.name][0]) and rule.last in (-1, 0)
    return rule.first <= asked.port <= rule.last


def _worded(rule: Rule) -> str:
    ports = "" if rule.first == -1 else f" {rule.first}" if rule.first == rule.last else f" {rule.first}-{rule.last}"
    return (
        f"{'all' if rule.protocol == '-1' else rule.protocol}{ports} {'to' if rule.is_egress else 'from'} {rule.named}"
    )


def _acl(
    facts: Facts, judge: Port, egress: bool, other: str | None, asked: Asked, of: str = "the packet"
) -> Iterator[Step]:
    """One step where one entry decides for every port that is asked about, else one for each that has a say."""
    acl_id = facts.subnets[judge.subnet_id].acl_id
    what = f"ACL, {of} {'out' if egress else 'in'}"
    for (low, high), entry in _decided(facts.acls.get(acl_id, ()), egress, other, asked, answer=of != "the packet"):
        ports = "" if asked.echoes or low == high else f" for ports {low}-{high}"
        allows = entry is not None and entry.allows
        why = f"entry {entry.number if entry else '*'} {'allows' if allows else 'denies'} it{ports}"
        yield Step(acl_id, what, allows, why)


def _decided(
    entries: Iterable[Entry], egress: bool, other: str | None, asked: Asked, *, answer: bool
) -> list[tuple[tuple[int, int], Entry | None]]:
    """Which entry decides for which ports (of ICMP: the type)."""
    if asked.echoes:
        kind = _ECHOES[asked.name][answer]
        left = [(kind, kind)]
    else:
        left = [EPHEMERAL if answer else (asked.port, asked.port)]
    found: list[tuple[tuple[int, int], Entry | None]] = []
    for entry in sorted(entries, key=lambda entry: entry.number):
        if entry.is_egress is not egress or not _within(other, entry.block, asked.ipv6):
            continue
        if entry.protocol not in ("-1", _NUMBERS[asked.name]):
            continue
        if asked.echoes and entry.protocol != "-1" and entry.last not in (-1, 0):
            continue  # about another code
        last = entry.first if asked.echoes else entry.last
        span = EVERY_PORT if entry.protocol == "-1" or entry.first == -1 else (entry.first, last)
        rest = []
        for low, high in left:
            begin, end = max(low, span[0]), min(high, span[1])
            if begin > end:
                rest.append((low, high))
                continue
            found.append(((begin, end), entry))
            rest += [(low, begin - 1)] if low < begin else []
            rest += [(end + 1, high)] if end < high else []
        left = rest
    found += [(span, None) for span in left]
    return sorted(found, key=lambda each: each[0])


def _within(address: str | None, block: str, ipv6: bool) -> bool:
    """The whole internet is within the block of everything alone; no address is in a block of the other family."""
    net = _network(block)
    if address is None:
        return net.prefixlen == 0 and is6(block) is ipv6
    return is6(address) is is6(block) and ipaddress.ip_address(address) in net


@lru_cache(maxsize=4096)
def _network(block: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(block)


def is6(text: str) -> bool:
    """Whether an address or a block is of IPv6."""
    return ":" in text
