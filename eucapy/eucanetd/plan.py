"""What shall be on the node: the spec, and what it no longer names but must not lose its network.

    spec ─┐
    laid ─┼─► Intent (VPCs, ports, groups) ─► things by item
    taps ─┘

An item is what fails, waits and is reported on its own: the node's own part, or one VPC. `Laid` is the ledger of what has
been laid out: a port that the spec has dropped keeps what it had for as long as its guest's tap is there (absence never
destroys; the tap's end is the tombstone), and the namespace of a VPC that the spec has dropped is removed when nothing is
left in it, since the ledger says that it is ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from eucapy.drivers.network import netns
from eucapy.drivers.network.model import Observed, Thing
from eucapy.eucanetd.compile import text
from eucapy.eucanetd.compile.layout import Layout
from eucapy.eucanetd.compile.node import compile_node
from eucapy.eucanetd.compile.vpc import compile_vpc, public_addresses, public_addresses6
from eucapy.wire.contract import Fault
from eucapy.wire.network import GroupSpec, NetworkSpec, PortSpec, VpcSpec

NODE_ITEM = "node"


class Laid(msgspec.Struct, frozen=True):
    """What this node has, or is about to have, laid out."""

    vpcs: dict[str, VpcSpec] = {}
    ports: dict[str, PortSpec] = {}
    groups: dict[str, GroupSpec] = {}


@dataclass(frozen=True, slots=True)
class Intent:
    """What is wanted. `kept` are the ports that only `Laid` names, `leaving` the VPCs whose namespaces shall go."""

    laid: Laid
    kept: frozenset[str]
    leaving: frozenset[str]
    nodes: dict[str, str]
    guest_blocks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """The things by item, and the items of which no sense can be made."""

    items: dict[str, frozenset[Thing]] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)


def intend(spec: NetworkSpec, laid: Laid, observed: Observed, layout: Layout) -> Intent:
    """Join the spec with what must be kept. Pure."""
    forgotten = {interface_id: port for interface_id, port in laid.ports.items() if interface_id not in spec.ports}
    taps = {port.vpc_id: observed.taps(layout.namespace(port.vpc_id)) for port in forgotten.values()}
    kept = {interface_id: port for interface_id, port in forgotten.items() if port.tap in taps[port.vpc_id]}
    ports = {**kept, **spec.ports}
    vpcs = dict(spec.vpcs)
    for port in kept.values():
        if port.vpc_id not in vpcs and port.vpc_id in laid.vpcs:
            vpcs[port.vpc_id] = laid.vpcs[port.vpc_id]
    groups = dict(spec.groups)
    for group_id in _groups_of(kept, laid.groups):
        groups.setdefault(group_id, laid.groups[group_id])
    leaving = {
        vpc_id
        for vpc_id in laid.vpcs
        if vpc_id not in vpcs and not observed.taps(layout.namespace(vpc_id)) and _is_there(vpc_id, observed, layout)
    }
    held = {
        vpc_id: laid.vpcs[vpc_id] for vpc_id in laid.vpcs if vpc_id not in vpcs and _is_there(vpc_id, observed, layout)
    }
    return Intent(
        laid=Laid(vpcs={**held, **vpcs}, ports=ports, groups=groups),
        kept=frozenset(kept),
        leaving=frozenset(leaving),
        nodes=dict(spec.nodes),
        guest_blocks=spec.guest_blocks,
    )


def _groups_of(ports: Mapping[str, PortSpec], groups: Mapping[str, GroupSpec]) -> set[str]:
    """The groups of the ports, and the groups that their rules refer to."""
    used = {group_id for port in ports.values() for group_id in port.groups if group_id in groups}
    referred = {
        rule.group for group_id in used for rule in (*groups[group_id].ingress, *groups[group_id].egress) if rule.group
    }
    return used | (referred & groups.keys())


def _is_there(vpc_id: str, observed: Observed, layout: Layout) -> bool:
    namespace = layout.namespace(vpc_id)
    return any(thing.namespace == namespace for thing in observed.things) or namespace in observed.broken


def desire(intent: Intent, observed: Observed, layout: Layout) -> Desired:
    """Compile the intent. A VPC that makes no sense is a fault of its own; the others are not kept. Pure."""
    desired = Desired()
    laid = intent.laid
    by_vpc: dict[str, list[PortSpec]] = {}
    for port in laid.ports.values():
        by_vpc.setdefault(port.vpc_id, []).append(port)
    public: set[str] = set()
    for vpc_id, vpc in laid.vpcs.items():
        namespace = layout.namespace(vpc_id)
        if vpc_id in intent.leaving:
            desired.items[vpc_id] = frozenset()
            continue
        ports = by_vpc.get(vpc_id, [])
        if namespace in observed.broken:
            desired.faults[vpc_id] = Fault(code="NamespaceUnreadable", message=observed.broken[namespace])
            public |= _sound_addresses(vpc, ports, layout)
            continue
        taps = observed.waiting_taps | observed.taps(namespace)
        try:
            joined = _joined(vpc, intent, observed, layout)
            desired.items[vpc_id] = compile_vpc(vpc, ports, laid.groups, intent.nodes, layout, taps, joined)
            plugged = [port for port in ports if port.tap in taps]
            public |= {*public_addresses(vpc, plugged), *public_addresses6(vpc, plugged, layout)}
        except ValueError as error:
            desired.faults[vpc_id] = Fault(code="InvalidSpec", message=str(error), final=True)
            public |= _sound_addresses(vpc, ports, layout)
    for vpc_id in by_vpc.keys() - laid.vpcs.keys():
        desired.faults[vpc_id] = Fault(
            code="UnknownVpc", message=f"the spec has ports in {vpc_id} and does not describe it"
        )
    try:
        taps_named = _sound(text.link, (port.tap for port in laid.ports.values()))
        nodes = _sound(text.ip, intent.nodes.values())
        blocks6 = _sound(text.cidr6, (block for vpc in laid.vpcs.values() for block in vpc.cidrs6))
        guests = (*intent.guest_blocks, *blocks6)
        desired.items[NODE_ITEM] = compile_node(layout, taps_named, public, nodes, observed.barriers, guests)
    except ValueError as error:
        desired.faults[NODE_ITEM] = Fault(code="InvalidSpec", message=str(error), final=True)
    return desired


def _joined(vpc: VpcSpec, intent: Intent, observed: Observed, layout: Layout) -> set[str]:
    """The peers that the VPC can be joined to now: they name it too, stay, and their namespaces are there."""
    named = {peer.vpc_id for peer in vpc.peerings} & intent.laid.vpcs.keys()
    return {
        vpc_id
        for vpc_id in named - intent.leaving
        if layout.namespace(vpc_id) in observed.namespaces - observed.broken.keys()
        and any(back.vpc_id == vpc.vpc_id for back in intent.laid.vpcs[vpc_id].peerings)
    }


def _sound_addresses(vpc: VpcSpec, ports: Iterable[PortSpec], layout: Layout) -> set[str]:
    """Public addresses of a VPC that cannot be worked on: what it has had goes on working, the guard lets it."""
    gateways = [gateway.public_ip for gateway in vpc.nat_gateways if not gateway.node]
    own = [ip for port in ports if layout.public6 and port.way6 for ip in port.ipv6s]
    return _sound(text.either, [*gateways, *(public for port in ports for _, public in port.public), *own])


def _sound(check: Callable[[str], str], values: Iterable[str]) -> set[str]:
    """The values that pass: one that does not is its own item's fault, and no reason to leave the node unguarded."""
    passed: set[str] = set()
    for value in values:
        with contextlib.suppress(ValueError):
            passed.add(check(value))
    return passed


def strangers(intent: Intent, observed: Observed, layout: Layout) -> tuple[str, ...]:
    """What is here and in no spec: ports kept for their taps' sake, taps nobody knows, namespaces not of our making."""
    known = {(layout.namespace(port.vpc_id), port.tap) for port in intent.laid.ports.values()}
    found = set(intent.kept)
    for namespace in observed.namespaces:
        vpc_id = netns.vpc_of(layout.prefix, namespace)
        if vpc_id not in intent.laid.vpcs:
            found.add(namespace)
        else:
            found |= {f"{namespace}/{tap}" for tap in observed.taps(namespace) if (namespace, tap) not in known}
    return tuple(sorted(found))
