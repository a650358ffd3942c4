"""Peerings in a VPC's rule set: what may come from a peer, and what may go there.

    A's namespace on the sender's node        B's namespace on the same node            B's namespace elsewhere
    guest ── tap ── egress ── peer<B> ═══════ peer<A> ── ingress ── tap ── guest
                                                 └────── vx ── VXLAN ───────────────── vx ── ingress ── tap ── guest

A packet changes VPCs on the node of the guest that sends it, and from there goes the receiver's own ways. Answers do the same
on the other node, so that the two ways differ: a namespace in between sees one half of a conversation, and must not judge it
by the other. What the kernel's reverse path check cannot know is said here: a peer sends from its own blocks, to ours, and
never further; what comes by VXLAN and from no peer is checked as ever.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from eucapy.eucanetd.compile import layout, text
from eucapy.eucanetd.compile.layout import Layout
from eucapy.wire.network import PeeringSpec, VpcSpec


def links(vpc: VpcSpec, plan: Layout) -> list[str]:
    """The VPC's ends of its pairs, in nftables words."""
    return sorted(f'"{text.link(plan.peering(peer.vni))}"' for peer in vpc.peerings)


def arriving(vpc: VpcSpec, plan: Layout) -> list[str]:
    """Before anything else is asked of a packet."""
    if not vpc.peerings:
        return []
    own = _blocks(vpc.cidrs)
    theirs = _blocks(block for peer in vpc.peerings for block in cidrs(peer))
    lines = []
    for peer in sorted(vpc.peerings, key=lambda each: each.vni):
        link = plan.peering(peer.vni)
        lines += [
            f'iifname "{link}" ip saddr != {_blocks(cidrs(peer))} drop',
            f'iifname "{link}" ip daddr != {own} drop',
        ]
    return [
        *lines,
        f'iifname "{layout.VXLAN}" ip saddr {theirs} ip daddr {own} accept',
        f'iifname "{layout.VXLAN}" fib saddr . iif oif missing drop',
    ]


def arriving6(vpc: VpcSpec, plan: Layout) -> list[str]:
    """The same of IPv6; a peer without blocks of it sends none."""
    own, lines = _blocks6(vpc.cidrs6), []
    for peer in sorted(vpc.peerings, key=lambda each: each.vni):
        link = plan.peering(peer.vni)
        blocks = cidrs6(peer)
        source = f"ip6 saddr != {_blocks6(blocks)} " if blocks else ""
        lines += [f'iifname "{link}" {source}drop', f'iifname "{link}" ip6 daddr != {own} drop']
    theirs = [block for peer in vpc.peerings for block in cidrs6(peer)]
    if theirs:
        lines.append(f'iifname "{layout.VXLAN}" ip6 saddr {_blocks6(theirs)} ip6 daddr {own} accept')
    return lines


def cidrs(peer: PeeringSpec) -> list[str]:
    """The peer's IPv4 blocks."""
    return [block for block in peer.cidrs if not text.is6(block)]


def cidrs6(peer: PeeringSpec) -> list[str]:
    """The peer's IPv6 blocks."""
    return [block for block in peer.cidrs if text.is6(block)]


def crossing(vpc: VpcSpec, plan: Layout) -> list[str]:
    """Before connections are asked for: only the VPC's own guests send to a peer, and what a peer sends is not ours to know
    the other half of."""
    if not vpc.peerings:
        return []
    ends = ", ".join(links(vpc, plan))
    return [
        f'oifname {{ {ends} }} iifname {{ "{layout.VXLAN}", "{layout.UP}", {ends} }} drop',
        f'oifname "{layout.VXLAN}" iifname {{ {ends} }} accept',
    ]


def _blocks6(blocks: Iterable[str]) -> str:
    merged = ipaddress.collapse_addresses(ipaddress.IPv6Network(text.cidr6(block)) for block in blocks)
    return "{ " + ", ".join(str(block) for block in merged) + " }"


def _blocks(blocks: Iterable[str]) -> str:
    merged = ipaddress.collapse_addresses(ipaddress.IPv4Network(text.cidr(block)) for block in blocks)
    return "{ " + ", ".join(str(block) for block in merged) + " }"
