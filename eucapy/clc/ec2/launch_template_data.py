"""GetLaunchTemplateData: an instance as the data of a launch template that launches its like.

What only one instance can have (its interfaces' ids and addresses) is left out, so that the template can be launched from;
EC2's own tags are nobody's to give. EC2 lists the interface ids, and leaves it to the reader to take them out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.ec2.instances import require
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import attachments, network_interfaces, volumes
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row


@ec2.action("GetLaunchTemplateData")
async def get_launch_template_data(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["InstanceId"])
    attached = (await attachments.of_instances(call.tx, [row.id])).get(row.id, [])
    disks = await volumes.by_ids(call.tx, [one.volume_id for one in attached])
    nics = (await network_interfaces.of_instances(call.tx, [row.id])).get(row.id, [])
    tags = (await tag_rows.of(call.tx, [row.id])).get(row.id, [])
    return {"LaunchTemplateData": data(row, nics, [(one, disks[one.volume_id]) for one in attached], tags)}


def data(
    row: Row, nics: Sequence[Row], disks: Sequence[tuple[Row, Row]], tags: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """`disks` are pairs of attachment and volume."""
    own = [tag for tag in tags if not tag["Key"].startswith("aws:")]
    out: dict[str, Any] = {
        "BlockDeviceMappings": [_mapping(attachment, volume) for attachment, volume in disks],
        "CapacityReservationSpecification": {"CapacityReservationPreference": row.capacity_reservation},
        "CpuOptions": {"CoreCount": row.cores, "ThreadsPerCore": row.threads},
        "DisableApiStop": row.keep_from_stop,
        "DisableApiTermination": row.keep_from_termination,
        "EbsOptimized": row.ebs_optimized,
        "EnclaveOptions": {"Enabled": False},
        "HibernationOptions": {"Configured": False},
        "ImageId": row.image_id,
        "InstanceInitiatedShutdownBehavior": row.shutdown_behavior,
        "InstanceType": row.instance_type,
        "KeyName": row.key_name or None,
        "MaintenanceOptions": {"AutoRecovery": row.auto_recovery},
        "MetadataOptions": {
            "HttpEndpoint": "enabled" if row.metadata_enabled else "disabled",
            "HttpProtocolIpv6": "enabled" if row.metadata_ipv6 else "disabled",
            "InstanceMetadataTags": "enabled" if row.metadata_tags else "disabled",
        },
        "Monitoring": {"Enabled": row.monitoring},
        "NetworkInterfaces": [_interface(nic) for nic in nics],
        "Placement": {
            "AvailabilityZone": row.zone,
            "GroupName": row.placement_group,
            "Tenancy": "default",
            **({"PartitionNumber": row.placement_partition} if row.placement_partition else {}),
        },
        "PrivateDnsNameOptions": {
            "HostnameType": row.hostname_type,
            "EnableResourceNameDnsARecord": row.name_a_record,
            "EnableResourceNameDnsAAAARecord": False,
        },
        "TagSpecifications": [{"ResourceType": "instance", "Tags": own}] if own else [],
        "UserData": row.user_data,
    }
    if row.metadata_enabled:  # a disabled endpoint takes no options
        out["MetadataOptions"].update(HttpTokens=row.metadata_tokens, HttpPutResponseHopLimit=row.metadata_hops)
    if row.credits:
        out["CreditSpecification"] = {"CpuCredits": row.credits}
    return {name: value for name, value in out.items() if value is not None}


def _mapping(attachment: Row, volume: Row) -> dict[str, Any]:
    ebs = {
        "DeleteOnTermination": bool(attachment.delete_on_termination),
        "Encrypted": False,
        "SnapshotId": volume.snapshot_id or None,
        "VolumeSize": volume.size_gib,
        "VolumeType": volume.volume_type,
    }
    if volume.volume_type in ("io1", "io2", "gp3"):  # of the others it follows from the size
        ebs.update(Iops=volume.iops, Throughput=volume.throughput)
    return {"DeviceName": attachment.device, "Ebs": {name: value for name, value in ebs.items() if value is not None}}


def _interface(nic: Row) -> dict[str, Any]:
    out: dict[str, Any] = {
        "DeleteOnTermination": bool(nic.delete_on_termination),
        "Description": nic.description,
        "DeviceIndex": nic.device_index,
        "Groups": [group["GroupId"] for group in network_interfaces.group_set(nic)],
        "InterfaceType": "interface",
        "NetworkCardIndex": 0,
        "SubnetId": nic.subnet_id,
    }
    if nic.device_index == 0:
        out["AssociatePublicIpAddress"] = bool(nic.public_ip)
    if nic.secondary_ips:
        out["SecondaryPrivateIpAddressCount"] = len(nic.secondary_ips)
    return out
