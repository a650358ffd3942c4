"""Network interfaces: create, delete, describe, attach, detach, their attributes and their private addresses.

An interface joins or leaves an instance at once while that is stopped; while it runs, the node plugs it (`attaching`), or
asks the guest to let go of it (`detaching`). The address of an interface is one of its subnet; the public one that stands
for it: `addresses.py`; its IPv6 addresses: `ipv6_addresses.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import host_names, quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import ipv6_addresses, paging, subnets
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    AddressInUse,
    AttachmentLimitExceeded,
    IncorrectInstanceState,
    IncorrectState,
    InvalidAttachmentIDNotFound,
    InvalidInterfaceInUse,
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    NetworkInterfaceLimitExceeded,
    OperationNotPermitted,
    PrivateIpAddressLimitExceeded,
    SecurityGroupsPerInterfaceLimitExceeded,
    UnsupportedOperation,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.ec2.zones import zone_id_filter, zone_ids
from eucapy.clc.store import instances, network_interfaces, public_ips, security_groups, vpcs
from eucapy.clc.store import subnets as subnet_rows
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row
from eucapy.lifecycle import instance as life
from eucapy.lifecycle import network_interface as interface_life

LONGEST_DESCRIPTION = 255
_REFUSED = (
    "Ipv4Prefixes",
    "Ipv4PrefixCount",
    "Ipv6Prefixes",
    "Ipv6PrefixCount",
    "ConnectionTrackingSpecification",
    "EnaSrdSpecification",
    "AssociatedSubnetIds",
    "Operator",
)


@ec2.action("CreateNetworkInterface")
async def create_network_interface(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The answer says `pending`: the interface is available once this is committed."""
    _refuse(p)
    if p.get("InterfaceType", "interface") != "interface":
        raise UnsupportedOperation(f"Interfaces of the type {p['InterfaceType']} are not supported.")
    subnet = await subnets.required(call, p["SubnetId"])
    groups = await _groups(call, p.get("Groups") or (), subnet.vpc_id, subnet.id)
    description = _description(p.get("Description") or "")
    tags = tagging.from_specifications(p, "network-interface")
    primary, secondary = _wanted_ips(p)
    count = p.get("SecondaryPrivateIpAddressCount") or 0
    if 1 + len(secondary) + count > quotas.IPS_PER_INTERFACE:
        raise PrivateIpAddressLimitExceeded
    six = ipv6_addresses.wanted(p, subnet)
    if await network_interfaces.count(call.tx, call.account) >= quotas.NETWORK_INTERFACES:
        raise NetworkInterfaceLimitExceeded
    row = await network_interfaces.create(
        call.tx,
        account=call.account,
        subnet=subnet,
        groups=[group.id for group in groups],
        description=description,
        now=call.now,
        private_ip=primary,
        secondary_ips=secondary,
        secondary_count=count,
        ipv6s=six.named,
        ipv6_count=six.further,
        primary_ipv6=six.primary,
        client_token=p.get("ClientToken") or "",
    )
    await tagging.put(call, "network-interface", row.id, tags)
    view = (await views(call, [row]))[0]
    out: dict[str, Any] = {"NetworkInterface": {**view, "Status": "pending"}}
    if p.get("ClientToken"):
        out["ClientToken"] = p["ClientToken"]
    return out


