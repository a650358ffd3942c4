"""VPC peering connections: create, accept, reject, delete, describe, and their options, of which none can be switched on.

Both sides are accounts of this cloud, often the same one. What leads to one: `route_tables.py`; how packets cross:
`specs/network.py`, which needs the VPCs of an active one to have no address in common. A request that cannot become one is
made all the same and is `failed`, as in EC2.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging, vpcs
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    InvalidParameterValue,
    InvalidStateTransition,
    MissingParameter,
    OperationNotPermitted,
    OutstandingVpcPeeringConnectionLimitExceeded,
    UnsupportedOperation,
    VpcPeeringConnectionAlreadyExists,
    VpcPeeringConnectionsPerVpcLimitExceeded,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import ipv6_blocks, security_groups, vpc_cidrs, vpc_peerings
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store import vpcs as vpc_rows
from eucapy.clc.store.advance import advance
from eucapy.clc.store.vpc_peerings import LONG_S, SHORTLY_S
from eucapy.database import Row
from eucapy.lifecycle import vpc_peering_connection as life

EXPIRES_S = 7 * 24 * 3600.0
_KIND = "vpc-peering-connection"
_OPTIONS = (
    "AllowDnsResolutionFromRemoteVpc",
    "AllowEgressFromLocalClassicLinkToRemoteVpc",
    "AllowEgressFromLocalVpcToRemoteClassicLink",
)
_ACCOUNT, _REGION = re.compile("[0-9]{12}"), re.compile("[a-z0-9-]{1,64}")
_SIDES = ("AccepterPeeringConnectionOptions", "RequesterPeeringConnectionOptions")
_FAILED = "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range"


@ec2.action("CreateVpcPeeringConnection")
async def create_vpc_peering_connection(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The answer says `initiating-request`, whatever comes of it."""
    own = await vpcs.required(call, p["VpcId"])
    if not p.get("PeerVpcId"):
        raise MissingParameter(name="peerVpcId")
    other_id = ids.check("vpc", p["PeerVpcId"])
    owner = _well_formed(p.get("PeerOwnerId") or call.account, _ACCOUNT, "peerOwnerId")
    region = _well_formed(p.get("PeerRegion") or call.region, _REGION, "peerRegion")
    tags = tagging.from_specifications(p, _KIND)
    other = await vpc_rows.by_id(call.tx, owner, other_id) if region == call.region else None
    if other is None and (owner, region) == (call.account, call.region):
        raise ids.missing("vpc", [other_id])
    held = await vpc_peerings.live_of(call.tx, own.id)
    if any(other_id in (row.requester_vpc, row.accepter_vpc) and other_id != own.id for row in held):
        raise VpcPeeringConnectionAlreadyExists
    if await vpc_peerings.pending_of(call.tx, call.account) >= quotas.OUTSTANDING_PEERINGS:
        raise OutstandingVpcPeeringConnectionLimitExceeded
    row = await vpc_peerings.insert(
        call.tx,
        account=call.account,
        requester_vpc=own.id,
        accepter_account=owner,
        accepter_vpc=other_id,
        accepter_region=region,
        now=call.now,
        expires_at=call.now + EXPIRES_S,
    )
    if other is None or await _overlap(call, own, other):
        await vpc_peerings.end(call.tx, row, "failed", _FAILED, call.now + SHORTLY_S, vpc_peerings.HIDDEN)
    await tagging.put(call, _KIND, row.id, tags)
    (view,) = await _views(call, [row])
    status = {"Code": "initiating-request", "Message": f"Initiating Request to {owner}"}
    return {"VpcPeeringConnection": {**view, "Status": status}}


