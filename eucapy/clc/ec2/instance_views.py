"""An instance's rows as EC2's Instance, with every field that DescribeInstances shows by default.

`shown` reads what belongs to a list of instances in a few statements, never one an instance. `rendered` does so only for
those that changed: the finished XML of an instance is kept under its revision (`store/revisions.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from eucapy.aws import xml
from eucapy.clc import host_names
from eucapy.clc.context import Call
from eucapy.clc.ec2.regions import zone_id
from eucapy.clc.store import attachments, instances, network_interfaces, public_ips, tags, vpcs
from eucapy.database import Row
from eucapy.lifecycle import instance as life

KEPT = 12_000
"""Most instances whose XML is kept; some 5 KiB each."""

Rows = tuple[Row, tuple[Row, ...], tuple[Row, ...], tuple[tuple[str, str], ...], Any]
"""The instance, its interfaces, its attachments, its tags, and what else the view depends on."""


async def rendered(call: Call, listed: Sequence[Row]) -> list[xml.Rendered]:
    """The instances as finished XML, in the order of `listed` (rows of `instances.page`)."""
    keys = [(row[0], row[-1]) for row in listed]  # id and revision: by place, which costs a tenth of by name
    found = [_SHELF.get(key) for key in keys]
    missing = [instance_id for (instance_id, _), held in zip(keys, found, strict=True) if held is None]
    if not missing:
        return cast("list[xml.Rendered]", found)
    rows = await instances.by_ids(call.tx, missing)
    new: dict[str, xml.Rendered] = {}
    for row, one in zip(rows.values(), await shown(call, list(rows.values())), strict=True):
        new[row.id] = _render()(one)
        _SHELF.put((row.id, row.revision), new[row.id])
    return [held or new[key[0]] for key, held in zip(keys, found, strict=True)]


async def shown(call: Call, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The instances as EC2 shows them, in the order of `rows` (whole ones)."""
    wanted = [row.id for row in rows]
    interfaces = await network_interfaces.of_instances(call.tx, wanted)
    volumes = await attachments.of_instances(call.tx, wanted)
    tagged = await tags.of(call.tx, wanted)
    named = await _vpcs_with_names(call, rows)
    secondary = await _secondary_public_ips(call, interfaces)
    zones = {zone: zone_id(call.region, index) for index, zone in enumerate(call.config.zones)}
    out: list[dict[str, Any]] = []
    for row in rows:
        nics = tuple(interfaces.get(row.id, ()))
        around = (row.vpc_id in named, tuple(x for nic in nics for x in secondary.get(nic.id, ())))
        parts: Rows = (
            row,
            nics,
            tuple(volumes.get(row.id, ())),
            tuple((tag["Key"], tag["Value"]) for tag in tagged.get(row.id, ())),
            around,
        )
        out.append(view(parts, call.region, zones.get(row.zone, "")))
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


