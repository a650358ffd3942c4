"""The compiler where a VPC has IPv6: golden texts (`EUCAPY_REWRITE_GOLDEN=1` writes them anew), and what it refuses."""

from __future__ import annotations

import ipaddress
import json

import msgspec
import pytest

from eucapy.drivers.network.linux.rule_changes import statements
from eucapy.drivers.network.model import (
    NODE,
    Advertiser,
    Link,
    Namespace,
    Neighbour,
    PublicAddress,
    Route,
    Ruleset,
    Setting,
    Thing,
)
from eucapy.eucanetd.compile.layout import Layout, link_local
from eucapy.eucanetd.compile.node import compile_node
from eucapy.eucanetd.compile.permissions import accepts
from eucapy.eucanetd.compile.vpc import compile_vpc
from eucapy.wire.network import (
    AclEntrySpec,
    AclSpec,
    GroupSpec,
    PeeringSpec,
    PeerRouteSpec,
    PortSpec,
    RemoteSpec,
    RuleSpec,
    VpcSpec,
)
from tests.eucanetd.specs import ANY6, group, port, tcp, vpc, vpc6
from tests.eucanetd.test_compile import is_golden, one

LAYOUT = Layout(underlay="10.8.0.1", uplink="eth1", public6=True)
NODES = {"n1": "10.8.0.1", "n2": "10.8.0.2"}
WEB = group(
    "sg-web",
    tcp(80, cidr="0.0.0.0/0"),
    tcp(80, cidr="::/0"),
    tcp(22, cidr="2001:db8:1::/48"),
    tcp(22, cidr="2001:db8:2::/48"),
    tcp(5432, group="sg-web"),
    RuleSpec(protocol="icmp", cidr="0.0.0.0/0"),
    RuleSpec(protocol="icmpv6", from_port=128, to_port=-1, cidr="::/0"),
    RuleSpec(protocol="58", group="sg-web"),
    egress=(RuleSpec(protocol="-1", cidr="0.0.0.0/0"), ANY6),
    members=("10.0.0.11", "2001:db8:a::11", "2001:db8:a::99"),
)
GROUPS = {"sg-web": WEB}
PORTS = [
    port(1, "10.0.0.11", groups=("sg-web",), ipv6s=("2001:db8:a::11", "2001:DB8:a:0::21"), way6="internet"),
    port(2, "10.0.0.12", groups=("sg-web",), ipv6s=("2001:db8:a::12",), way6="egress-only", source_dest_check=False),
    port(3, "10.0.0.13", groups=("sg-web",), ipv6s=("2001:db8:a::13",)),
    port(4, "10.0.0.14", groups=("sg-web",)),
]
VPC = vpc6(remotes=(RemoteSpec(ip="2001:db8:a::99", node="n2"), RemoteSpec(ip="10.0.1.9", node="n2")))


def compiled(spec: VpcSpec, ports: list[PortSpec], layout: Layout = LAYOUT) -> set[Thing]:
    return set(compile_vpc(spec, ports, GROUPS, NODES, layout, frozenset(each.tap for each in ports)))


def test_the_rules_of_a_dual_stack_vpc_are_the_golden_ones() -> None:
    rules = one(compiled(VPC, PORTS), Ruleset)
    assert isinstance(rules, Ruleset)
    is_golden("vpc6.nft", rules.text)


def test_the_rules_of_a_guarded_dual_stack_subnet_are_the_golden_ones() -> None:
    entries = (
        AclEntrySpec(allow=False, protocol="6", from_port=22, to_port=22, cidr="2001:db8:1::/48"),
        AclEntrySpec(allow=True, protocol="-1", cidr="0.0.0.0/0"),
        AclEntrySpec(allow=True, protocol="58", from_port=128, to_port=-1, cidr="::/0"),
        AclEntrySpec(allow=False, protocol="1", from_port=8, to_port=-1, cidr="::/0"),
    )
    acl = AclSpec(acl_id="acl-a", ingress=entries, egress=entries[1:3])
    guarded = msgspec.structs.replace(VPC.subnets[0], acl="acl-a")
    rules = one(compiled(msgspec.structs.replace(VPC, subnets=(guarded,), acls=(acl,)), PORTS), Ruleset)
    assert isinstance(rules, Ruleset)
    _, chains = rules.text.split("  counter refused_acl")
    is_golden("acls6.nft", chains.split("  chain link_local6")[0])


