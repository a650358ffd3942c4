"""The rows that a packet may meet, for `reach.explain`; and who is meant by a name: `eucapy network explain`.

A name is an instance's or an interface's id, an address, or `internet`: any address outside.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from eucapy.clc import reach
from eucapy.clc.operations import Refused
from eucapy.clc.store import (
    egress_only_gateways,
    instances,
    internet_gateways,
    nat_gateways,
    network_acl_entries,
    network_acls,
    network_interfaces,
    prefix_lists,
    public_ips,
    route_tables,
    security_group_rules,
    subnets,
    vpc_peerings,
)
from eucapy.database import Row, Tx
from eucapy.lifecycle import instance as instance_life
from eucapy.lifecycle import nat_gateway as nat_life

INTERNET = "internet"
_PROTOCOLS = ("tcp", "udp", "icmp")


async def explain(tx: Tx, body: Mapping[str, Any]) -> dict[str, Any]:
    """`body`: source and target (names), protocol, port. Raises Refused."""
    source, target = (str(body.get(member) or "") for member in ("source", "target"))
    packet = asked(body)
    sender, receiver = await _named(tx, source), await _named(tx, target)
    if isinstance(sender, str) and isinstance(receiver, str):
        raise Refused(400, "one of the two must be an instance, an interface, or an address of one")
    vpcs = {row.vpc_id for row in (sender, receiver) if not isinstance(row, str)}
    known = await facts(tx, sorted(vpcs | await vpc_peerings.peers(tx, vpcs)))
    port, address = _source(source, sender, receiver, known)
    goes_to = _target(target, receiver, port, known, address)
    if port is not None and source.startswith(("i-", "eni-")):
        address = port.own(reach.is6(goes_to)) or None
    if address is not None and reach.is6(address) is not reach.is6(goes_to):
        raise Refused(400, f"{address} and {goes_to} are of different families")
    way = reach.explain(known, port, address, goes_to, packet)
    return {
        "reached": way.reached,
        "packet": str(replace(packet, ipv6=reach.is6(goes_to))),
        "from": address or (INTERNET if port is None else port.id),
        "to": goes_to,
        "seen_as": way.seen_as or INTERNET,
        "arrives_at": way.arrives_at,
        "steps": [{"at": s.at, "what": s.what, "passes": s.passes, "because": s.because} for s in way.steps],
    }


async def facts(tx: Tx, vpc_ids: Sequence[str]) -> reach.Facts:
    """All of these VPCs."""
    rows = await network_interfaces.of_vpcs(tx, vpc_ids)
    public = await public_ips.of_interfaces(tx, [row.id for row in rows])
    machines = await instances.whereabouts(tx, sorted({row.instance_id for row in rows if row.instance_id}))
    groups = sorted({group_id for row in rows for group_id, _ in row.groups})
    rules = await security_group_rules.of_groups(tx, groups)
    named = [rule.referenced_group for held in rules.values() for rule in held if security_group_rules.is_list(rule)]
    blocks = await prefix_lists.blocks(tx, named)
    guards = await network_acls.guards(tx, vpc_ids)
    entries = await network_acl_entries.of_acls(tx, sorted(set(guards.values())))
    nats = [row for row in await nat_gateways.every(tx) if row.vpc_id in vpc_ids]
    gateways = [await internet_gateways.of_vpc(tx, vpc_id) for vpc_id in vpc_ids]
    peerings = {row.id: row for row in await vpc_peerings.active_of(tx, vpc_ids)}
    return reach.Facts(
        ports={row.id: _port(row, public.get(row.id, ()), machines.get(row.instance_id)) for row in rows},
        rules={
            group_id: [_rule(row, blocks) for row in held if row.referenced_peering in {"", *peerings}]
            for group_id, held in rules.items()
        },
        acls={acl_id: [_entry(row) for row in held] for acl_id, held in entries.items()},
        subnets={one.id: one for one in await _subnets(tx, vpc_ids, guards)},
        gateways={row.id: row.vpc_id for row in gateways if row is not None},
        outgoing={row.id: vpc_id for vpc_id in vpc_ids for row in await egress_only_gateways.of_vpc(tx, vpc_id)},
        nats={row.id: _nat(row) for row in nats},
        peerings={row.id: (row.requester_vpc, row.accepter_vpc) for row in peerings.values()},
    )


def asked(body: Mapping[str, Any]) -> reach.Asked:
    """`body`: protocol (tcp unless said) and port. Raises Refused."""
    protocol, port = str(body.get("protocol") or "tcp"), body.get("port")
    if protocol not in _PROTOCOLS:
        raise Refused(400, f"a protocol is one of {', '.join(_PROTOCOLS)}")
    if protocol == "icmp":
        return reach.Asked(protocol)
    if not isinstance(port, int) or not 0 < port <= 65535:
        raise Refused(400, f"{protocol} needs a port, 1 to 65535")
    return reach.Asked(protocol, port)


async def _named(tx: Tx, name: str) -> Row | str:
    """The interface that is meant; an address that no interface has, or `internet`, as it stands."""
    if name == INTERNET:
        return name
    if name.startswith("eni-"):
        row = await network_interfaces.of_anyone(tx, name)
    elif name.startswith("i-"):
        held = (await network_interfaces.of_instances(tx, [name])).get(name)
        row = held[0] if held else None
    else:
        return await _by_address(tx, name)
    if row is None:
        raise Refused(404, f"there is no {name} with a network interface")
    return row


async def _by_address(tx: Tx, text: str) -> Row | str:
    try:
        address = str(ipaddress.ip_address(text))
    except ValueError:
        raise Refused(400, f"{text!r} is no instance, no interface, no address, and not {INTERNET}") from None
    if reach.is6(address):
        return await network_interfaces.by_ipv6(tx, address) or address
    held = await public_ips.by_ip(tx, address)
    if held is not None and held.interface_id:
        row = await network_interfaces.of_anyone(tx, held.interface_id)
        return address if row is None else row
    return address


def _source(
    name: str, sender: Row | str, receiver: Row | str, known: reach.Facts
) -> tuple[reach.Port | None, str | None]:
    """Who sends, and from which address; a private address is that of the target's VPC."""
    if isinstance(sender, str):
        if sender == INTERNET:
            return None, None
        return None if isinstance(receiver, str) else known.owner(receiver.vpc_id, sender), sender
    port = known.ports[sender.id]
    if name.startswith(("i-", "eni-")):
        return port, port.addresses[0]
    address = str(ipaddress.ip_address(name))
    if reach.is6(address):
        return port, address
    return port, next(private for private, public in port.public.items() if public == address)


