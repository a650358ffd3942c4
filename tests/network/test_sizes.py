"""Ten thousand guests on a hundred hosts: what each host is told, and who is told when something changes.

`python -m pytest tests/network/test_sizes.py -s` prints the figures that stand in docs/network-proof.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import pytest

from eucapy.cc.split import Part, split
from eucapy.clc import host_names
from eucapy.wire import codec
from eucapy.wire.cluster import ClusterSpec, NodeEntry, PlacedPort
from eucapy.wire.network import GroupSpec, PortSpec, RuleSpec, SubnetSpec, VpcSpec

HOSTS, GUESTS, GROUPS = 100, 10_000, 100
ON_EACH = GUESTS // HOSTS


def region(vpcs: int, spread: int) -> ClusterSpec:
    """Guests evenly in `vpcs`, those of a VPC on `spread` hosts; a hundred groups in all, each letting in the next."""
    each, groups_each = GUESTS // vpcs, GROUPS // vpcs
    ports, specs, groups = {}, {}, {}
    for vpc in range(vpcs):
        name, names = f"vpc-{vpc}", []
        for guest in range(each):
            number = vpc * each + guest
            ip = f"10.{guest // 40000}.{guest // 200 % 200}.{guest % 200 + 10}"
            host = (vpc * HOSTS // vpcs + guest % spread) % HOSTS
            ports[f"eni-{number:05}"] = PlacedPort(
                node=f"n{host}",
                port=PortSpec(
                    interface_id=f"eni-{number:05}",
                    instance_id=f"i-{number:05}",
                    tap=f"vn{number}",
                    mac=f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
                    vpc_id=name,
                    subnet_id=f"subnet-{vpc}",
                    private_ips=(ip,),
                    groups=(f"sg-{vpc}-{guest // spread % groups_each}",),
                    hostname=host_names.private_host(ip),
                ),
            )
            names.append((host_names.private_host(ip), ip))
        subnet = SubnetSpec(subnet_id=f"subnet-{vpc}", cidr="10.0.0.0/8", gateway="10.0.0.1")
        specs[name] = VpcSpec(
            vpc_id=name, vni=vpc + 1, cidrs=("10.0.0.0/8",), subnets=(subnet,), names=tuple(sorted(names))
        )
        for group in range(groups_each):
            rules = (
                RuleSpec(protocol="tcp", from_port=22, to_port=22, cidr="0.0.0.0/0"),
                RuleSpec(protocol="tcp", from_port=80, to_port=80, group=f"sg-{vpc}-{(group + 1) % groups_each}"),
            )
            groups[f"sg-{vpc}-{group}"] = GroupSpec(group_id=f"sg-{vpc}-{group}", vpc_id=name, ingress=rules)
    nodes = {
        f"n{host}": NodeEntry(node=f"n{host}", nc_url="", eucanetd_url="", address=f"10.200.0.{host + 1}")
        for host in range(HOSTS)
    }
    return ClusterSpec(generation=1, zone="a", nodes=nodes, ports=ports, vpcs=specs, groups=groups)


SHAPES = {
    "100 VPCs, each on 10 hosts": (100, 10),
    "10 VPCs, each on 10 hosts": (10, 10),
    "one VPC, everywhere": (1, 100),
}


@pytest.fixture(scope="module", params=list(SHAPES))
def shape(request: pytest.FixtureRequest) -> Iterator[tuple[ClusterSpec, dict[str, Part]]]:
    spec = region(*SHAPES[request.param])
    began = time.process_time()
    parts = split(spec)
    took = time.process_time() - began
    sizes = sorted(len(codec.encode(part.network)) for part in parts.values())
    network = parts["n0"].network
    told = {
        "ports": len(network.ports),
        "remotes": sum(len(vpc.remotes) for vpc in network.vpcs.values()),
        "nodes": len(network.nodes),
        "groups": len(network.groups),
        "members": sum(len(group.members) for group in network.groups.values()),
    }
    print(f"\n{request.param}: split {took:.2f} s; a host {sizes[0]} to {sizes[-1]} bytes; n0 {told}")
    yield spec, parts


def test_a_host_is_told_of_its_own_vpcs_alone(shape: tuple[ClusterSpec, dict[str, Part]]) -> None:
    spec, parts = shape
    where: dict[str, set[str]] = {}
    for placed in spec.ports.values():
        where.setdefault(placed.port.vpc_id, set()).add(placed.node)
    for name, part in parts.items():
        network = part.network
        assert network.vpcs.keys() == {vpc for vpc, hosts in where.items() if name in hosts}
        assert network.ports.keys() == {key for key, placed in spec.ports.items() if placed.node == name}
        assert len(network.ports) == ON_EACH
        reached = {host for vpc in network.vpcs for host in where[vpc]} - {name}
        assert network.nodes.keys() == reached
        for vpc_id, vpc in network.vpcs.items():
            guests = GUESTS // len(spec.vpcs)
            assert len(vpc.remotes) == guests - sum(port.vpc_id == vpc_id for port in network.ports.values())
        used = {group for port in network.ports.values() for group in port.groups}
        referred = {rule.group for group in used for rule in spec.groups[group].ingress if rule.group}
        assert network.groups.keys() == used | referred
        assert all(not network.groups[group].ingress for group in referred - used)


def test_a_rule_change_is_news_for_the_hosts_of_its_group_alone(shape: tuple[ClusterSpec, dict[str, Part]]) -> None:
    spec, before = shape
    changed = next(iter(spec.groups))
    rule = RuleSpec(protocol="tcp", from_port=8080, to_port=8080, cidr="0.0.0.0/0")
    group = msgspec.structs.replace(spec.groups[changed], ingress=(*spec.groups[changed].ingress, rule))
    after = split(msgspec.structs.replace(spec, generation=2, groups={**spec.groups, changed: group}))
    told = {name for name in before if before[name].network_digest != after[name].network_digest}
    assert told == {placed.node for placed in spec.ports.values() if changed in placed.port.groups}
    assert not any(before[name].node_digest != after[name].node_digest for name in before)
