"""A change of rules costs the change: few statements, and what they make is what the whole would have made."""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from eucapy.drivers.network.linux.places import Places
from eucapy.drivers.network.linux.rule_changes import statements
from eucapy.drivers.network.linux.rulesets import Rulesets
from eucapy.drivers.network.model import Ruleset
from eucapy.eucanetd.compile.firewall import ruleset
from eucapy.eucanetd.compile.layout import Layout
from eucapy.run import in_netns, run_now
from eucapy.wire.network import AclEntrySpec, AclSpec, GroupSpec, PortSpec, RuleSpec, SubnetSpec, VpcSpec
from tests.eucanetd.specs import PING, group, port, tcp, vpc
from tests.harness.topology import skip_without_host

PREFIX = "eurc-"
GROUPS = 100
GUESTS = 1000


def crowd(more: tuple[RuleSpec, ...] = (), guests: int = GUESTS) -> Ruleset:
    """A thousand guests in a hundred groups, each of which lets in the next; `more` are rules of the first group."""
    ports = [
        port(
            number,
            f"10.0.{number // 200}.{number % 200 + 10}",
            groups=(f"sg-{number % GROUPS}",),
            mac=f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
        )
        for number in range(guests)
    ]
    groups = {}
    for number in range(GROUPS):
        rules = (tcp(22, cidr="10.0.0.0/8"), PING, tcp(443, group=f"sg-{(number + 1) % GROUPS}"))
        members = tuple(one.private_ips[0] for one in ports if one.groups == (f"sg-{number}",))
        groups[f"sg-{number}"] = group(f"sg-{number}", *rules, *(more if number == 0 else ()), members=members)
    return ruleset(vpc(), ports, groups, Layout(prefix=PREFIX), ["10.0.0.2"])


def size(found: list[str] | None) -> int:
    assert found is not None
    return sum(text.count("\n") + 1 for text in found)


def test_one_rule_among_a_thousand_guests_is_a_few_lines() -> None:
    found = statements(crowd().text, crowd((tcp(80, cidr="192.0.2.0/24"),)).text)
    assert found is not None
    assert found[0] == "flush chain inet eucapy in_sg_0"
    assert "tcp dport 80 ip saddr 192.0.2.0/24 accept" in found[1]
    assert size(found) < 10


def test_one_guest_more_is_a_few_elements() -> None:
    found = statements(crowd(guests=GUESTS - 1).text, crowd().text)
    assert size(found) < 20
    assert found is not None
    assert [text.partition("{")[0].strip() for text in found] == [
        "add element arp eucapy own",
        "table inet eucapy",
        "add element inet eucapy own",
        "add element inet eucapy macs",
        "add element inet eucapy members",
        "add element inet eucapy guests_in",
        "add element inet eucapy guests_out",
    ]


def test_nothing_lies_between_a_rule_set_and_itself() -> None:
    assert statements(crowd().text, crowd().text) == []


def test_what_cannot_be_said_in_statements_is_replaced_whole() -> None:
    old = "table inet eucapy {\n  set s {\n    type ipv4_addr\n    elements = {\n      10.0.0.1\n    }\n  }\n}\n"
    assert statements(old, old.replace("10.0.0.1", "10.0.0.2")) is not None
    assert statements(old, old.replace("type ipv4_addr", "type ifname")) is None
    ranges = old.replace("type ipv4_addr", "type ipv4_addr\n    flags interval")
    assert statements(ranges, ranges.replace("10.0.0.1", "10.0.0.2")) is None
    assert statements(old, "table ip other {\n}\n") is None
    assert statements(old, "list ruleset\n") is None


