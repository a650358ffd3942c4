"""Internet gateways: create, delete, attach, detach, describe. What leads to one: `route_tables.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging, vpcs
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    DependencyViolation,
    GatewayNotAttached,
    InternetGatewayLimitExceeded,
    InvalidParameterValue,
    ResourceAlreadyAssociated,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import internet_gateways, public_ips
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row


@ec2.action("CreateInternetGateway")
async def create_internet_gateway(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    tags = tagging.from_specifications(p, "internet-gateway")
    if await internet_gateways.count(call.tx, call.account) >= quotas.INTERNET_GATEWAYS:
        raise InternetGatewayLimitExceeded
    row = await internet_gateways.insert(call.tx, account=call.account, now=call.now)
    return {"InternetGateway": view(row, await tagging.put(call, "internet-gateway", row.id, tags))}


@ec2.action("DeleteInternetGateway")
async def delete_internet_gateway(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await required(call, p["InternetGatewayId"])
    if row.vpc_id:
        raise DependencyViolation(f"The internetGateway '{row.id}' has dependencies and cannot be deleted.")
    await internet_gateways.remove(call.tx, row.id)
    await tag_rows.remove(call.tx, row.id)
    return {}


@ec2.action("AttachInternetGateway")
async def attach_internet_gateway(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await required(call, p["InternetGatewayId"])
    vpc = await vpcs.required(call, p["VpcId"])
    if row.vpc_id:
        raise ResourceAlreadyAssociated(f"resource {row.id} is already attached to network {row.vpc_id}")
    if await internet_gateways.of_vpc(call.tx, vpc.id) is not None:
        raise InvalidParameterValue(f"Network {vpc.id} already has an internet gateway attached")
    await internet_gateways.attach(call.tx, row.id, vpc.id)
    call.wake("cluster_sync")
    return {}


@ec2.action("DetachInternetGateway")
async def detach_internet_gateway(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Routes to the gateway stay, as black holes."""
    row = await required(call, p["InternetGatewayId"])
    vpc = await vpcs.required(call, p["VpcId"])
    if row.vpc_id != vpc.id:
        raise GatewayNotAttached(f"resource {row.id} is not attached to network {vpc.id}")
    if await public_ips.mapped_in(call.tx, vpc.id):
        raise DependencyViolation(
            f"Network {vpc.id} has some mapped public address(es). "
            "Please unmap those public address(es) before detaching the gateway."
        )
    await internet_gateways.attach(call.tx, row.id, "")
    call.wake("cluster_sync")
    return {}


@ec2.action("DescribeInternetGateways")
async def describe_internet_gateways(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        p,
        page=internet_gateways.page,
        declared=internet_gateways.FILTERS,
        id_column=internet_gateways.internet_gateways.c.id,
        prefix="igw",
        member="InternetGatewayIds",
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"InternetGateways": [view(row, tags.get(row.id, [])) for row in rows], **more}


async def required(call: Call, gateway_id: str) -> Row:
    """The caller's gateway; InvalidInternetGatewayID.NotFound."""
    row = await internet_gateways.by_id(call.tx, call.account, ids.check("igw", gateway_id))
    if row is None:
        raise ids.missing("igw", [gateway_id])
    return row


def view(row: Row, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """A row as EC2's InternetGateway; an attachment is `available` at once."""
    return {
        "Attachments": [{"State": "available", "VpcId": row.vpc_id}] if row.vpc_id else [],
        "InternetGatewayId": row.id,
        "OwnerId": row.account,
        "Tags": tags,
    }