@ec2.action("DeleteNetworkInterface")
async def delete_network_interface(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await required(call, p["NetworkInterfaceId"])
    if row.instance_id or row.nat_gateway_id:
        raise InvalidParameterValue(f"Network interface '{row.id}' is currently in use.")
    await network_interfaces.remove(call.tx, row.id)
    return {}


@ec2.action("DescribeNetworkInterfaces")
async def describe_network_interfaces(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    table = network_interfaces.network_interfaces
    rows, more = await paging.described(
        call,
        p,
        page=network_interfaces.page,
        declared={**network_interfaces.FILTERS, "availability-zone-id": zone_id_filter(call, table.c.zone)},
        id_column=table.c.id,
        prefix="eni",
        member="NetworkInterfaceIds",
        never_together=True,
    )
    return {"NetworkInterfaces": await views(call, rows), **more}


@ec2.action("AttachNetworkInterface")
async def attach_network_interface(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await required(call, p["NetworkInterfaceId"])
    instance = await instances.by_id(call.tx, call.account, ids.check("i", p["InstanceId"]))
    if instance is None:
        raise ids.missing("i", [p["InstanceId"]])
    if row.instance_id or row.nat_gateway_id:
        raise InvalidInterfaceInUse(f"Interface: [{row.id}] in use.")
    running = _runs(instance)
    if row.zone != instance.zone:
        raise InvalidParameterCombination(
            "You may not attach a network interface to an instance if they are not in the same availability zone"
        )
    held = (await network_interfaces.of_instances(call.tx, [instance.id])).get(instance.id, [])
    if any(other.vpc_id != row.vpc_id for other in held):
        raise InvalidParameterCombination("The network interface and the instance belong to different networks")
    index = p["DeviceIndex"]
    if index < 0 or (p.get("NetworkCardIndex") or 0) != 0:
        raise InvalidParameterValue(f"Value ({index}) for parameter deviceIndex is invalid.")
    if any(other.device_index == index for other in held):
        raise InvalidParameterValue(
            f"Instance '{instance.id}' already has an interface attached at device index '{index}'."
        )
    most = call.types[instance.instance_type].interfaces if instance.instance_type in call.types else None
    if len(held) >= (most or quotas.INTERFACES_PER_INSTANCE):
        raise AttachmentLimitExceeded(count=len(held) + 1, type=instance.instance_type)
    attachment_id = await network_interfaces.attach(call.tx, row, instance.id, index, False, call.now, running=running)
    call.wake("cluster_sync")
    return {"AttachmentId": attachment_id, "NetworkCardIndex": 0}


@ec2.action("DetachNetworkInterface")
async def detach_network_interface(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    attachment_id = ids.check("eni-attach", p["AttachmentId"])
    row = await network_interfaces.by_attachment(call.tx, call.account, attachment_id)
    if row is None:
        raise InvalidAttachmentIDNotFound(id=attachment_id)
    if row.device_index == 0:
        raise OperationNotPermitted(
            "The network interface at device index 0 and networkCard index 0 cannot be detached."
        )
    instance = await instances.by_id(call.tx, call.account, row.instance_id)
    if instance is None or not _runs(instance):
        await network_interfaces.detach(call.tx, row)
    elif row.state == interface_life.DETACHING:
        raise IncorrectState(f"Network interface '{row.id}' is already being detached.")
    else:
        await network_interfaces.unplug(call.tx, row)
    call.wake("cluster_sync")
    return {}


@ec2.action("DescribeNetworkInterfaceAttribute")
async def describe_network_interface_attribute(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await required(call, p["NetworkInterfaceId"])
    name = p.get("Attribute")
    if name is None:
        raise MissingParameter(name="attribute")
    out: dict[str, Any] = {"NetworkInterfaceId": row.id}
    if name == "description":
        out["Description"] = {"Value": row.description}
    elif name == "groupSet":
        out["Groups"] = network_interfaces.group_set(row)
    elif name == "sourceDestCheck":
        out["SourceDestCheck"] = {"Value": row.source_dest_check}
    elif name == "attachment":
        if row.instance_id:
            out["Attachment"] = _attachment(row)
    elif name == "associatePublicIpAddress":
        out["AssociatePublicIpAddress"] = row.auto_public
    else:
        raise InvalidParameterValue(
            f"Value ({name}) for parameter attribute is invalid. Unknown network interface attribute"
        )
    return out


@ec2.action("ModifyNetworkInterfaceAttribute")
async def modify_network_interface_attribute(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """One attribute a request, as in EC2."""
    row = await required(call, p["NetworkInterfaceId"])
    _refuse(p)
    members = ("Description", "SourceDestCheck", "Groups", "Attachment", "EnablePrimaryIpv6")
    given = [name for name in members if p.get(name) is not None]
    if p.get("AssociatePublicIpAddress") is not None:
        raise UnsupportedOperation("Automatic public addresses are given at launch only.")
    if not given:
        raise MissingParameter("You must specify a network interface attribute to modify")
    if len(given) > 1:
        raise InvalidParameterCombination("Fields for multiple attribute types specified: " + ", ".join(given))
    value = p[given[0]]
    if given[0] == "Description":
        await network_interfaces.update(call.tx, row.id, description=_description(value.get("Value") or ""))
    elif given[0] == "SourceDestCheck":
        await network_interfaces.update(call.tx, row.id, source_dest_check=bool(value.get("Value")))
    elif given[0] == "EnablePrimaryIpv6":
        await ipv6_addresses.set_primary(call, row, bool(value))
    elif given[0] == "Groups":
        await network_interfaces.set_groups(call.tx, row, await _groups(call, value, row.vpc_id, row.subnet_id))
    else:
        await _modify_attachment(call, row, value)
    call.wake("cluster_sync")
    return {}


@ec2.action("ResetNetworkInterfaceAttribute")
async def reset_network_interface_attribute(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The one attribute that can be reset is the check of sources and destinations."""
    row = await required(call, p["NetworkInterfaceId"])
    if p.get("SourceDestCheck") is None:
        raise MissingParameter(name="sourceDestCheck")
    await network_interfaces.update(call.tx, row.id, source_dest_check=True)
    call.wake("cluster_sync")
    return {}


@ec2.action("AssignPrivateIpAddresses")
async def assign_private_ip_addresses(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """`AllowReassignment` lets an address leave another interface, where it must be a secondary one."""
    row = await required(call, p["NetworkInterfaceId"])
    _refuse(p)
    wanted, count = list(dict.fromkeys(p.get("PrivateIpAddresses") or ())), p.get("SecondaryPrivateIpAddressCount") or 0
    if bool(wanted) == bool(count):
        raise InvalidParameterCombination(
            "Exactly one of privateIpAddresses and secondaryPrivateIpAddressCount must be specified"
        )
    if 1 + len(row.secondary_ips) + len(wanted) + count > quotas.IPS_PER_INTERFACE:
        raise PrivateIpAddressLimitExceeded
    if p.get("AllowReassignment"):
        for ip in wanted:
            other = await network_interfaces.by_private_ip(call.tx, row.subnet_id, ip)
            if other is None:
                continue
            if other.private_ip == ip or other.account != call.account:
                raise AddressInUse(ip=ip)
            await network_interfaces.remove_ips(call.tx, other, [ip])
        row = await required(call, row.id)
    subnet = await subnet_rows.by_id(call.tx, call.account, row.subnet_id)
    assert subnet is not None, "a subnet stays while it has interfaces"
    got = await network_interfaces.add_ips(call.tx, row, subnet, wanted, count)
    call.wake("cluster_sync")
    return {
        "NetworkInterfaceId": row.id,
        "AssignedPrivateIpAddresses": [{"PrivateIpAddress": ip} for ip in got],
        "AssignedIpv4Prefixes": [],
    }


@ec2.action("UnassignPrivateIpAddresses")
async def unassign_private_ip_addresses(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await required(call, p["NetworkInterfaceId"])
    _refuse(p)
    gone = list(dict.fromkeys(p.get("PrivateIpAddresses") or ()))
    if not gone:
        raise MissingParameter(name="privateIpAddress")
    if row.private_ip in gone:
        raise InvalidParameterValue(f"Primary private IP address {row.private_ip} cannot be unassigned")
    if not set(gone) <= set(row.secondary_ips):
        raise InvalidParameterValue(f"Some of the specified addresses are not assigned to interface {row.id}")
    await network_interfaces.remove_ips(call.tx, row, gone)
    call.wake("cluster_sync")
    return {}


async def required(call: Call, interface_id: str) -> Row:
    """The caller's interface; InvalidNetworkInterfaceID.NotFound."""
    row = await network_interfaces.by_id(call.tx, call.account, ids.check("eni", interface_id))
    if row is None:
        raise ids.missing("eni", [interface_id])
    return row


async def views(call: Call, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Interfaces as EC2's NetworkInterface."""
    wanted = [row.id for row in rows]
    public: dict[str, list[Row]] = {}
    for chunk in tag_rows.chunks(wanted, 500):
        public.update(await public_ips.of_interfaces(call.tx, chunk))
    tags = await tag_rows.of(call.tx, wanted)
    named = {vpc.id for vpc in await vpcs.by_ids(call.tx, sorted({row.vpc_id for row in rows})) if vpc.dns_hostnames}
    zones = zone_ids(call)
    return [
        _view(call, row, public.get(row.id, ()), tags.get(row.id, []), row.vpc_id in named, zones.get(row.zone))
        for row in rows
    ]


def _view(
    call: Call,
    row: Row,
    public: Sequence[Row],
    tags: Sequence[Mapping[str, str]],
    has_names: bool,
    zone_id: str | None,
) -> dict[str, Any]:
    associations = {entry.private_ip: _association(call, entry, has_names) for entry in public}
    view: dict[str, Any] = {
        "AvailabilityZone": row.zone,
        "AvailabilityZoneId": zone_id,
        "Description": row.description,
        "Groups": network_interfaces.group_set(row),
        "InterfaceType": "nat_gateway" if row.nat_gateway_id else "interface",
        "Ipv6Addresses": ipv6_addresses.views(row.ipv6s, bool(row.primary_ipv6)),
        "MacAddress": row.mac,
        "NetworkInterfaceId": row.id,
        "Operator": {"Managed": False},
        "OwnerId": row.account,
        "PrivateIpAddress": row.private_ip,
        "PrivateIpAddresses": [
            _private(call, ip, ip == row.private_ip, associations.get(ip), has_names)
            for ip in (row.private_ip, *row.secondary_ips)
        ],
        "RequesterManaged": bool(row.nat_gateway_id),
        "SourceDestCheck": row.source_dest_check,
        "Status": "in-use" if row.instance_id or row.nat_gateway_id else "available",
        "SubnetId": row.subnet_id,
        "TagSet": tags,
        "VpcId": row.vpc_id,
    }
    if has_names:
        view["PrivateDnsName"] = host_names.private_name(row.private_ip, call.region)
    if row.ipv6s:
        view["Ipv6Address"] = row.ipv6s[0]
    if row.private_ip in associations:
        view["Association"] = associations[row.private_ip]
    if row.instance_id:
        view["Attachment"] = _attachment(row)
    return view


def _private(
    call: Call, ip: str, primary: bool, association: Mapping[str, Any] | None, has_names: bool
) -> dict[str, Any]:
    out: dict[str, Any] = {"Primary": primary, "PrivateIpAddress": ip}
    if association is not None:
        out["Association"] = association
    if has_names:
        out["PrivateDnsName"] = host_names.private_name(ip, call.region)
    return out


def _association(call: Call, entry: Row, has_names: bool) -> dict[str, Any]:
    out: dict[str, Any] = {
        "IpOwnerId": entry.account if entry.elastic else "amazon",
        "PublicDnsName": host_names.public_name(entry.ip, call.region) if has_names else "",
        "PublicIp": entry.ip,
    }
    if entry.elastic:
        out.update(AllocationId=entry.id, AssociationId=entry.association_id)
    return out


def _attachment(row: Row) -> dict[str, Any]:
    return {
        "AttachTime": row.attached_at,
        "AttachmentId": row.attachment_id,
        "DeleteOnTermination": row.delete_on_termination,
        "DeviceIndex": row.device_index,
        "NetworkCardIndex": 0,
        "InstanceId": row.instance_id,
        "InstanceOwnerId": row.account,
        "Status": interface_life.ATTACHMENT_STATUS[row.state],
    }


async def _groups(call: Call, wanted: Sequence[str], vpc_id: str, subnet_id: str) -> list[Row]:
    if len(set(wanted)) > quotas.GROUPS_PER_INTERFACE:
        raise SecurityGroupsPerInterfaceLimitExceeded
    return await security_groups.require(
        call.tx, call.account, vpc_id, list(dict.fromkeys(wanted)), [], subnet_id=subnet_id
    )


async def _modify_attachment(call: Call, row: Row, value: Mapping[str, Any]) -> None:
    if not value.get("AttachmentId") or value.get("DeleteOnTermination") is None:
        raise MissingParameter(name="attachment.attachmentId and attachment.deleteOnTermination")
    if value["AttachmentId"] != row.attachment_id:
        raise InvalidAttachmentIDNotFound(id=value["AttachmentId"])
    await network_interfaces.update(call.tx, row.id, delete_on_termination=bool(value["DeleteOnTermination"]))


def _wanted_ips(p: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """The primary address asked for, and the secondary ones."""
    entries = p.get("PrivateIpAddresses") or ()
    primary = [entry.get("PrivateIpAddress") for entry in entries if entry.get("Primary")]
    if p.get("PrivateIpAddress"):
        primary.append(p["PrivateIpAddress"])
    if len(set(primary)) > 1:
        raise InvalidParameterCombination("Only one primary private IP address can be specified.")
    if p.get("SecondaryPrivateIpAddressCount") and entries:
        raise InvalidParameterCombination(
            "secondaryPrivateIpAddressCount cannot be used together with privateIpAddresses"
        )
    secondary = [entry.get("PrivateIpAddress") or "" for entry in entries if not entry.get("Primary")]
    return (primary[0] if primary else None), secondary


def _description(text: str) -> str:
    if len(text) > LONGEST_DESCRIPTION:
        raise InvalidParameterValue("Invalid value for description: it is longer than 255 characters.")
    return text


def _runs(instance: Row) -> bool:
    """Whether there is a guest that has to be asked."""
    if instance.state in (life.RUNNING, life.STOPPED):
        return bool(instance.state == life.RUNNING)
    raise IncorrectInstanceState(f"Instance '{instance.id}' is not 'running' or 'stopped'.")


def _refuse(p: Mapping[str, Any]) -> None:
    for name in _REFUSED:
        if p.get(name):
            raise UnsupportedOperation(f"{name} is not supported.")