class Story:
    """A VPC that changes at random: guests, groups, rules, members, public addresses, ACLs."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.ports: dict[int, PortSpec] = {}
        self.groups: dict[str, GroupSpec] = {f"sg-{n}": group(f"sg-{n}") for n in range(4)}
        self.acls: tuple[AclSpec, ...] = ()

    def step(self) -> None:
        self.chance.choice([self.guest, self.guest, self.rule, self.rule, self.members, self.public, self.acl])()

    def guest(self) -> None:
        number = self.chance.randrange(8)
        if self.ports.pop(number, None) is None:
            chosen = tuple(self.chance.sample(sorted(self.groups), self.chance.randint(1, 3)))
            checked = self.chance.random() < 0.7
            self.ports[number] = port(number, f"10.0.0.{number + 10}", groups=chosen, source_dest_check=checked)

    def rule(self) -> None:
        name = self.chance.choice(sorted(self.groups))
        blocks = self.chance.sample(["0.0.0.0/0", "10.0.0.0/24", "192.0.2.0/25", "198.51.100.7/32"], 2)
        rules = [tcp(self.chance.choice([22, 80]), cidr=block) for block in blocks]
        rules += [tcp(443, group=self.chance.choice(sorted(self.groups))), PING]
        chosen = tuple(self.chance.sample(rules, self.chance.randint(0, len(rules))))
        way = self.chance.choice(["ingress", "egress"])
        self.groups[name] = msgspec.structs.replace(self.groups[name], **{way: chosen})

    def members(self) -> None:
        name = self.chance.choice(sorted(self.groups))
        found = tuple(f"10.0.1.{self.chance.randrange(1, 30)}" for _ in range(self.chance.randrange(4)))
        self.groups[name] = msgspec.structs.replace(self.groups[name], members=found)

    def public(self) -> None:
        if self.ports:
            number = self.chance.choice(sorted(self.ports))
            one = self.ports[number]
            pair = (one.private_ips[0], f"198.51.100.{self.chance.randrange(100, 110)}")
            others = {public for each in self.ports.values() for _, public in each.public}
            public = () if pair[1] in others else (pair,)
            self.ports[number] = msgspec.structs.replace(one, public=public)

    def acl(self) -> None:
        entries = (
            AclEntrySpec(allow=self.chance.random() < 0.5, protocol="6", from_port=22, to_port=22, cidr="10.0.0.0/8"),
        )
        self.acls = self.chance.choice([(), (AclSpec(acl_id="acl-1", ingress=entries),)])

    def rules(self) -> Ruleset:
        subnet = SubnetSpec(
            subnet_id="subnet-vpc-a", cidr="10.0.0.0/24", gateway="10.0.0.1", acl="acl-1" if self.acls else ""
        )
        spec: VpcSpec = vpc(subnets=(subnet,), acls=self.acls)
        return ruleset(spec, list(self.ports.values()), self.groups, Layout(prefix=PREFIX), ["10.0.0.2"])


def listed(netns: str) -> Counter[str]:
    """What the kernel has, without the order in which it came and what it has counted."""
    text = run_now(*in_netns(netns, ["nft", "-j", "-s", "list", "ruleset"])).stdout
    found: Counter[str] = Counter()
    places: Counter[str] = Counter()
    for entry in json.loads(text)["nftables"]:
        [(kind, value)] = entry.items()
        if kind == "metainfo":
            continue
        if kind == "rule":
            where = f"{value['family']} {value['chain']}"
            value = {**value, "place": places[where]}
            places[where] += 1
        found[f"{kind} {json.dumps(_plain(value), sort_keys=True)}"] += 1
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _plain(each) for key, each in value.items() if key not in ("handle", "packets", "bytes")}
        return {key: sorted(each, key=json.dumps) if key == "elem" else each for key, each in kept.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    skip_without_host()
    names = (f"{PREFIX}vpc-changed", f"{PREFIX}vpc-afresh")
    for name in names:
        run_now("ip", "netns", "add", name)
    try:
        yield names
    finally:
        for name in names:
            run_now("ip", "netns", "delete", name)


@pytest.mark.host
def test_changes_make_what_the_whole_would_have_made(
    namespaces: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="eucapy.drivers.network.linux.rulesets")
    changed, afresh = namespaces
    story, changing, few = Story(random.Random(20261123)), Rulesets(), 0
    with Places(PREFIX) as places:
        last = ""
        for _ in range(60):
            story.step()
            wanted = story.rules()
            few += statements(last, wanted.text) is not None
            last = wanted.text
            changing.put(at(wanted, changed), places)
            Rulesets().put(at(wanted, afresh), places)
            assert listed(changed) == listed(afresh)
            assert [seen.digest for seen in changing.observe(places[changed])] == [wanted.digest]
    assert not caplog.records, "the kernel refused a change and took the whole"
    assert few > 40


def at(rules: Ruleset, namespace: str) -> Ruleset:
    return Ruleset(namespace=namespace, digest=rules.digest, text=rules.text, published=rules.published)


@pytest.mark.host
def test_a_table_that_others_have_removed_is_loaded_whole(namespaces: tuple[str, str]) -> None:
    changed, afresh = namespaces
    story, changing = Story(random.Random(1)), Rulesets()
    story.guest()
    with Places(PREFIX) as places:
        changing.put(at(story.rules(), changed), places)
        run_now(*in_netns(changed, ["nft", "delete", "table", "inet", "eucapy"]))
        assert list(changing.observe(places[changed])) == []
        story.rule()
        changing.put(at(story.rules(), changed), places)
        Rulesets().put(at(story.rules(), afresh), places)
    assert listed(changed) == listed(afresh)


@pytest.mark.host
def test_counters_go_on_when_rules_change(namespaces: tuple[str, str]) -> None:
    changed, _ = namespaces
    changing = Rulesets()
    with Places(PREFIX) as places:
        counted = "table inet eucapy {\n  counter drops {\n  }\n  chain one {\n    accept\n  }\n}\n"
        changing.put(
            Ruleset(namespace=changed, digest="1", text=counted.replace("drops {", "drops {\n    packets 7 bytes 70")),
            places,
        )
        more = counted.replace("drops {", "drops {\n    packets 7 bytes 70").replace("accept", "drop")
        run_now(*in_netns(changed, ["nft", "-f", "-"]), stdin="table inet eucapy {\n  chain two {\n  }\n}\n")
        changing.put(Ruleset(namespace=changed, digest="2", text=more), places)
    shown = run_now(*in_netns(changed, ["nft", "list", "table", "inet", "eucapy"])).stdout
    assert "packets 7" in shown
    assert "chain two" in shown, "the table was replaced"
    assert "digest_2" in shown
    assert "digest_1" not in shown
