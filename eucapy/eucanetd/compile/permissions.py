"""One security group's rules in one direction, as nftables rules that accept.

Permissions that differ only in their block become one rule over an interval set. A group as the other end is looked up in
the one set of all memberships, whose key is (group number, address): the number goes into the packet's mark first, since
nftables cannot look up a constant. IPv6 permissions match nothing, as there is no IPv6 to match.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from eucapy.wire.network import RuleSpec

_NAMES = {"1": "icmp", "6": "tcp", "17": "udp"}
_IPV6_ONLY = {"icmpv6", "58"}


def accepts(rules: tuple[RuleSpec, ...], other_end: str, numbers: Mapping[str, int]) -> list[str]:
    """The rules' lines. `other_end` is `saddr` (ingress) or `daddr` (egress); `numbers` has the mark of each group.

    Raises ValueError for a rule that is none.
    """
    blocks: dict[str, list[ipaddress.IPv4Network]] = {}
    groups: dict[str, set[int]] = {}
    for rule in rules:
        match = matches(rule.protocol, rule.from_port, rule.to_port)
        if match is None:
            continue
        if rule.group:
            if rule.group in numbers:
                groups.setdefault(match, set()).add(numbers[rule.group])
        elif ":" not in rule.cidr:
            blocks.setdefault(match, []).append(ipaddress.IPv4Network(rule.cidr, strict=False))
    lines = []
    for match in sorted(blocks):
        merged = [str(block) for block in ipaddress.collapse_addresses(blocks[match])]
        lines.append(_line(match, _block_match(other_end, merged)))
    for match in sorted(groups):
        lines += [
            _line(match, f"meta mark set {number} meta mark . ip {other_end} @members")
            for number in sorted(groups[match])
        ]
    return lines


def _line(*parts: str) -> str:
    return " ".join(part for part in (*parts, "accept") if part)


def _block_match(other_end: str, blocks: list[str]) -> str:
    if blocks == ["0.0.0.0/0"]:
        return ""
    return f"ip {other_end} {blocks[0]}" if len(blocks) == 1 else f"ip {other_end} {{ {', '.join(blocks)} }}"


def matches(protocol: str, first: int, last: int) -> str | None:
    """The protocol part of a rule; "" matches everything, None nothing. Raises ValueError for what is no protocol or range."""
    protocol = _NAMES.get(protocol, protocol)
    if protocol in _IPV6_ONLY:
        return None
    if protocol == "-1":
        return ""
    if protocol in ("tcp", "udp"):
        return _ports(protocol, first, last)
    if protocol == "icmp":
        return _icmp(first, last)
    number = int(protocol)
    if not 0 <= number <= 255:
        raise ValueError(f"{protocol!r} is not a protocol number")
    return f"meta l4proto {number}"


def _ports(protocol: str, first: int, last: int) -> str:
    if first < 0 or (first == 0 and last == 65535):
        return f"meta l4proto {protocol}"
    if not first <= last <= 65535:
        raise ValueError(f"{first}-{last} is not a port range")
    return f"{protocol} dport {first}" if first == last else f"{protocol} dport {first}-{last}"


def _icmp(kind: int, code: int) -> str:
    if kind < 0:
        return "meta l4proto icmp"
    if kind > 255 or code > 255:
        raise ValueError(f"{kind}/{code} is not an ICMP type and code")
    return f"icmp type {kind}" if code < 0 else f"icmp type {kind} icmp code {code}"