def test_the_rules_of_a_node_that_lets_ipv6_out_are_the_golden_ones() -> None:
    layout = Layout(underlay="10.8.0.1", public6=True, host_ports=(8773,), closed=("10.8.0.0/24", "2001:db8:8::/64"))
    guests = ("198.51.100.96/27", "2001:db8:a::/56", "2001:db8:b::/56")
    things = set(
        compile_node(layout, ["tap1"], ["198.51.100.101", "2001:db8:a::11"], NODES.values(), guest_blocks=guests)
    )
    rules = one(things, Ruleset)
    assert isinstance(rules, Ruleset)
    is_golden("node6.nft", rules.text)
    assert Setting(namespace=NODE, name="net.ipv6.conf.all.forwarding", value="1") in things


def test_a_node_that_lets_no_ipv6_out_is_closed_to_guests_of_others_and_forwards_nothing() -> None:
    things = set(compile_node(Layout(), [], [], [], [("ip6", "filter", "FORWARD")], ["2001:db8:a::/56"]))
    rules = one(things, Ruleset)
    assert isinstance(rules, Ruleset)
    assert "ip6 saddr @guests6 drop" in rules.text
    assert {thing.name for thing in things if isinstance(thing, Setting)} == {"net.ipv4.ip_forward"}
    assert len(things) == 2, "a firewall of the host's own for IPv6 is no business of ours"


def test_a_vpc_without_ipv6_blocks_is_as_ever_whatever_else_names_ipv6() -> None:
    rules = (*WEB.ingress[:1], RuleSpec(protocol="-1", group="sg-web"))
    four = {"sg-web": msgspec.structs.replace(WEB, ingress=rules, egress=WEB.egress[:1], members=("10.0.0.11",))}
    six = {"sg-web": msgspec.structs.replace(four["sg-web"], ingress=(*rules, ANY6), members=WEB.members)}
    bare = [msgspec.structs.replace(each, ipv6s=(), way6="") for each in PORTS]
    entry = AclEntrySpec(allow=True, protocol="-1", cidr="10.0.0.0/8")
    taps = frozenset(each.tap for each in PORTS)
    peer = PeeringSpec(vpc_id="vpc-b", vni=7, cidrs=("10.9.0.0/16",))

    def made(
        spec: VpcSpec, ports: list[PortSpec], entries: tuple[AclEntrySpec, ...], cidrs: tuple[str, ...]
    ) -> set[Thing]:
        groups = six if ports is PORTS else four
        to = (PeerRouteSpec(subnet_id="subnet-vpc-a", to=block) for block in cidrs)
        subnet = msgspec.structs.replace(spec.subnets[0], acl="acl-a")
        spec = msgspec.structs.replace(
            spec,
            subnets=(subnet,),
            acls=(AclSpec(acl_id="acl-a", ingress=entries),),
            peerings=(msgspec.structs.replace(peer, cidrs=cidrs, routes=tuple(to)),),
        )
        return set(compile_vpc(spec, ports, groups, NODES, LAYOUT, taps, frozenset(["vpc-b"])))

    remote = (RemoteSpec(ip="10.0.1.9", node="n2"),)
    plain = made(vpc(remotes=remote), bare, (entry,), peer.cidrs)
    entries = (entry, AclEntrySpec(allow=True, protocol="58", cidr="::/0"))
    named = made(vpc(remotes=VPC.remotes), PORTS, entries, (*peer.cidrs, "2001:db8:b::/56"))
    assert named == plain
    assert "ip6" not in str(one(plain, Ruleset))


