"""Instance profiles, and the one role that each may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam import roles
from eucapy.clc.iam.paging import page, window
from eucapy.clc.iam.service import DeleteConflict, EntityAlreadyExists, LimitExceeded, NoSuchEntity, changed, iam
from eucapy.clc.iam.tags import checked, with_tags
from eucapy.clc.store import iam_names, iam_tags, instance_profiles
from eucapy.database import Row

PROFILES_PER_ACCOUNT = 1000


@iam.action("CreateInstanceProfile")
async def create(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    name, table = p["InstanceProfileName"], instance_profiles.instance_profiles
    tags = checked(p.get("Tags"))
    if await iam_names.holder(call.tx, table, call.account, name) is not None:
        raise EntityAlreadyExists(f"Instance Profile {name} already exists.")
    if await iam_names.count(call.tx, table, call.account) >= PROFILES_PER_ACCOUNT:
        raise LimitExceeded(quota="InstanceProfilesPerAccount", most=PROFILES_PER_ACCOUNT)
    row = await instance_profiles.insert(call.tx, call.account, name, p.get("Path") or "/", call.now)
    await iam_tags.put(call.tx, row.id, tags)
    return {"InstanceProfile": with_tags(_view(row, None), tags)}


@iam.action("GetInstanceProfile")
async def get(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["InstanceProfileName"])
    shown = (await views(call, [row]))[0]
    return {"InstanceProfile": with_tags(shown, await iam_tags.of(call.tx, row.id), always=True)}


@iam.action("ListInstanceProfiles")
async def list_all(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    after, most = window(call, p)
    table, prefix = instance_profiles.instance_profiles, p.get("PathPrefix") or ""
    found = await iam_names.page(call.tx, table, call.account, prefix, after, most + 1)
    return await _page(call, found, most)


@iam.action("ListInstanceProfilesForRole")
async def list_for_role(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    role = await roles.require(call, p["RoleName"])
    after, most = window(call, p)
    return await _page(call, await instance_profiles.with_role(call.tx, role.id, after, most + 1), most)


@iam.action("DeleteInstanceProfile")
async def delete(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["InstanceProfileName"])
    if row.role_id is not None:
        raise DeleteConflict("Cannot delete entity, must remove roles from instance profile first.")
    await iam_tags.remove_all(call.tx, row.id)
    await iam_names.remove(call.tx, instance_profiles.instance_profiles, row.id)
    changed(call)
    return {}


@iam.action("AddRoleToInstanceProfile")
async def add_role(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    profile = await require(call, p["InstanceProfileName"])
    role = await roles.require_modifiable(call, p["RoleName"])
    if profile.role_id is not None:
        raise LimitExceeded(quota="InstanceSessionsPerInstanceProfile", most=1)
    await instance_profiles.set_role(call.tx, profile.id, role.id)
    changed(call)
    return {}


@iam.action("RemoveRoleFromInstanceProfile")
async def remove_role(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    profile = await require(call, p["InstanceProfileName"])
    role = await roles.require(call, p["RoleName"])
    if profile.role_id != role.id:
        raise NoSuchEntity(f"Role {role.name} in Instance Profile {profile.name} cannot be found.")
    await instance_profiles.set_role(call.tx, profile.id, None)
    changed(call)
    return {}


async def require(call: Call, name: str) -> Row:
    """Raises NoSuchEntity."""
    row = await instance_profiles.by_name(call.tx, call.account, name)
    if row is None:
        raise NoSuchEntity(f"Instance Profile {name} cannot be found.")
    return row


async def views(call: Call, found: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of profiles as IAM's InstanceProfile, with their roles."""
    shown = []
    for row in found:
        role = await instance_profiles.role_of(call.tx, row.id) if row.role_id is not None else None
        shown.append(_view(row, role))
    return shown


async def _page(call: Call, found: Sequence[Row], most: int) -> dict[str, Any]:
    shown = dict(zip([row.id for row in found], await views(call, found), strict=True))
    return page(call, "InstanceProfiles", found, most, key=lambda row: str(row.folded), shown=lambda row: shown[row.id])


def _view(row: Row, role: Row | None) -> dict[str, Any]:
    return {
        "Path": row.path,
        "InstanceProfileName": row.name,
        "InstanceProfileId": row.id,
        "Arn": instance_profiles.arn(row),
        "CreateDate": row.created_at,
        "Roles": [roles.view(role)] if role is not None else [],
    }
