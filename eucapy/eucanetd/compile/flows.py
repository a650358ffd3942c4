"""Flow logs in a VPC's rule set: what its watched interfaces send and receive is counted where it is judged.

    forward  -10   acls      ── refused on the way out ──► flow_sent_refused
                             ── refused on the way in  ──► flow_sent, flow_received_refused
    forward    0   egress    ── refused ─────────────────► flow_sent_refused
    forward   +5   flows_out ── left its interface ──────► flow_sent
    forward  +10   ingress   ── refused ─────────────────► flow_received_refused
    forward  +15   flows_in  ── reached its interface ───► flow_received

A VPC without flow logs has none of this. What is not forwarded is not counted: DHCP, DNS, metadata and the gateway's echo, as
in EC2, and what has nowhere to go. A packet that an ACL keeps from entering a subnet did leave its sender, as far as the ACLs
go: the sender's groups are not asked any more. Whom it was for may be on another node; then it is known by its address alone.
Sets and marks: `drivers/network/flow_counts.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eucapy.drivers.network import flow_counts
from eucapy.eucanetd.compile import layout, text
from eucapy.wire.network import PortSpec, VpcSpec

_FLAGS = (
    ("fin == fin", flow_counts.FIN),
    ("syn == syn", flow_counts.SYN),
    ("rst == rst", flow_counts.RST),
    ("(syn | ack) == (syn | ack)", flow_counts.SYN_ACK),
)
_NUMBERS = 1 << 24


def watched(vpc: VpcSpec, ports: Iterable[PortSpec]) -> dict[int, PortSpec]:
    """The ports that a flow log is about, by the number that flows know them by. It is made of the interface's id, so that
    it stays the same whatever comes and goes beside it."""
    logged = set(vpc.flow_logs)
    found: dict[int, PortSpec] = {}
    for port in sorted(ports, key=lambda each: each.interface_id):
        if logged.isdisjoint((vpc.vpc_id, port.subnet_id, port.interface_id)):
            continue
        number = _number(port.interface_id)
        while not number or number in found:
            number = (number + 1) % _NUMBERS
        found[number] = port
    return found


def flows(vpc: VpcSpec, ports: Sequence[PortSpec]) -> str:
    """The part of the table; nothing without flow logs. Raises ValueError for values that make no rules."""
    if not vpc.flow_logs:
        return ""
    taps = [
        f'"{text.link(port.tap)}" : {number << flow_counts.NUMBER_SHIFT:#x}'
        for number, port in watched(vpc, ports).items()
    ]
    return "".join(
        [
            flow_counts.sets(),
            f"  map flow_taps {{\n    type ifname : mark\n{text.elements(taps)}  }}\n",
            *(_chain(name, flow_counts.counting(name, 0)) for name in flow_counts.NAMES),
            _chain("flow_count6", _counting(flow_counts.PORTS6, flow_counts.OTHERS6)),
            _chain(
                "flow_count",
                ["meta nfproto ipv6 goto flow_count6", *_counting(flow_counts.PORTS, flow_counts.OTHERS)],
            ),
            _chain("flow_sent", _counted("iifname", 0)),
            _chain("flow_received", _counted("oifname", flow_counts.RECEIVED)),
            _chain("flow_sent_refused", _counted("iifname", flow_counts.REFUSED)),
            _chain(
                "flow_received_refused",
                [
                    f'oifname "{layout.VXLAN}" meta mark set {flow_counts.RECEIVED | flow_counts.REFUSED:#x} '
                    "goto flow_count",
                    *_counted("oifname", flow_counts.RECEIVED | flow_counts.REFUSED),
                ],
            ),
            _chain("flows_out", ["type filter hook forward priority filter + 5; policy accept;", "jump flow_sent"]),
            _chain("flows_in", ["type filter hook forward priority filter + 15; policy accept;", "jump flow_received"]),
        ]
    )


def refused(vpc: VpcSpec, *chains: str) -> list[str]:
    """To say before a packet is dropped, where flows are watched: that it was."""
    return [f"jump {name}" for name in chains] if vpc.flow_logs else []


def invalid(vpc: VpcSpec, ours: str) -> list[str]:
    """The same for what belongs to no connection: it is refused to whom it is for, or to the guest that sends it."""
    if not vpc.flow_logs:
        return []
    return [
        f"ct state invalid iifname {ours} jump flow_received_refused",
        f"ct state invalid iifname != {ours} jump flow_sent_refused",
    ]


def _counting(ports: str, others: str) -> list[str]:
    """By the protocol, into the chains of a family."""
    return [
        f"meta l4proto udp meta mark set meta mark | {flow_counts.UDP:#x} goto {ports}",
        f"meta l4proto != tcp goto {others}",
        *(f"tcp flags & {match} meta mark set meta mark | {flag:#x}" for match, flag in _FLAGS),
        f"goto {ports}",
    ]


def _counted(link: str, kind: int) -> list[str]:
    more = f"meta mark set meta mark | {kind:#x} " if kind else ""
    return [f"meta mark set {link} map @flow_taps {more}jump flow_count", "meta mark set 0"]


def _number(interface_id: str) -> int:
    """The last six digits of an id are chosen at random."""
    digits = text.identifier(interface_id)[-6:]
    try:
        return int(digits, 16)
    except ValueError:
        return int.from_bytes(digits.encode()[-3:])


def _chain(name: str, lines: Iterable[str]) -> str:
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"