def test_what_there_is_of_ipv6_in_a_vpc() -> None:
    things = compiled(VPC, PORTS)
    namespace = LAYOUT.namespace("vpc-a")
    assert Namespace(namespace=namespace, ipv6=True) in things
    assert all(thing.ipv6 for thing in things if isinstance(thing, Link))
    inside = {
        thing.to: (thing.link, thing.via)
        for thing in things
        if isinstance(thing, Route) and ":" in thing.to and thing.namespace == namespace
    }
    assert inside == {
        "2001:db8:a::/56": ("", ""),
        "2001:db8:a::11/128": ("tap1", ""),
        "2001:db8:a::21/128": ("tap1", ""),
        "2001:db8:a::12/128": ("tap2", ""),
        "2001:db8:a::13/128": ("tap3", ""),
        "2001:db8:a::99/128": ("vx", "fe80::76:aff:fe08:2"),
        "::/0": ("transit", link_local("02:65:75:63:61:02")),
    }
    there = (LAYOUT.peer(100), link_local("02:65:75:63:61:01"))
    outside = [t for t in things if isinstance(t, Route) and ":" in t.to and t.namespace == NODE]
    assert {route.to: (route.link, route.via) for route in outside} == {
        f"2001:db8:a::{number}/128": there for number in (11, 12, 21)
    }
    public = {thing.ip for thing in things if isinstance(thing, PublicAddress)}
    assert public == {"2001:db8:a::11", "2001:db8:a::21", "2001:db8:a::12"}


def test_a_node_that_lets_no_ipv6_out_has_no_way_out() -> None:
    things = compiled(VPC, PORTS, Layout(underlay="10.8.0.1", uplink="eth1"))
    assert not {thing for thing in things if isinstance(thing, PublicAddress)}
    assert not {thing for thing in things if isinstance(thing, Route) and thing.to == "::/0"}
    assert not {thing for thing in things if thing.namespace == NODE and ":" in str(getattr(thing, "to", ""))}
    assert {thing.name for thing in things if isinstance(thing, Link) and thing.ipv6} == {
        "tap1",
        "tap2",
        "tap3",
        "tap4",
        "vx",
    }


def test_a_change_of_ipv6_is_made_in_place_and_its_coming_and_going_too() -> None:
    def text(spec: VpcSpec, ports: list[PortSpec], groups: dict[str, GroupSpec]) -> str:
        rules = one(set(compile_vpc(spec, ports, groups, NODES, LAYOUT, frozenset())), Ruleset)
        assert isinstance(rules, Ruleset)
        return rules.text

    base = text(VPC, PORTS, GROUPS)
    less = {"sg-web": msgspec.structs.replace(WEB, ingress=WEB.ingress[:2], members=WEB.members[:2])}
    for other in (text(VPC, PORTS[1:], GROUPS), text(VPC, PORTS, less), text(vpc(), PORTS, GROUPS)):
        for old, new in ((base, other), (other, base)):
            changes = statements(old, new)
            assert changes, "few statements, and not the whole"
            assert len("".join(changes)) < len(new)


def test_links_too_narrow_for_ipv6_carry_none() -> None:
    things = compiled(VPC, PORTS, Layout(guest_mtu=1279))
    assert not [thing for thing in things if isinstance(thing, Link | Namespace) and thing.ipv6]


def test_a_local_address_wins_over_a_remote_however_it_is_written() -> None:
    spec = vpc6(remotes=(RemoteSpec(ip="2001:DB8:A:0::11", node="n2"),))
    routes = [thing for thing in compiled(spec, PORTS) if isinstance(thing, Route) and thing.namespace != NODE]
    assert [route.link for route in routes if route.to == "2001:db8:a::11/128"] == ["tap1"]


def test_the_guests_router_is_the_same_on_every_tap_of_every_node() -> None:
    assert link_local("02:65:75:63:61:00") == "fe80::65:75ff:fe63:6100"


