"""RunInstances: one transaction that checks everything, writes the instances down and answers `pending`.

    parameters, and what a launch template adds to them (launch_template_versions)
               ─► launch_options   the machine itself          ┐
                  launch_network   subnets, groups, interfaces ├─► rows of instances, interfaces, volumes, attachments
                  launch_devices   disks                       ┘
    the loops then: placement → cluster_sync (and storage_sync for volumes) → the node → observe → running

Whether there is room is asked before anything is promised: placement's own function, over what the nodes reported last.
As in EC2, as many instances as fit are launched, down to MinCount. Which node takes each is placement's business.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eucapy import ids
from eucapy.clc import transitions
from eucapy.clc.capacity import how_many_fit
from eucapy.clc.context import Call
from eucapy.clc.ec2 import (
    instance_profiles,
    instance_views,
    instance_xml,
    launch_devices,
    launch_network,
    launch_options,
    metadata_defaults,
    placement_groups,
    vcpu_limit,
)
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    AuthFailure,
    InsufficientInstanceCapacity,
    InvalidAMIIDUnavailable,
    InvalidKeyPairNotFound,
    InvalidParameterValue,
    MissingParameter,
)
from eucapy.clc.ec2.launch_devices import NewVolume
from eucapy.clc.ec2.launch_network import Plug
from eucapy.clc.ec2.launch_options import Machine
from eucapy.clc.ec2.launch_template_versions import applied
from eucapy.clc.ec2.placement_groups import Place
from eucapy.clc.ec2.service import ec2
from eucapy.clc.placement import Demand
from eucapy.clc.store import attachments, images, instances, key_pairs, snapshots, volumes
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row
from eucapy.lifecycle import image as image_life
from eucapy.lifecycle import snapshot as snapshot_life


@dataclass(frozen=True)
class Launch:
    """A checked launch, of `count` equal instances in `zone`."""

    image: Row
    machine: Machine
    zone: str
    place: Place
    count: int
    plugs: Sequence[Plug]
    volumes: Sequence[NewVolume]
    ephemerals: list[dict[str, Any]]
    key: Row | None
    profile: Row | None
    client_token: str


@ec2.action("RunInstances")
async def run_instances(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    p, template_tags = await applied(call, p)
    launch = await prepare(call, p)
    made = await make(call, launch, p, template_tags)
    for loop in ("placement", "storage_sync"):
        call.wake(loop)
    rows = await instances.page(call.tx, call.account, [instances.table.c.id.in_(made)], None, len(made))
    return instance_views.reservations(rows, await instance_xml.rendered(call, rows))[0]


async def prepare(call: Call, p: Mapping[str, Any]) -> Launch:
    """Everything that may be refused is refused here."""
    image = await _image(call, p.get("ImageId") or "")
    machine = launch_options.parse(p, call.types, image.imds, await metadata_defaults.of_account(call))
    launch_options.check_architecture(machine.kind, image.architecture)
    own = launch_devices.of_image((await images.devices_of(call.tx, [image.id])).get(image.id, ()))
    wanted = launch_devices.merge(
        own,
        p.get("BlockDeviceMappings") or (),
        machine.kind,
        image.root_device,
        image.root_kind,
    )
    of_image = {disk.snapshot_id for disk in launch_devices.volumes(own.values())}
    disks, only_zone = await _volumes(call, launch_devices.volumes(wanted), of_image)
    if image.root_kind == images.EBS and not any(disk.device == image.root_device for disk in disks):
        raise InvalidParameterValue(f"The image {image.id} has no root device {image.root_device}")
    key = await _key(call, p.get("KeyName"))
    profile = await _profile(call, p.get("IamInstanceProfile") or {})
    cards = launch_network.wishes(p, machine.kind)
    places = await launch_network.settle(call, p, cards)
    if only_zone:
        places = {zone: plugs for zone, plugs in places.items() if zone == only_zone}
    place = await placement_groups.settle(call, p.get("Placement") or {}, machine.most)
    if place.zone:
        places = {zone: plugs for zone, plugs in places.items() if zone == place.zone}
    vcpus, asked = machine.columns["vcpus"], p["MaxCount"]
    allowed = await vcpu_limit.how_many(call, vcpus, machine.least, asked)
    allowed = await launch_network.how_many(call, cards, machine.least, allowed)
    zone, count = await _room(call, replace(machine, most=min(machine.most, allowed)), image, places, place)
    return Launch(
        image=image,
        machine=machine,
        zone=zone,
        place=place,
        count=count,
        plugs=places[zone],
        volumes=disks,
        ephemerals=launch_devices.ephemerals(wanted, machine.kind),
        key=key,
        profile=profile,
        client_token=p.get("ClientToken") or "",
    )


async def make(
    call: Call, launch: Launch, p: Mapping[str, Any], system_tags: Mapping[str, str] | None = None
) -> list[str]:
    """Write the instances down, with their interfaces and volumes; their ids in the order of launch index.

    `system_tags` are added to the instances' own; they count for no limit.
    """
    others = ("volume", "network-interface")
    tags = tagging.from_specifications(p, "instance", *others)
    volume_tags = tagging.from_specifications(p, "volume", "instance", "network-interface")
    interface_tags = tagging.from_specifications(p, "network-interface", "instance", "volume")
    reservation_id = ids.new("r")
    made: list[str] = []
    rows: list[dict[str, Any]] = []
    for index in range(launch.count):
        instance_id = ids.new("i")
        primary = await launch_network.plug(call, instance_id, launch.plugs, interface_tags)
        root = await _disks(call, launch, instance_id, volume_tags)
        rows.append(_row(call, launch, instance_id, reservation_id, index, primary, root))
        made.append(instance_id)
    await instances.insert(call.tx, rows)
    for instance_id in made:
        await tag_rows.put(call.tx, call.account, "instance", instance_id, {**tags, **(system_tags or {})})
    await images.set_values(call.tx, launch.image.id, launched_at=call.now)
    return made


def _row(
    call: Call,
    launch: Launch,
    instance_id: str,
    reservation_id: str,
    index: int,
    primary: Row,
    root: dict[str, Any],
) -> dict[str, Any]:
    image, key = launch.image, launch.key
    return {
        "id": instance_id,
        "account": call.account,
        "reservation_id": reservation_id,
        "launch_index": index,
        "client_token": launch.client_token,
        "created_at": call.now,
        "launched_at": call.now,
        "state_at": call.now,
        "zone": launch.zone,
        "uuid": _machine_uuid(),
        "run": True,
        "architecture": image.architecture,
        "image_id": image.id,
        "root_kind": image.root_kind,
        "root_device": image.root_device,
        "root": root,
        "ephemerals": launch.ephemerals,
        "boot_mode": "uefi" if image.boot_mode == "uefi" else "legacy-bios",
        "key_name": key.name if key is not None else "",
        "public_key": key.public_key if key is not None else "",
        "vpc_id": primary.vpc_id,
        "subnet_id": primary.subnet_id,
        "private_ip": primary.private_ip,
        **transitions.PENDING,
        **launch.place.columns(index),
        **launch.machine.columns,
        **(instance_profiles.columns(call, launch.profile) if launch.profile is not None else instance_profiles.NONE),
    }


def _machine_uuid() -> str:
    """The machine's UUID begins with `ec2`, by which guests know the cloud that they run in (EC2 User Guide, "Determine
    whether your instance is running on EC2")."""
    return f"ec2{str(uuid.uuid4())[3:]}"


