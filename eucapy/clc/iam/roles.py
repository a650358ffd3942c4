"""Roles: CreateRole, GetRole, ListRoles, UpdateRole, UpdateRoleDescription, UpdateAssumeRolePolicy, DeleteRole.

Roles of services, which the services alone may change: `linked_roles.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam.boundaries import boundary, require_boundary
from eucapy.clc.iam.documents import rename_principal, shown, trust_policy
from eucapy.clc.iam.paging import page, window
from eucapy.clc.iam.service import (
    DeleteConflict,
    EntityAlreadyExists,
    LimitExceeded,
    NoSuchEntity,
    UnmodifiableEntity,
    ValidationError,
    changed,
    iam,
)
from eucapy.clc.iam.tags import checked, with_tags
from eucapy.clc.iam.users import refuse_with_policies
from eucapy.clc.store import iam_names, iam_tags, instance_profiles, service_uses
from eucapy.clc.store import roles as rows
from eucapy.database import Row

ROLES_PER_ACCOUNT = 1000
SERVICES_PATH = "/aws-service-role/"


@iam.action("CreateRole")
async def create_role(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    name, path = p["RoleName"], p.get("Path") or "/"
    if path.startswith(SERVICES_PATH):
        raise ValidationError(f"Roles with path {SERVICES_PATH} can only be created by AWS services.")
    tags = checked(p.get("Tags"), folding=True)
    await trust_policy(call, p["AssumeRolePolicyDocument"])
    if await iam_names.holder(call.tx, rows.roles, call.account, name) is not None:
        raise EntityAlreadyExists(f"Role with name {name} already exists.")
    await refuse_full(call)
    row = await rows.insert(
        call.tx,
        call.account,
        name,
        p["AssumeRolePolicyDocument"],
        call.now,
        path=path,
        description=p.get("Description"),
        max_session_s=p.get("MaxSessionDuration") or rows.SESSION_S,
        boundary=await require_boundary(call, p.get("PermissionsBoundary")),
    )
    await iam_tags.put(call.tx, row.id, tags, folding=True)
    return {"Role": with_tags({**view(row), **boundary(row.boundary)}, tags)}


@iam.action("GetRole")
async def get_role(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["RoleName"])
    return {"Role": with_tags(whole(row), await iam_tags.of(call.tx, row.id))}


@iam.action("ListRoles")
async def list_roles(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    after, most = window(call, p)
    found = await iam_names.page(call.tx, rows.roles, call.account, p.get("PathPrefix") or "", after, most + 1)
    return page(call, "Roles", found, most, key=lambda row: str(row.folded), shown=_listed)


@iam.action("UpdateRole")
async def update_role(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """What is not given stays as it is."""
    row = await require_modifiable(call, p["RoleName"])
    given = {"description": p.get("Description"), "max_session_s": p.get("MaxSessionDuration")}
    values = {column: value for column, value in given.items() if value is not None}
    await iam_names.update(call.tx, rows.roles, row.id, **values)
    return {}


@iam.action("UpdateRoleDescription")
async def update_role_description(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require_modifiable(call, p["RoleName"])
    await iam_names.update(call.tx, rows.roles, row.id, description=p["Description"])
    return {"Role": {**view(row), "Description": p["Description"]}}


@iam.action("UpdateAssumeRolePolicy")
async def update_assume_role_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require_modifiable(call, p["RoleName"])
    await trust_policy(call, p["PolicyDocument"])
    await iam_names.update(call.tx, rows.roles, row.id, trust=p["PolicyDocument"])
    changed(call)
    return {}


@iam.action("DeleteRole")
async def delete_role(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Its sessions end with it."""
    row = await require_modifiable(call, p["RoleName"])
    await refuse_with_policies(call, row.id)
    if await instance_profiles.with_role(call.tx, row.id, limit=1):
        raise DeleteConflict("Cannot delete entity, must remove roles from instance profile first.")
    await remove(call, row)
    return {}


async def remove(call: Call, role: Row) -> None:
    """The role and its tags; who trusted it trusts nobody in its place."""
    await iam_tags.remove_all(call.tx, role.id)
    await service_uses.remove(call.tx, role.id)
    await iam_names.remove(call.tx, rows.roles, role.id)
    await rename_principal(call, rows.arn(role), role.id)
    changed(call)


async def refuse_full(call: Call) -> None:
    """Raises LimitExceeded when the account has all the roles that it may have."""
    if await iam_names.count(call.tx, rows.roles, call.account) >= ROLES_PER_ACCOUNT:
        raise LimitExceeded(quota="RolesPerAccount", most=ROLES_PER_ACCOUNT)


async def require(call: Call, name: str) -> Row:
    """Raises NoSuchEntity."""
    row = await rows.role(call.tx, call.account, name)
    if row is None:
        raise NoSuchEntity(f"The role with name {name} cannot be found.")
    return row


async def require_modifiable(call: Call, name: str) -> Row:
    """As `require`, and no service's own: raises UnmodifiableEntity."""
    row = await require(call, name)
    if row.linked_service:
        raise UnmodifiableEntity(
            f"Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
        )
    return row


def view(row: Row) -> dict[str, Any]:
    """As CreateRole and instance profiles show a role."""
    return {
        "Path": row.path,
        "RoleName": row.name,
        "RoleId": row.id,
        "Arn": rows.arn(row),
        "CreateDate": row.created_at,
        "AssumeRolePolicyDocument": shown(row.trust),
    }


def _listed(row: Row) -> dict[str, Any]:
    described = {"Description": row.description} if row.description is not None else {}
    return {**view(row), **described, "MaxSessionDuration": row.max_session_s}


def whole(row: Row) -> dict[str, Any]:
    """As GetRole shows it, tags aside."""
    return {**_listed(row), **boundary(row.boundary), "RoleLastUsed": last_used(row)}


def last_used(row: Row) -> dict[str, Any]:
    """Empty until a session of the role was used."""
    if row.last_used_at is None:
        return {}
    return {"LastUsedDate": row.last_used_at, "Region": row.last_used_region}
