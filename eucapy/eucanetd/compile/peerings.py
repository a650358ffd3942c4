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
from eucapy.wire.network import VpcSpec


def links(vpc: VpcSpec, plan: Layout) -> list[str]:
    """The VPC's ends of its pairs, in nftables words."""
    return sorted(f'"{text.link(plan.peering(peer.vni))}"' for peer in vpc.peerings)


def arriving(vpc: VpcSpec, plan: Layout) -> list[str]:
    """Before anything else is asked of a packet."""
    if not vpc.peerings:
        return []
    own = _blocks(vpc.cidrs)
    theirs = _blocks(block for peer in vpc.peerings for block in peer.cidrs)
    lines = []
    for peer in sorted(vpc.peerings, key=lambda each: each.vni):
        link = plan.peering(peer.vni)
        lines += [
            f'iifname "{link}" ip saddr != {_blocks(peer.cidrs)} drop',
            f'iifname "{link}" ip daddr != {own} drop',
        ]
    return [
        *lines,
        f'iifname "{layout.VXLAN}" ip saddr {theirs} ip daddr {own} accept',
        f'iifname "{layout.VXLAN}" fib saddr . iif oif missing drop',
    ]


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


def _blocks(cidrs: Iterable[str]) -> str:
    merged = ipaddress.collapse_addresses(ipaddress.IPv4Network(text.cidr(block)) for block in cidrs)
    return "{ " + ", ".join(str(block) for block in merged) + " }"
