"""DescribeImageAttribute, ModifyImageAttribute, ResetImageAttribute: who may launch an image, and what it says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.ec2 import image_views
from eucapy.clc.ec2.errors import (
    InvalidAMIAttributeItemValue,
    InvalidAMIIDUnavailable,
    InvalidParameterCombination,
    InvalidParameterValue,
)
from eucapy.clc.ec2.image_public_access import require_open
from eucapy.clc.ec2.images import described as description
from eucapy.clc.ec2.images import own
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import images
from eucapy.database import Row
from eucapy.lifecycle import image as life

ALL = "all"
_ACCOUNT = re.compile(r"[0-9]{12}")


@ec2.action("DescribeImageAttribute")
async def describe_image_attribute(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await own(call, p["ImageId"])
    out: dict[str, Any] = {"ImageId": row.id}
    match p["Attribute"]:
        case "launchPermission":
            out["LaunchPermissions"] = await _permissions(call, row)
        case "blockDeviceMapping":
            devices = (await images.devices_of(call.tx, [row.id])).get(row.id, ())
            out["BlockDeviceMappings"] = [image_views.mapping(device) for device in devices]
        case "productCodes":
            out["ProductCodes"] = []
        case "description":
            out["Description"] = {"Value": row.description}
        case "kernel":
            out["KernelId"] = {}
        case "ramdisk":
            out["RamdiskId"] = {}
        case "sriovNetSupport":
            out["SriovNetSupport"] = {"Value": row.sriov or None}
        case "bootMode":
            out["BootMode"] = {"Value": row.boot_mode or None}
        case "tpmSupport":
            out["TpmSupport"] = {"Value": row.tpm or None}
        case "uefiData":
            out["UefiData"] = {}
        case "imdsSupport":
            out["ImdsSupport"] = {"Value": row.imds or None}
        case "deregistrationProtection":
            out["DeregistrationProtection"] = {"Value": image_views.protection(row, call.now) or "disabled"}
        case "lastLaunchedTime":
            out["LastLaunchedTime"] = {"Value": image_views.moment(row.launched_at)}
        case other:
            raise InvalidParameterValue(f"Value ({other}) for parameter attribute is invalid. Unknown attribute.")
    return out


@ec2.action("ModifyImageAttribute")
async def modify_image_attribute(call: Call, p: Mapping[str, Any]) -> None:
    """One attribute a call: launch permission, description, or ImdsSupport (which only goes to v2.0)."""
    row = await own(call, p["ImageId"])
    attribute = p.get("Attribute") or ""
    described, imds = p.get("Description") or {}, p.get("ImdsSupport") or {}
    if "Value" in described:
        await images.set_values(call.tx, row.id, description=description(described["Value"] or ""))
    elif attribute == "description":
        await images.set_values(call.tx, row.id, description=description(p.get("Value") or ""))
    elif imds.get("Value") or attribute == "imdsSupport":
        if (imds.get("Value") or p.get("Value")) != "v2.0":
            raise InvalidParameterValue("The only valid value for imdsSupport is v2.0")
        await images.set_values(call.tx, row.id, imds="v2.0")
    elif p.get("LaunchPermission") or attribute == "launchPermission" or p.get("OperationType"):
        add, remove = _of_structure(p["LaunchPermission"]) if p.get("LaunchPermission") else _of_flat(p)
        await _share(call, row, add, remove)
    else:
        raise InvalidParameterCombination("No attributes specified.")


@ec2.action("ResetImageAttribute")
async def reset_image_attribute(call: Call, p: Mapping[str, Any]) -> None:
    row = await own(call, p["ImageId"])
    if p["Attribute"] != "launchPermission":
        raise InvalidParameterValue(f"Value ({p['Attribute']}) for parameter attribute is invalid. Unknown attribute.")
    await images.set_values(call.tx, row.id, public=False)
    await images.unshare(call.tx, row.id)


async def _permissions(call: Call, row: Row) -> list[dict[str, str]]:
    shared = (await images.shared_with(call.tx, [row.id])).get(row.id, [])
    return ([{"Group": ALL}] if row.public else []) + [{"UserId": account} for account in shared]


async def _share(call: Call, row: Row, add: set[str], remove: set[str]) -> None:
    if not add and not remove:
        raise InvalidParameterCombination("No attributes specified.")
    if add and row.state == life.DISABLED:
        raise InvalidAMIIDUnavailable(image=row.id)
    if ALL in add:
        await require_open(call)
    if ALL in add | remove:
        await images.set_values(call.tx, row.id, public=ALL in add)
    await images.share(call.tx, row.id, add - {ALL})
    await images.unshare(call.tx, row.id, remove - {ALL})


def _of_structure(permission: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """LaunchPermission.Add and LaunchPermission.Remove."""
    return _named(permission.get("Add") or ()), _named(permission.get("Remove") or ())


def _named(entries: Iterable[Mapping[str, Any]]) -> set[str]:
    found: set[str] = set()
    for entry in entries:
        if entry.get("OrganizationArn") or entry.get("OrganizationalUnitArn"):
            raise InvalidParameterValue("Organizations are not supported in this region.")
        if entry.get("Group"):
            found.add(_group(entry["Group"]))
        if entry.get("UserId"):
            found.add(_account(entry["UserId"]))
    return found


def _of_flat(p: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """OperationType with UserGroups and UserIds, as older tools send it."""
    named = {_group(group) for group in p.get("UserGroups") or ()} | {_account(user) for user in p.get("UserIds") or ()}
    match p.get("OperationType"):
        case "add":
            return named, set()
        case "remove":
            return set(), named
        case other:
            raise InvalidParameterValue(f"Value ({other or ''}) for parameter operationType is invalid.")


def _group(name: str) -> str:
    if name != ALL:
        raise InvalidAMIAttributeItemValue(value=name, item="group")
    return name


def _account(text: str) -> str:
    digits = text.replace("-", "")
    if not _ACCOUNT.fullmatch(digits):
        raise InvalidAMIAttributeItemValue(value=text, item="userId")
    return digits
