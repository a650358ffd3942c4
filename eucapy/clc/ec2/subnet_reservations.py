"""CIDR reservations of subnets: CreateSubnetCidrReservation, GetSubnetCidrReservations, DeleteSubnetCidrReservation.

What is reserved is given out only to who names an address of it; interfaces that have one already keep it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import blocks, paging, subnets
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import InvalidParameterValue
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import filters, subnet_reservations
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store.tags import tag_filter
from eucapy.database import Row


@ec2.action("CreateSubnetCidrReservation")
async def create_subnet_cidr_reservation(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    subnet = await subnets.required(call, p["SubnetId"])
    block = blocks.ipv4(p["Cidr"], "cidr")
    if not block.subnet_of(ipaddress.IPv4Network(subnet.cidr)):
        raise InvalidParameterValue(f"Reservation CIDR should be within subnet CIDR block ({subnet.cidr})")
    first, last = int(block.network_address), int(block.broadcast_address)
    if any(begin <= last and first <= end for begin, end in await subnet_reservations.spans(call.tx, subnet.id)):
        raise InvalidParameterValue(f"Reservation CIDR {block} has overlap with existing reserved CIDR block")
    tags = tagging.from_specifications(p, "subnet-cidr-reservation")
    row = await subnet_reservations.insert(
        call.tx,
        account=call.account,
        subnet_id=subnet.id,
        cidr=str(block),
        first=first,
        last=last,
        kind=p["ReservationType"],
        description=p.get("Description") or "",
        now=call.now,
    )
    return {"SubnetCidrReservation": view(row, await tagging.put(call, "subnet-cidr-reservation", row.id, tags))}


@ec2.action("GetSubnetCidrReservations")
async def get_subnet_cidr_reservations(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """There is no IPv6 here, and nothing reserved of it."""
    subnet = await subnets.required(call, p["SubnetId"])
    table = subnet_reservations.table
    wanted = filters.where(subnet_reservations.FILTERS, p.get("Filters"), tags=tag_filter(table.c.id))
    limit, token = paging.bounds(p)
    rows = await subnet_reservations.page(
        call.tx,
        call.account,
        [table.c.subnet_id == subnet.id, *wanted],
        paging.position(call, token),
        paging.one_more(limit),
    )
    rows, more = paging.cut(rows, limit)
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    out: dict[str, Any] = {
        "SubnetIpv4CidrReservations": [view(row, tags.get(row.id, [])) for row in rows],
        "SubnetIpv6CidrReservations": [],
    }
    return {**out, "NextToken": call.token(rows[-1].id)} if more else out


@ec2.action("DeleteSubnetCidrReservation")
async def delete_subnet_cidr_reservation(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The answer shows what is gone."""
    wanted = ids.check("scr", p["SubnetCidrReservationId"])
    row = await subnet_reservations.by_id(call.tx, call.account, wanted)
    if row is None:
        raise ids.missing("scr", [wanted])
    tags = (await tag_rows.of(call.tx, [row.id])).get(row.id, [])
    await subnet_reservations.remove(call.tx, row.id)
    await tag_rows.remove(call.tx, row.id)
    return {"DeletedSubnetCidrReservation": view(row, tags)}


def view(row: Row, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """A row as SubnetCidrReservation."""
    return {
        "SubnetCidrReservationId": row.id,
        "SubnetId": row.subnet_id,
        "Cidr": row.cidr,
        "ReservationType": row.kind,
        "OwnerId": row.account,
        "Description": row.description or None,
        "Tags": tags,
    }
