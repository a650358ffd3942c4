"""Accounts of the cloud: CreateAccount, DeleteAccount, ListAccounts and account policies, which AWS does not have.

They are Eucalyptus's calls of the IAM service (its Euare), and the account `eucalyptus`, the cloud's own, alone may make them.
Shapes: `EXTENSION`. What account policies limit: `clc/limits.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc import limits
from eucapy.clc.context import Call
from eucapy.clc.iam.service import (
    DeleteConflict,
    EntityAlreadyExists,
    MalformedPolicyDocument,
    NoSuchEntity,
    ValidationError,
    iam,
)
from eucapy.clc.refusing import AccessDenied
from eucapy.clc.store import account_policies, accounts, cloud_accounts
from eucapy.clc.store.cloud_accounts import CLOUD
from eucapy.database import Row
from eucapy.errors import ApiError

LARGEST_POLICY = 16384


class ServiceUnavailable(ApiError):
    status = 503
    message = "The object store cannot be asked whether the account has buckets. Please try again."


@iam.action("CreateAccount")
async def create_account(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """An account with its default VPC and its user `admin`, who has no keys and no password yet."""
    _of_cloud(call)
    name = str(p["AccountName"])
    if not cloud_accounts.is_name(name):
        raise ValidationError(f"Invalid account name {name}")
    if await accounts.by_name(call.tx, name) is not None:
        raise EntityAlreadyExists(f"Account {name} already exists.")
    row = await cloud_accounts.create(call.tx, name, call.config.region, call.config.zones, call.now)
    return {"Account": _view(row)}


@iam.action("ListAccounts")
async def list_accounts(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    _of_cloud(call)
    return {"Accounts": [_view(row) for row in await accounts.every(call.tx)], "IsTruncated": False}


@iam.action("DeleteAccount")
async def delete_account(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """An account that holds nothing but what it began with; with `Recursive` its users, groups, roles and policies go too.
    Instances, volumes, images, buckets and the like are the account's to delete, or its administrator's."""
    _of_cloud(call)
    row = await _account(call, p)
    if row.name == CLOUD:
        raise AccessDenied(f"The account {CLOUD} is the cloud's own.")
    held = await cloud_accounts.what_holds(call.tx, row.id, recursive=bool(p.get("Recursive")))
    if held:
        raise DeleteConflict(f"Account {row.name} still has {held}.")
    if await call.aside(("buckets", row.canonical_id), lambda: _buckets(call, row.canonical_id)):
        raise DeleteConflict(f"Account {row.name} still has buckets.")
    await cloud_accounts.remove(call.tx, row.id)
    call.wake("keys")
    return {}


@iam.action("PutAccountPolicy")
async def put_account_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    _of_cloud(call)
    row, document = await _account(call, p), str(p["PolicyDocument"])
    if len(document) > LARGEST_POLICY:
        raise MalformedPolicyDocument(f"The policy is longer than {LARGEST_POLICY} characters.")
    try:
        limits.parse(document)
    except limits.InvalidLimits as error:
        raise MalformedPolicyDocument(str(error)) from error
    await account_policies.put(call.tx, row.id, str(p["PolicyName"]), document)
    call.wake("keys")
    return {}


@iam.action("GetAccountPolicy")
async def get_account_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    _of_cloud(call)
    row, name = await _account(call, p), str(p["PolicyName"])
    for held in await account_policies.of(call.tx, row.id):
        if held.name == name:
            return {"AccountName": row.name, "PolicyName": name, "PolicyDocument": held.document}
    raise _no_policy(name)


@iam.action("ListAccountPolicies")
async def list_account_policies(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    _of_cloud(call)
    row = await _account(call, p)
    names = [str(held.name) for held in await account_policies.of(call.tx, row.id)]
    return {"PolicyNames": names, "IsTruncated": False}


@iam.action("DeleteAccountPolicy")
async def delete_account_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    _of_cloud(call)
    row, name = await _account(call, p), str(p["PolicyName"])
    if not await account_policies.remove(call.tx, row.id, name):
        raise _no_policy(name)
    call.wake("keys")
    return {}


async def _buckets(call: Call, owner: str) -> int:
    try:
        return await call.buckets(owner)
    except LookupError as error:
        raise ServiceUnavailable from error


def _of_cloud(call: Call) -> None:
    """Raises AccessDenied for callers of other accounts, whatever their policies say."""
    if call.principal.account_name != CLOUD:
        raise AccessDenied(
            f"User: {call.principal.arn} is not authorized to perform: iam:{call.action}: "
            f"only the account {CLOUD} administers accounts"
        )


async def _account(call: Call, p: Mapping[str, Any]) -> Row:
    """The named account, by its name, its alias or its number."""
    wanted = str(p["AccountName"])
    row = await accounts.by_name(call.tx, wanted) or await accounts.by_id(call.tx, wanted)
    if row is None:
        holder = await accounts.alias_holder(call.tx, wanted)
        row = await accounts.by_id(call.tx, holder) if holder is not None else None
    if row is None:
        raise NoSuchEntity(f"The account with name {wanted} cannot be found.")
    return row


def _no_policy(name: str) -> NoSuchEntity:
    return NoSuchEntity(f"The account policy with name {name} cannot be found.")


def _view(row: Row) -> dict[str, Any]:
    return {"AccountName": row.name, "AccountId": row.id, "CanonicalId": row.canonical_id, "CreateDate": row.created_at}
