"""Users: CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser.

A user may do nothing until a policy says so. GetUser without a name is about the caller, the root user too. What a user has:
`access_keys.py`, `passwords.py`, `mfa.py`, `certificates.py`, `user_keys.py`; its policies: `inline.py`, `attachments.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import FEDERATED_USER, ROOT, USER, Call
from eucapy.clc.iam.boundaries import boundary, require_boundary
from eucapy.clc.iam.documents import rename_principal
from eucapy.clc.iam.paging import page, window
from eucapy.clc.iam.service import (
    DeleteConflict,
    EntityAlreadyExists,
    LimitExceeded,
    NoSuchEntity,
    ValidationError,
    changed,
    iam,
)
from eucapy.clc.iam.tags import checked, with_tags
from eucapy.clc.store import (
    accounts,
    iam_certificates,
    iam_groups,
    iam_inline,
    iam_mfa,
    iam_names,
    iam_passwords,
    iam_policies,
    iam_tags,
    iam_user_keys,
    service_uses,
)
from eucapy.database import Row

USERS_PER_ACCOUNT = 5000


@iam.action("GetUser")
async def get_user(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p.get("UserName"))
    shown = with_tags({**view(row), **boundary(row.boundary)}, await iam_tags.of(call.tx, row.id))
    return {"User": shown}


@iam.action("ListUsers")
async def list_users(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    after, most = window(call, p)
    prefix = p.get("PathPrefix") or ""
    # The root user's folded name is empty: it is never behind anything.
    rows = await iam_names.page(call.tx, accounts.users, call.account, prefix, after, most + 1)
    return page(call, "Users", rows, most, key=lambda row: str(row.folded), shown=view)


@iam.action("CreateUser")
async def create_user(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    name = p["UserName"]
    tags = checked(p.get("Tags"), folding=True)
    await _refuse_taken(call, name)
    if await iam_names.count(call.tx, accounts.users, call.account) > USERS_PER_ACCOUNT:
        raise LimitExceeded(quota="UsersPerAccount", most=USERS_PER_ACCOUNT)
    bound = await require_boundary(call, p.get("PermissionsBoundary"))
    row = await accounts.insert_user(call.tx, call.account, name, call.now, p.get("Path") or "/", bound)
    await iam_tags.put(call.tx, row.id, tags, folding=True)
    changed(call)
    return {"User": with_tags({**view(row), **boundary(bound)}, tags)}


@iam.action("UpdateUser")
async def update_user(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["UserName"])
    new = p.get("NewUserName")
    if new is not None and new != row.name:
        await _refuse_taken(call, new, but=row.id)
    given = {"name": new, "path": p.get("NewPath")}
    values = {column: value for column, value in given.items() if value is not None}
    await iam_names.update(call.tx, accounts.users, row.id, **values)
    await rename_principal(call, arn(row), arn(await require(call, new or row.name)))
    changed(call)
    return {}


@iam.action("DeleteUser")
async def delete_user(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """What hangs on the user goes first. Source: the texts of DeleteUser's DeleteConflict."""
    user = await require(call, p["UserName"])
    tx, user_id = call.tx, user.id
    if await accounts.keys_of(tx, user_id):
        raise DeleteConflict("Cannot delete entity, must delete access keys first.")
    if await iam_passwords.profile(tx, user_id) is not None:
        raise DeleteConflict("Cannot delete entity, must delete login profile first.")
    if await iam_mfa.of_user(tx, user_id):
        raise DeleteConflict("Cannot delete entity, must delete MFA device first.")
    if await iam_certificates.signing_of(tx, user_id):
        raise DeleteConflict("Cannot delete entity, must delete signing certificates first.")
    for table in (iam_user_keys.ssh_keys, iam_user_keys.service_credentials):
        if await iam_user_keys.of(tx, table, user_id):
            raise DeleteConflict("Cannot delete entity, must remove referenced objects first.")
    await refuse_with_policies(call, user_id)
    if await iam_groups.groups_of(tx, user_id, limit=1):
        raise DeleteConflict("Cannot delete entity, must remove users from group first.")
    await iam_tags.remove_all(tx, user_id)
    await rename_principal(call, arn(user), user_id)
    await service_uses.remove(tx, user_id)
    await accounts.remove_user(tx, user_id)
    changed(call)
    return {}


async def refuse_with_policies(call: Call, principal_id: str) -> None:
    """Raises DeleteConflict while a user, group or role has policies."""
    if await iam_policies.attached_to(call.tx, principal_id):
        raise DeleteConflict("Cannot delete entity, must detach all policies first.")
    if await iam_inline.of(call.tx, principal_id):
        raise DeleteConflict("Cannot delete entity, must delete policies first.")


async def require(call: Call, name: str | None) -> Row:
    """The named user of the account; the caller when no name is given. Raises NoSuchEntity, ValidationError."""
    if not name:
        principal = call.principal
        if principal.kind not in (USER, ROOT, FEDERATED_USER):
            raise ValidationError("Must specify userName when calling with non-User credentials")
        row = await accounts.user_by_id(call.tx, principal.user_id)
    else:
        row = await accounts.user(call.tx, call.account, name)
    if row is None:
        raise NoSuchEntity(f"The user with name {name or call.principal.user_name} cannot be found.")
    return row


async def _refuse_taken(call: Call, name: str, but: str = "") -> None:
    holder = await iam_names.holder(call.tx, accounts.users, call.account, name)
    if holder is not None and holder != but:
        raise EntityAlreadyExists(f"User with name {name} already exists.")


def view(row: Row) -> dict[str, Any]:
    """A row as IAM's User; the root user has neither name nor path."""
    if row.root:
        return {"UserId": row.id, "Arn": f"arn:aws:iam::{row.account}:root", "CreateDate": row.created_at}
    shown = {"Path": row.path, "UserName": row.name, "UserId": row.id, "Arn": arn(row), "CreateDate": row.created_at}
    if row.password_used_at is not None:
        shown["PasswordLastUsed"] = row.password_used_at
    return shown


def arn(row: Row) -> str:
    return f"arn:aws:iam::{row.account}:user{row.path}{row.name}"
