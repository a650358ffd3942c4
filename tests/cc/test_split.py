"""The split: each node gets its part, all of it, and nothing else."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from eucapy.cc.split import split
from eucapy.wire.cluster import ClusterSpec, NodeEntry, PlacedPort
from eucapy.wire.network import GroupSpec, NatGatewaySpec, PeeringSpec, PortSpec, RuleSpec, SubnetSpec, VpcSpec
from tests.nc.specs import instance


def port(number: int, node: str, vpc: str = "vpc-1", groups: tuple[str, ...] = ("sg-1",)) -> PlacedPort:
    return PlacedPort(
        node=node,
        port=PortSpec(
            interface_id=f"eni-{number}",
            instance_id=f"i-{number}",
            tap=f"vn{number}",
            mac=f"02:00:00:00:00:{number:02x}",
            vpc_id=vpc,
            subnet_id="subnet-1",
            private_ips=(f"10.0.0.{number}",),
            groups=groups,
        ),
    )


def vpc(name: str) -> VpcSpec:
    subnet = SubnetSpec(subnet_id="subnet-1", cidr="10.0.0.0/24", gateway="10.0.0.1")
    return VpcSpec(vpc_id=name, vni=5000, cidrs=("10.0.0.0/16",), subnets=(subnet,))


def group(name: str, *ingress: RuleSpec) -> GroupSpec:
    return GroupSpec(group_id=name, vpc_id="vpc-1", ingress=ingress)


def zone(*ports: PlacedPort, **more: object) -> ClusterSpec:
    nodes = {
        name: NodeEntry(node=name, nc_url="", eucanetd_url="", address=f"192.0.2.{index}")
        for index, name in enumerate(("n1", "n2", "n3"), 1)
    }
    values = {
        "nodes": nodes,
        "ports": {placed.port.interface_id: placed for placed in ports},
        "vpcs": {"vpc-1": vpc("vpc-1"), "vpc-2": vpc("vpc-2")},
        "groups": {"sg-1": group("sg-1"), "sg-2": group("sg-2")},
        **more,
    }
    return ClusterSpec(generation=7, zone="a", **values)  # type: ignore[arg-type]


def test_a_node_gets_its_ports_and_where_the_other_addresses_are() -> None:
    parts = split(zone(port(5, "n1"), port(6, "n2")))
    one = parts["n1"].network
    assert list(one.ports) == ["eni-5"]
    assert [(r.ip, r.node) for r in one.vpcs["vpc-1"].remotes] == [("10.0.0.6", "n2")]
    assert one.nodes == {"n2": "192.0.2.2"}
    assert one.generation == 7


def test_a_node_without_ports_of_a_vpc_hears_nothing_of_it() -> None:
    parts = split(zone(port(5, "n1"), port(6, "n2", "vpc-2")))
    assert list(parts["n1"].network.vpcs) == ["vpc-1"]
    assert parts["n1"].network.nodes == {}
    assert parts["n3"].network.vpcs == {}
    assert parts["n3"].network.groups == {}


def test_a_group_that_a_rule_refers_to_comes_with_its_members_and_without_its_rules() -> None:
    refers = group("sg-1", RuleSpec(protocol="tcp", from_port=80, to_port=80, group="sg-2"))
    secret = group("sg-2", RuleSpec(protocol="-1", cidr="0.0.0.0/0"))
    parts = split(zone(port(5, "n1"), port(6, "n2", groups=("sg-2",)), groups={"sg-1": refers, "sg-2": secret}))
    groups = parts["n1"].network.groups
    assert groups["sg-2"].members == ("10.0.0.6",)
    assert groups["sg-2"].ingress == ()


def test_members_are_counted_over_all_zones() -> None:
    far = port(9, "far")
    parts = split(zone(port(5, "n1"), far_ports={"eni-9": far}, far_nodes={"far": "198.51.100.1"}))
    one = parts["n1"].network
    assert one.groups["sg-1"].members == ("10.0.0.5", "10.0.0.9")
    assert one.nodes == {"far": "198.51.100.1"}
    assert "far" not in parts


def test_instances_go_to_the_node_that_they_are_placed_on() -> None:
    nodes = {
        "n1": NodeEntry(node="n1", nc_url="", eucanetd_url="", address="", instances={"i-1": instance("i-1")}),
        "n2": NodeEntry(node="n2", nc_url="", eucanetd_url="", address=""),
    }
    parts = split(zone(nodes=nodes))
    assert list(parts["n1"].node.instances) == ["i-1"]
    assert parts["n2"].node.instances == {}


PORTS = st.lists(
    st.builds(
        lambda n, node, v, groups: port(n, node, v, tuple(sorted(groups))),
        st.integers(4, 250),
        st.sampled_from(["n1", "n2", "n3"]),
        st.sampled_from(["vpc-1", "vpc-2"]),
        st.sets(st.sampled_from(["sg-1", "sg-2"]), min_size=1),
    ),
    unique_by=lambda placed: placed.port.interface_id,
)


@given(PORTS)
def test_every_port_is_on_one_node_and_every_remote_is_really_elsewhere(ports: list[PlacedPort]) -> None:
    parts = split(zone(*ports))
    where = {placed.port.interface_id: placed.node for placed in ports}
    assert {port_id: name for name, part in parts.items() for port_id in part.network.ports} == where
    for name, part in parts.items():
        for vpc_id, laid in part.network.vpcs.items():
            others = {
                (placed.port.private_ips[0], placed.node)
                for placed in ports
                if placed.port.vpc_id == vpc_id and placed.node != name
            }
            assert {(remote.ip, remote.node) for remote in laid.remotes} == others


def test_a_node_that_translates_for_a_vpc_knows_it_without_a_port_and_the_others_know_the_node() -> None:
    out = NatGatewaySpec(gateway_id="nat-1", public_ip="203.0.113.5", node="n3", subnets=("subnet-1",))
    parts = split(zone(port(5, "n1"), vpcs={"vpc-1": msgspec.structs.replace(vpc("vpc-1"), nat_gateways=(out,))}))
    near, far = parts["n3"].network, parts["n1"].network
    assert near.vpcs["vpc-1"].nat_gateways == (msgspec.structs.replace(out, node=""),)
    assert [(r.ip, r.node) for r in near.vpcs["vpc-1"].remotes] == [("10.0.0.5", "n1")]
    assert near.nodes == {"n1": "192.0.2.1"}
    assert far.vpcs["vpc-1"].nat_gateways == (out,)
    assert far.nodes == {"n3": "192.0.2.3"}
    assert parts["n2"].network.vpcs == {}


def test_a_node_with_ports_of_a_vpc_is_told_its_peers_and_not_the_peers_of_those() -> None:
    def to(*names: str) -> tuple[PeeringSpec, ...]:
        return tuple(PeeringSpec(vpc_id=name, vni=5000, cidrs=()) for name in names)

    sides = {"vpc-1": to("vpc-2"), "vpc-2": to("vpc-1", "vpc-3"), "vpc-3": to("vpc-2")}
    vpcs = {name: msgspec.structs.replace(vpc(name), peerings=peers) for name, peers in sides.items()}
    parts = split(zone(port(5, "n1"), port(6, "n2", "vpc-2"), port(7, "n3", "vpc-3"), vpcs=vpcs))
    first, second = parts["n1"].network, parts["n2"].network
    assert {name: laid.peerings for name, laid in first.vpcs.items()} == {"vpc-1": to("vpc-2"), "vpc-2": to("vpc-1")}
    assert [(r.ip, r.node) for r in first.vpcs["vpc-2"].remotes] == [("10.0.0.6", "n2")]
    assert list(first.ports) == ["eni-5"]
    assert {name: laid.peerings for name, laid in second.vpcs.items()} == sides
