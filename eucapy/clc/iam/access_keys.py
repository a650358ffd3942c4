"""Access keys: two a user at most. The secret is answered once; what is kept of it is sealed.

When a key was last used is noted in memory and written by a loop (`key_use.py`): seconds late, as in AWS it is minutes.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam import users
from eucapy.clc.iam.paging import listed
from eucapy.clc.iam.service import AccessDenied, LimitExceeded, NoSuchEntity, changed, iam
from eucapy.clc.store import accounts, iam_names
from eucapy.database import Row

KEYS_PER_USER = 2


@iam.action("CreateAccessKey")
async def create_access_key(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await users.require(call, p.get("UserName"))
    if len(await accounts.keys_of(call.tx, user.id)) >= KEYS_PER_USER:
        raise LimitExceeded(quota="AccessKeysPerUser", most=KEYS_PER_USER)
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
    user = await users.require(call, p.get("UserName"))

    def view(row: Row) -> dict[str, Any]:
        status = "Active" if row.active else "Inactive"
        return {"UserName": user.name, "AccessKeyId": row.id, "Status": status, "CreateDate": row.created_at}

    held = await accounts.keys_of(call.tx, user.id)
    return listed(call, p, "AccessKeyMetadata", held, key=lambda row: f"{row.created_at:020.6f} {row.id}", shown=view)


@iam.action("UpdateAccessKey")
async def update_access_key(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    key = await _key(call, p)
    await accounts.set_active(call.tx, key.id, p["Status"] == "Active")
    changed(call)
    return {}


@iam.action("DeleteAccessKey")
async def delete_access_key(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    key = await _key(call, p)
    await accounts.remove_key(call.tx, key.id)
    changed(call)
    return {}


@iam.action("GetAccessKeyLastUsed")
async def get_access_key_last_used(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """A key that is not there, or another account's, is refused, as AWS does."""
    row = await accounts.key(call.tx, p["AccessKeyId"])
    if row is None or row.account != call.account:
        raise AccessDenied(
            f"User: {call.principal.arn} is not authorized to perform iam:GetAccessKeyLastUsed on resource: access key "
            f"{p['AccessKeyId']}"
        )
    used: dict[str, Any] = {"ServiceName": "N/A", "Region": "N/A"}
    if row.last_used_at is not None:
        used = {
            "LastUsedDate": row.last_used_at,
            "ServiceName": row.last_used_service,
            "Region": row.last_used_region,
        }
    return {"UserName": row.user_name, "AccessKeyLastUsed": used}


def new_access_key() -> tuple[str, str]:
    """(access key id, secret): `AKIA` and sixteen characters, forty characters."""
    return iam_names.principal_id("AKIA"), base64.b64encode(secrets.token_bytes(30)).decode()


async def _key(call: Call, p: Mapping[str, Any]) -> Row:
    user = await users.require(call, p.get("UserName"))
    for row in await accounts.keys_of(call.tx, user.id):
        if row.id == p["AccessKeyId"]:
            return row
    raise NoSuchEntity(f"The Access Key with id {p['AccessKeyId']} cannot be found.")
