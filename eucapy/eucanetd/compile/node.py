"""The node's own part: it forwards, and its guard rules stand, and the host's own firewall lets guests pass."""

from __future__ import annotations

from collections.abc import Iterable

from eucapy.drivers.network.model import NODE, Passage, Setting, Thing
from eucapy.eucanetd.compile import guard
from eucapy.eucanetd.compile.layout import Layout


def compile_node(
    plan: Layout,
    taps: Iterable[str],
    public: Iterable[str],
    nodes: Iterable[str],
    barriers: Iterable[tuple[str, str, str]] = (),
    guest_blocks: Iterable[str] = (),
) -> frozenset[Thing]:
    """`taps` of all ports of the node, `public` addresses of both families alive here, underlay addresses of the other
    `nodes`, `barriers` of the host's own firewall, `guest_blocks` the public addresses of all the cloud's guests."""
    hindering = [each for each in barriers if plan.public6 or each[0] != "ip6"]
    forwarding = ["net.ipv4.ip_forward", *(("net.ipv6.conf.all.forwarding",) if plan.public6 else ())]
    return frozenset(
        {
            guard.ruleset(plan, taps, public, [node for node in nodes if node != plan.underlay], guest_blocks),
            *(Setting(namespace=NODE, name=name, value="1") for name in forwarding),
            *(Passage(namespace=NODE, family=family, table=table, chain=chain) for family, table, chain in hindering),
        }
    )
