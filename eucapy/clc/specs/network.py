"""A zone's rows as the network part of its ClusterSpec: ports, VPCs, security groups. Pure.

Rows: `store/placed_ports.py`. What a zone is told of another one: where the other ports of its VPCs are, and the
addresses there that belong to the groups it needs. A private address has its public one only while its subnet's route
table leads to an internet gateway, which is what makes a subnet public. Of IPv6 nothing is told where a VPC has no block of
it.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from eucapy.clc import host_names
from eucapy.clc.specs.network_acls import guarding_acls
from eucapy.wire.cluster import PlacedPort
from eucapy.wire.network import (
    GroupSpec,
    NatGatewaySpec,
    PeeringSpec,
    PeerRouteSpec,
    PortSpec,
    RuleSpec,
    SubnetSpec,
    VpcSpec,
)

OWN_RESOLVER = "AmazonProvidedDNS"
_IPV6_ALONE = ("icmpv6", "58")


class Interface(Hashable, Protocol):
    """`store.placed_ports.Interface`: `groups`, `secondary_ips` and `ipv6s` are JSON text."""

    @property
    def id(self) -> str: ...
    @property
    def instance_id(self) -> str: ...
    @property
    def vpc_id(self) -> str: ...
    @property
    def subnet_id(self) -> str: ...
    @property
    def tap(self) -> str: ...
    @property
    def mac(self) -> str: ...
    @property
    def private_ip(self) -> str: ...
    @property
    def secondary_ips(self) -> str: ...
    @property
    def ipv6s(self) -> str: ...
    @property
    def groups(self) -> str: ...
    @property
    def source_dest_check(self) -> bool: ...
    @property
    def resource_name(self) -> bool: ...
    @property
    def public(self) -> tuple[tuple[str, str], ...]: ...


class Rows(Protocol):
    """`store.placed_ports.Around`, or a test's."""

    @property
    def vpcs(self) -> Sequence[Any]: ...
    @property
    def cidrs(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def cidrs6(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def subnets(self) -> Sequence[Any]: ...
    @property
    def options(self) -> Mapping[str, Any]: ...
    @property
    def groups(self) -> Sequence[Any]: ...
    @property
    def rules(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def lists(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def public_subnets(self) -> set[str]: ...
    @property
    def ways6(self) -> Mapping[str, str]: ...
    @property
    def guards(self) -> Mapping[str, str]: ...
    @property
    def acl_entries(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def nat_gateways(self) -> Sequence[Any]: ...
    @property
    def behind_nat(self) -> Mapping[str, str]: ...
    @property
    def peerings(self) -> Sequence[Any]: ...
    @property
    def to_peers(self) -> Sequence[Any]: ...
    @property
    def flow_logs(self) -> Mapping[str, tuple[str, ...]]: ...


class ZoneNetwork(NamedTuple):
    """Members of the ClusterSpec by the same names."""

    ports: dict[str, PlacedPort]
    vpcs: dict[str, VpcSpec]
    groups: dict[str, GroupSpec]
    far_ports: dict[str, PlacedPort]


def zone_network(interfaces: Iterable[tuple[Interface, str, str]], rows: Rows, zone: str, region: str) -> ZoneNetwork:
    """What `zone` has to know. `interfaces` are of the VPCs with a port in the zone, each with its node and zone."""
    ports: dict[str, PlacedPort] = {}
    far_ports: dict[str, PlacedPort] = {}
    names: dict[str, list[tuple[str, str]]] = {}
    leads_out = rows.public_subnets
    for interface, node, placed_zone in interfaces:
        placed = placed_port(interface, node, interface.subnet_id in leads_out, rows.ways6.get(interface.subnet_id, ""))
        (ports if placed_zone == zone else far_ports)[interface.id] = placed
        known = names.setdefault(interface.vpc_id, [])
        known.append((placed.port.hostname, interface.private_ip))
        if interface.resource_name:
            known.append((interface.instance_id, interface.private_ip))
    places: dict[str, list[Any]] = {}
    for subnet in rows.subnets:
        places.setdefault(subnet.vpc_id, []).append(subnet)
    return ZoneNetwork(
        ports=ports,
        vpcs={row.id: _vpc(row, places.get(row.id, ()), names.get(row.id, ()), rows, region) for row in rows.vpcs},
        groups=_groups(rows, ports, far_ports),
        far_ports=far_ports,
    )


@lru_cache(maxsize=65536)
def placed_port(interface: Interface, node: str, leads_out: bool, way6: str = "") -> PlacedPort:
    """Kept, because a zone is compiled after every change and all but a few of its ports are as they were."""
    ipv6s = tuple(json.loads(interface.ipv6s))
    port = PortSpec(
        interface_id=interface.id,
        instance_id=interface.instance_id,
        tap=interface.tap,
        mac=interface.mac,
        vpc_id=interface.vpc_id,
        subnet_id=interface.subnet_id,
        private_ips=(interface.private_ip, *json.loads(interface.secondary_ips)),
        ipv6s=ipv6s,
        way6=way6 if ipv6s else "",
        public=interface.public if leads_out else (),
        groups=tuple(sorted(group_id for group_id, _ in json.loads(interface.groups))),
        hostname=host_names.private_host(interface.private_ip),
        source_dest_check=bool(interface.source_dest_check),
    )
    return PlacedPort(node=node, port=port)


def _vpc(row: Any, own: Sequence[Any], names: Sequence[tuple[str, str]], rows: Rows, region: str) -> VpcSpec:
    options = rows.options.get(row.dhcp_options_id)
    values: Mapping[str, Sequence[str]] = options.configurations if options is not None else {}
    servers = values.get("domain-name-servers", [OWN_RESOLVER])
    blocks6 = tuple(block.cidr for block in rows.cidrs6.get(row.id, ()))
    guards = {rows.guards[subnet.id] for subnet in own if subnet.id in rows.guards}
    acls = guarding_acls(guards, rows.acl_entries, ipv6=bool(blocks6))
    domain = values.get("domain-name")
    return VpcSpec(
        vpc_id=row.id,
        vni=row.vni,
        cidrs=(row.cidr, *(further.cidr for further in rows.cidrs.get(row.id, ()))),
        cidrs6=blocks6,
        subnets=tuple(
            SubnetSpec(
                subnet_id=subnet.id,
                cidr=subnet.cidr,
                gateway=gateway(subnet.cidr),
                acl=acl if (acl := rows.guards.get(subnet.id, "")) in acls else "",
                cidr6=subnet.cidr6,
            )
            for subnet in own
        ),
        acls=tuple(acls.values()),
        nat_gateways=tuple(_gateway(one, rows) for one in rows.nat_gateways if _works(one, row.id, rows)),
        peerings=tuple(_peerings(row, own, rows)),
        black_holes=tuple(_black_holes(own, rows)),
        dns_domain=domain[0] if domain else host_names.domain(region),
        dns_servers=() if OWN_RESOLVER in servers else tuple(servers),
        dns=row.dns_support,
        ntp_servers=tuple(values.get("ntp-servers", ())),
        netbios_servers=tuple(values.get("netbios-name-servers", ())),
        netbios_node_type=next(iter(values.get("netbios-node-type", ())), ""),
        names=tuple(sorted(names)),
        internet=any(subnet.id in rows.public_subnets for subnet in own),
        flow_logs=rows.flow_logs.get(row.id, ()),
    )


def _peerings(row: Any, own: Sequence[Any], rows: Rows) -> Iterable[PeeringSpec]:
    """The VPC's active peerings that a route of either side leads to, by id."""
    known = {vpc.id: vpc for vpc in rows.vpcs}
    routed = {route.gateway_id for route in rows.to_peers}
    subnets = {subnet.id for subnet in own}
    for peering in rows.peerings:
        sides = {peering.requester_vpc, peering.accepter_vpc}
        if row.id not in sides or peering.id not in routed or not sides <= known.keys():
            continue
        (other,) = sides - {row.id}
        yield PeeringSpec(
            vpc_id=other,
            vni=known[other].vni,
            cidrs=(
                known[other].cidr,
                *(further.cidr for further in (*rows.cidrs.get(other, ()), *rows.cidrs6.get(other, ()))),
            ),
            routes=tuple(
                PeerRouteSpec(subnet_id=route.id, to=route.destination)
                for route in rows.to_peers
                if route.gateway_id == peering.id and route.id in subnets
            ),
        )


def _black_holes(own: Sequence[Any], rows: Rows) -> Iterable[PeerRouteSpec]:
    """The routes of the VPC's subnets to peerings that are not active."""
    active, subnets = {peering.id for peering in rows.peerings}, {subnet.id for subnet in own}
    for route in rows.to_peers:
        if route.gateway_id not in active and route.id in subnets:
            yield PeerRouteSpec(subnet_id=route.id, to=route.destination)


def _works(one: Any, vpc_id: str, rows: Rows) -> bool:
    """A NAT gateway is in a subnet that leads to the internet itself, or nothing gets through it."""
    return bool(one.vpc_id == vpc_id and one.public_ip and one.subnet_id in rows.public_subnets)


def _gateway(one: Any, rows: Rows) -> NatGatewaySpec:
    behind = sorted(subnet_id for subnet_id, gateway_id in rows.behind_nat.items() if gateway_id == one.id)
    return NatGatewaySpec(gateway_id=one.id, public_ip=one.public_ip, node=one.node, subnets=tuple(behind))


def gateway(cidr: str) -> str:
    """The router of a subnet: its first address after the network's."""
    return str(ipaddress.IPv4Network(cidr).network_address + 1)


def _groups(rows: Rows, ports: Mapping[str, PlacedPort], far_ports: Mapping[str, PlacedPort]) -> dict[str, GroupSpec]:
    """The groups that the zone's ports are in, with their rules, and those that these rules refer to, for their members
    alone. A rule about a group of a peer is told while the peering is active: later its addresses may be others'."""
    active = {"", *(one.id for one in rows.peerings)}
    used = {group_id for placed in ports.values() for group_id in placed.port.groups}
    referenced = {
        rule.referenced_group
        for group_id in used
        for rule in rows.rules.get(group_id, ())
        if rule.referenced_group not in rows.lists
    }
    members: dict[str, list[str]] = {}
    for placed in far_ports.values():
        for group_id in placed.port.groups:
            members.setdefault(group_id, []).extend((*placed.port.private_ips, *placed.port.ipv6s))
    specs = {}
    for row in rows.groups:
        if row.id not in used and row.id not in referenced:
            continue
        held = rows.rules.get(row.id, ()) if row.id in used else ()
        rules = [rule for rule in held if rule.referenced_peering in active]
        specs[row.id] = GroupSpec(
            group_id=row.id,
            vpc_id=row.vpc_id,
            ingress=_rules((rule for rule in rules if not rule.is_egress), rows.lists, row.vpc_id in rows.cidrs6),
            egress=_rules((rule for rule in rules if rule.is_egress), rows.lists, row.vpc_id in rows.cidrs6),
            members=tuple(sorted(members.get(row.id, ()))),
        )
    return specs


def _rules(rules: Iterable[Any], lists: Mapping[str, Sequence[str]], ipv6: bool) -> tuple[RuleSpec, ...]:
    """Each once, those about IPv6 only where there is any; one that names a prefix list is a rule for each of its blocks."""
    found: dict[RuleSpec, None] = {}
    for rule in rules:
        if not ipv6 and (rule.cidr6 or rule.protocol in _IPV6_ALONE):
            continue
        blocks = lists.get(rule.referenced_group)
        others = (
            [(rule.cidr or rule.cidr6, rule.referenced_group)] if blocks is None else [(each, "") for each in blocks]
        )
        for cidr, group in others:
            if ipv6 or ":" not in cidr:
                found[_rule(rule, cidr, group)] = None
    return tuple(found)


def _rule(rule: Any, cidr: str, group: str) -> RuleSpec:
    return RuleSpec(protocol=rule.protocol, from_port=rule.from_port, to_port=rule.to_port, cidr=cidr, group=group)
