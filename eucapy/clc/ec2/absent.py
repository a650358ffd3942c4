"""Kinds of resources that this cloud has none of, and can have none of: no operation makes one.

Their Describe calls answer what is true, an empty set, since stock tools ask for them while they look at a VPC; an id that
is named anywhere does not exist, with EC2's code for its kind.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import filters
from eucapy.errors import ApiError

_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True)
class Absent:
    """A kind: its Describe action, the members of the ids and of the result, the form of its ids, the errors, its filters."""

    action: str
    member: str
    result: str
    prefix: str
    malformed: str
    code: str
    message: str
    filters: str = ""
    """The names, apart from tags."""
    tagged: bool = True
    shortest_page: int = 5
    longest_page: int = 1000
    shorter_pages_than_asked: bool = False
    """A MaxResults past the longest page is cut to it, where other kinds refuse it."""
    never_together: bool = False
    """Ids and MaxResults exclude each other."""


_KINDS = (
    Absent(
        "DescribeVpcEndpoints",
        "VpcEndpointIds",
        "VpcEndpoints",
        "vpce",
        "InvalidVpcEndpointId.Malformed",
        "InvalidVpcEndpointId.NotFound",
        "The Vpc Endpoint Id '{id}' does not exist",
        "ip-address-type service-name service-region vpc-id vpc-endpoint-id vpc-endpoint-state vpc-endpoint-type",
        shorter_pages_than_asked=True,
    ),
    Absent(
        "DescribePrefixLists",
        "PrefixListIds",
        "PrefixLists",
        "pl",
        "InvalidPrefixListId.Malformed",
        "InvalidPrefixListID.NotFound",
        "The prefix list ID '{id}' does not exist",
        "prefix-list-id prefix-list-name",
        tagged=False,
    ),
    Absent(
        "DescribeVpnGateways",
        "VpnGatewayIds",
        "VpnGateways",
        "vgw",
        "InvalidVpnGatewayID.Malformed",
        "InvalidVpnGatewayID.NotFound",
        "The vpnGateway ID '{id}' does not exist",
        "amazon-side-asn attachment.state attachment.vpc-id availability-zone state type vpn-gateway-id",
    ),
    Absent(
        "DescribeVpnConnections",
        "VpnConnectionIds",
        "VpnConnections",
        "vpn",
        "InvalidVpnConnectionID",
        "InvalidVpnConnectionID.NotFound",
        "The vpnConnection ID '{id}' does not exist",
        "customer-gateway-configuration customer-gateway-id state option.static-routes-only "
        "route.destination-cidr-block bgp-asn type vpn-connection-id vpn-gateway-id transit-gateway-id",
    ),
    Absent(
        "DescribeCustomerGateways",
        "CustomerGatewayIds",
        "CustomerGateways",
        "cgw",
        "InvalidCustomerGatewayId.Malformed",
        "InvalidCustomerGatewayID.NotFound",
        "The customerGateway ID '{id}' does not exist",
        "bgp-asn customer-gateway-id ip-address state type",
    ),
    Absent(
        "DescribeTransitGateways",
        "TransitGatewayIds",
        "TransitGateways",
        "tgw",
        "InvalidTransitGatewayID.Malformed",
        "InvalidTransitGatewayID.NotFound",
        "Transit Gateway {id} was deleted or does not exist.",
        "options.propagation-default-route-table-id options.amazon-side-asn "
        "options.association-default-route-table-id options.auto-accept-shared-attachments "
        "options.default-route-table-association options.default-route-table-propagation options.dns-support "
        "options.vpn-ecmp-support owner-id state transit-gateway-id",
    ),
    Absent(
        "DescribeTransitGatewayVpcAttachments",
        "TransitGatewayAttachmentIds",
        "TransitGatewayVpcAttachments",
        "tgw-attach",
        "InvalidTransitGatewayAttachmentID.Malformed",
        "InvalidTransitGatewayAttachmentID.NotFound",
        "Transit Gateway Attachment {id} was deleted or does not exist.",
        "state transit-gateway-attachment-id transit-gateway-id vpc-id",
        tagged=False,
    ),
    Absent(
        "DescribeCarrierGateways",
        "CarrierGatewayIds",
        "CarrierGateways",
        "cagw",
        "InvalidCarrierGatewayID.Malformed",
        "InvalidCarrierGatewayID.NotFound",
        "The carrierGateway ID '{id}' does not exist",
        "carrier-gateway-id state owner-id vpc-id",
    ),
    Absent(
        "DescribeLocalGateways",
        "LocalGatewayIds",
        "LocalGateways",
        "lgw",
        "InvalidLocalGatewayID.Malformed",
        "InvalidLocalGatewayID.NotFound",
        "The localGateway ID '{id}' does not exist",
        "local-gateway-id outpost-arn owner-id state",
        tagged=False,
    ),
    Absent(
        "DescribeHosts",
        "HostIds",
        "Hosts",
        "h",
        "InvalidHostID.Malformed",
        "InvalidHostID.NotFound",
        "The host ID '{id}' does not exist",
        "auto-placement availability-zone client-token host-reservation-id instance-type state",
        longest_page=500,
        never_together=True,
    ),
    Absent(
        "DescribeReservedInstances",
        "ReservedInstancesIds",
        "ReservedInstances",
        "",
        "InvalidReservedInstancesId",
        "InvalidReservedInstancesId",
        "The Reserved Instances ID '{id}' does not exist",
        "availability-zone availability-zone-id duration end fixed-price instance-type scope "
        "product-description reserved-instances-id start state usage-price",
    ),
    Absent(
        "DescribeSpotInstanceRequests",
        "SpotInstanceRequestIds",
        "SpotInstanceRequests",
        "sir",
        "InvalidSpotInstanceRequestID.Malformed",
        "InvalidSpotInstanceRequestID.NotFound",
        "The spot instance request ID '{id}' does not exist",
        "availability-zone-group create-time fault-code fault-message instance-id launch-group "
        "launch.block-device-mapping.delete-on-termination launch.block-device-mapping.device-name "
        "launch.block-device-mapping.snapshot-id launch.block-device-mapping.volume-size "
        "launch.block-device-mapping.volume-type launch.group-id launch.group-name launch.image-id "
        "launch.instance-type launch.kernel-id launch.key-name launch.monitoring-enabled launch.ramdisk-id "
        "launched-availability-zone launched-availability-zone-id network-interface.addresses.primary "
        "network-interface.delete-on-termination network-interface.description network-interface.device-index "
        "network-interface.group-id network-interface.network-interface-id "
        "network-interface.private-ip-address network-interface.subnet-id product-description "
        "spot-instance-request-id spot-price state status-code status-message type valid-from valid-until",
    ),
    Absent(
        "DescribeCapacityReservations",
        "CapacityReservationIds",
        "CapacityReservations",
        "cr",
        "InvalidCapacityReservationId.Malformed",
        "InvalidCapacityReservationId.NotFound",
        "The capacity reservation ID '{id}' does not exist",
        "instance-type owner-id instance-platform availability-zone tenancy outpost-arn state start-date end-date "
        "end-date-type instance-match-criteria placement-group-arn",
        shortest_page=1,
    ),
    Absent(
        "DescribeReservedInstancesOfferings",
        "ReservedInstancesOfferingIds",
        "ReservedInstancesOfferings",
        "",
        "InvalidReservedInstancesOfferingId",
        "InvalidReservedInstancesOfferingId",
        "The Reserved Instances offering ID '{id}' does not exist",
        "availability-zone availability-zone-id duration fixed-price instance-type marketplace "
        "product-description reserved-instances-offering-id scope usage-price",
        tagged=False,
        longest_page=100,
    ),
    Absent(
        "DescribeSpotPriceHistory",
        "",
        "SpotPriceHistory",
        "",
        "",
        "",
        "",
        "availability-zone availability-zone-id instance-type product-description spot-price timestamp",
        tagged=False,
    ),
    Absent(
        "DescribeSpotFleetRequests",
        "SpotFleetRequestIds",
        "SpotFleetRequestConfigs",
        "sfr",
        "InvalidSpotFleetRequestId.Malformed",
        "InvalidSpotFleetRequestId.NotFound",
        "The spot fleet request ID '{id}' does not exist",
        tagged=False,
    ),
    Absent(
        "DescribeFleets",
        "FleetIds",
        "Fleets",
        "fleet",
        "InvalidFleetId.Malformed",
        "InvalidFleetId.NotFound",
        "The fleet ID '{id}' does not exist",
        "activity-status excess-capacity-termination-policy fleet-state replace-unhealthy-instances type",
        tagged=False,
    ),
    Absent(
        "DescribeInstanceConnectEndpoints",
        "InstanceConnectEndpointIds",
        "InstanceConnectEndpoints",
        "eice",
        "InvalidInstanceConnectEndpointId.Malformed",
        "InvalidInstanceConnectEndpointId.NotFound",
        "The instance connect endpoint ID '{id}' does not exist",
        "instance-connect-endpoint-id state subnet-id vpc-id",
        longest_page=50,
        shortest_page=1,
    ),
)

_BY_PARAMETER = {
    "NatGatewayId": ("InvalidNatGatewayID.NotFound", "The natGateway ID '{id}' does not exist"),
    "TransitGatewayId": ("InvalidTransitGatewayID.NotFound", "The transitGateway ID '{id}' does not exist"),
    "VpcEndpointId": ("InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id '{id}' does not exist"),
    "LocalGatewayId": ("InvalidLocalGatewayID.NotFound", "The localGateway ID '{id}' does not exist"),
    "CarrierGatewayId": ("InvalidCarrierGatewayID.NotFound", "The carrierGateway ID '{id}' does not exist"),
    "CoreNetworkArn": ("InvalidCoreNetworkArn.NotFound", "The core network '{id}' does not exist"),
    "OdbNetworkArn": ("InvalidOdbNetworkArn.NotFound", "The ODB network '{id}' does not exist"),
    "VpnGatewayId": ("InvalidVpnGatewayID.NotFound", "The vpnGateway ID '{id}' does not exist"),
}


def refuse_absent(parameter: str, value: str) -> NoReturn:
    """Raise the NotFound error for what `parameter` names."""
    code, message = _BY_PARAMETER[parameter]
    raise _error(code, message.format(id=value))


def _error(code: str, message: str) -> ApiError:
    made: type[ApiError] = type("Absence", (ApiError,), {"code": code})
    return made(message)


def _describe(kind: Absent) -> Callable[[Call, Mapping[str, Any]], Awaitable[dict[str, Any]]]:
    names = dict.fromkeys(kind.filters.split(), filters.never)
    if kind.tagged:
        names["tag-key"] = names["tag-value"] = filters.never
    form = re.compile(f"{kind.prefix}-(?:[0-9a-f]{{8}}|[0-9a-f]{{17}}|{_UUID})" if kind.prefix else _UUID)

    async def describe(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
        if kind.shorter_pages_than_asked and (p.get("MaxResults") or 0) > kind.longest_page:
            p = {**p, "MaxResults": kind.longest_page}
        never_with = kind.member if kind.never_together else None
        _, token = paging.bounds(p, never_with, low=kind.shortest_page, high=kind.longest_page)
        wanted = p.get(kind.member, ()) if kind.member else ()
        for value in wanted:
            if not form.fullmatch(value):
                raise _error(kind.malformed, f'Invalid id: "{value}"')
        tags = (lambda _key: filters.never) if kind.tagged else None
        filters.where(names, p.get("Filters") or p.get("Filter"), tags=tags)
        paging.position(call, token)
        for value in wanted:
            raise _error(kind.code, kind.message.format(id=value))
        return {kind.result: []}

    return describe


for _kind in _KINDS:
    ec2.action(_kind.action)(_describe(_kind))
