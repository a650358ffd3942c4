"""An instance's rows as the InstanceSpec that its node is sent. Pure.

The row alone is enough for a tombstone: interfaces and volumes may be gone by then. A disk is in the spec once its
volume is reachable for the node, a network interface for as long as it is attached; while the
guest shall let go of it, with a tombstone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from eucapy.clc import host_names
from eucapy.lifecycle import instance as life
from eucapy.lifecycle import network_interface as interface_life
from eucapy.wire.node import (
    DiskSpec,
    EphemeralSpec,
    ImageRoot,
    InstanceSpec,
    MetadataOptions,
    MetadataSpec,
    NicSpec,
    ObjectSource,
    RoleCredentials,
    VolumeRoot,
)


class Cidrs(Protocol):
    """Where the address blocks of VPCs and subnets are looked up."""

    def vpc(self, vpc_id: str) -> tuple[str, ...]: ...

    def vpc6(self, vpc_id: str) -> tuple[str, ...]: ...

    def subnet(self, subnet_id: str) -> str: ...

    def subnet6(self, subnet_id: str) -> str: ...


def instance_spec(
    row: Any,
    *,
    region: str,
    zone_id: str = "",
    interfaces: Sequence[Any] = (),
    attachments: Sequence[Any] = (),
    tags: Sequence[Mapping[str, str]] = (),
    captures: Sequence[Any] = (),
    cidrs: Cidrs,
) -> InstanceSpec:
    """`row` of the instance; `interfaces` as `network_interfaces.of_instances` gives them, `attachments` as
    `attachments.of_instances` does (id, volume_id, device, export, export_node,
    size_gib), `tags` as EC2's TagSet, `captures` as
    `image_captures.of_instances` does."""
    gone = is_gone(row)
    return InstanceSpec(
        instance_id=row.id,
        uuid=row.uuid,
        vcpus=row.vcpus,
        memory_mib=row.memory_mib,
        root=_root(row),
        root_device=row.root_device,
        nics=() if gone else tuple(_nic(nic, region, cidrs) for nic in interfaces),
        metadata=_metadata(row, region, zone_id, interfaces, attachments, tags),
        run=bool(row.run) and not gone,
        starts=row.starts,
        reboots=row.reboots,
        gone=gone,
        force_stop=bool(row.force_stop),
        disks=() if gone else tuple(_disks(row.node, attachments)),
        ephemerals=tuple(
            EphemeralSpec(name=one["name"], device=one["device"], size_gib=one["size_gib"]) for one in row.ephemerals
        ),
        architecture=row.architecture,
        boot_mode=row.boot_mode,
        rest=next((one.id for one in captures if one.rest), ""),
        captures=tuple(one.root_snapshot_id for one in captures if one.begun and one.root_snapshot_id),
    )


def is_gone(row: Any) -> bool:
    """Nothing of the instance shall stay on its node: it ended, or it is stopped and all that it has is a volume."""
    return bool(row.leaving) or row.state in (life.SHUTTING_DOWN, life.TERMINATED)


def _root(row: Any) -> ImageRoot | VolumeRoot:
    root = row.root
    if root["kind"] == "volume":
        return VolumeRoot(volume_id=root["volume_id"])
    return ImageRoot(
        image_id=row.image_id,
        source=ObjectSource(
            bucket=root["bucket"],
            key=root["key"],
            etag=root["etag"],
            size_bytes=root["size_bytes"],
            format=root["format"],
        ),
        size_gib=root["size_gib"],
    )


def _disks(node: str, attachments: Iterable[Any]) -> Iterable[DiskSpec]:
    """What is reachable to the node: an export that another node had is none of its."""
    for attachment in attachments:
        reachable = attachment.export and attachment.export_node == node
        if reachable and attachment.state in ("attaching", "attached"):
            yield DiskSpec(
                volume_id=attachment.volume_id,
                attachment_id=attachment.id,
                device=attachment.device,
                export=attachment.export,
                size_gib=attachment.size_gib,
            )


def _nic(row: Any, region: str, cidrs: Cidrs) -> NicSpec:
    public = row.public_ip or ""
    return NicSpec(
        interface_id=row.id,
        device_index=row.device_index,
        mac=row.mac,
        tap=row.tap,
        vpc_id=row.vpc_id,
        vpc_cidrs=cidrs.vpc(row.vpc_id),
        subnet_id=row.subnet_id,
        subnet_cidr=cidrs.subnet(row.subnet_id),
        private_ips=(row.private_ip, *row.secondary_ips),
        ipv6s=tuple(row.ipv6s),
        vpc_cidrs6=cidrs.vpc6(row.vpc_id),
        subnet_cidr6=cidrs.subnet6(row.subnet_id),
        attachment_id=row.attachment_id,
        gone=row.state == interface_life.DETACHING,
        public_ip=public,
        private_dns=host_names.private_name(row.private_ip, region),
        public_dns=host_names.public_name(public, region) if public else "",
        owner_id=row.account,
        group_ids=tuple(group_id for group_id, _ in row.groups),
        group_names=tuple(name for _, name in row.groups),
    )


def _metadata(
    row: Any,
    region: str,
    zone_id: str,
    interfaces: Sequence[Any],
    attachments: Sequence[Any],
    tags: Sequence[Mapping[str, str]],
) -> MetadataSpec:
    options = MetadataOptions(
        enabled=bool(row.metadata_enabled),
        tokens_required=row.metadata_tokens == "required",
        hop_limit=row.metadata_hops,
        tags=bool(row.metadata_tags),
    )
    return MetadataSpec(
        account_id=row.account,
        region=region,
        zone=row.zone,
        zone_id=zone_id,
        image_id=row.image_id,
        instance_type=row.instance_type,
        reservation_id=row.reservation_id,
        launch_index=row.launch_index,
        launched_at=row.launched_at,
        architecture=row.architecture,
        hostname=host_names.private_name(interfaces[0].private_ip, region) if interfaces else "",
        public_keys=((row.key_name, row.public_key),) if row.public_key else (),
        user_data=row.user_data,
        block_devices=tuple(_block_devices(row, attachments)),
        tags=tuple((tag["Key"], tag["Value"]) for tag in tags) if options.tags else (),
        options=options,
        instance_profile_arn=row.profile_arn,
        instance_profile_id=row.profile_id,
        instance_profile_at=int(row.profile_at or 0),
        credentials=_credentials(row),
    )


def _credentials(row: Any) -> RoleCredentials | None:
    """Those that were sealed to the node that it is on."""
    held = row.credentials
    if not held or held["node"] != row.node or held["profile"] != row.profile_id or is_gone(row):
        return None
    return RoleCredentials(
        role=held["role"], sealed=held["sealed"], issued_at=held["issued_at"], expires_at=held["expires_at"]
    )


def _block_devices(row: Any, attachments: Sequence[Any]) -> Iterable[tuple[str, str]]:
    """EC2's `block-device-mapping` tree: the image's root, then volumes and instance-store disks by number."""
    yield "ami", row.root_device
    others = sorted(one.device for one in attachments if one.device != row.root_device)
    yield from ((f"ebs{number}", device) for number, device in enumerate(others, 1))
    yield from ((one["name"], one["device"]) for one in row.ephemerals)
    yield "root", row.root_device