def _target(name: str, receiver: Row | str, source: reach.Port | None, known: reach.Facts, address: str | None) -> str:
    """The address that the packet carries: within a VPC and to a peer the private one, from elsewhere the public one; to an
    instance from an IPv6 `address` its own."""
    if isinstance(receiver, str) or not name.startswith(("i-", "eni-")):
        if name == INTERNET:
            raise Refused(400, "name an address of the internet that shall be reached")
        return str(ipaddress.ip_address(name))
    port = known.ports[receiver.id]
    if address is not None and reach.is6(address) and port.own(True):
        return port.own(True)
    if source is not None and port.vpc_id in (source.vpc_id, known.peer_towards(source, port.addresses[0])):
        return port.addresses[0]
    if port.addresses[0] in port.public:
        return port.public[port.addresses[0]]
    raise Refused(
        409, f"{name} has no public address, and is not in the VPC of the other: there is no way between them"
    )


def _port(row: Row, public: Sequence[Row], machine: Row | None) -> reach.Port:
    return reach.Port(
        id=row.id,
        instance_id=row.instance_id,
        vpc_id=row.vpc_id,
        subnet_id=row.subnet_id,
        addresses=(row.private_ip, *row.secondary_ips, *row.ipv6s),
        public={one.private_ip: one.ip for one in public},
        groups=tuple(group_id for group_id, _ in row.groups),
        runs=machine is not None and machine.state == instance_life.RUNNING,
    )


def _rule(row: Row, lists: Mapping[str, Sequence[str]]) -> reach.Rule:
    is_list = security_group_rules.is_list(row)
    block = row.cidr or row.cidr6
    blocks = tuple(lists.get(row.referenced_group, ())) if is_list else (block,)
    return reach.Rule(
        id=row.id,
        is_egress=bool(row.is_egress),
        protocol=row.protocol,
        first=row.from_port,
        last=row.to_port,
        blocks=blocks if block or is_list else (),
        peer="" if is_list else row.referenced_group,
        named=block or row.referenced_group,
    )


def _entry(row: Row) -> reach.Entry:
    first, last = (row.from_port, row.to_port) if row.icmp_type is None else (row.icmp_type, row.icmp_code)
    return reach.Entry(
        number=row.number,
        is_egress=bool(row.is_egress),
        allows=row.action == "allow",
        protocol=row.protocol,
        block=row.cidr or row.cidr6,
        first=-1 if first is None else first,
        last=-1 if last is None else last,
    )


async def _subnets(tx: Tx, vpc_ids: Sequence[str], guards: Mapping[str, str]) -> list[reach.Subnet]:
    found: list[reach.Subnet] = []
    for vpc_id in vpc_ids:
        tables = [row.id for row in await route_tables.of_vpc(tx, vpc_id)]
        routes = await route_tables.routes_of(tx, tables)
        named = {one.destination for some in routes.values() for one in some if route_tables.is_list(one.destination)}
        blocks = await prefix_lists.blocks(tx, named)
        leads = {
            table_id: tuple(route_tables.spread([(one.destination, one.gateway_id) for one in some], blocks))
            for table_id, some in routes.items()
        }
        held = [one for some in (await route_tables.associations_of(tx, tables)).values() for one in some]
        own = {one.subnet_id: one.route_table_id for one in held}
        for row in await subnets.of_vpc(tx, vpc_id):
            table_id = own.get(row.id) or own[None]
            found.append(reach.Subnet(row.id, vpc_id, guards[row.id], table_id, leads.get(table_id, ())))
    return found


def _nat(row: Row) -> reach.Nat:
    works = row.state == nat_life.AVAILABLE and bool(row.public_ip)
    return reach.Nat(row.id, row.subnet_id, row.public_ip, works)
