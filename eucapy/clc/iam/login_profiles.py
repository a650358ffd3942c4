"""Console passwords: login profiles, ChangePassword, and the account's password policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import USER, Call
from eucapy.clc.iam import users
from eucapy.clc.iam.passwords import accepted, is_of
from eucapy.clc.iam.service import AccessDenied, EntityAlreadyExists, NoSuchEntity, iam
from eucapy.clc.store import iam_passwords
from eucapy.database import Row
from eucapy.errors import ApiError


class InvalidUserType(ApiError):
    message = "Only IAM Users can change their own password"


class OldPasswordIncorrect(ApiError):
    code = "AccessDenied"
    status = 403
    message = "The old password was incorrect."


@iam.action("CreateLoginProfile")
async def create_login_profile(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await users.require(call, p.get("UserName"))
    if await iam_passwords.profile(call.tx, user.id) is not None:
        raise EntityAlreadyExists(f"Login Profile for user {user.name} already exists.")
    password, must_change = p.get("Password") or "", bool(p.get("PasswordResetRequired"))
    kept = await accepted(call, user.id, password)
    await iam_passwords.insert(call.tx, user.id, kept, must_change, call.now)
    return {"LoginProfile": await _view(call, user)}


@iam.action("GetLoginProfile")
async def get_login_profile(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return {"LoginProfile": await _view(call, await users.require(call, p.get("UserName")))}


@iam.action("UpdateLoginProfile")
async def update_login_profile(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await users.require(call, p["UserName"])
    held = await _require(call, user)
    must_change = bool(p.get("PasswordResetRequired", held.must_change))
    if p.get("Password") is not None:
        kept = await accepted(call, user.id, p["Password"])
        await iam_passwords.set_password(call.tx, user.id, kept, must_change, call.now)
    else:
        await iam_passwords.set_must_change(call.tx, user.id, must_change)
    return {}


@iam.action("DeleteLoginProfile")
async def delete_login_profile(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await users.require(call, p.get("UserName"))
    await _require(call, user)
    await iam_passwords.remove(call.tx, user.id)
    return {}


@iam.action("ChangePassword")
async def change_password(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's own, with the old one. Whoever must change it may; others need the account's policy to let them."""
    if call.principal.kind != USER:
        raise InvalidUserType
    user = await users.require(call, None)
    held = await _require(call, user)
    rules = await iam_passwords.rules(call.tx, call.account)
    if rules is not None and not rules.get("AllowUsersToChangePassword") and not held.must_change:
        raise AccessDenied(
            f"User: {call.principal.arn} is not authorized to perform: iam:ChangePassword on resource: user {user.name}"
        )
    if not await is_of(call, p["OldPassword"], held.hashed):
        raise OldPasswordIncorrect
    kept = await accepted(call, user.id, p["NewPassword"])
    await iam_passwords.set_password(call.tx, user.id, kept, False, call.now)
    return {}


async def _require(call: Call, user: Row) -> Row:
    held = await iam_passwords.profile(call.tx, user.id)
    if held is None:
        raise NoSuchEntity(f"Login Profile for User {user.name} cannot be found.")
    return held


async def _view(call: Call, user: Row) -> dict[str, Any]:
    held = await _require(call, user)
    return {"UserName": user.name, "CreateDate": held.created_at, "PasswordResetRequired": held.must_change}


# --- the account's policy ---------------------------------------------------------------------------------------------

_DEFAULTS: dict[str, Any] = {
    "MinimumPasswordLength": 6,
    "RequireSymbols": False,
    "RequireNumbers": False,
    "RequireUppercaseCharacters": False,
    "RequireLowercaseCharacters": False,
    "AllowUsersToChangePassword": False,
}


@iam.action("UpdateAccountPasswordPolicy")
async def update_account_password_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """What is not given goes back to its default. Source: the operation's reference."""
    known = (*_DEFAULTS, "MaxPasswordAge", "PasswordReusePrevention", "HardExpiry")
    given = {name: p[name] for name in known if p.get(name) is not None}
    await iam_passwords.set_rules(call.tx, call.account, {**_DEFAULTS, **given})
    return {}


@iam.action("GetAccountPasswordPolicy")
async def get_account_password_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rules = await iam_passwords.rules(call.tx, call.account)
    if rules is None:
        raise NoSuchEntity(f"The Password Policy with domain name {call.account} cannot be found.")
    return {"PasswordPolicy": {**rules, "ExpirePasswords": bool(rules.get("MaxPasswordAge"))}}


@iam.action("DeleteAccountPasswordPolicy")
async def delete_account_password_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    if await iam_passwords.rules(call.tx, call.account) is None:
        raise NoSuchEntity("The account policy with name PasswordPolicy cannot be found.")
    await iam_passwords.set_rules(call.tx, call.account, None)
    return {}
