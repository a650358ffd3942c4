"""A VPC as something to draw: subnets, gateways, interfaces, and who reaches whom. For `eucapy network draw`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from eucapy.clc import reach, reach_facts
from eucapy.clc.operations import Refused
from eucapy.clc.store import ipv6_blocks, subnets, vpc_cidrs, vpcs
from eucapy.database import Tx

MOST_COMPARED = 32
"""Interfaces of which each is asked about each: a thousand ways."""


async def draw(tx: Tx, body: Mapping[str, Any]) -> dict[str, Any]:
    """`body`: vpc (an id), protocol and port of the packets that are asked about. Raises Refused."""
    vpc_id, asked = str(body.get("vpc") or ""), reach_facts.asked(body)
    found = await vpcs.by_ids(tx, [vpc_id])
    if not found:
        raise Refused(404, f"there is no {vpc_id or 'VPC without an id'}")
    [vpc] = found
    facts = await reach_facts.facts(tx, [vpc.id])
    rows = sorted(await subnets.of_vpc(tx, vpc.id), key=lambda row: IPv4Network(row.cidr))
    order = {row.id: number for number, row in enumerate(rows)}
    ports = sorted(facts.ports.values(), key=lambda one: (order[one.subnet_id], IPv4Address(one.addresses[0])))
    places = [
        {
            "id": row.id,
            "cidr": row.cidr,
            "cidr6": row.cidr6,
            "zone": row.zone,
            "acl": facts.subnets[row.id].acl_id,
            "table": facts.subnets[row.id].table_id,
            "leads_out": _leads_out(facts, row.id),
            "interfaces": [_interface(port) for port in ports if port.subnet_id == row.id],
        }
        for row in rows
    ]
    return {
        "id": vpc.id,
        "account": vpc.account,
        "cidrs": [*await vpc_cidrs.blocks_of(tx, vpc), *(block.cidr for block in await ipv6_blocks.of_vpc(tx, vpc.id))],
        "gateways": sorted([*facts.gateways, *facts.outgoing]),
        "nat_gateways": [
            {"id": nat.id, "subnet": nat.subnet_id, "public_ip": nat.public_ip, "works": nat.works}
            for nat in facts.nats.values()
        ],
        "peerings": [
            {"id": peering_id, "vpc": facts.beyond(peering_id, vpc.id)} for peering_id in sorted(facts.peerings)
        ],
        "subnets": places,
        "packet": str(asked),
        "reach": _reach(facts, [port for port in ports if port.instance_id], asked),
    }


def _six(port: reach.Port) -> list[str]:
    return [address for address in port.addresses if reach.is6(address)]


def _interface(port: reach.Port) -> dict[str, Any]:
    return {
        "id": port.id,
        "instance": port.instance_id,
        "addresses": list(port.addresses),
        "public": dict(port.public),
        "groups": list(port.groups),
        "runs": port.runs,
    }


def _leads_out(facts: reach.Facts, subnet_id: str) -> str:
    """The gateway that the subnet's default route leads to, where it is one that is there."""
    _, leads_to = reach.route(facts.subnets[subnet_id], None)
    return leads_to if leads_to in facts.gateways or leads_to in facts.nats else ""


def _reach(facts: reach.Facts, ports: Sequence[reach.Port], asked: reach.Asked) -> dict[str, Any] | None:
    """From every interface to every other's first address, and from the internet; None where there are too many."""
    if len(ports) > MOST_COMPARED:
        return None
    return {
        "interfaces": [port.id for port in ports],
        "between": [
            [
                None if one is other else reach.explain(facts, one, None, other.addresses[0], asked).reached
                for other in ports
            ]
            for one in ports
        ],
        "from_internet": [
            any(
                reach.explain(facts, None, None, public, asked).reached
                for public in (*port.public.values(), *_six(port))
            )
            for port in ports
        ],
    }
