"""Kinds of resources that this cloud has none of, and can have none of: no operation makes one.

Their Describe calls answer what is true, an empty set, since stock tools ask for them while they look at a VPC; an id that
is named anywhere does not exist, with EC2's code for its kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging
from eucapy.clc.ec2.service import ec2
from eucapy.errors import ApiError


@dataclass(frozen=True)
class Absent:
    """A kind: its Describe action, the members of the ids and of the result, and the NotFound error."""

    action: str
    member: str
    result: str
    code: str
    message: str


_KINDS = (
    Absent(
        "DescribeNatGateways",
        "NatGatewayIds",
        "NatGateways",
        "NatGatewayNotFound",
        "The Nat Gateway {id} was not found",
    ),
    Absent(
        "DescribeVpcPeeringConnections",
        "VpcPeeringConnectionIds",
        "VpcPeeringConnections",
        "InvalidVpcPeeringConnectionID.NotFound",
        "The vpcPeeringConnection ID '{id}' does not exist",
    ),
    Absent(
        "DescribeVpcEndpoints",
        "VpcEndpointIds",
        "VpcEndpoints",
        "InvalidVpcEndpointId.NotFound",
        "The Vpc Endpoint Id '{id}' does not exist",
    ),
    Absent(
        "DescribeEgressOnlyInternetGateways",
        "EgressOnlyInternetGatewayIds",
        "EgressOnlyInternetGateways",
        "InvalidGatewayID.NotFound",
        "The eigw ID '{id}' does not exist",
    ),
    Absent(
        "DescribeManagedPrefixLists",
        "PrefixListIds",
        "PrefixLists",
        "InvalidPrefixListID.NotFound",
        "The prefix list ID '{id}' does not exist",
    ),
    Absent(
        "DescribePrefixLists",
        "PrefixListIds",
        "PrefixLists",
        "InvalidPrefixListId.NotFound",
        "The prefix list ID '{id}' does not exist",
    ),
    Absent(
        "DescribeVpnGateways",
        "VpnGatewayIds",
        "VpnGateways",
        "InvalidVpnGatewayID.NotFound",
        "The vpnGateway ID '{id}' does not exist",
    ),
    Absent(
        "DescribeVpnConnections",
        "VpnConnectionIds",
        "VpnConnections",
        "InvalidVpnConnectionID.NotFound",
        "The vpnConnection ID '{id}' does not exist",
    ),
    Absent(
        "DescribeCustomerGateways",
        "CustomerGatewayIds",
        "CustomerGateways",
        "InvalidCustomerGatewayID.NotFound",
        "The customerGateway ID '{id}' does not exist",
    ),
    Absent(
        "DescribeTransitGateways",
        "TransitGatewayIds",
        "TransitGateways",
        "InvalidTransitGatewayID.NotFound",
        "Transit Gateway {id} was deleted or does not exist.",
    ),
    Absent(
        "DescribeTransitGatewayVpcAttachments",
        "TransitGatewayAttachmentIds",
        "TransitGatewayVpcAttachments",
        "InvalidTransitGatewayAttachmentID.NotFound",
        "Transit Gateway Attachment {id} was deleted or does not exist.",
    ),
    Absent(
        "DescribeCarrierGateways",
        "CarrierGatewayIds",
        "CarrierGateways",
        "InvalidCarrierGatewayID.NotFound",
        "The carrierGateway ID '{id}' does not exist",
    ),
    Absent(
        "DescribeLocalGateways",
        "LocalGatewayIds",
        "LocalGateways",
        "InvalidLocalGatewayID.NotFound",
        "The localGateway ID '{id}' does not exist",
    ),
    Absent(
        "DescribeFlowLogs",
        "FlowLogIds",
        "FlowLogs",
        "InvalidFlowLogId.NotFound",
        "These flow log ids in the input list are not found: [TotalCount: 1] {id}",
    ),
    Absent("DescribeHosts", "HostIds", "Hosts", "InvalidHostID.NotFound", "The host ID '{id}' does not exist"),
    Absent(
        "DescribeReservedInstances",
        "ReservedInstancesIds",
        "ReservedInstances",
        "InvalidReservedInstancesId",
        "The Reserved Instances ID '{id}' does not exist",
    ),
    Absent(
        "DescribeSpotInstanceRequests",
        "SpotInstanceRequestIds",
        "SpotInstanceRequests",
        "InvalidSpotInstanceRequestID.NotFound",
        "The spot instance request ID '{id}' does not exist",
    ),
)

_BY_PARAMETER = {
    "NatGatewayId": ("InvalidNatGatewayID.NotFound", "The natGateway ID '{id}' does not exist"),
    "TransitGatewayId": ("InvalidTransitGatewayID.NotFound", "The transitGateway ID '{id}' does not exist"),
    "VpcPeeringConnectionId": (
        "InvalidVpcPeeringConnectionID.NotFound",
        "The vpcPeeringConnection ID '{id}' does not exist",
    ),
    "EgressOnlyInternetGatewayId": ("InvalidGatewayID.NotFound", "The eigw ID '{id}' does not exist"),
    "VpcEndpointId": ("InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id '{id}' does not exist"),
    "LocalGatewayId": ("InvalidLocalGatewayID.NotFound", "The localGateway ID '{id}' does not exist"),
    "CarrierGatewayId": ("InvalidCarrierGatewayID.NotFound", "The carrierGateway ID '{id}' does not exist"),
    "CoreNetworkArn": ("InvalidCoreNetworkArn.NotFound", "The core network '{id}' does not exist"),
    "OdbNetworkArn": ("InvalidOdbNetworkArn.NotFound", "The ODB network '{id}' does not exist"),
    "VpnGatewayId": ("InvalidVpnGatewayID.NotFound", "The vpnGateway ID '{id}' does not exist"),
    "DestinationPrefixListId": ("InvalidPrefixListID.NotFound", "The prefix list ID '{id}' does not exist"),
}


def refuse_absent(parameter: str, value: str) -> NoReturn:
    """Raise the NotFound error for what `parameter` names."""
    code, message = _BY_PARAMETER[parameter]
    raise _not_found(code, message, value)


def _not_found(code: str, message: str, value: str) -> ApiError:
    made: type[ApiError] = type("NotFound", (ApiError,), {"code": code})
    return made(message.format(id=value))


def _describe(kind: Absent) -> Callable[[Call, Mapping[str, Any]], Awaitable[dict[str, Any]]]:
    async def describe(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
        for value in p.get(kind.member) or ():
            raise _not_found(kind.code, kind.message, value)
        paging.position(call, p.get("NextToken") or "")
        return {kind.result: []}

    return describe


for _kind in _KINDS:
    ec2.action(_kind.action)(_describe(_kind))
