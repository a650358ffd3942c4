"""Managed policies and their versions: five at most, one of them the default, numbers never given twice.

AWS's own policies (`managed.py`) are listed and read here too, and changed by nobody. To whom they are attached:
`attachments.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam import managed
from eucapy.clc.iam.documents import identity_policy, shown, size
from eucapy.clc.iam.managed import Managed
from eucapy.clc.iam.paging import listed
from eucapy.clc.iam.service import (
    AccessDenied,
    DeleteConflict,
    EntityAlreadyExists,
    LimitExceeded,
    NoSuchEntity,
    ValidationError,
    changed,
    iam,
)
from eucapy.clc.iam.tags import checked, with_tags
from eucapy.clc.store import accounts, iam_names, iam_policies, iam_tags, roles
from eucapy.database import Row

POLICIES_PER_ACCOUNT = 1500
POLICY_SIZE = 6144
VERSIONS_PER_POLICY = 5
_ARN = re.compile(r"arn:aws:iam::(aws|\d{12}):policy/[!-~]+\Z", re.ASCII)
_BOUNDARY = "PermissionsBoundary"


@iam.action("CreatePolicy")
async def create_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    name, tags = p["PolicyName"], checked(p.get("Tags"))
    _document(p["PolicyDocument"])
    if await iam_names.holder(call.tx, iam_policies.policies, call.account, name) is not None:
        raise EntityAlreadyExists(f"A policy called {name} already exists. Duplicate names are not allowed.")
    if await iam_names.count(call.tx, iam_policies.policies, call.account) >= POLICIES_PER_ACCOUNT:
        raise LimitExceeded(quota="PoliciesPerAccount", most=POLICIES_PER_ACCOUNT)
    row = await iam_policies.insert(
        call.tx, call.account, name, p.get("Path") or "/", p.get("Description"), p["PolicyDocument"], call.now
    )
    await iam_tags.put(call.tx, row.id, tags)
    return {"Policy": with_tags(view(row), tags)}


@iam.action("GetPolicy")
async def get_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    policy = await require(call, p["PolicyArn"])
    attached, bounds = await usage(call)
    answer = view(policy, attached, bounds)
    if policy.description is not None:
        answer["Description"] = policy.description
    tags = {} if isinstance(policy, Managed) else await iam_tags.of(call.tx, policy.id)
    return {"Policy": with_tags(answer, tags, always=True)}


@iam.action("ListPolicies")
async def list_policies(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The account's own first, then AWS's. `OnlyAttached` and `PolicyUsageFilter` look at this account alone."""
    attached, bounds = await usage(call)
    found: list[tuple[str, Row | Managed]] = []
    if p.get("Scope", "All") in ("All", "Local"):
        rows = await iam_names.page(call.tx, iam_policies.policies, call.account)
        found += [(f"0 {row.folded}", row) for row in rows]
    if p.get("Scope", "All") in ("All", "AWS"):
        found += [(f"1 {policy.name.lower()} {policy.path}", policy) for policy in managed.every().values()]
    used = {None: {**attached, **bounds}, "PermissionsPolicy": attached, _BOUNDARY: bounds}[p.get("PolicyUsageFilter")]
    kept = [
        entry
        for entry in found
        if entry[1].path.startswith(p.get("PathPrefix") or "/")
        and (not (p.get("OnlyAttached") or p.get("PolicyUsageFilter")) or arn(entry[1]) in used)
    ]
    return listed(
        call, p, "Policies", sorted(kept, key=lambda entry: entry[0]),
        key=lambda entry: entry[0], shown=lambda entry: view(entry[1], attached, bounds),
    )  # fmt: skip


@iam.action("DeletePolicy")
async def delete_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """It must be attached to nobody, nobody's boundary, and have no version but its default."""
    policy = await require_own(call, p["PolicyArn"])
    attached, bounds = await usage(call)
    if arn(policy) in attached or arn(policy) in bounds:
        raise DeleteConflict("Cannot delete a policy attached to entities.")
    if len(await iam_policies.versions_of(call.tx, policy.id)) > 1:
        raise DeleteConflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
            "The default version is deleted with the policy."
        )
    await iam_tags.remove_all(call.tx, policy.id)
    await iam_policies.remove(call.tx, policy.id)
    changed(call)
    return {}


# --- versions ---------------------------------------------------------------------------------------------------------


