"""Permissions boundaries of users and roles: the policy that no right of theirs goes beyond."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam.managed import find as find_managed
from eucapy.clc.iam.service import InvalidInput, NoSuchEntity, UnmodifiableEntity, changed, iam
from eucapy.clc.store import accounts, iam_names, iam_policies, roles


@iam.action("PutUserPermissionsBoundary")
async def put_user(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return await _set_user(call, p["UserName"], await require_boundary(call, p["PermissionsBoundary"]))


@iam.action("DeleteUserPermissionsBoundary")
async def delete_user(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return await _set_user(call, p["UserName"], None)


@iam.action("PutRolePermissionsBoundary")
async def put_role(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return await _set_role(call, p["RoleName"], await require_boundary(call, p["PermissionsBoundary"]))


@iam.action("DeleteRolePermissionsBoundary")
async def delete_role(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return await _set_role(call, p["RoleName"], None)


async def _set_user(call: Call, name: str, bound: str | None) -> dict[str, Any]:
    row = await accounts.user(call.tx, call.account, name)
    if row is None:
        raise NoSuchEntity(f"The user with name {name} cannot be found.")
    await iam_names.update(call.tx, accounts.users, row.id, boundary=bound)
    changed(call)
    return {}


async def _set_role(call: Call, name: str, bound: str | None) -> dict[str, Any]:
    row = await roles.role(call.tx, call.account, name)
    if row is None:
        raise NoSuchEntity(f"The role with name {name} cannot be found.")
    if row.linked_service:
        raise UnmodifiableEntity(
            f"Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
        )
    await iam_names.update(call.tx, roles.roles, row.id, boundary=bound)
    changed(call)
    return {}


async def require_boundary(call: Call, arn: str | None) -> str | None:
    """The ARN again, once it is known to be a policy's of AWS or of the account. Raises InvalidInput, NoSuchEntity."""
    if arn is None:
        return None
    if not arn.startswith("arn:") or ":policy/" not in arn:
        raise InvalidInput(f"ARN {arn} is not valid.")
    own = arn.startswith(f"arn:aws:iam::{call.account}:")
    if find_managed(arn) is None and not (own and await iam_policies.by_arn(call.tx, arn) is not None):
        raise NoSuchEntity(f"Scope ARN: {arn} does not exist or is not attachable.")
    return arn


def boundary(arn: str | None) -> dict[str, Any]:
    """As a user or a role shows it: nothing when there is none."""
    if arn is None:
        return {}
    # The model says "PermissionsBoundaryPolicy"; IAM answers this.
    return {"PermissionsBoundary": {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}}