def view(parts: Rows, region: str, short_zone: str = "") -> dict[str, Any]:
    """An Instance."""
    row, nics, volumes, tag_set, (public_names, secondary) = parts
    out: dict[str, Any] = {
        "AmiLaunchIndex": row.launch_index,
        "Architecture": row.architecture,
        "BlockDeviceMappings": [_mapping(volume) for volume in volumes],
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
        "NetworkInterfaces": [_interface(nic, region, public_names, secondary) for nic in nics],
        "NetworkPerformanceOptions": {"BandwidthWeighting": "default"},
        "Operator": {"Managed": False},
        "Placement": {
            "AvailabilityZone": row.zone,
            "AvailabilityZoneId": short_zone or None,
            "GroupName": "",
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
        "Tags": [{"Key": key, "Value": value} for key, value in tag_set],
        "UsageOperation": "RunInstances",
        "UsageOperationUpdateTime": row.created_at,
        "VirtualizationType": "hvm",
    }
    if row.reason_code:
        out["StateReason"] = {"Code": row.reason_code, "Message": row.reason}
    if row.state != life.TERMINATED:
        out["PrivateDnsNameOptions"] = {
            "HostnameType": row.hostname_type,
            "EnableResourceNameDnsARecord": row.name_a_record,
            "EnableResourceNameDnsAAAARecord": False,
        }
    if nics:
        _primary(out, row, nics[0], region, public_names)
    return out


def state(name: str) -> dict[str, Any]:
    """An InstanceState."""
    return {"Code": life.INSTANCE.code(name), "Name": name}


def metadata_options(row: Row) -> dict[str, Any]:
    """An InstanceMetadataOptionsResponse."""
    return {
        "State": "applied",
        "HttpTokens": row.metadata_tokens,
        "HttpPutResponseHopLimit": row.metadata_hops,
        "HttpEndpoint": "enabled" if row.metadata_enabled else "disabled",
        "HttpProtocolIpv6": "enabled" if row.metadata_ipv6 else "disabled",
        "InstanceMetadataTags": "enabled" if row.metadata_tags else "disabled",
    }


def private_name(row: Row, ip: str, region: str) -> str:
    """The instance's own host name: of its address, or of its id when it asked for that."""
    if row.hostname_type == "resource-name":
        return f"{row.id}.{host_names.domain(region)}"
    return host_names.private_name(ip, region)


def _primary(out: dict[str, Any], row: Row, nic: Row, region: str, public_names: bool) -> None:
    out["PrivateDnsName"] = private_name(row, nic.private_ip, region)
    out["PrivateIpAddress"] = nic.private_ip
    out["SecurityGroups"] = network_interfaces.group_set(nic)
    out["SourceDestCheck"] = nic.source_dest_check
    out["SubnetId"] = nic.subnet_id
    out["VpcId"] = nic.vpc_id
    if nic.public_ip:
        out["PublicIpAddress"] = nic.public_ip
        out["PublicDnsName"] = host_names.public_name(nic.public_ip, region) if public_names else ""


def _mapping(volume: Row) -> dict[str, Any]:
    return {
        "DeviceName": volume.device,
        "Ebs": {
            "AttachTime": volume.attached_at,
            "DeleteOnTermination": volume.delete_on_termination,
            "Status": volume.state,
            "VolumeId": volume.volume_id,
        },
    }


def _interface(nic: Row, region: str, public_names: bool, secondary: Iterable[Any]) -> dict[str, Any]:
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
            "Status": "attached",
        },
        "Description": nic.description,
        "Groups": network_interfaces.group_set(nic),
        "InterfaceType": "interface",
        "Ipv6Addresses": [],
        "MacAddress": nic.mac,
        "NetworkInterfaceId": nic.id,
        "Operator": {"Managed": False},
        "OwnerId": nic.account,
        "PrivateDnsName": host_names.private_name(nic.private_ip, region),
        "PrivateIpAddress": nic.private_ip,
        "PrivateIpAddresses": [
            {
                "Association": _association(outside, ip, region, public_names),
                "Primary": ip == nic.private_ip,
                "PrivateDnsName": host_names.private_name(ip, region),
                "PrivateIpAddress": ip,
            }
            for ip in (nic.private_ip, *nic.secondary_ips)
        ],
        "SourceDestCheck": nic.source_dest_check,
        "Status": "in-use",
        "SubnetId": nic.subnet_id,
        "VpcId": nic.vpc_id,
    }
    out["Association"] = _association(outside, nic.private_ip, region, public_names)
    return out


def _association(
    outside: Mapping[str, tuple[str, str]], ip: str, region: str, public_names: bool
) -> dict[str, str] | None:
    found = outside.get(ip)
    if found is None:
        return None
    public, owner = found
    name = host_names.public_name(public, region) if public_names else ""
    return {"IpOwnerId": owner, "PublicDnsName": name, "PublicIp": public}


async def _vpcs_with_names(call: Call, rows: Sequence[Row]) -> set[str]:
    """The VPCs that give public host names."""
    wanted = sorted({row.vpc_id for row in rows if row.vpc_id})
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


class _Shelf(dict[tuple[str, int], xml.Rendered]):
    """Finished XML by instance and revision; when it is full, what was put in first goes first."""

    def put(self, key: tuple[str, int], made: xml.Rendered) -> None:
        if len(self) >= KEPT:
            del self[next(iter(self))]
        self[key] = made


@lru_cache(maxsize=1)
def _render() -> Any:
    return xml.fragment("ec2", "Instance")


_SHELF = _Shelf()