@ec2.action("AcceptVpcPeeringConnection")
async def accept_vpc_peering_connection(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _to_be_answered(call, p, "accept", life.ACTIVE)
    for vpc_id in (row.requester_vpc, row.accepter_vpc):
        if len(await vpc_peerings.active_of(call.tx, [vpc_id])) >= quotas.PEERINGS_PER_VPC:
            raise VpcPeeringConnectionsPerVpcLimitExceeded(vpc=vpc_id)
    sides = await vpc_rows.by_ids(call.tx, [row.requester_vpc, row.accepter_vpc])
    if await _overlap(call, *sides):  # a block was added while it waited
        await vpc_peerings.end(call.tx, row, "failed", _FAILED, call.now + SHORTLY_S, call.now + SHORTLY_S)
    else:
        await advance(call.tx, life.VPC_PEERING_CONNECTION, row, "accept", status_message="Active")
        call.wake("cluster_sync")
    return {"VpcPeeringConnection": (await _views(call, [await _required(call, row.id)]))[0]}


@ec2.action("RejectVpcPeeringConnection")
async def reject_vpc_peering_connection(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _to_be_answered(call, p, "reject", life.REJECTED)
    await vpc_peerings.end(
        call.tx, row, "reject", f"Rejected by {call.account}", call.now + LONG_S, call.now + SHORTLY_S
    )
    return {"Return": True}


@ec2.action("DeleteVpcPeeringConnection")
async def delete_vpc_peering_connection(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Routes to it stay, as black holes."""
    row = await _required(call, p["VpcPeeringConnectionId"])
    if life.VPC_PEERING_CONNECTION.target(row.state, "delete") is None:
        raise InvalidStateTransition(peering=row.id, state=row.state, to="deleting")
    if row.state == life.PENDING and row.account != call.account:
        raise OperationNotPermitted(f"User ({call.account}) cannot delete peering ({row.id})")
    await vpc_peerings.delete(call.tx, row, call.account, call.now)
    await security_groups.touch_peered(call.tx, row.id)
    call.wake("cluster_sync")
    return {"Return": True}


@ec2.action("DescribeVpcPeeringConnections")
async def describe_vpc_peering_connections(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    # Tags are the requester's: the other side neither sees nor finds them.
    by_tags = any(str(one.get("Name", "")).startswith("tag") for one in p.get("Filters") or ())
    rows, more = await paging.described(
        call,
        p,
        page=vpc_peerings.page,
        declared=vpc_peerings.FILTERS,
        id_column=vpc_peerings.vpc_peerings.c.id,
        prefix="pcx",
        member="VpcPeeringConnectionIds",
        extra=[vpc_peerings.vpc_peerings.c.account == call.account] if by_tags else [],
    )
    return {"VpcPeeringConnections": await _views(call, rows), **more}


@ec2.action("ModifyVpcPeeringConnectionOptions")
async def modify_vpc_peering_connection_options(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Names of a peer's guests are not resolved to private addresses, and there is no EC2-Classic: all are off, and stay it."""
    row = await _required(call, p["VpcPeeringConnectionId"])
    given = [side for side in _SIDES if p.get(side) is not None]
    if not given:
        raise MissingParameter("The request must contain at least one of the peering connection options")
    if row.state != life.ACTIVE:
        raise OperationNotPermitted(
            f"Peering {row.id} is not active. Peering options can be added only to active peerings."
        )
    for side, owner in zip(_SIDES, (row.accepter_account, row.account), strict=True):
        if side in given and owner != call.account:
            raise OperationNotPermitted(f"User {call.account} cannot modify peering options of {owner}")
    if any(p[side].get(option) for side in given for option in _OPTIONS):
        raise UnsupportedOperation("Options of VPC peering connections cannot be enabled.")
    return {side: {option: False for option in _OPTIONS if option in p[side]} for side in given}


def _well_formed(value: str, form: re.Pattern[str], parameter: str) -> str:
    if not form.fullmatch(value):
        raise InvalidParameterValue(f"Value ({value}) for parameter {parameter} is invalid.")
    return value


async def _required(call: Call, peering_id: str) -> Row:
    row = await vpc_peerings.by_id(call.tx, call.account, ids.check("pcx", peering_id))
    if row is None:
        raise ids.missing("pcx", [peering_id])
    return row


async def _to_be_answered(call: Call, p: Mapping[str, Any], verb: str, target: str) -> Row:
    """One that waits for the caller's word."""
    if not p.get("VpcPeeringConnectionId"):
        raise MissingParameter(name="vpcPeeringConnectionId")
    row = await _required(call, p["VpcPeeringConnectionId"])
    if row.accepter_account != call.account:
        raise OperationNotPermitted(f"User ({call.account}) cannot {verb} peering ({row.id})")
    if row.state != life.PENDING or row.expires_at <= call.now:
        raise InvalidStateTransition(peering=row.id, state=row.state, to=target)
    return row


async def overlapping(call: Call, vpc_id: str, block: ipaddress.IPv4Network) -> bool:
    """Whether an active peer of the VPC has addresses of the block."""
    rows = await vpc_peerings.active_of(call.tx, [vpc_id])
    others = {row.accepter_vpc if row.requester_vpc == vpc_id else row.requester_vpc for row in rows}
    found = [await _blocks(call, vpc) for vpc in await vpc_rows.by_ids(call.tx, sorted(others))]
    return any(block.overlaps(other) for blocks in found for other in blocks)


async def _overlap(call: Call, *sides: Row) -> bool:
    """Whether the VPCs have addresses in common, or are one."""
    if len({side.id for side in sides}) < 2:
        return True
    one, other = [await _blocks(call, side) for side in sides]
    return any(first.overlaps(second) for first in one for second in other)


async def _blocks(call: Call, vpc: Row) -> list[ipaddress.IPv4Network]:
    return [ipaddress.IPv4Network(block) for block in await vpc_cidrs.blocks_of(call.tx, vpc)]


async def _views(call: Call, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as EC2's VpcPeeringConnection. A side that has not agreed does not show its blocks."""
    tags = await tag_rows.of(call.tx, [row.id for row in rows if row.account == call.account])
    sides = {row.requester_vpc for row in rows} | {row.accepter_vpc for row in rows}
    known = {vpc.id: vpc for vpc in await vpc_rows.by_ids(call.tx, sorted(sides))}
    further = await vpc_cidrs.of_vpcs(call.tx, sorted(known))
    six = await ipv6_blocks.of_vpcs(call.tx, sorted(known))
    views = []
    for row in rows:
        view: dict[str, Any] = {
            "AccepterVpcInfo": _side(
                row.accepter_vpc,
                row.accepter_account,
                row.accepter_region,
                known if row.state == life.ACTIVE else {},
                further.get(row.accepter_vpc, ()),
                six.get(row.accepter_vpc, ()),
            ),
            "RequesterVpcInfo": _side(
                row.requester_vpc,
                row.account,
                call.region,
                known,
                further.get(row.requester_vpc, ()),
                six.get(row.requester_vpc, ()),
            ),
            "Status": {"Code": row.state, "Message": row.status_message},
            "Tags": tags.get(row.id, []),
            "VpcPeeringConnectionId": row.id,
        }
        if row.state == life.PENDING:
            view["ExpirationTime"] = row.expires_at
        views.append(view)
    return views


def _side(
    vpc_id: str, account: str, region: str, known: Mapping[str, Row], further: Iterable[Row], six: Sequence[Row]
) -> dict[str, Any]:
    view: dict[str, Any] = {"OwnerId": account, "VpcId": vpc_id, "Region": region}
    if vpc_id in known:
        every = [known[vpc_id].cidr, *(one.cidr for one in further)]
        view.update(
            CidrBlock=every[0],
            CidrBlockSet=[{"CidrBlock": block} for block in every],
            Ipv6CidrBlockSet=[{"Ipv6CidrBlock": row.cidr} for row in six] or None,
            PeeringOptions=dict.fromkeys(_OPTIONS, False),
        )
    return view
