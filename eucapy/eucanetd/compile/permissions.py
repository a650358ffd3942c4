"""One security group's rules in one direction, as nftables rules that accept.

Permissions that differ only in their block become one rule over an interval set. A group as the other end is looked up in
the one set of all memberships, whose key is (group number, address): the number goes into the packet's mark first, since
nftables cannot look up a constant. Where IPv6 is on, what permits any address of a family says of which; where it is off,
IPv6 permissions match nothing, as there is no IPv6 to match.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from eucapy.eucanetd.compile import text
from eucapy.wire.network import RuleSpec

_NAMES = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}
ANY = "0.0.0.0/0"
ANY6 = "::/0"


def accepts(rules: tuple[RuleSpec, ...], other_end: str, numbers: Mapping[str, int], ipv6: bool = False) -> list[str]:
    """The rules' lines. `other_end` is `saddr` (ingress) or `daddr` (egress); `numbers` has the mark of each group; `ipv6`:
    both families are there.

    Raises ValueError for a rule that is none.
    """
    return [
        line
        for of6 in ((False, True) if ipv6 else (False,))
        for line in _of_family(rules, other_end, numbers, ipv6, of6)
    ]


def _of_family(
    rules: tuple[RuleSpec, ...], other_end: str, numbers: Mapping[str, int], both: bool, of6: bool
) -> list[str]:
    blocks: dict[str, list[str]] = {}
    groups: dict[str, set[int]] = {}
    for rule in rules:
        match = matches(rule.protocol, rule.from_port, rule.to_port, of6)
        if match is None:
            continue
        if rule.group:
            if rule.group in numbers:
                groups.setdefault(match, set()).add(numbers[rule.group])
        elif text.is6(rule.cidr) == of6:
            blocks.setdefault(match, []).append(rule.cidr)
    family, members = ("ip6", "@members6") if of6 else ("ip", "@members")
    lines = []
    for match in sorted(blocks):
        merged = _merged6(blocks[match]) if of6 else _merged(blocks[match])
        where = any_of(merged[0], both) if merged in ([ANY], [ANY6]) else f"{family} {other_end} {_words(merged)}"
        lines.append(_line(match, where))
    for match in sorted(groups):
        lines += [
            _line(match, f"meta mark set {number} meta mark . {family} {other_end} {members}")
            for number in sorted(groups[match])
        ]
    return lines


def any_of(block: str, both: bool) -> str:
    """The match of a family's every address; nothing needs to be said where there is IPv4 alone."""
    return f"meta nfproto {'ipv6' if text.is6(block) else 'ipv4'}" if both else ""


def _merged(blocks: list[str]) -> list[str]:
    read = (ipaddress.IPv4Network(text.cidr(block)) for block in blocks)
    return [str(block) for block in ipaddress.collapse_addresses(read)]


def _merged6(blocks: list[str]) -> list[str]:
    read = (ipaddress.IPv6Network(text.cidr6(block)) for block in blocks)
    return [str(block) for block in ipaddress.collapse_addresses(read)]


def _line(*parts: str) -> str:
    return " ".join(part for part in (*parts, "accept") if part)


def _words(blocks: list[str]) -> str:
    return blocks[0] if len(blocks) == 1 else f"{{ {', '.join(blocks)} }}"


def matches(protocol: str, first: int, last: int, ipv6: bool = False) -> str | None:
    """The protocol part of a rule for one family; "" matches everything, None nothing. Raises ValueError for what is no
    protocol or range."""
    protocol = _NAMES.get(protocol, protocol)
    if protocol == ("icmp" if ipv6 else "icmpv6"):
        return None
    if protocol == "-1":
        return ""
    if protocol in ("tcp", "udp"):
        return _ports(protocol, first, last)
    if protocol in ("icmp", "icmpv6"):
        return _icmp(protocol, first, last)
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


def _icmp(protocol: str, kind: int, code: int) -> str:
    if kind < 0:
        return f"meta l4proto {'ipv6-icmp' if protocol == 'icmpv6' else 'icmp'}"
    if kind > 255 or code > 255:
        raise ValueError(f"{kind}/{code} is not an ICMP type and code")
    return f"{protocol} type {kind}" if code < 0 else f"{protocol} type {kind} {protocol} code {code}"
