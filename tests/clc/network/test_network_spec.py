"""`specs/network.py`: rows to what a zone is told. Pure, so the rows here are plain values."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eucapy.clc.specs.network import ZoneNetwork, gateway, zone_network
from eucapy.clc.store.placed_ports import Interface
from eucapy.wire.network import (
    AclEntrySpec,
    AclSpec,
    GroupSpec,
    NatGatewaySpec,
    PeeringSpec,
    PeerRouteSpec,
    PortSpec,
    RuleSpec,
    SubnetSpec,
    VpcSpec,
)

A, B = "us-east-1a", "us-east-1b"


@dataclass
class World:
    """One VPC with a subnet a zone; tests change what they are about."""

    interfaces: list[Interface] = field(default_factory=list)
    places: list[tuple[str, str]] = field(default_factory=list)
    vpcs: Sequence[Any] = field(
        default_factory=lambda: [
            SimpleNamespace(id="vpc-1", cidr="10.0.0.0/16", vni=5000, dhcp_options_id="dopt-1", dns_support=True)
        ]
    )
    cidrs: dict[str, Sequence[Any]] = field(default_factory=dict)
    cidrs6: dict[str, Sequence[Any]] = field(default_factory=dict)
    subnets: Sequence[Any] = (
        SimpleNamespace(id="subnet-a", vpc_id="vpc-1", cidr="10.0.1.0/24", cidr6=""),
        SimpleNamespace(id="subnet-b", vpc_id="vpc-1", cidr="10.0.2.0/24", cidr6=""),
    )
    options: dict[str, Any] = field(default_factory=dict)
    public: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    groups: Sequence[Any] = (
        SimpleNamespace(id="sg-web", vpc_id="vpc-1"),
        SimpleNamespace(id="sg-db", vpc_id="vpc-1"),
        SimpleNamespace(id="sg-idle", vpc_id="vpc-1"),
    )
    rules: dict[str, Sequence[Any]] = field(default_factory=dict)
    lists: dict[str, Sequence[str]] = field(default_factory=dict)
    public_subnets: set[str] = field(default_factory=lambda: {"subnet-a", "subnet-b"})
    ways6: dict[str, str] = field(default_factory=dict)
    guards: dict[str, str] = field(default_factory=dict)
    acl_entries: dict[str, Sequence[Any]] = field(default_factory=dict)
    nat_gateways: Sequence[Any] = ()
    behind_nat: dict[str, str] = field(default_factory=dict)
    peerings: Sequence[Any] = ()
    to_peers: Sequence[Any] = ()
    flow_logs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def port(self, number: int, zone: str = A, node: str = "n1", groups: Sequence[str] = ("sg-web",)) -> str:
        letter = zone[-1]
        interface_id = f"eni-{letter}{number}"
        block = {"a": "10.0.1", "b": "10.0.2"}[letter]
        self.interfaces.append(
            Interface(
                id=interface_id,
                instance_id=f"i-{letter}{number}",
                vpc_id="vpc-1",
                subnet_id=f"subnet-{letter}",
                tap=f"vn{letter}{number}",
                mac=f"02:00:00:00:00:{number:02x}",
                private_ip=f"{block}.{number}",
                secondary_ips="[]",
                groups=json.dumps([[group, group] for group in groups]),
                source_dest_check=True,
            )
        )
        self.places.append((node, zone))
        return interface_id

    def compiled(self, zone: str = A) -> ZoneNetwork:
        ports = [
            (interface._replace(public=self.public.get(interface.id, ())), node, home)
            for interface, (node, home) in zip(self.interfaces, self.places, strict=True)
        ]
        return zone_network(ports, self, zone, "us-east-1")


def rule(**given: Any) -> Any:
    base = {
        "is_egress": False,
        "protocol": "tcp",
        "from_port": 22,
        "to_port": 22,
        "cidr": "",
        "cidr6": "",
        "referenced_group": "",
        "referenced_peering": "",
    }
    return SimpleNamespace(**{**base, **given})


def options(**given: Sequence[str]) -> Mapping[str, Any]:
    values = {name.replace("_", "-"): list(value) for name, value in given.items()}
    return {"dopt-1": SimpleNamespace(configurations=values)}


def test_nothing_placed_is_nothing_told() -> None:
    world = World(vpcs=(), subnets=(), groups=())
    assert world.compiled() == ZoneNetwork({}, {}, {}, {})


def test_a_port_as_its_node_needs_it() -> None:
    world = World()
    interface_id = world.port(7)
    world.public[interface_id] = (("10.0.1.7", "203.0.113.7"),)
    placed = world.compiled().ports[interface_id]
    assert placed.node == "n1"
    assert placed.port == PortSpec(
        interface_id="eni-a7",
        instance_id="i-a7",
        tap="vna7",
        mac="02:00:00:00:00:07",
        vpc_id="vpc-1",
        subnet_id="subnet-a",
        private_ips=("10.0.1.7",),
        public=(("10.0.1.7", "203.0.113.7"),),
        groups=("sg-web",),
        hostname="ip-10-0-1-7",
    )


def test_secondary_addresses_follow_the_primary_one() -> None:
    world = World()
    interface_id = world.port(7)
    world.interfaces[0] = world.interfaces[0]._replace(secondary_ips='["10.0.1.9", "10.0.1.8"]')
    assert world.compiled().ports[interface_id].port.private_ips == ("10.0.1.7", "10.0.1.9", "10.0.1.8")


def test_a_vpc_as_every_node_needs_it() -> None:
    world = World()
    world.port(7)
    world.port(9, B)
    assert world.compiled().vpcs == {
        "vpc-1": VpcSpec(
            vpc_id="vpc-1",
            vni=5000,
            cidrs=("10.0.0.0/16",),
            subnets=(
                SubnetSpec(subnet_id="subnet-a", cidr="10.0.1.0/24", gateway="10.0.1.1"),
                SubnetSpec(subnet_id="subnet-b", cidr="10.0.2.0/24", gateway="10.0.2.1"),
            ),
            dns_domain="ec2.internal",
            names=(("ip-10-0-1-7", "10.0.1.7"), ("ip-10-0-2-9", "10.0.2.9")),
            internet=True,
        )
    }


def test_an_instance_may_be_named_by_its_id_too() -> None:
    world = World()
    world.port(7)
    world.interfaces[0] = world.interfaces[0]._replace(resource_name=True)
    assert world.compiled().vpcs["vpc-1"].names == (("i-a7", "10.0.1.7"), ("ip-10-0-1-7", "10.0.1.7"))


def test_dhcp_options_give_domain_and_servers() -> None:
    world = World(options={**options(domain_name=["lab.example"], domain_name_servers=["192.0.2.1", "192.0.2.2"])})
    world.port(7)
    vpc = world.compiled().vpcs["vpc-1"]
    assert (vpc.dns_domain, vpc.dns_servers) == ("lab.example", ("192.0.2.1", "192.0.2.2"))


def test_dhcp_options_give_time_and_netbios_servers() -> None:
    given = options(ntp_servers=["192.0.2.3"], netbios_name_servers=["192.0.2.4"], netbios_node_type=["2"])
    world = World(options={**given})
    world.port(7)
    vpc = world.compiled().vpcs["vpc-1"]
    assert (vpc.ntp_servers, vpc.netbios_servers, vpc.netbios_node_type) == (("192.0.2.3",), ("192.0.2.4",), "2")


def test_a_vpc_without_dns_support_has_a_silent_resolver() -> None:
    world = World()
    world.port(7)
    assert world.compiled().vpcs["vpc-1"].dns is True
    world.vpcs[0].dns_support = False
    assert world.compiled().vpcs["vpc-1"].dns is False


def test_amazons_resolver_is_the_vpcs_own() -> None:
    world = World(options={**options(domain_name_servers=["AmazonProvidedDNS"])})
    world.port(7)
    assert world.compiled().vpcs["vpc-1"].dns_servers == ()


def test_a_subnet_without_a_way_out_has_no_public_addresses() -> None:
    world = World(public_subnets={"subnet-b"})
    inside, outside = world.port(7), world.port(9, B)
    for interface_id, ip in ((inside, "10.0.1.7"), (outside, "10.0.2.9")):
        world.public[interface_id] = ((ip, f"203.0.113.{ip[-1]}"),)
    network = world.compiled()
    assert network.ports[inside].port.public == ()
    assert network.far_ports[outside].port.public == (("10.0.2.9", "203.0.113.9"),)
    assert network.vpcs["vpc-1"].internet is True
    world.public_subnets = set()
    assert world.compiled().vpcs["vpc-1"].internet is False


def test_other_zones_ports_are_far() -> None:
    world = World()
    here, there = world.port(7), world.port(9, B, "n2")
    for zone, near, far in ((A, here, there), (B, there, here)):
        network = world.compiled(zone)
        assert (list(network.ports), list(network.far_ports)) == ([near], [far])


def test_groups_in_use_have_rules_and_those_they_name_have_members() -> None:
    world = World(
        rules={
            "sg-web": [
                rule(cidr="0.0.0.0/0"),
                rule(cidr6="::/0"),
                rule(protocol="icmpv6", from_port=-1, to_port=-1, cidr="0.0.0.0/0"),
                rule(is_egress=True, protocol="-1", from_port=-1, to_port=-1, referenced_group="sg-db"),
            ],
            "sg-db": [rule(from_port=5432, to_port=5432, referenced_group="sg-web")],
        }
    )
    world.port(7)
    world.port(10, B, groups=("sg-db",))
    world.port(9, B, groups=("sg-db", "sg-web"))
    assert world.compiled().groups == {
        "sg-web": GroupSpec(
            group_id="sg-web",
            vpc_id="vpc-1",
            ingress=(RuleSpec(protocol="tcp", from_port=22, to_port=22, cidr="0.0.0.0/0"),),
            egress=(RuleSpec(protocol="-1", group="sg-db"),),
            members=("10.0.2.9",),
        ),
        "sg-db": GroupSpec(group_id="sg-db", vpc_id="vpc-1", members=("10.0.2.10", "10.0.2.9")),
    }


@given(st.lists(st.tuples(st.integers(4, 254), st.sampled_from([A, B])), unique=True, max_size=12))
def test_every_port_is_near_or_far_and_the_order_of_rows_means_nothing(placed: list[tuple[int, str]]) -> None:
    world, turned = World(), World()
    for number, zone in placed:
        world.port(number, zone)
    for number, zone in reversed(placed):
        turned.port(number, zone)
    network = world.compiled()
    assert len(network.ports) + len(network.far_ports) == len(placed)
    assert network == turned.compiled()
    assert not network.ports.keys() & network.far_ports.keys()


@given(st.ip_addresses(v=4), st.integers(16, 28))
def test_the_gateway_is_the_first_address(address: ipaddress.IPv4Address, length: int) -> None:
    network = ipaddress.IPv4Network((int(address), length), strict=False)
    assert ipaddress.IPv4Address(gateway(str(network))) == network[1]


def entry(number: int, *, egress: bool = False, **given: Any) -> Any:
    base = {
        "action": "allow", "protocol": "-1", "cidr": "0.0.0.0/0", "from_port": None, "to_port": None,
        "icmp_type": None, "icmp_code": None,
    }  # fmt: skip
    return SimpleNamespace(**{**base, "number": number, "is_egress": egress, **given})


def test_an_acl_is_told_where_it_holds_something_back() -> None:
    last = {"action": "deny", "number": 32767}
    world = World(guards={"subnet-a": "acl-a", "subnet-b": "acl-open"})
    world.acl_entries = {
        "acl-open": [
            entry(100, egress=True), entry(**last, egress=True), entry(100), entry(**last),
        ],
        "acl-a": [
            entry(100, egress=True),
            entry(**last, egress=True),
            entry(7, protocol="6", from_port=22, to_port=80, cidr="10.0.0.0/8"),
            entry(8, protocol="6", from_port=22, to_port=80, cidr=""),
            entry(9, protocol="1", icmp_type=8, icmp_code=-1, action="deny"),
            entry(**last),
        ],
    }  # fmt: skip
    world.port(7)
    vpc = world.compiled().vpcs["vpc-1"]
    assert [(each.subnet_id, each.acl) for each in vpc.subnets] == [("subnet-a", "acl-a"), ("subnet-b", "")]
    assert vpc.acls == (
        AclSpec(
            acl_id="acl-a",
            ingress=(
                AclEntrySpec(allow=True, protocol="6", from_port=22, to_port=80, cidr="10.0.0.0/8"),
                AclEntrySpec(allow=False, protocol="1", from_port=8, to_port=-1, cidr="0.0.0.0/0"),
            ),
            egress=(AclEntrySpec(allow=True, protocol="-1", cidr="0.0.0.0/0"),),
        ),
    )


def test_a_nat_gateway_is_told_with_its_node_and_the_subnets_behind_it() -> None:
    def gateway_in(subnet_id: str, **given: Any) -> Any:
        base = {"id": "nat-1", "vpc_id": "vpc-1", "public_ip": "203.0.113.5", "node": "n2", "subnet_id": subnet_id}
        return SimpleNamespace(**{**base, **given})

    world = World(public_subnets={"subnet-b"}, behind_nat={"subnet-a": "nat-1", "subnet-c": "nat-2"})
    world.port(7)
    world.nat_gateways = [
        gateway_in("subnet-b"),
        gateway_in("subnet-a", id="nat-2"),
        gateway_in("subnet-b", id="nat-3", public_ip=""),
        gateway_in("subnet-b", id="nat-4", vpc_id="vpc-2"),
    ]
    assert world.compiled().vpcs["vpc-1"].nat_gateways == (
        NatGatewaySpec(gateway_id="nat-1", public_ip="203.0.113.5", node="n2", subnets=("subnet-a",)),
    )


def test_both_sides_of_a_peering_hear_of_it_once_a_route_of_either_leads_there() -> None:
    def row(number: int, **given: Any) -> Any:
        base = {"id": f"vpc-{number}", "cidr": f"10.{number}.0.0/16", "vni": number, "dhcp_options_id": ""}
        return SimpleNamespace(**{**base, "dns_support": True, **given})

    def between(number: int, one: str, other: str) -> Any:
        return SimpleNamespace(id=f"pcx-{number}", requester_vpc=one, accepter_vpc=other)

    world = World(vpcs=[row(1), row(2), row(3)], cidrs={"vpc-2": [SimpleNamespace(cidr="10.20.0.0/16")]})
    world.port(7)
    world.peerings = [between(1, "vpc-2", "vpc-1"), between(2, "vpc-1", "vpc-3"), between(3, "vpc-1", "vpc-4")]
    routes = [
        ("subnet-a", "pcx-1", "10.2.0.0/16"),
        ("subnet-b", "pcx-3", "10.4.0.0/16"),
        ("subnet-b", "pcx-9", "10.9.0.0/16"),
    ]
    world.to_peers = [SimpleNamespace(id=at, gateway_id=to, destination=block) for at, to, block in routes]
    laid = world.compiled().vpcs
    assert laid["vpc-1"].peerings == (
        PeeringSpec(
            vpc_id="vpc-2",
            vni=2,
            cidrs=("10.2.0.0/16", "10.20.0.0/16"),
            routes=(PeerRouteSpec(subnet_id="subnet-a", to="10.2.0.0/16"),),
        ),
    )
    assert laid["vpc-2"].peerings == (PeeringSpec(vpc_id="vpc-1", vni=1, cidrs=("10.1.0.0/16",)),)
    assert laid["vpc-3"].peerings == (), "nobody has a route to it"
    assert laid["vpc-1"].black_holes == (PeerRouteSpec(subnet_id="subnet-b", to="10.9.0.0/16"),)


def dual_stack() -> World:
    world = World(
        cidrs6={"vpc-1": [SimpleNamespace(cidr="fd00:1::/56")]},
        subnets=(
            SimpleNamespace(id="subnet-a", vpc_id="vpc-1", cidr="10.0.1.0/24", cidr6="fd00:1::/64"),
            SimpleNamespace(id="subnet-b", vpc_id="vpc-1", cidr="10.0.2.0/24", cidr6=""),
        ),
        ways6={"subnet-a": "egress-only"},
    )
    world.port(7)
    world.interfaces[0] = world.interfaces[0]._replace(ipv6s='["fd00:1::7", "fd00:1::8"]')
    return world


def test_a_dual_stack_vpc_is_told_with_blocks_addresses_and_what_leaves() -> None:
    world = dual_stack()
    world.port(9)
    told = world.compiled()
    assert told.vpcs["vpc-1"].cidrs6 == ("fd00:1::/56",)
    assert [subnet.cidr6 for subnet in told.vpcs["vpc-1"].subnets] == ["fd00:1::/64", ""]
    assert (told.ports["eni-a7"].port.ipv6s, told.ports["eni-a7"].port.way6) == (
        ("fd00:1::7", "fd00:1::8"),
        "egress-only",
    )
    assert (told.ports["eni-a9"].port.ipv6s, told.ports["eni-a9"].port.way6) == ((), "")


def test_rules_about_ipv6_are_told_where_there_is_any() -> None:
    rules = {"sg-web": [rule(cidr6="::/0"), rule(protocol="icmpv6", from_port=-1, to_port=-1, cidr6="fd00::/8")]}
    plain, six = World(rules=rules), dual_stack()
    six.rules = rules
    plain.port(7)
    assert plain.compiled().groups["sg-web"].ingress == ()
    assert six.compiled().groups["sg-web"].ingress == (
        RuleSpec(protocol="tcp", from_port=22, to_port=22, cidr="::/0"),
        RuleSpec(protocol="icmpv6", cidr="fd00::/8"),
    )


def test_an_acl_that_is_open_to_one_family_alone_is_told_where_there_are_both() -> None:
    def entry(number: int, **given: Any) -> Any:
        base = {"is_egress": False, "number": number, "action": "allow", "protocol": "-1", "cidr": "", "cidr6": ""}
        nothing = dict.fromkeys(("from_port", "to_port", "icmp_type", "icmp_code"))
        return SimpleNamespace(**{**base, **nothing, **given})

    four = [entry(100, cidr="0.0.0.0/0"), entry(100, cidr="0.0.0.0/0", is_egress=True)]
    both = [
        *four,
        entry(101, cidr6="::/0"),
        entry(101, cidr6="::/0", is_egress=True),
        entry(32768, cidr6="::/0", action="deny"),
    ]
    world = dual_stack()
    world.guards = {"subnet-a": "acl-1"}
    world.acl_entries = {"acl-1": four}
    (acl,) = world.compiled().vpcs["vpc-1"].acls
    assert acl.ingress == (AclEntrySpec(allow=True, protocol="-1", cidr="0.0.0.0/0"),)
    world.acl_entries = {"acl-1": both}
    assert world.compiled().vpcs["vpc-1"].acls == ()
    world.acl_entries, world.cidrs6 = {"acl-1": four}, {}
    assert world.compiled().vpcs["vpc-1"].acls == ()
