"""DescribeInstanceAttribute, ModifyInstanceAttribute, ResetInstanceAttribute, ModifyInstanceMetadataOptions.

One attribute a call. Type and user data can be changed while the instance is stopped, the others at any time. The
metadata options reach the node's metadata service with the next spec.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.ec2 import instance_views, launch_options
from eucapy.clc.ec2.errors import (
    IncorrectInstanceState,
    InvalidBlockDeviceMapping,
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    UnsupportedOperation,
)
from eucapy.clc.ec2.instances import require
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import attachments, instances, network_interfaces, security_groups
from eucapy.database import Row
from eucapy.lifecycle import instance as life


@ec2.action("DescribeInstanceAttribute")
async def describe_instance_attribute(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["InstanceId"])
    out: dict[str, Any] = {"InstanceId": row.id}
    match p["Attribute"]:
        case "instanceType":
            out["InstanceType"] = {"Value": row.instance_type}
        case "kernel":
            out["KernelId"] = {}
        case "ramdisk":
            out["RamdiskId"] = {}
        case "userData":
            out["UserData"] = {"Value": row.user_data} if row.user_data is not None else {}
        case "disableApiTermination":
            out["DisableApiTermination"] = {"Value": row.keep_from_termination}
        case "disableApiStop":
            out["DisableApiStop"] = {"Value": row.keep_from_stop}
        case "instanceInitiatedShutdownBehavior":
            out["InstanceInitiatedShutdownBehavior"] = {"Value": row.shutdown_behavior}
        case "rootDeviceName":
            out["RootDeviceName"] = {"Value": row.root_device}
        case "blockDeviceMapping":
            out["BlockDeviceMappings"] = (await _shown(call, row))["BlockDeviceMappings"]
        case "productCodes":
            out["ProductCodes"] = []
        case "sourceDestCheck":
            out["SourceDestCheck"] = {"Value": (await _shown(call, row)).get("SourceDestCheck")}
        case "groupSet":
            out["Groups"] = (await _shown(call, row))["SecurityGroups"]
        case "ebsOptimized":
            out["EbsOptimized"] = {"Value": row.ebs_optimized}
        case "sriovNetSupport":
            out["SriovNetSupport"] = {}
        case "enaSupport":
            out["EnaSupport"] = {"Value": row.ena}
        case "enclaveOptions":
            out["EnclaveOptions"] = {"Enabled": False}
        case other:
            raise InvalidParameterValue(f"Value ({other}) for parameter attribute is invalid. Unknown attribute.")
    return out


@ec2.action("ModifyInstanceAttribute")
async def modify_instance_attribute(call: Call, p: Mapping[str, Any]) -> None:
    row = await require(call, p["InstanceId"])
    if row.state == life.TERMINATED:
        raise IncorrectInstanceState(f"The instance '{row.id}' is not in a state from which it can be modified.")
    wanted = _wanted(p)
    if not wanted:
        raise InvalidParameterCombination("No attributes specified.")
    if len(wanted) > 1:
        raise InvalidParameterCombination("Fields for multiple attribute types specified: " + ", ".join(sorted(wanted)))
    ((name, value),) = wanted.items()
    await _CHANGES[name](call, row, value)
    call.wake("cluster_sync")


@ec2.action("ResetInstanceAttribute")
async def reset_instance_attribute(call: Call, p: Mapping[str, Any]) -> None:
    row = await require(call, p["InstanceId"])
    match p["Attribute"]:
        case "sourceDestCheck":
            await _source_dest_check(call, row, True)
        case "kernel" | "ramdisk":
            raise UnsupportedOperation(f"The instance '{row.id}' has no {p['Attribute']} of its own.")
        case other:
            raise InvalidParameterValue(f"Value ({other}) for parameter attribute is invalid. It cannot be reset.")
    call.wake("cluster_sync")


@ec2.action("ModifyInstanceMetadataOptions")
async def modify_instance_metadata_options(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["InstanceId"])
    if row.state not in life.LIVE:
        raise IncorrectInstanceState(f"The instance '{row.id}' is not in a state from which it can be modified.")
    held = {name: getattr(row, name) for name in instances.METADATA_COLUMNS}
    columns = launch_options.metadata_columns(p, held)
    await instances.set_values(call.tx, row.id, **columns)
    call.wake("cluster_sync")
    changed = await require(call, row.id)
    return {
        "InstanceId": row.id,
        "InstanceMetadataOptions": {**instance_views.metadata_options(changed), "State": "pending"},
    }


async def _shown(call: Call, row: Row) -> dict[str, Any]:
    view: dict[str, Any] = (await instance_views.shown(call, [row]))[0]
    return view


_MEMBERS = {
    "BlockDeviceMappings": "blockDeviceMapping",
    "DisableApiStop": "disableApiStop",
    "DisableApiTermination": "disableApiTermination",
    "EbsOptimized": "ebsOptimized",
    "EnaSupport": "enaSupport",
    "Groups": "groupSet",
    "InstanceInitiatedShutdownBehavior": "instanceInitiatedShutdownBehavior",
    "InstanceType": "instanceType",
    "Kernel": "kernel",
    "Ramdisk": "ramdisk",
    "SourceDestCheck": "sourceDestCheck",
    "SriovNetSupport": "sriovNetSupport",
    "UserData": "userData",
}


def _wanted(p: Mapping[str, Any]) -> dict[str, Any]:
    """Attribute → new value, from the member of its own or from the older pair Attribute and Value."""
    found: dict[str, Any] = {}
    for member, name in _MEMBERS.items():
        given = p.get(member)
        if given is None:
            continue
        found[name] = given["Value"] if isinstance(given, Mapping) and "Value" in given else given
    attribute = p.get("Attribute")
    if attribute and attribute not in found:
        if p.get("Value") is None:
            raise MissingParameter(name="value")
        found[attribute] = p["Value"]
    return found


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise InvalidParameterValue(f"Value ({value}) for parameter value is invalid. Expected true or false.")


def _must_be_stopped(row: Row, attribute: str) -> None:
    if row.state != life.STOPPED:
        raise IncorrectInstanceState(
            f"The instance '{row.id}' is not in the 'stopped' state. Its attribute '{attribute}' can be modified only then."
        )


async def _keep_from_termination(call: Call, row: Row, value: Any) -> None:
    await instances.set_values(call.tx, row.id, keep_from_termination=_flag(value))


async def _keep_from_stop(call: Call, row: Row, value: Any) -> None:
    await instances.set_values(call.tx, row.id, keep_from_stop=_flag(value))


async def _shutdown_behavior(call: Call, row: Row, value: Any) -> None:
    if value not in ("stop", "terminate"):
        raise InvalidParameterValue(f"Invalid value '{value}' for InstanceInitiatedShutdownBehavior.")
    await instances.set_values(call.tx, row.id, shutdown_behavior=value)


async def _instance_type(call: Call, row: Row, value: Any) -> None:
    _must_be_stopped(row, "instanceType")
    kind = launch_options.instance_type(str(value), call.types)
    launch_options.check_architecture(kind, row.architecture)
    await instances.set_values(
        call.tx,
        row.id,
        instance_type=kind.name,
        vcpus=kind.vcpus,
        cores=kind.cores,
        threads=kind.threads_per_core,
        memory_mib=kind.memory_mib,
        credits=kind.credits if kind.burstable else "",
        ena=kind.family.ena != "unsupported",
        ebs_optimized=kind.ebs_optimized_by_default,
    )


async def _user_data(call: Call, row: Row, value: Any) -> None:
    _must_be_stopped(row, "userData")
    encoded = base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
    await instances.set_values(call.tx, row.id, user_data=launch_options.user_data(encoded))


async def _ebs_optimized(call: Call, row: Row, value: Any) -> None:
    _must_be_stopped(row, "ebsOptimized")
    await instances.set_values(call.tx, row.id, ebs_optimized=_flag(value))


async def _ena(call: Call, row: Row, value: Any) -> None:
    _must_be_stopped(row, "enaSupport")
    await instances.set_values(call.tx, row.id, ena=_flag(value))


async def _source_dest_check(call: Call, row: Row, value: Any) -> None:
    nic = await _only_interface(call, row)
    await network_interfaces.update(call.tx, nic.id, source_dest_check=_flag(value))


async def _groups(call: Call, row: Row, value: Any) -> None:
    nic = await _only_interface(call, row)
    found = await security_groups.require(call.tx, call.account, nic.vpc_id, list(value), [])
    await network_interfaces.set_groups(call.tx, nic, found)


async def _mappings(call: Call, row: Row, value: Any) -> None:
    """Only DeleteOnTermination of attached volumes can be changed."""
    by_device = {one.device: one for one in (await attachments.of_instances(call.tx, [row.id])).get(row.id, ())}
    for entry in value:
        device = entry.get("DeviceName") or ""
        attachment = by_device.get(device)
        if attachment is None:
            raise InvalidBlockDeviceMapping(f"No device is currently mapped at {device}")
        ebs = entry.get("Ebs") or {}
        if ebs.get("VolumeId") not in (None, "", attachment.volume_id):
            raise InvalidBlockDeviceMapping(f"The volume at {device} is {attachment.volume_id}")
        if ebs.get("DeleteOnTermination") is not None:
            await attachments.set_values(
                call.tx, attachment.id, delete_on_termination=_flag(ebs["DeleteOnTermination"])
            )


async def _refused(call: Call, row: Row, value: Any) -> None:
    raise UnsupportedOperation(f"The instance '{row.id}' does not support modifying this attribute.")


async def _only_interface(call: Call, row: Row) -> Row:
    nics = (await network_interfaces.of_instances(call.tx, [row.id])).get(row.id, [])
    if len(nics) != 1:
        raise InvalidParameterCombination(
            f"There are multiple interfaces attached to instance '{row.id}'. Please specify an interface ID for the operation "
            "instead."
            if nics
            else f"The instance '{row.id}' has no network interface."
        )
    return nics[0]


_CHANGES: dict[str, Callable[[Call, Row, Any], Awaitable[None]]] = {
    "blockDeviceMapping": _mappings,
    "disableApiStop": _keep_from_stop,
    "disableApiTermination": _keep_from_termination,
    "ebsOptimized": _ebs_optimized,
    "enaSupport": _ena,
    "groupSet": _groups,
    "instanceInitiatedShutdownBehavior": _shutdown_behavior,
    "instanceType": _instance_type,
    "kernel": _refused,
    "ramdisk": _refused,
    "sourceDestCheck": _source_dest_check,
    "sriovNetSupport": _refused,
    "userData": _user_data,
}