async def _image(call: Call, image_id: str) -> Row:
    if not image_id:
        raise MissingParameter(name="ImageId")
    ids.check("ami", image_id)
    row = await images.visible(call.tx, call.account, image_id)
    if row is None:
        hidden = await images.by_id(call.tx, image_id)
        if hidden is not None and hidden.state in images.VISIBLE:
            raise AuthFailure(images=image_id)
        raise ids.missing("ami", [image_id])
    if row.state != image_life.AVAILABLE:
        raise InvalidAMIIDUnavailable(image=image_id)
    return row


async def _key(call: Call, name: str | None) -> Row | None:
    if not name:
        return None
    row = await key_pairs.by_name(call.tx, call.account, name)
    if row is None:
        raise InvalidKeyPairNotFound(name=name)
    return row


async def _profile(call: Call, wanted: Mapping[str, Any]) -> Row | None:
    if not wanted.get("Arn") and not wanted.get("Name"):
        return None
    return await instance_profiles.named(call, wanted, launch=True)


async def _volumes(call: Call, wanted: Sequence[NewVolume], of_image: set[str]) -> tuple[list[NewVolume], str]:
    """The volumes with their final sizes, and the zone that their snapshots bind them to ("" for any)."""
    found: list[NewVolume] = []
    zones: set[str] = set()
    for volume in wanted:
        size = None
        if volume.snapshot_id:
            snapshot = await _snapshot(call, volume.snapshot_id, of_image)
            if snapshot.state != snapshot_life.COMPLETED:
                raise InvalidParameterValue(f"Snapshot '{snapshot.id}' is not 'completed'.")
            size = int(snapshot.size_gib)
            if not call.config.shared_storage:
                zones.add(snapshot.zone)
        found.append(launch_devices.check_volume(volume, size))
    if len(zones) > 1:
        raise InvalidParameterValue("The snapshots of the block device mapping are in different Availability Zones.")
    return found, next(iter(zones), "")


