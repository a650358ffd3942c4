"""eucanetd's messages: the part of the network that one node has to know.

A node is told the VPCs that have a port on it, those ports, where the other addresses of these VPCs are, and the
security groups that its ports use, with the addresses of the groups that their rules refer to. Nothing else.
"""

from __future__ import annotations

from typing import Protocol

from eucapy.wire.contract import Agent, Fault, Message, Spec, Status
from eucapy.wire.flows import FlowReads


class SubnetSpec(Message, frozen=True, kw_only=True):
    """A subnet; the gateway is its first address, the resolver its second, as in AWS."""

    subnet_id: str
    cidr: str
    gateway: str
    acl: str = ""
    """The ACL of the VPC that guards it; empty: everything passes."""
    cidr6: str = ""
    """Its IPv6 block; empty: it has none. The gateway of IPv6 is the tap's link-local address, as advertised."""


class AclEntrySpec(Message, frozen=True, kw_only=True):
    """One entry of an ACL: protocol and ports as in `RuleSpec`; `cidr` is the other end."""

    allow: bool
    protocol: str
    from_port: int = -1
    to_port: int = -1
    cidr: str


class AclSpec(Message, frozen=True, kw_only=True):
    """A network ACL: what may enter and what may leave a subnet, packet by packet. The first entry that matches decides;
    what none matches is refused."""

    acl_id: str
    ingress: tuple[AclEntrySpec, ...] = ()
    egress: tuple[AclEntrySpec, ...] = ()


class RemoteSpec(Message, frozen=True, kw_only=True):
    """An address of the VPC, IPv4 or IPv6, that lives on another node."""

    ip: str
    node: str


class NatGatewaySpec(Message, frozen=True, kw_only=True):
    """A NAT gateway: what the subnets send to outside leaves one node, under the gateway's public address."""

    gateway_id: str
    public_ip: str
    node: str = ""
    """The node that translates; empty: this one."""
    subnets: tuple[str, ...] = ()
    """Those whose default route leads here."""


class PeerRouteSpec(Message, frozen=True, kw_only=True):
    """What a subnet sends to these addresses, of either family, goes to the peer."""

    subnet_id: str
    to: str


class PeeringSpec(Message, frozen=True, kw_only=True):
    """Another VPC that guests reach by private addresses. Both VPCs name each other, or nothing passes."""

    vpc_id: str
    """The other one."""
    vni: int
    cidrs: tuple[str, ...]
    """The other one's blocks, of both families: nothing else comes from it."""
    routes: tuple[PeerRouteSpec, ...] = ()
    """Of this VPC's subnets, to the other."""


class VpcSpec(Message, frozen=True, kw_only=True):
    """One VPC as this node needs it. `vni` is its VXLAN network identifier, the same on every node."""

    vpc_id: str
    vni: int
    cidrs: tuple[str, ...]
    cidrs6: tuple[str, ...] = ()
    """Its IPv6 blocks; none: IPv6 is off in it."""
    subnets: tuple[SubnetSpec, ...]
    acls: tuple[AclSpec, ...] = ()
    """Those that subnets name."""
    nat_gateways: tuple[NatGatewaySpec, ...] = ()
    peerings: tuple[PeeringSpec, ...] = ()
    black_holes: tuple[PeerRouteSpec, ...] = ()
    """Routes to peerings that are not active: nothing else carries what they are about."""
    dns_domain: str = "ec2.internal"
    dns_servers: tuple[str, ...] = ()
    """Empty: the VPC's own resolver."""
    dns: bool = True
    """False: the VPC's own resolver answers nothing (EC2's enableDnsSupport)."""
    ntp_servers: tuple[str, ...] = ()
    netbios_servers: tuple[str, ...] = ()
    netbios_node_type: str = ""
    names: tuple[tuple[str, str], ...] = ()
    """(host name without domain, address) that the VPC's resolver answers."""
    remotes: tuple[RemoteSpec, ...] = ()
    internet: bool = True
    """The VPC has an internet gateway attached and a default route to it."""
    flow_logs: tuple[str, ...] = ()
    """What flow logs of the VPC are about: the VPC itself, subnets, interfaces."""


class PortSpec(Message, frozen=True, kw_only=True):
    """A network interface that is plugged on this node. `private_ips[0]` is the primary address."""

    interface_id: str
    instance_id: str
    tap: str
    mac: str
    vpc_id: str
    subnet_id: str
    private_ips: tuple[str, ...]
    ipv6s: tuple[str, ...] = ()
    """In the subnet's IPv6 block; nothing stands for them outside: they are their own public addresses."""
    way6: str = ""
    """What becomes of IPv6 to and from outside the VPC: `internet` passes both ways, `egress-only` only what the guest has
    begun; empty: nothing."""
    public: tuple[tuple[str, str], ...] = ()
    """(private address, public address) pairs, one-to-one."""
    groups: tuple[str, ...] = ()
    hostname: str = ""
    source_dest_check: bool = True


class RuleSpec(Message, frozen=True, kw_only=True):
    """One permission. `protocol` is `tcp`, `udp`, `icmp`, `icmpv6`, a number as text, or `-1` for all.

    Ports are inclusive and -1 means any; for ICMP they are type and code. Exactly one of `cidr`, of either family, and `group`
    is set.
    """

    protocol: str
    from_port: int = -1
    to_port: int = -1
    cidr: str = ""
    group: str = ""


class GroupSpec(Message, frozen=True, kw_only=True):
    """A security group: its rules, and every address (this VPC, any node, either family) that belongs to it."""

    group_id: str
    vpc_id: str
    ingress: tuple[RuleSpec, ...] = ()
    egress: tuple[RuleSpec, ...] = ()
    members: tuple[str, ...] = ()


class NetworkSpec(Spec, frozen=True, kw_only=True):
    """The whole desired network state of a node."""

    node: str
    nodes: dict[str, str] = {}
    """Node name → its underlay address, for the nodes that remotes name."""
    vpcs: dict[str, VpcSpec] = {}
    ports: dict[str, PortSpec] = {}
    """By network interface id."""
    groups: dict[str, GroupSpec] = {}
    guest_blocks: tuple[str, ...] = ()
    """The cloud's public addresses: what comes from them is a guest's, on whichever node that is."""


class PortStatus(Message, frozen=True, kw_only=True):
    """`plugged`: the tap is there and carries what the spec says. A port without a running guest is not plugged."""

    interface_id: str
    plugged: bool
    fault: Fault | None = None


class NetworkStatus(Status, frozen=True, kw_only=True):
    """The whole observed network state of a node."""

    node: str
    ports: dict[str, PortStatus] = {}
    vpcs: tuple[str, ...] = ()
    """VPCs that are laid out on this node now."""
    strangers: tuple[str, ...] = ()
    fault: Fault | None = None


class NetworkAgent(Agent[NetworkSpec, NetworkStatus], FlowReads, Protocol):
    """A node's network agent: the verbs, and what its flow logs have seen."""
