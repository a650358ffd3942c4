"""Flows as a VPC's rules count them: the words of the sets, and what is read out of them. Pure.

A flow is a line in a set, with a counter, keyed by a mark, the two addresses, and ports or protocol:

    mark   31 ─ number of the interface ─ 8   7      6     5         4          3      2     1     0
                                              unused  UDP   refused   received   SYN+ACK  RST   SYN   FIN

There are two halves of each set. The rules count into one; to read, they are turned to the other in one transaction, and the
first is read and emptied at leisure: every packet is counted exactly once. A set has room for `SIZE` lines; packets of flows
that find none are counted by `SKIPPED`, and pass like all others. ICMP and the rest have no ports. The number of an interface
is the compiler's (`eucanetd/compile/flows.py`); 0 is an interface of another node.
"""

from __future__ import annotations

from dataclasses import dataclass

PORTS, OTHERS = "flow_ports", "flow_others"
PORTS6, OTHERS6 = "flow_ports6", "flow_others6"
NAMES = (PORTS, OTHERS, PORTS6, OTHERS6)
"""Of IPv4 and IPv6, with and without ports."""
SKIPPED = "flows_skipped"
SIZE = 16384
HALVES = (0, 1)

UDP, REFUSED, RECEIVED, SYN_ACK, RST, SYN, FIN = 0x40, 0x20, 0x10, 0x8, 0x4, 0x2, 0x1
NUMBER_SHIFT = 8

_TYPES = {
    PORTS: "mark . ipv4_addr . ipv4_addr . inet_service . inet_service",
    OTHERS: "mark . ipv4_addr . ipv4_addr . inet_proto",
    PORTS6: "mark . ipv6_addr . ipv6_addr . inet_service . inet_service",
    OTHERS6: "mark . ipv6_addr . ipv6_addr . inet_proto",
}
_KEYS = {
    PORTS: "meta mark . ip saddr . ip daddr . th sport . th dport",
    OTHERS: "meta mark . ip saddr . ip daddr . meta l4proto",
    PORTS6: "meta mark . ip6 saddr . ip6 daddr . th sport . th dport",
    OTHERS6: "meta mark . ip6 saddr . ip6 daddr . meta l4proto",
}


@dataclass(frozen=True, slots=True)
class Flow:
    """One line: packets of one kind between two ends, as one interface sent or received them. `kind` is the mark's low byte;
    ports are 0 where there are none."""

    number: int
    kind: int
    source: str
    target: str
    protocol: int
    source_port: int
    target_port: int
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Flows:
    """What a namespace has counted since it was read last. `skipped` packets belong to flows that found no room."""

    counted: tuple[Flow, ...] = ()
    skipped: int = 0


def half(name: str, which: int) -> str:
    """The name of one half of a set."""
    return f"{name}_{which}"


def sets() -> str:
    """The sets and the counter, as blocks of a table."""
    halves = "".join(
        f"  set {half(name, which)} {{\n    type {_TYPES[name]}\n    size {SIZE}\n    flags dynamic\n  }}\n"
        for name in NAMES
        for which in HALVES
    )
    return f"  counter {SKIPPED} {{\n  }}\n{halves}"


def counting(name: str, which: int) -> list[str]:
    """The rules of the chain `name`, which counts into one half of the set of that name."""
    return [f"update @{half(name, which)} {{ {_KEYS[name]} counter }} return", f"counter name {SKIPPED}"]


def turn(table: str, which: int) -> str:
    """The transaction from which on everything is counted in that half."""
    lines = []
    for name in NAMES:
        lines.append(f"flush chain {table} {name}")
        lines += [f"add rule {table} {name} {rule}" for rule in counting(name, which)]
    return "\n".join([*lines, ""])


def emptied(table: str, which: int) -> str:
    """The transaction that empties a half."""
    return "".join(f"flush set {table} {half(name, which)}\n" for name in NAMES)
