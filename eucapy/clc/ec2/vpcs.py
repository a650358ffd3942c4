"""VPCs: create, delete, describe, their attributes, and the default VPC.

A VPC is a row; nodes lay it out when the first of its instances comes to them (`specs/network.py`). Further
CIDR blocks: `vpc_cidr_blocks.py`. IPv6 and dedicated tenancy do not exist here and are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import blocks, paging
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    DefaultVpcAlreadyExists,
    DependencyViolation,
    InvalidParameterCombination,
    InvalidVpcRange,
    MissingParameter,
    UnsupportedOperation,
    UnsupportedTenancy,
    VpcLimitExceeded,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import (
    internet_gateways,
    network_acls,
    route_tables,
    security_groups,
    subnets,
    vpc_cidrs,
    vpc_peerings,
    vpcs,
)
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row
from eucapy.lifecycle.vpc_peering_connection import PENDING

SHORTEST, LONGEST = 16, 28
"""Lengths of a VPC's and a subnet's CIDR block."""

_IPV6 = ("Ipv6Pool", "Ipv6CidrBlock", "Ipv6IpamPoolId", "Ipv6NetmaskLength", "AmazonProvidedIpv6CidrBlock")
_ATTRIBUTES = {
    "enableDnsSupport": "EnableDnsSupport",
    "enableDnsHostnames": "EnableDnsHostnames",
    "enableNetworkAddressUsageMetrics": "EnableNetworkAddressUsageMetrics",
}


@ec2.action("CreateVpc")
async def create_vpc(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The answer says `pending`: the VPC is available once this is committed."""
    if any(p.get(name) for name in _IPV6):
        raise UnsupportedOperation("IPv6 is not supported.")
    if not p.get("CidrBlock"):
        raise MissingParameter("Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided.")
    if p.get("InstanceTenancy", "default") != "default":
        raise UnsupportedTenancy(tenancy=p["InstanceTenancy"])
    block = blocks.ipv4(p["CidrBlock"])
    if not SHORTEST <= block.prefixlen <= LONGEST:
        raise InvalidVpcRange(cidr=p["CidrBlock"])
    tags = tagging.from_specifications(p, "vpc")
    if await vpcs.count(call.tx, call.account) >= quotas.VPCS:
        raise VpcLimitExceeded
    options = await vpcs.ensure_options(call.tx, call.account, call.region, call.now)
    row = await vpcs.insert(call.tx, account=call.account, cidr=str(block), now=call.now, dhcp_options_id=options.id)
    tag_set = await tagging.put(call, "vpc", row.id, tags)
    return {"Vpc": _made(row, tag_set)}