def test_who_is_told_which_address() -> None:
    orders = one(compiled(VPC, PORTS), Advertiser)
    assert isinstance(orders, Advertiser)
    told = json.loads(orders.config)
    assert told["taps"] == {
        "tap1": ["2001:db8:a::11", "2001:db8:a::21"],
        "tap2": ["2001:db8:a::12"],
        "tap3": ["2001:db8:a::13"],
    }
    assert told["mtu"] == 1450


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        (RuleSpec(protocol="-1", cidr="::/0"), ["meta nfproto ipv6 accept"]),
        (RuleSpec(protocol="-1", cidr="0.0.0.0/0"), ["meta nfproto ipv4 accept"]),
        (RuleSpec(protocol="tcp", from_port=22, to_port=22, cidr="::/0"), ["tcp dport 22 meta nfproto ipv6 accept"]),
        (RuleSpec(protocol="udp", cidr="2001:db8::/32"), ["meta l4proto udp ip6 saddr 2001:db8::/32 accept"]),
        (RuleSpec(protocol="icmpv6", cidr="::/0"), ["meta l4proto ipv6-icmp meta nfproto ipv6 accept"]),
        (
            RuleSpec(protocol="58", from_port=1, to_port=4, cidr="fd00::/8"),
            ["icmpv6 type 1 icmpv6 code 4 ip6 saddr fd00::/8 accept"],
        ),
        (RuleSpec(protocol="icmpv6", cidr="0.0.0.0/0"), []),
        (RuleSpec(protocol="icmp", cidr="::/0"), []),
        (
            RuleSpec(protocol="-1", group="sg-b"),
            [
                "meta mark set 7 meta mark . ip saddr @members accept",
                "meta mark set 7 meta mark . ip6 saddr @members6 accept",
            ],
        ),
        (
            RuleSpec(protocol="icmpv6", group="sg-b"),
            ["meta l4proto ipv6-icmp meta mark set 7 meta mark . ip6 saddr @members6 accept"],
        ),
    ],
)
def test_a_permission_in_nftables_words_where_both_families_are(rule: RuleSpec, lines: list[str]) -> None:
    assert accepts((rule,), "saddr", {"sg-b": 7}, ipv6=True) == lines


@pytest.mark.parametrize(
    "wrong",
    [
        port(1, "10.0.0.11", ipv6s=("2001:db8::g",)),
        port(1, "10.0.0.11", ipv6s=("fe80::1%eth0",)),
        port(1, "10.0.0.11", ipv6s=('2001:db8::1" drop',)),
        port(1, "10.0.0.11", ipv6s=("10.0.0.11",)),
    ],
)
def test_values_that_would_be_words_of_another_language_are_refused(wrong: PortSpec) -> None:
    with pytest.raises(ValueError):
        compiled(VPC, [wrong])


@pytest.mark.parametrize("block", ["2001:db8::/129", "fe80::%x/64", "10.0.0.0/8"])
def test_blocks_that_are_none_are_refused(block: str) -> None:
    with pytest.raises(ValueError):
        compiled(msgspec.structs.replace(VPC, cidrs6=(block,)), [])


def test_peers_reach_each_other_by_link_local_next_hops_in_the_subnets_own_table() -> None:
    peering = PeeringSpec(
        vpc_id="vpc-b",
        vni=7,
        cidrs=("10.9.0.0/16", "2001:db8:b::/56"),
        routes=(PeerRouteSpec(subnet_id="subnet-vpc-a", to="2001:db8:b::/56"),),
    )
    closed = (PeerRouteSpec(subnet_id="subnet-vpc-a", to="2001:db8:c::/56"),)
    spec = msgspec.structs.replace(VPC, peerings=(peering,), black_holes=closed)
    things = set(compile_vpc(spec, PORTS, GROUPS, NODES, LAYOUT, frozenset(), frozenset(["vpc-b"])))
    table, namespace = int(ipaddress.IPv4Address("10.0.0.0")), LAYOUT.namespace("vpc-a")
    via = link_local("02:70:00:00:00:07")
    assert {thing for thing in things if isinstance(thing, Route) and thing.table and ":" in thing.to} == {
        Route(namespace=namespace, to="2001:db8:a::/56", table=table),
        Route(namespace=namespace, to="2001:db8:b::/56", link="peer7", via=via, table=table),
        Route(namespace=namespace, to="2001:db8:c::/56", table=table, refuses=True),
    }
    assert Neighbour(namespace=namespace, link="peer7", ip=via, mac="02:70:00:00:00:07") in things
