"""The compiler: golden texts to be read in a diff (`EUCAPY_REWRITE_GOLDEN=1` writes them anew), and what it refuses."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from eucapy.drivers.network.model import NODE, Link, LinkKind, PublicAddress, Resolver, Route, Ruleset, Thing
from eucapy.eucanetd.compile.layout import Layout, vtep_mac
from eucapy.eucanetd.compile.node import compile_node
from eucapy.eucanetd.compile.permissions import accepts
from eucapy.eucanetd.compile.vpc import compile_vpc
from eucapy.wire.network import AclEntrySpec, AclSpec, PortSpec, RemoteSpec, RuleSpec, VpcSpec
from tests.eucanetd.specs import OPEN, group, port, tcp, vpc

GOLDEN = Path(__file__).parent / "golden"
LAYOUT = Layout(underlay="10.8.0.1", uplink="eth1", upstream=("192.0.2.53",))
NODES = {"n1": "10.8.0.1", "n2": "10.8.0.2"}

WEB = group("sg-web", tcp(80, cidr="0.0.0.0/0"), tcp(443, cidr="0.0.0.0/0"), members=("10.0.0.11", "10.0.1.9"))
DATA = group(
    "sg-data",
    tcp(5432, group="sg-web"),
    tcp(22, cidr="192.0.2.0/25"),
    tcp(22, cidr="192.0.2.128/25"),
    tcp(22, cidr="198.51.100.7/32"),
    RuleSpec(protocol="udp", from_port=6000, to_port=6063, cidr="10.0.0.0/16"),
    RuleSpec(protocol="icmp", from_port=8, to_port=-1, cidr="0.0.0.0/0"),
    RuleSpec(protocol="47", cidr="203.0.113.9/32"),
    egress=(tcp(443, cidr="0.0.0.0/0"), RuleSpec(protocol="-1", group="sg-data")),
    members=("10.0.0.12",),
)
PORTS = [
    port(1, "10.0.0.11", groups=("sg-web",), public=(("10.0.0.11", "198.51.100.101"),)),
    port(2, "10.0.0.12", groups=("sg-data", "sg-web"), source_dest_check=False),
]
VPC = vpc(names=(("ip-10-0-0-11", "10.0.0.11"),), remotes=(RemoteSpec(ip="10.0.1.9", node="n2"),))
GROUPS = {each.group_id: each for each in (WEB, DATA, OPEN)}


def compiled(
    spec: VpcSpec, ports: list[PortSpec], layout: Layout = LAYOUT, taps: frozenset[str] | None = None
) -> set[Thing]:
    there = frozenset(each.tap for each in ports) if taps is None else taps
    return set(compile_vpc(spec, ports, GROUPS, NODES, layout, there))


def one(things: set[Thing], kind: type) -> Thing:
    (found,) = (thing for thing in things if isinstance(thing, kind))
    return found


def is_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("EUCAPY_REWRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_the_rules_of_a_vpc_are_the_golden_ones() -> None:
    rules = one(compiled(VPC, PORTS), Ruleset)
    assert isinstance(rules, Ruleset)
    is_golden("vpc.nft", rules.text)


def test_the_rules_of_a_vpc_without_ports_are_the_golden_ones() -> None:
    rules = one(compiled(VPC, []), Ruleset)
    assert isinstance(rules, Ruleset)
    is_golden("vpc-empty.nft", rules.text)


def test_the_rules_of_a_guarded_subnet_are_the_golden_ones() -> None:
    closed = (
        AclEntrySpec(allow=False, protocol="6", from_port=22, to_port=22, cidr="192.0.2.0/24"),
        AclEntrySpec(allow=True, protocol="1", from_port=8, to_port=-1, cidr="0.0.0.0/0"),
    )
    away = (AclEntrySpec(allow=True, protocol="-1", cidr="10.0.0.0/16"),)
    acl = AclSpec(acl_id="acl-a", ingress=closed, egress=away)
    guarded = msgspec.structs.replace(VPC.subnets[0], acl="acl-a")
    rules = one(compiled(msgspec.structs.replace(VPC, subnets=(guarded,), acls=(acl,)), PORTS), Ruleset)
    assert isinstance(rules, Ruleset)
    _, chains = rules.text.split("  counter refused_acl")
    is_golden("acls.nft", chains.split("  chain sources")[0])


def test_a_subnet_whose_acl_nobody_describes_is_refused() -> None:
    guarded = msgspec.structs.replace(VPC.subnets[0], acl="acl-a")
    with pytest.raises(ValueError):
        compiled(msgspec.structs.replace(VPC, subnets=(guarded,)), PORTS)


def test_the_rules_of_the_node_are_the_golden_ones() -> None:
    layout = Layout(underlay="10.8.0.1", uplink="eth1", masquerade=True, host_ports=(8773, 443))
    guests = ("198.51.100.96/28", "198.51.100.112/28")
    rules = one(
        set(compile_node(layout, ["tap2", "tap1"], ["198.51.100.101"], NODES.values(), guest_blocks=guests)), Ruleset
    )
    assert isinstance(rules, Ruleset)
    is_golden("node.nft", rules.text)


def test_the_resolvers_files_are_the_golden_ones() -> None:
    files = one(compiled(VPC, PORTS), Resolver)
    assert isinstance(files, Resolver)
    is_golden("dnsmasq.conf", files.config)
    is_golden("dnsmasq.hosts", files.hosts)
    is_golden("dnsmasq.leases", files.leases)


def test_the_order_of_ports_groups_and_members_makes_no_difference() -> None:
    def swapped(ports: list[PortSpec]) -> Thing:
        return one(compiled(VPC, ports), Ruleset)

    assert swapped(PORTS) == swapped(list(reversed(PORTS)))


def test_rules_name_a_port_before_its_tap_is_there_and_links_do_not() -> None:
    without, with_taps = compiled(VPC, PORTS, taps=frozenset()), compiled(VPC, PORTS)
    assert one(without, Ruleset) == one(with_taps, Ruleset)
    taps = {thing.name for thing in with_taps - without if isinstance(thing, Link)}
    assert taps == {"tap1", "tap2"}
    assert not {thing for thing in without if isinstance(thing, PublicAddress)}


def test_guests_get_what_fits_into_the_underlay() -> None:
    layout = Layout(underlay="10.8.0.1", underlay_mtu=1400)
    mtus = {thing.mtu for thing in compiled(VPC, PORTS, layout) if isinstance(thing, Link)}
    assert mtus == {1350}


def test_a_local_address_wins_over_a_remote_of_the_same_number() -> None:
    spec = vpc(remotes=(RemoteSpec(ip="10.0.0.11", node="n2"), RemoteSpec(ip="10.0.1.9", node="unknown")))
    routes = [thing for thing in compiled(spec, PORTS) if isinstance(thing, Route) and thing.namespace != NODE]
    assert [route.link for route in routes if route.to == "10.0.0.11/32"] == ["tap1"]
    assert not [route for route in routes if route.to == "10.0.1.9/32"]


def test_a_lone_node_has_no_overlay() -> None:
    kinds = {thing.kind for thing in compiled(VPC, PORTS, Layout()) if isinstance(thing, Link)}
    assert LinkKind.VXLAN not in kinds


def test_mac_addresses_of_the_overlay_follow_from_the_nodes_addresses() -> None:
    assert vtep_mac("10.8.0.2") == "02:76:0a:08:00:02"


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (RuleSpec(protocol="-1", cidr="0.0.0.0/0"), "accept"),
        (RuleSpec(protocol="-1", cidr="10.1.0.0/16"), "ip saddr 10.1.0.0/16 accept"),
        (RuleSpec(protocol="tcp", from_port=22, to_port=22, cidr="0.0.0.0/0"), "tcp dport 22 accept"),
        (RuleSpec(protocol="6", from_port=1, to_port=9, cidr="0.0.0.0/0"), "tcp dport 1-9 accept"),
        (RuleSpec(protocol="tcp", from_port=0, to_port=65535, cidr="0.0.0.0/0"), "meta l4proto tcp accept"),
        (RuleSpec(protocol="udp", cidr="0.0.0.0/0"), "meta l4proto udp accept"),
        (RuleSpec(protocol="icmp", cidr="0.0.0.0/0"), "meta l4proto icmp accept"),
        (RuleSpec(protocol="icmp", from_port=3, to_port=4, cidr="0.0.0.0/0"), "icmp type 3 icmp code 4 accept"),
        (RuleSpec(protocol="50", cidr="10.1.2.3/32"), "meta l4proto 50 ip saddr 10.1.2.3/32 accept"),
    ],
)
def test_a_permission_in_nftables_words(rule: RuleSpec, line: str) -> None:
    assert accepts((rule,), "saddr", {"sg-b": 7}) == [line]


def test_a_group_is_looked_up_among_all_memberships_by_its_number() -> None:
    assert accepts((tcp(1, group="sg-b"),), "saddr", {"sg-b": 7}) == [
        "tcp dport 1 meta mark set 7 meta mark . ip saddr @members accept"
    ]


def test_permissions_that_differ_in_their_block_are_one_rule_and_touching_blocks_one_block() -> None:
    rules = tuple(tcp(22, cidr=cidr) for cidr in ("10.0.0.0/25", "10.0.0.128/25", "10.0.0.7/32", "192.0.2.1/32"))
    assert accepts(rules, "saddr", {}) == ["tcp dport 22 ip saddr { 10.0.0.0/24, 192.0.2.1/32 } accept"]


@pytest.mark.parametrize(
    "rule",
    [
        RuleSpec(protocol="58", cidr="::/0"),
        RuleSpec(protocol="tcp", from_port=22, to_port=22, cidr="2001:db8::/32"),
        RuleSpec(protocol="tcp", from_port=22, to_port=22, group="sg-unknown"),
    ],
)
def test_what_cannot_match_ipv4_here_opens_nothing(rule: RuleSpec) -> None:
    assert accepts((rule,), "saddr", {}) == []


@pytest.mark.parametrize(
    "rule",
    [
        RuleSpec(protocol="tcp", from_port=9, to_port=1, cidr="0.0.0.0/0"),
        RuleSpec(protocol="256", cidr="0.0.0.0/0"),
        RuleSpec(protocol="tcp; drop", cidr="0.0.0.0/0"),
        RuleSpec(protocol="icmp", from_port=256, to_port=0, cidr="0.0.0.0/0"),
        RuleSpec(protocol="-1", cidr="10.0.0.0/99"),
    ],
)
def test_a_permission_that_is_none_is_refused(rule: RuleSpec) -> None:
    with pytest.raises(ValueError):
        accepts((rule,), "saddr", {})


@pytest.mark.parametrize(
    "wrong",
    [
        port(1, "10.0.0.11", tap='x" drop'),
        port(1, "10.0.0.11", mac="02:00:00:00:00:01,10.0.0.9"),
        port(1, "10.0.0.11", hostname="a\ndhcp-script=/bin/sh"),
        port(1, "10.0.0.11", private_ips=("10.0.0.300",)),
        port(1, "10.0.0.11", subnet_id="subnet-other"),
        port(1, "10.0.0.11", public=(("10.0.0.11", "everywhere"),)),
    ],
)
def test_values_that_would_be_words_of_another_language_are_refused(wrong: PortSpec) -> None:
    with pytest.raises(ValueError):
        compiled(VPC, [wrong])


@pytest.mark.parametrize(
    "wrong",
    [
        vpc(dns_domain="a b"),
        vpc(names=(("x y", "10.0.0.1"),)),
        vpc(cidrs=("10.0.0.0/33",)),
        vpc(vni=0),
        vpc(vni=1 << 24),
        vpc(dns_servers=("resolver",)),
    ],
)
def test_a_vpc_that_makes_no_sense_is_refused(wrong: VpcSpec) -> None:
    with pytest.raises(ValueError):
        compiled(wrong, [])