@ec2.action("CreateDefaultVpc")
async def create_default_vpc(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    if await vpcs.default_of(call.tx, call.account) is not None:
        raise DefaultVpcAlreadyExists
    row = await vpcs.ensure_default(call.tx, call.account, call.region, call.config.zones, call.now)
    return {"Vpc": _made(row, [])}


@ec2.action("DeleteVpc")
async def delete_vpc(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """What the VPC was born with goes with it, and its peerings are deleted; anything else in it is a DependencyViolation, and
    so is a request for a peering from another account, which has to be rejected first."""
    row = await required(call, p["VpcId"])
    tables = await route_tables.of_vpc(call.tx, row.id)
    groups = await security_groups.of_vpcs(call.tx, [row.id])
    acls = await network_acls.of_vpc(call.tx, row.id)
    if (
        await subnets.of_vpc(call.tx, row.id)
        or await internet_gateways.of_vpc(call.tx, row.id) is not None
        or len(tables) > 1
        or len(groups) > 1
        or len(acls) > 1
    ):
        raise DependencyViolation(f"The vpc '{row.id}' has dependencies and cannot be deleted.")
    peerings = await vpc_peerings.live_of(call.tx, row.id)
    if any(each.state == PENDING and each.account != call.account for each in peerings):
        raise DependencyViolation(f"The vpc '{row.id}' has dependencies and cannot be deleted.")
    for each in peerings:
        await vpc_peerings.delete(call.tx, each, call.account, call.now)
        await security_groups.touch_peered(call.tx, each.id)
        call.wake("cluster_sync")
    await vpcs.remove(call.tx, row.id)
    for resource in [row, *tables, *groups, *acls]:
        await tag_rows.remove(call.tx, resource.id)
    return {}


@ec2.action("DescribeVpcs")
async def describe_vpcs(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        p,
        page=vpcs.page,
        declared=vpcs.FILTERS,
        id_column=vpcs.vpcs.c.id,
        prefix="vpc",
        member="VpcIds",
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    further = await vpc_cidrs.of_vpcs(call.tx, [row.id for row in rows])
    return {"Vpcs": [view(row, tags.get(row.id, []), further.get(row.id, ())) for row in rows], **more}


@ec2.action("DescribeVpcAttribute")
async def describe_vpc_attribute(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await required(call, p["VpcId"])
    values = {
        "enableDnsSupport": row.dns_support,
        "enableDnsHostnames": row.dns_hostnames,
        "enableNetworkAddressUsageMetrics": False,
    }
    name = p["Attribute"]
    return {"VpcId": row.id, _ATTRIBUTES[name]: {"Value": bool(values[name])}}


@ec2.action("ModifyVpcAttribute")
async def modify_vpc_attribute(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """One attribute a request, as in EC2."""
    row = await required(call, p["VpcId"])
    given = [name for name in _ATTRIBUTES.values() if p.get(name) is not None]
    if not given:
        raise MissingParameter(name=" or ".join(_ATTRIBUTES))
    if len(given) > 1:
        raise InvalidParameterCombination("Fields for multiple attribute types specified: " + ", ".join(given))
    value = bool(p[given[0]].get("Value"))
    if given[0] == "EnableNetworkAddressUsageMetrics":
        if value:
            raise UnsupportedOperation("Network address usage metrics are not supported.")
        return {}
    column = {"EnableDnsSupport": "dns_support", "EnableDnsHostnames": "dns_hostnames"}[given[0]]
    await vpcs.update(call.tx, row.id, **{column: value})
    call.wake("cluster_sync")
    return {}


async def required(call: Call, vpc_id: str) -> Row:
    """The caller's VPC; InvalidVpcID.NotFound."""
    row = await vpcs.by_id(call.tx, call.account, ids.check("vpc", vpc_id))
    if row is None:
        raise ids.missing("vpc", [vpc_id])
    return row


def _made(row: Row, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """A new VPC as its maker sees it: on its way, and nothing yet said of what keeps the public out."""
    shown = {**view(row, tags), "State": "pending", "Ipv6CidrBlockAssociationSet": []}
    del shown["BlockPublicAccessStates"]
    return shown


def view(row: Row, tags: Sequence[Mapping[str, str]], further: Sequence[Row] = ()) -> dict[str, Any]:
    """A row as EC2's Vpc; `further` are the blocks beside its first."""
    associated = [(vpcs.cidr_association_id(row.id), row.cidr), *((one.id, one.cidr) for one in further)]
    # boto 2 loses what comes after a list that it does not know: what it reads comes first.
    return {
        "VpcId": row.id,
        "OwnerId": row.account,
        "State": "available",
        "CidrBlock": row.cidr,
        "DhcpOptionsId": row.dhcp_options_id,
        "IsDefault": row.is_default,
        "InstanceTenancy": row.tenancy,
        "Tags": tags,
        "CidrBlockAssociationSet": [
            {"AssociationId": association_id, "CidrBlock": cidr, "CidrBlockState": {"State": "associated"}}
            for association_id, cidr in associated
        ],
        "BlockPublicAccessStates": {"InternetGatewayBlockMode": "off"},
    }
