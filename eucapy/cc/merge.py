"""The merge: what the nodes say as one status of the zone. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eucapy.wire.cluster import ClusterStatus, NodeReport
from eucapy.wire.contract import Fault
from eucapy.wire.network import NetworkStatus
from eucapy.wire.node import NodeStatus


@dataclass(frozen=True)
class Heard:
    """What a link last heard of its node."""

    reachable: bool
    status: NodeStatus | None = None
    network: NetworkStatus | None = None
    fault: Fault | None = None


def merge(zone: str, generation: int, heard: Mapping[str, Heard]) -> ClusterStatus:
    """One report a node. A node that does not answer keeps its last words, marked unreachable."""
    return ClusterStatus(
        boot="",
        revision=0,
        generation=generation,
        zone=zone,
        nodes={
            name: NodeReport(node=name, reachable=h.reachable, status=h.status, network=h.network, fault=h.fault)
            for name, h in sorted(heard.items())
        },
    )