async def _snapshot(call: Call, snapshot_id: str, of_image: set[str]) -> Row:
    """A launch permission for an image is one for its snapshots."""
    ids.check("snap", snapshot_id)
    if snapshot_id in of_image:
        snapshot = await snapshots.shown(call.tx, snapshot_id)
    else:
        snapshot = await snapshots.visible(call.tx, call.account, snapshot_id)
    if snapshot is None:
        raise ids.missing("snap", [snapshot_id])
    return snapshot


async def _room(
    call: Call, machine: Machine, image: Row, places: Mapping[str, Sequence[Plug]], place: Place
) -> tuple[str, int]:
    """The zone with the most room for the launch (the first of equals), and how many instances go there.

    Where the cloud chooses the zone, a subnet that has too few addresses left is no room either.
    """
    best, most = "", 0
    for zone, plugs in places.items():
        demand = Demand(
            zone=zone,
            vcpus=machine.columns["vcpus"],
            memory_mib=machine.kind.memory_mib,
            architecture=image.architecture,
            image_id=image.id,
        )
        wanted = [replace(demand, group=place.member(index)) for index in range(machine.most)]
        fitting = await how_many_fit(call.tx, call.config, wanted)
        if len(places) > 1:
            fitting = min(fitting, await launch_network.how_many_fit(call, plugs))
        if fitting > most:
            best, most = zone, fitting
        if most == machine.most:
            break
    if most < machine.least:
        raise InsufficientInstanceCapacity(type=machine.kind.name, zone=", ".join(places) or call.config.zones[0])
    return best, most


async def _disks(call: Call, launch: Launch, instance_id: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """Make and attach the instance's volumes; what its root is, as the row keeps it."""
    image = launch.image
    root: dict[str, Any] = {"kind": "image", "size_gib": image.root_size_gib, **_source(image)}
    for wanted in launch.volumes:
        assert wanted.size_gib is not None
        volume = await volumes.create(
            call.tx,
            account=call.account,
            zone=launch.zone,
            size_gib=wanted.size_gib,
            volume_type=wanted.volume_type,
            snapshot_id=wanted.snapshot_id,
            iops=wanted.iops,
            throughput=wanted.throughput,
            now=call.now,
        )
        await tag_rows.put(call.tx, call.account, "volume", volume.id, tags)
        await attachments.create(
            call.tx,
            volume_id=volume.id,
            instance_id=instance_id,
            device=wanted.device,
            delete_on_termination=wanted.delete_on_termination,
            now=call.now,
        )
        if wanted.device == image.root_device:
            root = {"kind": "volume", "volume_id": volume.id}
    return root


def _source(image: Row) -> dict[str, Any]:
    return {key: value for key, value in image.source.items() if key != "kind"}
