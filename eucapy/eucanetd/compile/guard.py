"""The rules of the node's own namespace: what guests may do to the host, and who may speak VXLAN to it.

Only a table of ours, with policies that accept: the host's own firewall stays the operator's. A tap that waits to be
adopted is deaf and dumb. From the VPCs' pairs come guests that have public addresses, and the VPCs' resolvers asking
theirs upstream; neither may reach the host itself, or another node, but for answers to what the host has asked them and
`host_ports`. Guests of other nodes come from outside, by any of this host's addresses, and are known by the cloud's public
addresses: the same holds for them. What the host itself has to say about a guest's packet, that it is too large or has gone
too far, comes from the pair's address, not from one of the host's.

IPv6 is judged alike where this node lets it out. Of other nodes no IPv6 addresses are known: each keeps guests out itself,
whether or not it lets out those of its own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from eucapy.drivers.network.model import NODE, Ruleset, digest
from eucapy.eucanetd.compile import layout, text
from eucapy.eucanetd.compile.layout import Layout


def ruleset(
    plan: Layout, taps: Iterable[str], public: Iterable[str], nodes: Iterable[str], guests: Iterable[str]
) -> Ruleset:
    """`taps` of this node's ports, `public` addresses of both families that are here, underlay addresses of the other `nodes`,
    and the blocks of all `guests`' public addresses."""
    public, guests = list(public), list(guests)
    guests6 = [str(block) for block in _merged6(guests)]
    pairs = plan.peers
    transit = text.cidr(plan.transit)
    dns = f"ip saddr {transit} meta l4proto {{ tcp, udp }} th dport 53 accept"
    overlay = (
        f"    ip daddr {text.ip(plan.underlay)} udp dport {plan.vxlan_port} ip saddr != @nodes drop\n"
        if plan.underlay
        else ""
    )
    numbers = ", ".join(str(port) for port in sorted(plan.host_ports))
    here = f"    iifname {pairs} tcp dport {{ {numbers} }} accept\n" if numbers else ""
    there = f"    iifname {pairs} ip daddr @nodes tcp dport {{ {numbers} }} accept\n" if numbers else ""
    blocks = sorted({text.cidr(block) for block in plan.closed if not text.is6(block)})
    closed = f"    iifname {pairs} ip daddr {{ {', '.join(blocks)} }} drop\n" if blocks else ""
    everywhere = ipaddress.collapse_addresses(
        ipaddress.IPv4Network(text.cidr(block)) for block in guests if not text.is6(block)
    )
    abroad = f"    iifname != {pairs} ip saddr @guests"
    open_abroad = f"{abroad} tcp dport {{ {numbers} }} accept\n" if numbers else ""
    waiting = _set("taps", "ifname", [f'"{text.link(tap)}"' for tap in sorted(taps)])
    masquerade = f"    ip saddr @published oifname != {pairs} masquerade\n" if plan.masquerade else ""
    body = (
        f"table arp {plan.node_table} {{\n"
        f"{waiting}"
        "  chain early {\n"
        "    type filter hook input priority filter; policy accept;\n"
        "    iifname @taps drop\n"
        "  }\n"
        "}\n"
        f"table inet {plan.node_table} {{\n"
        f"{waiting}"
        f"{_set('published', 'ipv4_addr', sorted({text.ip(ip) for ip in public if not text.is6(ip)}))}"
        f"{_set('guests', 'ipv4_addr', [str(block) for block in everywhere], 'flags interval')}"
        f"{_set('nodes', 'ipv4_addr', sorted({text.ip(ip) for ip in nodes}))}"
        f"{_sets6(plan, public, guests6)}"
        "  chain early {\n"
        "    type filter hook prerouting priority raw; policy accept;\n"
        "    iifname @taps drop\n"
        f"{overlay}"
        "  }\n"
        "  chain host {\n"
        "    type filter hook input priority filter; policy accept;\n"
        f"    iifname {pairs} ct state established,related accept\n"
        f"    iifname {pairs} {dns}\n"
        f"{here}"
        f"    iifname {pairs} drop\n"
        f"{abroad} ct state established,related accept\n"
        f"{open_abroad}"
        f"{abroad} drop\n"
        f"{_abroad6(plan, numbers) if guests6 else ''}"
        "  }\n"
        "  chain errors {\n"
        "    type filter hook output priority filter; policy accept;\n"
        f"    oifname {pairs} icmp type {{ destination-unreachable, time-exceeded, parameter-problem }} "
        f"ip saddr set {plan.transit_gateway}\n"
        f"{_errors6(plan)}"
        "  }\n"
        "  chain passage {\n"
        "    type filter hook forward priority filter; policy accept;\n"
        f"    iifname {pairs} ct state established,related accept\n"
        f"    iifname {pairs} {dns}\n"
        f"    iifname {pairs} ip saddr != @published drop\n"
        f"{there}"
        f"    iifname {pairs} ip daddr @nodes drop\n"
        f"{closed}"
        f"    oifname {pairs} ip daddr != {transit} ip daddr != @published drop\n"
        f"{_passage6(plan)}"
        "  }\n"
        "  chain departures {\n"
        "    type nat hook postrouting priority srcnat; policy accept;\n"
        f"    ip saddr {transit} oifname != {pairs} masquerade\n"
        f"{masquerade}"
        "  }\n"
        "}\n"
    )
    return Ruleset(namespace=NODE, digest=digest(body), text=body)


def _merged6(blocks: Iterable[str]) -> Iterable[ipaddress.IPv6Network]:
    return ipaddress.collapse_addresses(ipaddress.IPv6Network(text.cidr6(each)) for each in blocks if text.is6(each))


def _sets6(plan: Layout, public: Iterable[str], guests6: list[str]) -> str:
    """Known on every node where guests have IPv6: they may come from others that let it out."""
    published = sorted({text.ip6(ip) for ip in public if text.is6(ip)})
    return "".join(
        [
            _set("published6", "ipv6_addr", published) if plan.public6 else "",
            _set("guests6", "ipv6_addr", guests6, "flags interval") if guests6 else "",
        ]
    )


def _abroad6(plan: Layout, numbers: str) -> str:
    abroad = f"    iifname != {plan.peers} ip6 saddr @guests6"
    opened = f"{abroad} tcp dport {{ {numbers} }} accept\n" if numbers else ""
    return f"{abroad} ct state established,related accept\n{opened}{abroad} drop\n"


def _errors6(plan: Layout) -> str:
    if not plan.public6:
        return ""
    kinds = "destination-unreachable, packet-too-big, time-exceeded, parameter-problem"
    return f"    oifname {plan.peers} icmpv6 type {{ {kinds} }} ip6 saddr set {layout.NODE6}\n"


def _passage6(plan: Layout) -> str:
    if not plan.public6:
        return ""
    blocks = [str(block) for block in _merged6(plan.closed)]
    closed = f"    iifname {plan.peers} ip6 daddr {{ {', '.join(blocks)} }} drop\n" if blocks else ""
    return (
        f"    iifname {plan.peers} ip6 saddr != @published6 drop\n"
        f"{closed}"
        f"    oifname {plan.peers} ip6 daddr != @published6 drop\n"
    )


def _set(name: str, of: str, items: list[str], *flags: str) -> str:
    more = "".join(f"    {flag}\n" for flag in flags)
    return f"  set {name} {{\n    type {of}\n{more}{text.elements(items)}  }}\n"
