"""Groups: CreateGroup, GetGroup, ListGroups, UpdateGroup, DeleteGroup, and who is in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam import users
from eucapy.clc.iam.paging import page, window
from eucapy.clc.iam.service import DeleteConflict, EntityAlreadyExists, LimitExceeded, NoSuchEntity, changed, iam
from eucapy.clc.store import iam_groups, iam_names
from eucapy.database import Row

GROUPS_PER_ACCOUNT = 300
GROUPS_PER_USER = 10


@iam.action("CreateGroup")
async def create_group(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    await _refuse_taken(call, p["GroupName"])
    if await iam_names.count(call.tx, iam_groups.groups, call.account) >= GROUPS_PER_ACCOUNT:
        raise LimitExceeded(quota="GroupsPerAccount", most=GROUPS_PER_ACCOUNT)
    row = await iam_groups.insert(call.tx, call.account, p["GroupName"], p.get("Path") or "/", call.now)
    return {"Group": view(row)}


@iam.action("GetGroup")
async def get_group(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The group and a page of its users."""
    group = await require(call, p["GroupName"])
    after, most = window(call, p)
    rows = await iam_groups.users_in(call.tx, group.id, after, most + 1)
    return {"Group": view(group), **page(call, "Users", rows, most, key=_name, shown=users.view)}


@iam.action("ListGroups")
async def list_groups(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    after, most = window(call, p)
    prefix = p.get("PathPrefix") or ""
    rows = await iam_names.page(call.tx, iam_groups.groups, call.account, prefix, after, most + 1)
    return page(call, "Groups", rows, most, key=_name, shown=view)


@iam.action("ListGroupsForUser")
async def list_groups_for_user(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await users.require(call, p["UserName"])
    after, most = window(call, p)
    rows = await iam_groups.groups_of(call.tx, user.id, after, most + 1)
    return page(call, "Groups", rows, most, key=_name, shown=view)


@iam.action("UpdateGroup")
async def update_group(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["GroupName"])
    new = p.get("NewGroupName")
    if new is not None and new != row.name:
        await _refuse_taken(call, new, but=row.id)
    given = {"name": new, "path": p.get("NewPath")}
    values = {column: value for column, value in given.items() if value is not None}
    await iam_names.update(call.tx, iam_groups.groups, row.id, **values)
    return {}


@iam.action("DeleteGroup")
async def delete_group(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["GroupName"])
    if await iam_groups.users_in(call.tx, row.id, limit=1):
        raise DeleteConflict("Cannot delete entity, must remove users from group first.")
    await users.refuse_with_policies(call, row.id)
    await iam_names.remove(call.tx, iam_groups.groups, row.id)
    return {}


@iam.action("AddUserToGroup")
async def add_user_to_group(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Who is in the group already stays in it."""
    user, group = await users.require(call, p["UserName"]), await require(call, p["GroupName"])
    if not await iam_groups.is_member(call.tx, group.id, user.id):
        if len(await iam_groups.groups_of(call.tx, user.id)) >= GROUPS_PER_USER:
            raise LimitExceeded(quota="GroupsPerUser", most=GROUPS_PER_USER)
        await iam_groups.add(call.tx, group.id, user.id)
        changed(call)
    return {}


@iam.action("RemoveUserFromGroup")
async def remove_user_from_group(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """A user that is not in the group is no error, an unknown one is."""
    user, group = await users.require(call, p["UserName"]), await require(call, p["GroupName"])
    await iam_groups.take_out(call.tx, group.id, user.id)
    changed(call)
    return {}


async def require(call: Call, name: str) -> Row:
    """Raises NoSuchEntity."""
    row = await iam_groups.by_name(call.tx, call.account, name)
    if row is None:
        raise NoSuchEntity(f"The group with name {name} cannot be found.")
    return row


async def _refuse_taken(call: Call, name: str, but: str = "") -> None:
    holder = await iam_names.holder(call.tx, iam_groups.groups, call.account, name)
    if holder is not None and holder != but:
        raise EntityAlreadyExists(f"Group with name {name} already exists.")


def _name(row: Row) -> str:
    return str(row.folded)


def view(row: Row) -> dict[str, Any]:
    return {
        "Path": row.path,
        "GroupName": row.name,
        "GroupId": row.id,
        "Arn": iam_groups.arn(row),
        "CreateDate": row.created_at,
    }
