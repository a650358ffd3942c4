"""The id format calls. Every id has the long form, as AWS's have had since 2018; nobody can choose the short one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import InvalidParameterValue
from eucapy.clc.ec2.service import ec2

_OTHER_NAMES = {"elastic-ip": ("elastic-ip-allocation",)}
_FURTHER = (
    "elastic-ip-association",
    "network-acl-association",
    "network-interface-attachment",
    "reservation",
    "route-table-association",
    "vpc-cidr-block-association",
)


def _resources() -> list[str]:
    """The resource types that the calls know."""
    named = {kind.resource_type for kind in ids.KINDS.values() if kind.resource_type}
    renamed = {other for name in named for other in _OTHER_NAMES.get(name, (name,))}
    return sorted(renamed | set(_FURTHER))


@ec2.action("DescribeIdFormat", "DescribeIdentityIdFormat")
async def describe_id_format(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    wanted = p.get("Resource")
    if wanted:
        _check(wanted)
    return {"Statuses": _statuses([wanted] if wanted else _resources())}


@ec2.action("DescribeAggregateIdFormat")
async def describe_aggregate_id_format(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return {"UseLongIdsAggregated": True, "Statuses": _statuses(_resources())}


@ec2.action("ModifyIdFormat", "ModifyIdentityIdFormat")
async def modify_id_format(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The long form is what is; the short one is gone for good."""
    if p["Resource"] != "all-current":
        _check(p["Resource"])
    if not p["UseLongIds"]:
        raise InvalidParameterValue(
            "Value (false) for parameter useLongIds is invalid. Short ids are no longer available."
        )
    return {}


def _check(resource: str) -> None:
    if resource not in _resources():
        raise InvalidParameterValue(f"Value ({resource}) for parameter resource is invalid.")


def _statuses(resources: list[str]) -> list[dict[str, Any]]:
    return [{"Resource": name, "UseLongIds": True} for name in resources]
