"""The split: a zone's spec as one `NodeSpec` and one `NetworkSpec` a node. Pure.

A node is told what it needs and nothing else: its own ports, the VPCs that these lie in or whose NAT gateway it is and the
peers of those, where the other addresses of these VPCs are, and the security groups that its ports use. Of a group that a rule
merely refers to it gets the members.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import msgspec

from eucapy.wire import codec
from eucapy.wire.cluster import ClusterSpec, PlacedPort
from eucapy.wire.network import GroupSpec, NetworkSpec, RemoteSpec
from eucapy.wire.node import NodeSpec


@dataclass(frozen=True)
class Part:
    """What one node is sent. The digests are of the content, whatever the generation, and are made when first asked for."""

    node: NodeSpec
    network: NetworkSpec

    @cached_property
    def node_digest(self) -> str:
        return codec.digest(msgspec.structs.replace(self.node, generation=0))

    @cached_property
    def network_digest(self) -> str:
        return codec.digest(msgspec.structs.replace(self.network, generation=0))


def split(spec: ClusterSpec) -> dict[str, Part]:
    """Every registered node's part, under the zone's generation."""
    everywhere: dict[str, PlacedPort] = {**spec.far_ports, **spec.ports}
    by_vpc: dict[str, list[PlacedPort]] = defaultdict(list)
    members: dict[str, set[str]] = defaultdict(set)
    by_node: dict[str, list[PlacedPort]] = defaultdict(list)
    for placed in everywhere.values():
        by_vpc[placed.port.vpc_id].append(placed)
        for group in placed.port.groups:
            members[group].update((*placed.port.private_ips, *placed.port.ipv6s))
    for placed in spec.ports.values():
        by_node[placed.node].append(placed)
    for known in spec.groups.values():
        members[known.group_id].update(known.members)
    addresses = {**spec.far_nodes, **{name: entry.address for name, entry in spec.nodes.items()}}
    # Made once, not once a node: a node's part is a choice among them.
    remotes = {
        vpc_id: sorted(
            (
                RemoteSpec(ip=ip, node=placed.node)
                for placed in found
                for ip in (*placed.port.private_ips, *placed.port.ipv6s)
            ),
            key=lambda remote: (remote.ip, remote.node),
        )
        for vpc_id, found in by_vpc.items()
    }
    ordered = {group_id: tuple(sorted(found)) for group_id, found in members.items()}
    return {
        name: Part(
            NodeSpec(generation=spec.generation, node=name, instances=entry.instances),
            _network(spec, name, by_node[name], remotes, ordered, addresses),
        )
        for name, entry in spec.nodes.items()
    }


def _network(
    spec: ClusterSpec,
    node: str,
    mine: list[PlacedPort],
    remotes: dict[str, list[RemoteSpec]],
    members: dict[str, tuple[str, ...]],
    addresses: dict[str, str],
) -> NetworkSpec:
    vpcs = {}
    far: set[str] = set()
    translating = {
        vpc_id for vpc_id, vpc in spec.vpcs.items() if any(gateway.node == node for gateway in vpc.nat_gateways)
    }
    here = {placed.port.vpc_id for placed in mine}
    peers = {peer.vpc_id for vpc_id in here & spec.vpcs.keys() for peer in spec.vpcs[vpc_id].peerings}
    for vpc_id in sorted(here | translating | peers):
        others = [remote for remote in remotes.get(vpc_id, ()) if remote.node != node and remote.node in addresses]
        far |= {remote.node for remote in others}
        if vpc_id in spec.vpcs:
            gateways = spec.vpcs[vpc_id].nat_gateways
            far |= {gateway.node for gateway in gateways if gateway.node != node and gateway.node in addresses}
            vpcs[vpc_id] = msgspec.structs.replace(
                spec.vpcs[vpc_id],
                remotes=tuple(others),
                peerings=tuple(peer for peer in spec.vpcs[vpc_id].peerings if vpc_id in here or peer.vpc_id in here),
                nat_gateways=tuple(
                    msgspec.structs.replace(gateway, node="") if gateway.node == node else gateway
                    for gateway in gateways
                ),
            )
    return NetworkSpec(
        generation=spec.generation,
        node=node,
        nodes={name: addresses[name] for name in sorted(far)},
        vpcs=vpcs,
        ports={placed.port.interface_id: placed.port for placed in mine},
        groups=_groups(spec, {group for placed in mine for group in placed.port.groups}, members),
        guest_blocks=spec.guest_blocks,
    )


def _groups(spec: ClusterSpec, used: set[str], members: dict[str, tuple[str, ...]]) -> dict[str, GroupSpec]:
    """The groups in use with their rules; groups that these name, with their members alone."""
    groups: dict[str, GroupSpec] = {}
    for group_id in sorted(used & set(spec.groups)):
        group = spec.groups[group_id]
        groups[group_id] = msgspec.structs.replace(group, members=members.get(group_id, ()))
        for rule in (*group.ingress, *group.egress):
            if rule.group and rule.group not in used and rule.group not in groups:
                vpc = spec.groups[rule.group].vpc_id if rule.group in spec.groups else group.vpc_id
                groups[rule.group] = GroupSpec(group_id=rule.group, vpc_id=vpc, members=members.get(rule.group, ()))
    return groups
