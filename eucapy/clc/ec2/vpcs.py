"""VPCs: create, delete, describe, their attributes, and the default VPC.

A VPC is a row; nodes lay it out when the first of its instances comes to them (`specs/network.py`). Further
CIDR blocks, and those of IPv6: `vpc_cidr_blocks.py`. IPAM and dedicated tenancy do not exist here and are refused.
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
    InsufficientCidrBlocks,
    InvalidParameterCombination,
    InvalidParameterValue,
    InvalidVpcRange,
    MissingParameter,
    UnsupportedOperation,
    UnsupportedTenancy,
    VpcLimitExceeded,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import (
    egress_only_gateways,
    internet_gateways,
    ipv6_blocks,
    network_acl_entries,
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

OWN_IPV6 = ("Ipv6Pool", "Ipv6CidrBlock", "Ipv6IpamPoolId", "Ipv6NetmaskLength")
"""What asks for other IPv6 addresses than the region's."""
_ATTRIBUTES = {
    "enableDnsSupport": "EnableDnsSupport",
    "enableDnsHostnames": "EnableDnsHostnames",
    "enableNetworkAddressUsageMetrics": "EnableNetworkAddressUsageMetrics",
}


@ec2.action("CreateVpc")
async def create_vpc(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The answer says `pending`: the VPC is available once this is committed."""
    if any(p.get(name) for name in OWN_IPV6):
        raise UnsupportedOperation("IPv6 addresses of pools of your own are not supported.")
    check_border_group(call, p)
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
    blocks6 = [await give_ipv6(call, row)] if p.get("AmazonProvidedIpv6CidrBlock") else []
    return {"Vpc": _made(call, row, tag_set, blocks6)}


@ec2.action("CreateDefaultVpc")
async def create_default_vpc(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    if await vpcs.default_of(call.tx, call.account) is not None:
        raise DefaultVpcAlreadyExists
    row = await vpcs.ensure_default(call.tx, call.account, call.region, call.config.zones, call.now)
    return {"Vpc": _made(call, row, [])}


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
        or await egress_only_gateways.of_vpc(call.tx, row.id)
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
    blocks6 = await ipv6_blocks.of_vpcs(call.tx, [row.id for row in rows])
    return {
        "Vpcs": [
            view(call, row, tags.get(row.id, []), further.get(row.id, ()), blocks6.get(row.id, ())) for row in rows
        ],
        **more,
    }


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


def check_border_group(call: Call, p: Mapping[str, Any]) -> None:
    """A region has one group of zones from which addresses are announced: itself."""
    group = p.get("Ipv6CidrBlockNetworkBorderGroup")
    if group and group != call.region:
        raise InvalidParameterValue(f"Value ({group}) for parameter networkBorderGroup is invalid.")
    if group and not p.get("AmazonProvidedIpv6CidrBlock"):
        raise InvalidParameterCombination(
            "Ipv6CidrBlockNetworkBorderGroup can only be specified with AmazonProvidedIpv6CidrBlock"
        )


async def give_ipv6(call: Call, vpc: Row) -> Row:
    """A block of the region's pool for the VPC. With the first one its ACLs and its groups learn to speak of IPv6; what the
    default ACL and groups that were never changed let through of IPv4 they let through of IPv6 too. Source: "Default network
    ACL" and "Default security groups" in the VPC User Guide."""
    first = not await ipv6_blocks.of_vpc(call.tx, vpc.id)
    block = await ipv6_blocks.insert(call.tx, vpc.id, call.config.ipv6_pool, call.now)
    if block is None:
        raise InsufficientCidrBlocks
    if first:
        for acl in await network_acls.of_vpc(call.tx, vpc.id):
            await network_acl_entries.insert_first6(call.tx, acl.id, is_open=acl.is_default)
        await security_groups.open_to_ipv6(call.tx, vpc.id)
    for table in await route_tables.of_vpc(call.tx, vpc.id):
        await route_tables.insert_route(call.tx, table.id, block.cidr, "local", "CreateRouteTable")
    call.wake("cluster_sync")
    return block


def _made(call: Call, row: Row, tags: Sequence[Mapping[str, str]], blocks6: Sequence[Row] = ()) -> dict[str, Any]:
    """A new VPC as its maker sees it: on its way, its IPv6 block still to be told, and nothing yet said of what keeps the
    public out."""
    coming = [{**block6(call, one, "associating"), "Ipv6CidrBlock": ""} for one in blocks6]
    shown = {**view(call, row, tags), "State": "pending", "Ipv6CidrBlockAssociationSet": coming}
    del shown["BlockPublicAccessStates"]
    return shown


def block6(call: Call, row: Row, state: str = "associated") -> dict[str, Any]:
    """A row of `store.ipv6_blocks` as EC2's VpcIpv6CidrBlockAssociation."""
    return {
        "AssociationId": row.id,
        "Ipv6CidrBlock": row.cidr,
        "Ipv6CidrBlockState": {"State": state},
        "NetworkBorderGroup": call.region,
        "Ipv6Pool": "Amazon",
        "Ipv6AddressAttribute": "public",
        "IpSource": "amazon",
    }


def view(
    call: Call,
    row: Row,
    tags: Sequence[Mapping[str, str]],
    further: Sequence[Row] = (),
    blocks6: Sequence[Row] = (),
) -> dict[str, Any]:
    """A row as EC2's Vpc; `further` are the blocks beside its first, `blocks6` those of IPv6."""
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
        "Ipv6CidrBlockAssociationSet": [block6(call, one) for one in blocks6] or None,
        "BlockPublicAccessStates": {"InternetGatewayBlockMode": "off"},
    }
