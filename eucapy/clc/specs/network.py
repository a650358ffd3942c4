"""A zone's rows as the network part of its ClusterSpec: ports, VPCs, security groups. Pure.

Rows: `store/placed_ports.py`. What a zone is told of another one: where the other ports of its VPCs are, and the
addresses there that belong to the groups it needs. A private address has its public one only while its subnet's route
table leads to an internet gateway, which is what makes a subnet public. Rules about IPv6 are kept and not sent: guests
have no IPv6.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from eucapy.clc import host_names
from eucapy.wire.cluster import PlacedPort
from eucapy.wire.network import GroupSpec, PortSpec, RuleSpec, SubnetSpec, VpcSpec

OWN_RESOLVER = "AmazonProvidedDNS"


class Rows(Protocol):
    """`store.placed_ports.NetworkRows`, or a test's. An interface's `groups` and `secondary_ips` are JSON text."""

    @property
    def interfaces(self) -> Sequence[Any]: ...
    @property
    def vpcs(self) -> Sequence[Any]: ...
    @property
    def subnets(self) -> Sequence[Any]: ...
    @property
    def options(self) -> Mapping[str, Any]: ...
    @property
    def public(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def groups(self) -> Sequence[Any]: ...
    @property
    def rules(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def public_subnets(self) -> set[str]: ...


class ZoneNetwork(NamedTuple):
    """Members of the ClusterSpec by the same names."""

    ports: dict[str, PlacedPort]
    vpcs: dict[str, VpcSpec]
    groups: dict[str, GroupSpec]
    far_ports: dict[str, PlacedPort]


def zone_network(rows: Rows, zone: str, region: str) -> ZoneNetwork:
    """What `zone` has to know."""
    ports: dict[str, PlacedPort] = {}
    far_ports: dict[str, PlacedPort] = {}
    names: dict[str, list[tuple[str, str]]] = {}
    for row in rows.interfaces:
        port = _port(row, rows)
        (ports if row.placed_zone == zone else far_ports)[row.id] = PlacedPort(node=row.node, port=port)
        names.setdefault(row.vpc_id, []).append((port.hostname, row.private_ip))
    places: dict[str, list[Any]] = {}
    for subnet in rows.subnets:
        places.setdefault(subnet.vpc_id, []).append(subnet)
    return ZoneNetwork(
        ports=ports,
        vpcs={row.id: _vpc(row, places.get(row.id, ()), names.get(row.id, ()), rows, region) for row in rows.vpcs},
        groups=_groups(rows, ports, far_ports),
        far_ports=far_ports,
    )


def _port(row: Any, rows: Rows) -> PortSpec:
    leads_out = row.subnet_id in rows.public_subnets
    return _port_spec(
        row.id,
        row.instance_id,
        row.vpc_id,
        row.subnet_id,
        row.tap,
        row.mac,
        row.private_ip,
        row.secondary_ips,
        row.groups,
        bool(row.source_dest_check),
        tuple((entry.private_ip, entry.ip) for entry in rows.public.get(row.id, ())) if leads_out else (),
    )


@lru_cache(maxsize=65536)
def _port_spec(
    interface_id: str,
    instance_id: str,
    vpc_id: str,
    subnet_id: str,
    tap: str,
    mac: str,
    private_ip: str,
    secondary_ips: str,
    groups: str,
    source_dest_check: bool,
    public: tuple[tuple[str, str], ...],
) -> PortSpec:
    """Kept, because a zone is compiled after every change and all but a few of its ports are as they were."""
    return PortSpec(
        interface_id=interface_id,
        instance_id=instance_id,
        tap=tap,
        mac=mac,
        vpc_id=vpc_id,
        subnet_id=subnet_id,
        private_ips=(private_ip, *json.loads(secondary_ips)),
        public=public,
        groups=tuple(sorted(group_id for group_id, _ in json.loads(groups))),
        hostname=host_names.private_host(private_ip),
        source_dest_check=source_dest_check,
    )


def _vpc(row: Any, own: Sequence[Any], names: Sequence[tuple[str, str]], rows: Rows, region: str) -> VpcSpec:
    options = rows.options.get(row.dhcp_options_id)
    values: Mapping[str, Sequence[str]] = options.configurations if options is not None else {}
    servers = values.get("domain-name-servers", [OWN_RESOLVER])
    domain = values.get("domain-name")
    return VpcSpec(
        vpc_id=row.id,
        vni=row.vni,
        cidrs=(row.cidr,),
        subnets=tuple(
            SubnetSpec(subnet_id=subnet.id, cidr=subnet.cidr, gateway=gateway(subnet.cidr)) for subnet in own
        ),
        dns_domain=domain[0] if domain else host_names.domain(region),
        dns_servers=() if OWN_RESOLVER in servers else tuple(servers),
        dns=row.dns_support,
        ntp_servers=tuple(values.get("ntp-servers", ())),
        netbios_servers=tuple(values.get("netbios-name-servers", ())),
        netbios_node_type=next(iter(values.get("netbios-node-type", ())), ""),
        names=tuple(sorted(names)),
        internet=any(subnet.id in rows.public_subnets for subnet in own),
    )


def gateway(cidr: str) -> str:
    """The router of a subnet: its first address after the network's."""
    return str(ipaddress.IPv4Network(cidr).network_address + 1)


def _groups(rows: Rows, ports: Mapping[str, PlacedPort], far_ports: Mapping[str, PlacedPort]) -> dict[str, GroupSpec]:
    """The groups that the zone's ports are in, with their rules, and those that these rules refer to, for their members
    alone."""
    used = {group_id for placed in ports.values() for group_id in placed.port.groups}
    referenced = {
        rule.referenced_group for group_id in used for rule in rows.rules.get(group_id, ()) if rule.referenced_group
    }
    members: dict[str, list[str]] = {}
    for placed in far_ports.values():
        for group_id in placed.port.groups:
            members.setdefault(group_id, []).extend(placed.port.private_ips)
    specs = {}
    for row in rows.groups:
        if row.id not in used and row.id not in referenced:
            continue
        rules = rows.rules.get(row.id, ()) if row.id in used else ()
        specs[row.id] = GroupSpec(
            group_id=row.id,
            vpc_id=row.vpc_id,
            ingress=tuple(_rule(rule) for rule in rules if not rule.is_egress and _is_ipv4(rule)),
            egress=tuple(_rule(rule) for rule in rules if rule.is_egress and _is_ipv4(rule)),
            members=tuple(sorted(members.get(row.id, ()))),
        )
    return specs


def _is_ipv4(rule: Any) -> bool:
    return not rule.cidr6 and rule.protocol != "icmpv6"


def _rule(rule: Any) -> RuleSpec:
    return RuleSpec(
        protocol=rule.protocol,
        from_port=rule.from_port,
        to_port=rule.to_port,
        cidr=rule.cidr,
        group=rule.referenced_group,
    )
