"""Who may make volumes of a snapshot: DescribeSnapshotAttribute, ModifySnapshotAttribute, ResetSnapshotAttribute."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import InvalidParameterCombination, InvalidParameterValue, MissingParameter
from eucapy.clc.ec2.service import ec2
from eucapy.clc.ec2.snapshots import require
from eucapy.clc.store import snapshots

PERMISSION, PRODUCT_CODES = "createVolumePermission", "productCodes"
_ACCOUNT = re.compile(r"\d{12}")


@dataclass
class _Change:
    """Whom to add and whom to remove; the group `all` is everybody."""

    add: set[str] = field(default_factory=set)
    remove: set[str] = field(default_factory=set)


@ec2.action("DescribeSnapshotAttribute")
async def describe_snapshot_attribute(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["SnapshotId"])
    if p["Attribute"] == PRODUCT_CODES:
        return {"SnapshotId": row.id, "ProductCodes": []}
    if p["Attribute"] != PERMISSION:
        raise _unknown_attribute(p["Attribute"])
    shared = [{"UserId": account} for account in await snapshots.shared_with(call.tx, row.id)]
    return {"SnapshotId": row.id, "CreateVolumePermissions": ([{"Group": "all"}] if row.public else []) + shared}


@ec2.action("ModifySnapshotAttribute")
async def modify_snapshot_attribute(call: Call, p: Mapping[str, Any]) -> None:
    row = await require(call, p["SnapshotId"])
    if p.get("Attribute") not in (None, "", PERMISSION):
        raise _unknown_attribute(p["Attribute"])
    change = _of_structure(p) if p.get("CreateVolumePermission") else _of_flat(p)
    if not change.add and not change.remove:
        raise MissingParameter(name="createVolumePermission")
    if "all" in change.add | change.remove:
        await snapshots.set_values(call.tx, row.id, public="all" in change.add)
    await snapshots.share(call.tx, row.id, change.add - {"all"})
    await snapshots.unshare(call.tx, row.id, change.remove - {"all"})


@ec2.action("ResetSnapshotAttribute")
async def reset_snapshot_attribute(call: Call, p: Mapping[str, Any]) -> None:
    row = await require(call, p["SnapshotId"])
    if p["Attribute"] != PERMISSION:
        raise _unknown_attribute(p["Attribute"])
    await snapshots.set_values(call.tx, row.id, public=False)
    await snapshots.unshare(call.tx, row.id)


def _of_structure(p: Mapping[str, Any]) -> _Change:
    """`CreateVolumePermission.{Add,Remove}`, a list of users and groups each."""
    if p.get("UserIds") or p.get("GroupNames"):
        raise InvalidParameterCombination(
            "The parameter createVolumePermission cannot be used with the parameters userId and userGroup"
        )
    wish = p["CreateVolumePermission"]
    return _Change(add=set(_named(wish.get("Add") or ())), remove=set(_named(wish.get("Remove") or ())))


def _named(entries: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for entry in entries:
        if entry.get("Group"):
            yield _group(entry["Group"])
        elif entry.get("UserId"):
            yield _account(entry["UserId"])
        else:
            raise MissingParameter(name="userId")


def _of_flat(p: Mapping[str, Any]) -> _Change:
    """The older form: `UserIds`, `GroupNames` and an operation."""
    named = {_account(one) for one in p.get("UserIds") or ()} | {_group(one) for one in p.get("GroupNames") or ()}
    operation = p.get("OperationType")
    if operation == "add":
        return _Change(add=named)
    if operation == "remove":
        return _Change(remove=named)
    raise MissingParameter(name="operationType")


def _account(value: str) -> str:
    if not _ACCOUNT.fullmatch(value):
        raise InvalidParameterValue(f"Value ({value}) for parameter userId is invalid. Expected 12 digits.")
    return value


def _group(value: str) -> str:
    if value != "all":
        raise InvalidParameterValue(f"Value ({value}) for parameter userGroup is invalid. Only 'all' is a group.")
    return value


def _unknown_attribute(name: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"Value ({name}) for parameter attribute is invalid. Unknown attribute.")