@iam.action("CreatePolicyVersion")
async def create_policy_version(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    policy = await require_own(call, p["PolicyArn"])
    _document(p["PolicyDocument"])
    if len(await iam_policies.versions_of(call.tx, policy.id)) >= VERSIONS_PER_POLICY:
        raise LimitExceeded(
            f"A managed policy can have up to {VERSIONS_PER_POLICY} versions. Before you create a new version, you must "
            "delete an existing version."
        )
    default = bool(p.get("SetAsDefault"))
    number = await iam_policies.add_version(call.tx, policy, p["PolicyDocument"], call.now, default=default)
    changed(call)
    return {"PolicyVersion": {"VersionId": f"v{number}", "IsDefaultVersion": default, "CreateDate": call.now}}


@iam.action("GetPolicyVersion")
async def get_policy_version(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    found = managed.find(p["PolicyArn"])
    if found is not None:
        if p["VersionId"] != f"v{found.version}":
            raise _no_version(p)
        return {"PolicyVersion": {**_managed_version(found), "Document": shown(found.document)}}
    policy, row = await _version(call, p)
    return {"PolicyVersion": {**_version_view(policy, row), "Document": shown(row.document)}}


@iam.action("ListPolicyVersions")
async def list_policy_versions(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The newest first."""
    policy = await require(call, p["PolicyArn"])
    if isinstance(policy, Managed):
        return {"Versions": [_managed_version(policy)], "IsTruncated": False}
    rows = await iam_policies.versions_of(call.tx, policy.id)
    return listed(
        call, p, "Versions", rows,
        key=lambda row: f"{10**9 - row.version:010d}", shown=lambda row: _version_view(policy, row),
    )  # fmt: skip


@iam.action("SetDefaultPolicyVersion")
async def set_default_policy_version(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_aws(call, p["PolicyArn"])
    policy, row = await _version(call, p)
    await iam_names.update(call.tx, iam_policies.policies, policy.id, default_version=row.version, updated_at=call.now)
    changed(call)
    return {}


@iam.action("DeletePolicyVersion")
async def delete_policy_version(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_aws(call, p["PolicyArn"])
    policy, row = await _version(call, p)
    if row.version == policy.default_version:
        raise DeleteConflict("Cannot delete the default version of a policy.")
    await iam_policies.remove_version(call.tx, policy.id, row.version)
    return {}


async def _version(call: Call, p: Mapping[str, Any]) -> tuple[Row, Row]:
    policy = await _own(call, p["PolicyArn"])
    number = re.fullmatch(r"v([1-9]\d{0,8})", p["VersionId"])
    row = await iam_policies.version(call.tx, policy.id, int(number[1])) if policy is not None and number else None
    if policy is None or row is None:
        raise _no_version(p)
    return policy, row


def _no_version(p: Mapping[str, Any]) -> NoSuchEntity:
    return NoSuchEntity(f"Policy {p['PolicyArn']} version {p['VersionId']} does not exist or is not attachable.")


def _version_view(policy: Row, row: Row) -> dict[str, Any]:
    return {
        "VersionId": f"v{row.version}",
        "IsDefaultVersion": row.version == policy.default_version,
        "CreateDate": row.created_at,
    }


def _managed_version(policy: Managed) -> dict[str, Any]:
    return {"VersionId": f"v{policy.version}", "IsDefaultVersion": True, "CreateDate": policy.updated_at}


# --- which policy -----------------------------------------------------------------------------------------------------


async def require(call: Call, policy_arn: str) -> Row | Managed:
    """One of the account's or of AWS. Raises ValidationError, NoSuchEntity."""
    found = managed.find(policy_arn) or await _own(call, policy_arn)
    if found is None:
        raise NoSuchEntity(f"Policy {policy_arn} was not found.")
    return found


async def require_own(call: Call, policy_arn: str) -> Row:
    """One of the account's; AWS's cannot be changed. Raises ValidationError, NoSuchEntity, AccessDenied."""
    _refuse_aws(call, policy_arn)
    found = await _own(call, policy_arn)
    if found is None:
        raise NoSuchEntity(f"Policy {policy_arn} was not found.")
    return found


async def require_attachable(call: Call, policy_arn: str) -> None:
    """Raises ValidationError, NoSuchEntity."""
    if managed.find(policy_arn) is None and await _own(call, policy_arn) is None:
        raise NoSuchEntity(f"Policy {policy_arn} does not exist or is not attachable.")


async def _own(call: Call, policy_arn: str) -> Row | None:
    """Raises ValidationError for what is no policy's ARN."""
    if not policy_arn.startswith("arn:"):
        raise ValidationError("Invalid ARN:  Could not be parsed!")
    if not _ARN.match(policy_arn):
        raise ValidationError(f"ARN {policy_arn} is not valid.")
    row = await iam_policies.by_arn(call.tx, policy_arn)
    return row if row is not None and row.account == call.account else None


def _refuse_aws(call: Call, policy_arn: str) -> None:
    if policy_arn.startswith(managed.PREFIX):
        raise AccessDenied(
            f"User: {call.principal.arn} is not authorized to perform: iam:{call.action} on resource: policy {policy_arn}"
        )


def _document(text: str) -> None:
    identity_policy(text)
    if size(text) > POLICY_SIZE:
        raise LimitExceeded(quota="PolicySize", most=POLICY_SIZE)


async def usage(call: Call) -> tuple[dict[str, int], dict[str, int]]:
    """By ARN: to how many of the account's principals policies are attached, and of how many they are the boundary."""
    bounds: dict[str, int] = {}
    for table in (accounts.users, roles.roles):
        for row in await iam_names.page(call.tx, table, call.account):
            if row.boundary is not None:
                bounds[row.boundary] = bounds.get(row.boundary, 0) + 1
    return await iam_policies.attachment_counts(call.tx, call.account), bounds


def arn(policy: Row | Managed) -> str:
    return policy.arn if isinstance(policy, Managed) else iam_policies.arn(policy)


def view(
    policy: Row | Managed, attached: Mapping[str, int] | None = None, bounds: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """As lists show it: without description and tags."""
    name = arn(policy)
    version = policy.version if isinstance(policy, Managed) else policy.default_version
    return {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": name,
        "Path": policy.path,
        "DefaultVersionId": f"v{version}",
        "AttachmentCount": (attached or {}).get(name, 0),
        "PermissionsBoundaryUsageCount": (bounds or {}).get(name, 0),
        "IsAttachable": True,
        "CreateDate": policy.created_at,
        "UpdateDate": policy.updated_at,
    }
