"""An instance's rows as EC2's Instance, with every field that DescribeInstances shows by default.

`shown` reads what belongs to a list of instances in a few statements, never one an instance. DescribeInstances itself
answers with finished XML, made of the same `view`: `instance_xml.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eucapy.clc import host_names
from eucapy.clc.context import Call
from eucapy.clc.ec2 import ipv6_addresses
from eucapy.clc.ec2.zones import zone_ids
from eucapy.clc.store import attachments, network_interfaces, public_ips, tags, vpcs
from eucapy.database import Row
from eucapy.lifecycle import instance as life
from eucapy.lifecycle.network_interface import ATTACHMENT_STATUS


@dataclass(frozen=True, slots=True)
class HostNames:
    """The names that a VPC's addresses have; `public` is false where it gives none to public ones."""

    region: str
    public: bool

    def inside(self, private_ip: str) -> str:
        return host_names.private_name(private_ip, self.region)

    def outside(self, public_ip: str) -> str:
        return host_names.public_name(public_ip, self.region) if self.public else ""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a view is made of: rows, or what looks like them. `secondary` are (interface, private, public, owner) of the
    public addresses that stand for secondary private ones; `zone_id` is the zone's, "" for one that is no more."""

    instance: Any
    interfaces: Sequence[Any]
    volumes: Sequence[Any]
    tags: Sequence[Mapping[str, str]]
    secondary: Sequence[tuple[str, str, str, str]]
    zone_id: str


