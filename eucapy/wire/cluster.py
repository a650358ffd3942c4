"""The cluster controller's messages: a zone's nodes, what each shall run, and the zone's network.

The cluster controller splits a spec into a `NodeSpec` and a `NetworkSpec` a node, and merges what the nodes report.
"""

from __future__ import annotations

from typing import Protocol

from eucapy.wire.contract import Agent, Fault, Message, Spec, Status
from eucapy.wire.flows import ZoneFlowReads
from eucapy.wire.network import GroupSpec, NetworkStatus, PortSpec, VpcSpec
from eucapy.wire.node import Console, InstanceSpec, NodeStatus, Screenshot, Sensors


class NodeEntry(Message, frozen=True, kw_only=True):
    """A registered node: where its two agents listen, its underlay address, and the instances placed on it."""

    node: str
    nc_url: str
    eucanetd_url: str
    address: str
    instances: dict[str, InstanceSpec] = {}


class PlacedPort(Message, frozen=True, kw_only=True):
    """A network interface and the node on which it is plugged."""

    node: str
    port: PortSpec


class ClusterSpec(Spec, frozen=True, kw_only=True):
    """The whole desired state of a zone. `vpcs` here carry no remotes: the split knows who is where."""

    zone: str
    nodes: dict[str, NodeEntry] = {}
    ports: dict[str, PlacedPort] = {}
    vpcs: dict[str, VpcSpec] = {}
    groups: dict[str, GroupSpec] = {}
    """`members` hold the addresses of ports in other zones only; the split adds this zone's."""
    far_ports: dict[str, PlacedPort] = {}
    """Ports of the same VPCs in other zones: remotes for the nodes here; `far_nodes` has their underlay addresses."""
    far_nodes: dict[str, str] = {}
    guest_blocks: tuple[str, ...] = ()
    """The cloud's public addresses, as CIDRs."""


class NodeReport(Message, frozen=True, kw_only=True):
    """A node as its cluster controller knows it. `reachable` is about now; the statuses are the last ones seen."""

    node: str
    reachable: bool
    status: NodeStatus | None = None
    network: NetworkStatus | None = None
    fault: Fault | None = None


class ClusterStatus(Status, frozen=True, kw_only=True):
    """The whole observed state of a zone."""

    zone: str
    nodes: dict[str, NodeReport] = {}


class ClusterReads(Protocol):
    """The nodes' plain reads, passed through."""

    async def console(self, instance_id: str, max_bytes: int) -> Console: ...

    async def screenshot(self, instance_id: str) -> Screenshot: ...

    async def sensors(self, instance_id: str) -> Sensors: ...


class ClusterAgent(Agent[ClusterSpec, ClusterStatus], ClusterReads, ZoneFlowReads, Protocol):
    """A cluster controller: the agent's verbs and the plain reads of its nodes."""
