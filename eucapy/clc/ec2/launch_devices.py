"""What disks a launch makes: the image's block device mappings, changed by the request's. Pure.

The request's entry for a device takes the image's place member by member; `NoDevice` removes it; `VirtualName` asks for
one of the type's instance-store disks. The root of an image that lies in a bucket is an overlay on the node and takes no
mapping. Source: EC2 User Guide, "Block device mappings"; messages as RunInstances words them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eucapy.clc.ec2 import volume_sizes
from eucapy.clc.ec2.errors import (
    InvalidBlockDeviceMapping,
    InvalidParameterValue,
    MissingParameter,
    Unsupported,
)
from eucapy.clc.instance_types import InstanceType

_DEVICE = re.compile(r"(/dev/)?(sd[a-z]([1-9]|1[0-5])?|xvd[a-z]{1,2}[0-9]{0,2}|vd[a-z]|hd[a-z])")
_EPHEMERAL = re.compile(r"ephemeral([0-9]|1[0-9]|2[0-3])")


@dataclass(frozen=True)
class NewVolume:
    """A volume to make and attach. `size_gib` is None until the snapshot's is known."""

    device: str
    snapshot_id: str = ""
    size_gib: int | None = None
    volume_type: str = "gp2"
    delete_on_termination: bool = True
    iops: int | None = None
    throughput: int | None = None


@dataclass(frozen=True)
class NewEphemeral:
    """An instance-store disk."""

    name: str
    device: str


Device = NewVolume | NewEphemeral


def of_image(rows: Iterable[Any]) -> dict[str, Device]:
    """The image's own mappings (rows of `image_devices`), by device."""
    found: dict[str, Device] = {}
    for row in rows:
        if row.virtual_name:
            found[row.device] = NewEphemeral(row.virtual_name, row.device)
        else:
            found[row.device] = NewVolume(
                device=row.device,
                snapshot_id=row.snapshot_id,
                size_gib=row.size_gib,
                volume_type=row.volume_type,
                delete_on_termination=row.delete_on_termination,
                iops=row.iops,
                throughput=row.throughput,
            )
    return found


def merge(
    image: Mapping[str, Device],
    wanted: Sequence[Mapping[str, Any]],
    kind: InstanceType | None,
    root_device: str,
    root_kind: str,
) -> list[Device]:
    """The devices of the launch, the root first; without a `kind`, those of a new image. Raises
    InvalidBlockDeviceMapping, InvalidParameterValue and the like."""
    devices = dict(image)
    for entry in _each_once(wanted):
        device = entry["DeviceName"]
        if entry.get("NoDevice") is not None:
            if device == root_device:
                raise InvalidBlockDeviceMapping(f"The root device '{device}' cannot be suppressed")
            devices.pop(device, None)
        elif device == root_device and root_kind != "ebs":
            raise InvalidBlockDeviceMapping(
                "Block device mapping of the root device is not supported for instance-store AMIs"
            )
        else:
            devices[device] = _device(entry, devices.get(device))
    kept = [
        one
        for one in devices.values()
        if isinstance(one, NewVolume) or kind is None or _disk_number(one) < kind.disk_count
    ]
    return sorted(kept, key=lambda one: (one.device != root_device, one.device))


def of_request(wanted: Sequence[Mapping[str, Any]]) -> list[Device]:
    """The mappings of a new image, as they are given."""
    return [_device(entry, None) for entry in _each_once(wanted) if entry.get("NoDevice") is None]


def is_device(name: str) -> bool:
    """Whether a disk may be called so."""
    return _DEVICE.fullmatch(name) is not None


def _each_once(wanted: Sequence[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    seen: set[str] = set()
    for entry in wanted:
        device = entry.get("DeviceName") or ""
        if not _DEVICE.fullmatch(device):
            raise InvalidParameterValue(
                f"Value ({device}) for parameter device is invalid. {device} is not a valid EBS device name."
            )
        if device in seen:
            raise InvalidBlockDeviceMapping(f"The device '{device}' is used in more than one block-device mapping")
        seen.add(device)
        yield entry


def _device(entry: Mapping[str, Any], before: Device | None) -> Device:
    device = entry["DeviceName"]
    if entry.get("VirtualName"):
        return NewEphemeral(_ephemeral(entry["VirtualName"]), device)
    if entry.get("Ebs") is None:
        raise MissingParameter(name="ebs")
    return _volume(device, entry["Ebs"], before if isinstance(before, NewVolume) else None)


def _volume(device: str, ebs: Mapping[str, Any], before: NewVolume | None) -> NewVolume:
    if ebs.get("Encrypted") or ebs.get("KmsKeyId"):
        raise Unsupported("Encrypted volumes are not supported in this region.")
    snapshot_id = ebs.get("SnapshotId") or ""
    if before is not None and snapshot_id not in ("", before.snapshot_id):
        raise InvalidBlockDeviceMapping(f"snapshotId cannot be modified on device {device}")
    made = replace(before or NewVolume(device), snapshot_id=snapshot_id or (before.snapshot_id if before else ""))
    if ebs.get("VolumeSize") is not None:
        made = replace(made, size_gib=ebs["VolumeSize"])
    if ebs.get("VolumeType"):
        made = replace(made, volume_type=ebs["VolumeType"], iops=None, throughput=None)
    if ebs.get("DeleteOnTermination") is not None:
        made = replace(made, delete_on_termination=ebs["DeleteOnTermination"])
    made = replace(made, iops=ebs.get("Iops") or made.iops, throughput=ebs.get("Throughput") or made.throughput)
    if made.size_gib is None and not made.snapshot_id:
        raise MissingParameter(name="size or snapshotId")
    return made


def check_volume(wanted: NewVolume, snapshot_gib: int | None) -> NewVolume:
    """The volume with its final size, checked against its type's bounds and its snapshot."""
    if wanted.volume_type not in volume_sizes.LIMITS:
        raise InvalidParameterValue(f"Invalid volume type: {wanted.volume_type}")
    size = wanted.size_gib if wanted.size_gib is not None else snapshot_gib or 0
    if snapshot_gib is not None and size < snapshot_gib:
        raise InvalidBlockDeviceMapping(
            f"Volume of size {size}GB is smaller than snapshot '{wanted.snapshot_id}', expect size >= {snapshot_gib}GB"
        )
    volume_sizes.check(wanted.volume_type, size, wanted.iops, wanted.throughput)
    return replace(wanted, size_gib=size)


def _ephemeral(name: str) -> str:
    if not _EPHEMERAL.fullmatch(name):
        raise InvalidBlockDeviceMapping(f"Value ({name}) for parameter virtualName is invalid.")
    return name


def _disk_number(one: NewEphemeral) -> int:
    return int(one.name.removeprefix("ephemeral"))


def ephemerals(devices: Iterable[Device], kind: InstanceType) -> list[dict[str, Any]]:
    """The instance-store disks as the row keeps them."""
    return [
        {"name": one.name, "device": one.device, "size_gib": kind.disk_gib}
        for one in devices
        if isinstance(one, NewEphemeral)
    ]


def volumes(devices: Iterable[Device]) -> list[NewVolume]:
    return [one for one in devices if isinstance(one, NewVolume)]
