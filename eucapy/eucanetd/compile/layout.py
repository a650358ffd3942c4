"""What is where on a node: names, link-level addresses, sizes.

    guest ── tap ┐                                            e…v… ┐
                 ├ [ VPC's namespace: routes, rules ] transit ═══════ ┤ [ node's namespace ] ── uplink ── network
    guest ── tap ┘                                 vx    other pairs ┘                      ── underlay ── other nodes
                                                    └───── VXLAN, sent from the node's underlay address ─────┘

No subnet is a broadcast domain: each address is a /32 route to a tap or to another node, and the taps answer ARP for what
is routed. IPv6 goes the same ways, as /128 routes; next hops are link-local addresses that follow from MAC addresses, and a
guest's router is its tap's. The pair `transit`/`e…v…` is numbered from the transit block by the VPC's VNI, so nothing has
to be allocated; neighbours on it and on VXLAN are permanent, and their MAC addresses follow from what they stand for.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from eucapy.drivers.network import netns
from eucapy.wire.network import VpcSpec

VXLAN = "vx"
UP = "transit"
LOOPBACK = "lo"

METADATA = "169.254.169.254"
RESOLVER = "169.254.169.253"
"""Where EC2's resolver answers in every VPC, beside the subnet's own."""

TAP_MAC = "02:65:75:63:61:00"
"""The gateway's MAC address, the same on every tap of every node: a guest that moves keeps its ARP cache."""
UP_MAC = "02:65:75:63:61:01"
PEER_MAC = "02:65:75:63:61:02"

NODE6 = "100::1"
"""What the node calls itself when it has something to say about a guest's IPv6 packet: an address that is nobody's (of RFC
6666's block, to which nothing is delivered anywhere), whatever blocks VPCs have."""
LEAST_MTU6 = 1280
"""IPv6 does not work below."""

VXLAN_OVERHEAD = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The node's configuration as the compiler needs it. `underlay` "" is a node without others; `uplink` "" one whose
    public addresses are reached from the node itself, or routed to it, alone."""

    prefix: str = "euca-"
    underlay: str = ""
    underlay_mtu: int = 1500
    vxlan_port: int = 4789
    uplink: str = ""
    masquerade: bool = False
    transit: str = "240.0.0.0/8"
    """The block that numbers the pairs, by VNI; two clouds on one node must not share it."""
    upstream: tuple[str, ...] = ()
    """DNS servers that the VPCs' resolvers ask."""
    resolver_user: str = "nobody"
    host_ports: tuple[int, ...] = ()
    """TCP ports of this host that guests may reach from their public addresses."""
    closed: tuple[str, ...] = ()
    """Blocks behind the node that guests may not reach from their public addresses."""
    guest_mtu: int = 0
    """0: what fits into the underlay."""
    public6: bool = False
    """This node forwards guests' IPv6 from and to outside."""

    def namespace(self, vpc_id: str) -> str:
        return netns.vpc_namespace(self.prefix, vpc_id)

    def peer(self, vni: int) -> str:
        return netns.peer(self.prefix, vni)

    def peering(self, vni: int) -> str:
        """The link to the peer with that VNI."""
        return netns.peering(vni)

    @property
    def peers(self) -> str:
        """Matches the node's ends of all pairs, in nftables words."""
        return f'"{netns.peers(self.prefix)}*"'

    @property
    def node_table(self) -> str:
        return netns.node_table(self.prefix)

    @property
    def mtu(self) -> int:
        """Of every link of a VPC, and what guests are told."""
        return self.guest_mtu or self.underlay_mtu - VXLAN_OVERHEAD

    def has_ipv6(self, vpc: VpcSpec) -> bool:
        """Whether IPv6 is on in the VPC."""
        return bool(vpc.cidrs6) and self.mtu >= LEAST_MTU6

    @property
    def transit_gateway(self) -> str:
        """The next hop of every namespace's default route: the node, as an address that is nobody's."""
        return str(ipaddress.IPv4Network(self.transit).network_address)

    def transit_address(self, vni: int) -> str:
        """Raises ValueError when the block is too small for the VNI."""
        block = ipaddress.IPv4Network(self.transit)
        if not 0 < vni < block.num_addresses:
            raise ValueError(f"VNI {vni} does not fit into the transit block {self.transit}")
        return str(block.network_address + vni)


def vtep_mac(underlay: str) -> str:
    """The MAC address of a node's end of every VXLAN, from its underlay address."""
    packed = ipaddress.IPv4Address(underlay).packed
    return "02:76:" + ":".join(f"{byte:02x}" for byte in packed)


def peering_mac(vni: int) -> str:
    """The MAC address of a VPC's ends of its pairs to peers. Raises ValueError for what is no VNI."""
    if not 0 < vni < 1 << 24:
        raise ValueError(f"{vni} is not a VNI")
    return "02:70:00:" + ":".join(f"{byte:02x}" for byte in vni.to_bytes(3))


def link_local(mac: str) -> str:
    """The IPv6 link-local address that follows from a MAC address."""
    found = bytes.fromhex(mac.replace(":", ""))
    packed = b"\xfe\x80" + bytes(6) + bytes((found[0] ^ 2,)) + found[1:3] + b"\xff\xfe" + found[3:]
    return str(ipaddress.IPv6Address(packed))


def subnet_gateway6(cidr6: str) -> str:
    """The namespace's own address in an IPv6 block: its first, which is nobody's in EC2."""
    return str(ipaddress.IPv6Network(cidr6, strict=False).network_address + 1)


def subnet_resolver(cidr: str) -> str:
    """The address of the resolver in a block: its base plus two, as in EC2."""
    return str(ipaddress.IPv4Network(cidr, strict=False).network_address + 2)
