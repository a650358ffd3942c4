"""Egress-only internet gateways: create, delete, describe. What leads to one: `route_tables.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging, vpcs
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import EgressOnlyInternetGatewayLimitExceeded
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import egress_only_gateways
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row


@ec2.action("CreateEgressOnlyInternetGateway")
async def create_egress_only_internet_gateway(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    vpc = await vpcs.required(call, p["VpcId"])
    tags = tagging.from_specifications(p, "egress-only-internet-gateway")
    if await egress_only_gateways.count(call.tx, call.account) >= quotas.EGRESS_ONLY_GATEWAYS:
        raise EgressOnlyInternetGatewayLimitExceeded
    row = await egress_only_gateways.insert(call.tx, account=call.account, vpc_id=vpc.id, now=call.now)
    tag_set = await tagging.put(call, "egress-only-internet-gateway", row.id, tags)
    out: dict[str, Any] = {"EgressOnlyInternetGateway": _view(row, tag_set)}
    if p.get("ClientToken"):
        out["ClientToken"] = p["ClientToken"]
    return out


@ec2.action("DeleteEgressOnlyInternetGateway")
async def delete_egress_only_internet_gateway(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Routes to it stay, as black holes."""
    row = await required(call, p["EgressOnlyInternetGatewayId"])
    await egress_only_gateways.remove(call.tx, row.id)
    await tag_rows.remove(call.tx, row.id)
    call.wake("cluster_sync")
    return {"ReturnCode": True}


@ec2.action("DescribeEgressOnlyInternetGateways")
async def describe_egress_only_internet_gateways(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        p,
        page=egress_only_gateways.page,
        declared=egress_only_gateways.FILTERS,
        id_column=egress_only_gateways.egress_only_gateways.c.id,
        prefix="eigw",
        member="EgressOnlyInternetGatewayIds",
        low=5,
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"EgressOnlyInternetGateways": [_view(row, tags.get(row.id, [])) for row in rows], **more}


async def required(call: Call, gateway_id: str) -> Row:
    """The caller's gateway; InvalidGatewayID.NotFound."""
    row = await egress_only_gateways.by_id(call.tx, call.account, ids.check("eigw", gateway_id))
    if row is None:
        raise ids.missing("eigw", [gateway_id])
    return row


def _view(row: Row, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """A row as EC2's EgressOnlyInternetGateway; it is attached from its making."""
    return {
        "Attachments": [{"State": "attached", "VpcId": row.vpc_id}],
        "EgressOnlyInternetGatewayId": row.id,
        "Tags": tags,
    }
