"""IPv6 in the rules of a VPC's namespace: what `firewall.py` has more where the VPC has IPv6 blocks.

    prerouting  raw     sources6    a tap's packets carry its own MAC and one of its own addresses; its link-local ones only
                                    where a link's own business is done with us
    input       filter  local       solicitations, neighbours' answers, DHCPv6, echo to the gateway
    forward     filter  egress      to and from outside by the port's way: both, what the guest began, nothing

Routing headers and hop-by-hop options pass from nobody: the one sends a packet by ways that no rule has judged, the other
makes every router look. Fragments are put together before any rule is asked. An advertisement of a router, a redirect and an
answer of a DHCPv6 server are of no kind that `local` lets in, and nothing of a link is ever forwarded. A guest may have
link-local addresses of its own making, but only so many: each is a line in a table that all of the machine shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eucapy.eucanetd.compile import layout, peerings, text
from eucapy.eucanetd.compile.layout import Layout
from eucapy.wire.network import GroupSpec, PortSpec, VpcSpec

INTERNET, EGRESS_ONLY = "internet", "egress-only"
_NEVER = "{ ::, ::1, fe80::/10, ff00::/8 }"
_ND = "nd-neighbor-solicit, nd-router-solicit"


def sets(ports: Sequence[PortSpec], members: Iterable[tuple[int, GroupSpec]], vpc: VpcSpec, plan: Layout) -> str:
    """`members` are the groups that rules refer to, with their marks. Raises ValueError."""
    own = [
        f'"{text.link(port.tap)}" . {text.mac(port.mac)} . {ip}'
        for port in ports
        for ip in sorted(text.ip6(ip) for ip in port.ipv6s)
    ]
    belonging = [
        f"{number} . {text.ip6(member)}"
        for number, group in members
        for member in sorted(set(group.members))
        if text.is6(member)
    ]
    gateways = {layout.link_local(layout.TAP_MAC)} | {
        layout.subnet_gateway6(text.cidr6(subnet.cidr6)) for subnet in vpc.subnets if subnet.cidr6
    }
    return "".join(
        [
            _set("own6", "ifname . ether_addr . ipv6_addr", own),
            _set("members6", "mark . ipv6_addr", belonging),
            _set("gateways6", "ipv6_addr", sorted(gateways)),
            _set("outward6", "ipv6_addr", outward(ports, plan)),
            _set("open6", "ipv6_addr", outward(ports, plan, INTERNET)),
            _LINK_LOCALS,
        ]
    )


def outward(ports: Iterable[PortSpec], plan: Layout, *ways: str) -> list[str]:
    """The addresses that speak with outside, in any or one of these ways; none on a node that lets no IPv6 out."""
    wanted = ways or (INTERNET, EGRESS_ONLY)
    return sorted({text.ip6(ip) for port in ports if plan.public6 and port.way6 in wanted for ip in port.ipv6s})


def sources(vpc: VpcSpec, plan: Layout, ours: str) -> list[str]:
    """The chain that judges where IPv6 comes from; it ends every packet. `ours` are our own links."""
    return [
        "exthdr rt exists goto drop_spoofed",
        *peerings.arriving6(vpc, plan),
        f"iifname {ours} ip6 saddr {_NEVER} drop",
        f"iifname {ours} ip6 daddr {_NEVER} drop",
        f'iifname {{ "{layout.VXLAN}", "{layout.UP}" }} fib saddr . iif oif missing drop',
        f"iifname {ours} accept",
        "exthdr hbh exists drop",
        "iifname . ether saddr . ip6 saddr @own6 accept",
        "ip6 saddr fe80::/10 ip6 daddr { fe80::/10, ff02::/16 } iifname . ether saddr @macs goto link_local6",
        f"ip6 saddr :: ip6 daddr ff02::/16 icmpv6 type {{ {_ND} }} iifname . ether saddr @macs accept",
        f"ip6 saddr != {_NEVER} iifname . ether saddr @routers accept",
        "goto drop_spoofed",
    ]


_LINK_LOCALS = (
    "  set link_locals {\n    type ifname . ipv6_addr\n    size 65536\n    flags dynamic,timeout\n    timeout 1h\n  }\n"
    "  set new_link_locals {\n    type ifname\n    size 65536\n    flags dynamic\n  }\n"
)

LINK_LOCAL = [
    "iifname . ip6 saddr @link_locals update @link_locals { iifname . ip6 saddr } accept",
    "add @new_link_locals { iifname limit rate over 4/minute burst 8 packets } goto drop_spoofed",
    "add @link_locals { iifname . ip6 saddr } accept",
]
"""The chain of a guest's own link-local addresses: those that are known, and now and then a new one."""

LOCAL = [
    f"ip6 hoplimit 255 icmpv6 type {{ {_ND}, nd-neighbor-advert }} accept",
    "ip6 saddr fe80::/10 udp sport 546 udp dport 547 accept",
    "ip6 daddr @gateways6 icmpv6 type echo-request accept",
]
"""What guests may ask of us."""

OUTSIDE = [
    "icmpv6 type { 130-137, 143 } drop",  # neighbours, routers and multicast listeners are a link's own affair
    f"ip6 saddr {_NEVER} drop",
    f"ip6 daddr {{ ::, ::1, fe80::/10, ff00::/8, {layout.NODE6} }} drop",
    f'oifname "{layout.UP}" ip6 saddr != @outward6 drop',
    f'iifname "{layout.UP}" ip6 daddr != @outward6 drop',
]
"""Before connections are asked for."""

BEGUN_OUTSIDE = f'iifname "{layout.UP}" meta nfproto ipv6 ip6 daddr != @open6 drop'
"""After connections are asked for."""


def _set(name: str, of: str, items: Iterable[str]) -> str:
    return f"  set {name} {{\n    type {of}\n{text.elements(items)}  }}\n"
