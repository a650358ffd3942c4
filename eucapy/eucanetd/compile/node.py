"""The node's own part: it forwards, and its guard rules stand."""

from __future__ import annotations

from collections.abc import Iterable

from eucapy.drivers.network.model import NODE, Setting, Thing
from eucapy.eucanetd.compile import guard
from eucapy.eucanetd.compile.layout import Layout


def compile_node(plan: Layout, taps: Iterable[str], public: Iterable[str], nodes: Iterable[str]) -> frozenset[Thing]:
    """`taps` of all ports of the node, `public` addresses alive here, underlay addresses of the other `nodes`."""
    return frozenset(
        {
            guard.ruleset(plan, taps, public, [node for node in nodes if node != plan.underlay]),
            Setting(namespace=NODE, name="net.ipv4.ip_forward", value="1"),
        }
    )
