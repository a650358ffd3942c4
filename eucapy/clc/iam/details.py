"""GetAccountAuthorizationDetails: everybody and every policy of an account, page by page.

Users, groups, roles, then policies: the account's own and those of AWS's that are attached to somebody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam import attachments, groups, inline, policies, profiles, roles, users
from eucapy.clc.iam.boundaries import boundary
from eucapy.clc.iam.documents import shown
from eucapy.clc.iam.managed import Managed, every
from eucapy.clc.iam.paging import listed
from eucapy.clc.iam.service import iam
from eucapy.clc.iam.tags import with_tags
from eucapy.clc.store import accounts, iam_groups, iam_names, iam_policies, iam_tags, instance_profiles
from eucapy.clc.store import roles as role_rows
from eucapy.database import Row

_LISTS = {
    "User": "UserDetailList",
    "Group": "GroupDetailList",
    "Role": "RoleDetailList",
    "LocalManagedPolicy": "Policies",
    "AWSManagedPolicy": "Policies",
}
Entry = tuple[str, str, Any]
"""Where it stands, its kind, its row."""


@iam.action("GetAccountAuthorizationDetails")
async def get_account_authorization_details(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    wanted = set(p.get("Filter") or _LISTS)
    attached, bounds = await policies.usage(call)
    entries = [entry for entry in await _everything(call, {**attached, **bounds}) if entry[1] in wanted]
    paged = listed(call, p, "Entries", entries, key=lambda entry: entry[0], shown=lambda entry: entry)
    answer: dict[str, Any] = {name: [] for name in _LISTS.values()}
    for _, kind, row in paged.pop("Entries"):
        answer[_LISTS[kind]].append(await _detail(call, kind, row, attached, bounds))
    return {**answer, **paged}


async def _everything(call: Call, used: Mapping[str, int]) -> list[Entry]:
    tables = (
        ("User", accounts.users),
        ("Group", iam_groups.groups),
        ("Role", role_rows.roles),
        ("LocalManagedPolicy", iam_policies.policies),
    )
    found: list[Entry] = []
    for number, (kind, table) in enumerate(tables):
        rows = await iam_names.page(call.tx, table, call.account)
        found += sorted((f"{number} {row.folded}", kind, row) for row in rows)
    found += [
        (f"{len(tables)} {policy.name.lower()} {policy.path}", "AWSManagedPolicy", policy)
        for arn, policy in every().items()
        if arn in used
    ]
    return found


async def _detail(
    call: Call, kind: str, row: Any, attached: Mapping[str, int], bounds: Mapping[str, int]
) -> dict[str, Any]:
    if kind == "User":
        return await _user(call, row)
    if kind == "Group":
        return {
            **groups.view(row),
            "GroupPolicyList": await inline.views(call, row.id),
            "AttachedManagedPolicies": await _attached(call, row.id),
        }
    if kind == "Role":
        return await _role(call, row)
    described = {"Description": row.description} if row.description is not None else {}
    return {**policies.view(row, attached, bounds), **described, "PolicyVersionList": await _versions(call, row)}


async def _user(call: Call, row: Row) -> dict[str, Any]:
    shown_user = {
        **users.view(row),
        **boundary(row.boundary),
        "UserPolicyList": await inline.views(call, row.id),
        "GroupList": [group.name for group in await iam_groups.groups_of(call.tx, row.id)],
        "AttachedManagedPolicies": await _attached(call, row.id),
    }
    shown_user.pop("PasswordLastUsed", None)
    return with_tags(shown_user, await iam_tags.of(call.tx, row.id), always=True)


async def _role(call: Call, row: Row) -> dict[str, Any]:
    held = await instance_profiles.with_role(call.tx, row.id)
    shown_role = {
        **roles.view(row),
        **boundary(row.boundary),
        "InstanceProfileList": await profiles.views(call, held),
        "RolePolicyList": await inline.views(call, row.id),
        "AttachedManagedPolicies": await _attached(call, row.id),
        "RoleLastUsed": roles.last_used(row),
    }
    return with_tags(shown_role, await iam_tags.of(call.tx, row.id), always=True)


async def _attached(call: Call, principal_id: str) -> list[dict[str, str]]:
    return [attachments.view(arn) for arn in await iam_policies.attached_to(call.tx, principal_id)]


async def _versions(call: Call, policy: Row | Managed) -> Sequence[dict[str, Any]]:
    if isinstance(policy, Managed):
        version = {"VersionId": f"v{policy.version}", "IsDefaultVersion": True, "CreateDate": policy.updated_at}
        return [{**version, "Document": shown(policy.document)}]
    return [
        {
            "VersionId": f"v{row.version}",
            "IsDefaultVersion": row.version == policy.default_version,
            "CreateDate": row.created_at,
            "Document": shown(row.document),
        }
        for row in await iam_policies.versions_of(call.tx, policy.id)
    ]
