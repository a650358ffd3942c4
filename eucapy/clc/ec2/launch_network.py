"""Where a launch is plugged in: subnet, groups, addresses, and the interfaces that RunInstances names or implies.

Interface specifications and the instance-level subnet, groups and address exclude each other, as in EC2. `settle` finds
the zones that a launch may go to; `plug` makes and attaches one instance's interfaces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import ipv6_addresses
from eucapy.clc.ec2.errors import (
    InvalidInterfaceInUse,
    InvalidParameterCombination,
    InvalidParameterValue,
    InvalidSubnetIDNotFound,
    InvalidZoneNotFound,
    MissingInput,
    NetworkInterfaceLimitExceeded,
    PrivateIpAddressLimitExceeded,
    VPCIdNotSpecified,
)
from eucapy.clc.ec2.tags import put as put_tags
from eucapy.clc.instance_types import InstanceType
from eucapy.clc.store import addresses, network_interfaces, private_ips, security_groups, subnets, vpcs
from eucapy.database import Row

_TOGETHER = "Network interfaces and an instance-level {what} may not be specified on the same request"


@dataclass(frozen=True)
class Wish:
    """One interface as the request wants it. `interface_id` names one that exists; `subnet_id` "" is the zone's default;
    `ipv6_count` None leaves it to the subnet."""

    device_index: int = 0
    interface_id: str = ""
    subnet_id: str = ""
    groups: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    private_ip: str | None = None
    secondary_ips: tuple[str, ...] = ()
    secondary_count: int = 0
    ipv6s: tuple[str, ...] = ()
    ipv6_count: int | None = None
    primary_ipv6: bool = False
    description: str = ""
    delete_on_termination: bool | None = None
    public: bool | None = None


@dataclass(frozen=True)
class Plug:
    """A wish bound to rows."""

    wish: Wish
    subnet: Row
    group_ids: tuple[str, ...] = ()
    interface: Row | None = None


def wishes(p: Mapping[str, Any], kind: InstanceType) -> list[Wish]:
    """The interfaces that the request asks for, the primary first. Pure. An interface that exists is asked for once."""
    named = p.get("NetworkInterfaces") or []
    if not named:
        return [_instance_level(p)]
    for member, what in (
        ("SubnetId", "subnet ID"),
        ("SecurityGroupIds", "security groups"),
        ("SecurityGroups", "security groups"),
        ("PrivateIpAddress", "private address"),
        ("Ipv6Addresses", "IPv6 addresses"),
        ("Ipv6AddressCount", "IPv6 address count"),
        ("EnablePrimaryIpv6", "primary IPv6 address"),
    ):
        if p.get(member):
            raise InvalidParameterCombination(_TOGETHER.format(what=what))
    found = sorted((_named(entry, p) for entry in named), key=lambda wish: wish.device_index)
    indexes = [wish.device_index for wish in found]
    if len(set(indexes)) != len(indexes):
        raise InvalidParameterValue("Each network interface requires a unique device index.")
    if indexes[0] != 0:
        raise InvalidParameterCombination("When specifying network interfaces, you must include a device at index 0.")
    existing = [wish.interface_id for wish in found if wish.interface_id]
    if len(set(existing)) != len(existing):
        raise InvalidInterfaceInUse(f"Interface: [{max(existing, key=existing.count)}] in use.")
    if len(found) > kind.interfaces:
        raise InvalidParameterValue(
            f"Number of network interfaces specified ({len(found)}) exceeds the limit of {kind.interfaces} "
            f"for the instance type {kind.name}."
        )
    if len(found) > 1 and any(wish.public for wish in found):
        raise InvalidParameterCombination(
            "The associatePublicIPAddress parameter cannot be specified when launching with multiple network interfaces."
        )
    return found


def _instance_level(p: Mapping[str, Any]) -> Wish:
    private_ip = p.get("PrivateIpAddress")
    if private_ip and p["MaxCount"] > 1:
        raise InvalidParameterCombination(
            "The parameter PrivateIpAddress can only be specified when launching one instance."
        )
    if p.get("SubnetId") and p.get("SecurityGroups"):
        raise InvalidParameterCombination("The parameter groupName cannot be used with the parameter subnet")
    ipv6s, ipv6_count, primary_ipv6 = _ipv6(p, "EnablePrimaryIpv6", p["MaxCount"])
    return Wish(
        ipv6s=ipv6s,
        ipv6_count=ipv6_count,
        primary_ipv6=primary_ipv6,
        subnet_id=p.get("SubnetId") or "",
        groups=tuple(p.get("SecurityGroupIds") or ()),
        group_names=tuple(p.get("SecurityGroups") or ()),
        private_ip=private_ip or None,
    )


def _ipv6(p: Mapping[str, Any], primary: str, most: int) -> tuple[tuple[str, ...], int | None, bool]:
    named = [each.get("Ipv6Address") or "" for each in p.get("Ipv6Addresses") or ()]
    if named and most > 1:
        raise InvalidParameterCombination("IPv6 addresses can only be specified when launching one instance.")
    return ipv6_addresses.parse(p, named, primary)


def _named(entry: Mapping[str, Any], p: Mapping[str, Any]) -> Wish:
    if any(
        entry.get(name) for name in ("Ipv4Prefixes", "Ipv4PrefixCount", "Ipv6Prefixes", "Ipv6PrefixCount")
    ) or entry.get("InterfaceType") not in (None, "interface"):
        raise InvalidParameterValue(
            "Prefixes and interface types other than 'interface' are not supported in this region."
        )
    if entry.get("DeviceIndex") is None:
        raise InvalidParameterValue("Each network interface requires a device index.")
    private_ip = entry.get("PrivateIpAddress")
    listed = entry.get("PrivateIpAddresses") or []
    primaries = [one["PrivateIpAddress"] for one in listed if one.get("Primary")]
    if len(primaries) + bool(private_ip) > 1:
        raise InvalidParameterCombination("Only one primary private IP address can be specified.")
    secondary = tuple(one["PrivateIpAddress"] for one in listed if not one.get("Primary"))
    if secondary and entry.get("SecondaryPrivateIpAddressCount"):
        raise InvalidParameterCombination("secondaryPrivateIPAddressCount cannot be specified with privateIPAddresses")
    if 1 + len(secondary) + (entry.get("SecondaryPrivateIpAddressCount") or 0) > quotas.IPS_PER_INTERFACE:
        raise PrivateIpAddressLimitExceeded
    ipv6s, ipv6_count, primary_ipv6 = _ipv6(entry, "PrimaryIpv6", p["MaxCount"])
    wish = Wish(
        ipv6s=ipv6s,
        ipv6_count=ipv6_count,
        primary_ipv6=primary_ipv6,
        device_index=entry["DeviceIndex"],
        interface_id=entry.get("NetworkInterfaceId") or "",
        subnet_id=entry.get("SubnetId") or "",
        groups=tuple(entry.get("Groups") or ()),
        private_ip=private_ip or (primaries[0] if primaries else None),
        secondary_ips=secondary,
        secondary_count=entry.get("SecondaryPrivateIpAddressCount") or 0,
        description=entry.get("Description") or "",
        delete_on_termination=entry.get("DeleteOnTermination"),
        public=entry.get("AssociatePublicIpAddress"),
    )
    if p["MaxCount"] > 1 and (wish.interface_id or wish.private_ip or wish.secondary_ips):
        raise InvalidParameterCombination(
            "A network interface or an address can only be specified when launching one instance."
        )
    addressed = wish.private_ip or wish.secondary_ips or wish.ipv6s or wish.ipv6_count
    if wish.interface_id and (wish.subnet_id or wish.groups or addressed or wish.public):
        raise InvalidParameterCombination(
            "A network interface may not specify both a network interface ID and a subnet, groups or addresses"
        )
    return wish


async def how_many(call: Call, wanted: Sequence[Wish], least: int, most: int) -> int:
    """How many instances the account's limit of interfaces leaves room for, `most` at most. Raises
    NetworkInterfaceLimitExceeded when not even `least`."""
    new = sum(not wish.interface_id for wish in wanted)
    if not new:
        return most
    left = quotas.NETWORK_INTERFACES - await network_interfaces.count(call.tx, call.account)
    fitting = min(most, left // new)
    if fitting < least:
        raise NetworkInterfaceLimitExceeded
    return fitting


async def settle(call: Call, p: Mapping[str, Any], wanted: Sequence[Wish]) -> dict[str, list[Plug]]:
    """The zones that the launch may go to, in order of preference, each with the interfaces bound to its rows."""
    zone = (p.get("Placement") or {}).get("AvailabilityZone") or ""
    if zone and zone not in call.config.zones:
        raise InvalidZoneNotFound(zone=zone)
    fixed: list[Plug | None] = [await _fixed(call, wish) for wish in wanted]
    places = {plug.subnet.zone for plug in fixed if plug is not None}
    if len(places) > 1:
        raise InvalidParameterCombination("Network interfaces must be in the same Availability Zone.")
    if places and zone and zone not in places:
        raise InvalidParameterValue(
            f"The specified subnet is not in the Availability Zone '{zone}'. Specify a subnet of that Availability Zone."
        )
    candidates = sorted(places) if places else [zone] if zone else list(call.config.zones)
    bound: dict[str, list[Plug]] = {}
    for name in candidates:
        plugs = [plug or await _in_default(call, wish, name) for plug, wish in zip(fixed, wanted, strict=True)]
        if all(plug is not None for plug in plugs):
            bound[name] = [plug for plug in plugs if plug is not None]
    if not bound:
        default = await vpcs.default_of(call.tx, call.account)
        if default is None:
            raise VPCIdNotSpecified
        raise MissingInput(vpc=default.id)
    if any(len({one.subnet.vpc_id for one in plugs}) > 1 for plugs in bound.values()):
        raise InvalidParameterCombination("The network interface and the instance belong to different networks")
    return bound


async def _fixed(call: Call, wish: Wish) -> Plug | None:
    """A wish that names its subnet, or an interface that exists."""
    if wish.interface_id:
        interface = await network_interfaces.by_id(call.tx, call.account, ids.check("eni", wish.interface_id))
        if interface is None:
            raise ids.missing("eni", [wish.interface_id])
        if interface.instance_id or interface.nat_gateway_id:
            raise InvalidInterfaceInUse(f"Interface: [{interface.id}] in use.")
        subnet = await subnets.by_id(call.tx, call.account, interface.subnet_id)
        assert subnet is not None
        return Plug(wish, subnet, interface=interface)
    if not wish.subnet_id:
        return None
    subnet = await subnets.by_id(call.tx, call.account, ids.check("subnet", wish.subnet_id))
    if subnet is None:
        raise InvalidSubnetIDNotFound(subnet=wish.subnet_id)
    return await _bind(call, wish, subnet)


async def _in_default(call: Call, wish: Wish, zone: str) -> Plug | None:
    subnet = await subnets.default_for(call.tx, call.account, zone)
    return await _bind(call, wish, subnet) if subnet is not None else None


async def _bind(call: Call, wish: Wish, subnet: Row) -> Plug:
    groups = await security_groups.require(
        call.tx, call.account, subnet.vpc_id, wish.groups, wish.group_names, subnet_id=subnet.id
    )
    return Plug(wish, subnet, tuple(group.id for group in groups))


async def how_many_fit(call: Call, plugs: Sequence[Plug]) -> int:
    """For how many instances the subnets have addresses left."""
    asked: dict[str, int] = {}
    for one in plugs:
        more = len(one.wish.secondary_ips) + one.wish.secondary_count
        asked[one.subnet.id] = asked.get(one.subnet.id, 0) + 1 + more
    cidrs = {one.subnet.id: one.subnet.cidr for one in plugs}
    return min([await private_ips.how_many_free(call.tx, name, cidrs[name]) // count for name, count in asked.items()])


async def plug(call: Call, instance_id: str, plugs: Sequence[Plug], tags: Mapping[str, str]) -> Row:
    """Make and attach one instance's interfaces; the primary one's row."""
    primary: Row | None = None
    named = [ip for one in plugs for ip in (one.wish.private_ip, *one.wish.secondary_ips, *one.wish.ipv6s) if ip]
    for one in plugs:
        wish, row = one.wish, one.interface
        made = row is None
        if row is None:
            six = ipv6_addresses.settled(wish.ipv6s, wish.ipv6_count, wish.primary_ipv6, one.subnet)
            public = wish.public if wish.public is not None else one.subnet.map_public_ip and len(plugs) == 1
            row = await network_interfaces.create(
                call.tx,
                account=call.account,
                subnet=one.subnet,
                groups=one.group_ids,
                description=wish.description,
                now=call.now,
                private_ip=wish.private_ip,
                secondary_ips=wish.secondary_ips,
                secondary_count=wish.secondary_count,
                ipv6s=six.named,
                ipv6_count=six.further,
                primary_ipv6=six.primary,
                auto_public=public,
                spared=named,
            )
            await put_tags(call, "network-interface", row.id, tags)
        delete = wish.delete_on_termination if wish.delete_on_termination is not None else made
        await network_interfaces.attach(call.tx, row, instance_id, wish.device_index, delete, call.now)
        await addresses.assign_auto(call.tx, row.id, call.config.public_ranges, call.now)
        primary = primary or row
    assert primary is not None
    return primary
