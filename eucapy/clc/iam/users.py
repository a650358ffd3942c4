"""Users and access keys: GetUser, ListUsers, CreateUser, DeleteUser, Create/List/Update/DeleteAccessKey.

A user made here may do nothing (policies are not served yet); the operator makes users that may do all.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam.service import (
    DeleteConflict,
    EntityAlreadyExists,
    LimitExceeded,
    NoSuchEntity,
    ValidationError,
    iam,
)
from eucapy.clc.store import accounts, iam_names
from eucapy.database import Row
from eucapy.errors import ApiError

KEYS_PER_USER = 2


@iam.action("GetUser")
async def get_user(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return {"User": view(await _user(call, p.get("UserName")))}


@iam.action("ListUsers")
async def list_users(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    prefix = p.get("PathPrefix") or "/"
    rows = [row for row in await accounts.users_of(call.tx, call.account) if row.path.startswith(prefix)]
    after = _position(call, p.get("Marker") or "")
    most = p.get("MaxItems") or 100
    rest = [row for row in rows if row.name > after]
    page = rest[:most]
    out: dict[str, Any] = {"Users": [view(row) for row in page], "IsTruncated": len(rest) > most}
    if len(rest) > most:
        out["Marker"] = call.token(page[-1].name)
    return out


@iam.action("CreateUser")
async def create_user(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    if await iam_names.holder(call.tx, accounts.users, call.account, p["UserName"]) is not None:
        raise EntityAlreadyExists(name=p["UserName"])
    row = await accounts.insert_user(call.tx, call.account, p["UserName"], call.now, path=p.get("Path") or "/")
    return {"User": view(row)}


@iam.action("DeleteUser")
async def delete_user(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await _user(call, p["UserName"])
    if await accounts.keys_of(call.tx, user.id):
        raise DeleteConflict
    await accounts.remove_user(call.tx, user.id)
    call.wake("keys")
    return {}


@iam.action("CreateAccessKey")
async def create_access_key(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The secret is answered once; what is kept of it is sealed."""
    user = await _user(call, p.get("UserName"))
    if len(await accounts.keys_of(call.tx, user.id)) >= KEYS_PER_USER:
        raise LimitExceeded
    key_id, secret = new_access_key()
    await accounts.insert_key(call.tx, call.account, user.id, key_id, call.seal(secret.encode()), call.now)
    return {
        "AccessKey": {
            "UserName": user.name,
            "AccessKeyId": key_id,
            "Status": "Active",
            "SecretAccessKey": secret,
            "CreateDate": call.now,
        }
    }


@iam.action("ListAccessKeys")
async def list_access_keys(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await _user(call, p.get("UserName"))
    return {
        "AccessKeyMetadata": [
            {
                "UserName": user.name,
                "AccessKeyId": row.id,
                "Status": "Active" if row.active else "Inactive",
                "CreateDate": row.created_at,
            }
            for row in await accounts.keys_of(call.tx, user.id)
        ],
        "IsTruncated": False,
    }


@iam.action("UpdateAccessKey")
async def update_access_key(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    key = await _key(call, p)
    await accounts.set_active(call.tx, key.id, p["Status"] == "Active")
    call.wake("keys")
    return {}


@iam.action("DeleteAccessKey")
async def delete_access_key(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    key = await _key(call, p)
    await accounts.remove_key(call.tx, key.id)
    call.wake("keys")
    return {}


def new_access_key() -> tuple[str, str]:
    """(access key id, secret): `AKIA` and sixteen characters, forty characters."""
    return iam_names.principal_id("AKIA"), base64.b64encode(secrets.token_bytes(30)).decode()


def view(row: Row) -> dict[str, Any]:
    """A row as IAM's User."""
    return {
        "Path": row.path,
        "UserName": row.name,
        "UserId": row.id,
        "Arn": f"arn:aws:iam::{row.account}:user{row.path}{row.name}",
        "CreateDate": row.created_at,
    }


def _position(call: Call, marker: str) -> str:
    try:
        return call.position(marker) if marker else ""
    except ApiError as error:
        raise ValidationError("Invalid Marker.") from error


async def _user(call: Call, name: str | None) -> Row:
    """The named user of the account; the caller when no name is given."""
    name = name or call.principal.user_name
    row = await accounts.user(call.tx, call.account, name)
    if row is None:
        raise NoSuchEntity(name=name)
    return row


async def _key(call: Call, p: Mapping[str, Any]) -> Row:
    user = await _user(call, p.get("UserName"))
    for row in await accounts.keys_of(call.tx, user.id):
        if row.id == p["AccessKeyId"]:
            return row
    raise NoSuchEntity(f"The Access Key with id {p['AccessKeyId']} cannot be found.")