async def shown(call: Call, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The instances as EC2 shows them, in the order of `rows` (whole ones)."""
    wanted = [row.id for row in rows]
    interfaces = await network_interfaces.of_instances(call.tx, wanted)
    volumes = await attachments.of_instances(call.tx, wanted)
    tagged = await tags.of(call.tx, wanted)
    named = await vpcs_with_names(call, {row.vpc_id for row in rows})
    secondary = await _secondary_public_ips(call, interfaces)
    short = zone_ids(call)
    out: list[dict[str, Any]] = []
    for row in rows:
        nics = interfaces.get(row.id, ())
        parts = Parts(
            instance=row,
            interfaces=nics,
            volumes=volumes.get(row.id, ()),
            tags=tagged.get(row.id, ()),
            secondary=[one for nic in nics for one in secondary.get(nic.id, ())],
            zone_id=short.get(row.zone, ""),
        )
        out.append(view(parts, HostNames(call.region, row.vpc_id in named)))
    return out


def reservations(rows: Sequence[Row], views: Sequence[Any]) -> list[dict[str, Any]]:
    """The instances by reservation, in the order in which the reservations first appear."""
    found: dict[str, dict[str, Any]] = {}
    for row, shown_as in zip(rows, views, strict=True):
        reservation = found.get(row.reservation_id)
        if reservation is None:
            reservation = found[row.reservation_id] = {
                "ReservationId": row.reservation_id,
                "OwnerId": row.account,
                "Groups": [],
                "Instances": [],
            }
        reservation["Instances"].append(shown_as)
    return list(found.values())


def view(parts: Parts, names: HostNames) -> dict[str, Any]:
    """An Instance."""
    row, nics = parts.instance, parts.interfaces
    out: dict[str, Any] = {
        "AmiLaunchIndex": row.launch_index,
        "Architecture": row.architecture,
        "BlockDeviceMappings": [_mapping(volume) for volume in parts.volumes],
        "CapacityReservationSpecification": {"CapacityReservationPreference": row.capacity_reservation},
        "ClientToken": row.client_token,
        "CpuOptions": {"CoreCount": row.cores, "ThreadsPerCore": row.threads},
        "CurrentInstanceBootMode": row.boot_mode,
        "EbsOptimized": row.ebs_optimized,
        "EnaSupport": row.ena,
        "EnclaveOptions": {"Enabled": False},
        "HibernationOptions": {"Configured": False},
        "Hypervisor": "xen",
        "ImageId": row.image_id,
        "InstanceId": row.id,
        "InstanceType": row.instance_type,
        "KeyName": row.key_name or None,
        "LaunchTime": row.launched_at,
        "MaintenanceOptions": {"AutoRecovery": row.auto_recovery, "RebootMigration": "default"},
        "MetadataOptions": metadata_options(row),
        "Monitoring": {"State": "enabled" if row.monitoring else "disabled"},
        "NetworkInterfaces": [_interface(nic, names, parts.secondary) for nic in nics],
        "NetworkPerformanceOptions": {"BandwidthWeighting": "default"},
        "Operator": {"Managed": False},
        "Placement": {
            "AvailabilityZone": row.zone,
            "AvailabilityZoneId": parts.zone_id or None,
            "GroupName": row.placement_group,
            "GroupId": row.placement_group_id or None,
            "PartitionNumber": row.placement_partition or None,
            "Tenancy": "default",
        },
        "PlatformDetails": "Linux/UNIX",
        "PrivateDnsName": "",
        "ProductCodes": [],
        "PublicDnsName": "",
        "RootDeviceName": row.root_device,
        "RootDeviceType": row.root_kind,
        "SecurityGroups": [],
        "State": state(row.state),
        "StateTransitionReason": row.transition,
        "Tags": list(parts.tags) or None,
        "UsageOperation": "RunInstances",
        "UsageOperationUpdateTime": row.created_at,
        "VirtualizationType": "hvm",
    }
    if row.profile_arn:
        out["IamInstanceProfile"] = {"Arn": row.profile_arn, "Id": row.profile_id}
    if row.reason_code:
        out["StateReason"] = {"Code": row.reason_code, "Message": row.reason}
    if row.state != life.TERMINATED:
        out["PrivateDnsNameOptions"] = {
            "HostnameType": row.hostname_type,
            "EnableResourceNameDnsARecord": row.name_a_record,
            "EnableResourceNameDnsAAAARecord": False,
        }
    if nics:
        _primary(out, row, nics[0], names)
    return out


def state(name: str) -> dict[str, Any]:
    """An InstanceState."""
    return {"Code": life.INSTANCE.code(name), "Name": name}


def metadata_options(row: Any) -> dict[str, Any]:
    """An InstanceMetadataOptionsResponse."""
    return {
        "State": "applied",
        "HttpTokens": row.metadata_tokens,
        "HttpPutResponseHopLimit": row.metadata_hops,
        "HttpEndpoint": "enabled" if row.metadata_enabled else "disabled",
        "HttpProtocolIpv6": "enabled" if row.metadata_ipv6 else "disabled",
        "InstanceMetadataTags": "enabled" if row.metadata_tags else "disabled",
    }


def _primary(out: dict[str, Any], row: Any, nic: Any, names: HostNames) -> None:
    by_id = row.hostname_type == "resource-name"
    out["PrivateDnsName"] = f"{row.id}.{host_names.domain(names.region)}" if by_id else names.inside(nic.private_ip)
    out["PrivateIpAddress"] = nic.private_ip
    out["SecurityGroups"] = network_interfaces.group_set(nic)
    out["SourceDestCheck"] = nic.source_dest_check
    out["SubnetId"] = nic.subnet_id
    out["VpcId"] = nic.vpc_id
    if nic.ipv6s:
        out["Ipv6Address"] = nic.ipv6s[0]
    if nic.public_ip:
        out["PublicIpAddress"] = nic.public_ip
        out["PublicDnsName"] = names.outside(nic.public_ip)


def _mapping(volume: Any) -> dict[str, Any]:
    return {
        "DeviceName": volume.device,
        "Ebs": {
            "AttachTime": volume.attached_at,
            "DeleteOnTermination": volume.delete_on_termination,
            "Status": volume.state,
            "VolumeId": volume.volume_id,
        },
    }


def _interface(nic: Any, names: HostNames, secondary: Iterable[Any]) -> dict[str, Any]:
    outside = {ip: (public, owner) for interface_id, ip, public, owner in secondary if interface_id == nic.id}
    if nic.public_ip:
        outside[nic.private_ip] = (nic.public_ip, nic.account if nic.elastic else "amazon")
    out: dict[str, Any] = {
        "Attachment": {
            "AttachTime": nic.attached_at,
            "AttachmentId": nic.attachment_id,
            "DeleteOnTermination": nic.delete_on_termination,
            "DeviceIndex": nic.device_index,
            "NetworkCardIndex": 0,
            "Status": ATTACHMENT_STATUS[nic.state],
        },
        "Description": nic.description,
        "Groups": network_interfaces.group_set(nic),
        "InterfaceType": "interface",
        "Ipv6Addresses": ipv6_addresses.views(nic.ipv6s, bool(nic.primary_ipv6)),
        "MacAddress": nic.mac,
        "NetworkInterfaceId": nic.id,
        "Operator": {"Managed": False},
        "OwnerId": nic.account,
        "PrivateDnsName": names.inside(nic.private_ip),
        "PrivateIpAddress": nic.private_ip,
        "PrivateIpAddresses": [
            {
                "Association": _association(outside, ip, names),
                "Primary": ip == nic.private_ip,
                "PrivateDnsName": names.inside(ip),
                "PrivateIpAddress": ip,
            }
            for ip in (nic.private_ip, *nic.secondary_ips)
        ],
        "SourceDestCheck": nic.source_dest_check,
        "Status": "in-use",
        "SubnetId": nic.subnet_id,
        "VpcId": nic.vpc_id,
    }
    out["Association"] = _association(outside, nic.private_ip, names)
    return out


def _association(outside: Mapping[str, tuple[str, str]], ip: str, names: HostNames) -> dict[str, str] | None:
    found = outside.get(ip)
    if found is None:
        return None
    public, owner = found
    return {"IpOwnerId": owner, "PublicDnsName": names.outside(public), "PublicIp": public}


async def vpcs_with_names(call: Call, vpc_ids: Iterable[str]) -> set[str]:
    """Those of the VPCs that give public host names."""
    wanted = sorted({vpc_id for vpc_id in vpc_ids if vpc_id})
    return {vpc.id for vpc in await vpcs.by_ids(call.tx, wanted) if vpc.dns_hostnames} if wanted else set()


async def _secondary_public_ips(
    call: Call, interfaces: Mapping[str, Sequence[Row]]
) -> dict[str, list[tuple[str, str, str, str]]]:
    """(interface, private, public, owner) of the public addresses that stand for secondary private ones."""
    wanted = [nic.id for nics in interfaces.values() for nic in nics if nic.secondary_ips]
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    for chunk in tags.chunks(wanted, 500):
        for interface_id, addresses in (await public_ips.of_interfaces(call.tx, chunk)).items():
            found[interface_id] = [
                (interface_id, one.private_ip, one.ip, one.account if one.elastic else "amazon") for one in addresses
            ]
    return found
