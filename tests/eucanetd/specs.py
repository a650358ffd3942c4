"""Specs of networks that are easy to write: `vpc`, `port`, `group` and their rules, with everything else at a default."""

from __future__ import annotations

from typing import Any

import msgspec

from eucapy.wire.network import GroupSpec, NetworkSpec, PortSpec, RuleSpec, SubnetSpec, VpcSpec

PUBLIC = ("198.51.100.96/27",)
"""The public addresses of all guests of the tests' cloud."""
ALL_OUT = (RuleSpec(protocol="-1", cidr="0.0.0.0/0"),)
PING = RuleSpec(protocol="icmp", from_port=-1, to_port=-1, cidr="0.0.0.0/0")


def tcp(port: int, *, cidr: str = "", group: str = "") -> RuleSpec:
    return RuleSpec(protocol="tcp", from_port=port, to_port=port, cidr=cidr, group=group)


def vpc(vpc_id: str = "vpc-a", vni: int = 100, block: str = "10.0", **more: Any) -> VpcSpec:
    """A VPC `<block>.0.0/16` with the subnet `<block>.0.0/24`."""
    subnets = (SubnetSpec(subnet_id=f"subnet-{vpc_id}", cidr=f"{block}.0.0/24", gateway=f"{block}.0.1"),)
    base = VpcSpec(vpc_id=vpc_id, vni=vni, cidrs=(f"{block}.0.0/16",), subnets=subnets)
    return msgspec.structs.replace(base, **more)


def port(number: int, ip: str, vpc_id: str = "vpc-a", groups: tuple[str, ...] = ("sg-all",), **more: Any) -> PortSpec:
    base = PortSpec(
        interface_id=f"eni-{number}",
        instance_id=f"i-{number}",
        tap=f"tap{number}",
        mac=f"02:00:00:00:00:{number:02x}",
        vpc_id=vpc_id,
        subnet_id=f"subnet-{vpc_id}",
        private_ips=(ip,),
        groups=groups,
        hostname=f"ip-{ip.replace('.', '-')}",
    )
    return msgspec.structs.replace(base, **more)


def vpc6(
    vpc_id: str = "vpc-a", vni: int = 100, block: str = "10.0", block6: str = "2001:db8:a", **more: Any
) -> VpcSpec:
    """`vpc` with the IPv6 block `<block6>:0::/56` and the subnet's `<block6>:0::/64`."""
    made = vpc(vpc_id, vni, block)
    subnets = tuple(msgspec.structs.replace(each, cidr6=f"{block6}::/64") for each in made.subnets)
    made = msgspec.structs.replace(made, cidrs6=(f"{block6}::/56",), subnets=subnets)
    return msgspec.structs.replace(made, **more)


def group(
    group_id: str,
    *ingress: RuleSpec,
    egress: tuple[RuleSpec, ...] = ALL_OUT,
    members: tuple[str, ...] = (),
    vpc_id: str = "vpc-a",
) -> GroupSpec:
    return GroupSpec(group_id=group_id, vpc_id=vpc_id, ingress=ingress, egress=egress, members=members)


ANY6 = RuleSpec(protocol="-1", cidr="::/0")
OPEN6 = group("sg-all", RuleSpec(protocol="-1", cidr="0.0.0.0/0"), ANY6, egress=(*ALL_OUT, ANY6))
OPEN = group("sg-all", RuleSpec(protocol="-1", cidr="0.0.0.0/0"))


def network(
    generation: int,
    vpcs: list[VpcSpec],
    ports: list[PortSpec],
    groups: tuple[GroupSpec, ...] = (OPEN,),
    nodes: dict[str, str] | None = None,
) -> NetworkSpec:
    """A node's whole spec."""
    return NetworkSpec(
        generation=generation,
        node="node",
        nodes=nodes or {},
        vpcs={each.vpc_id: each for each in vpcs},
        ports={each.interface_id: each for each in ports},
        groups={each.group_id: each for each in groups},
        guest_blocks=PUBLIC,
    )
