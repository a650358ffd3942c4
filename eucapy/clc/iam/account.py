"""The account itself: its alias, and what it has of what it may have.

An account has at most one alias; a second takes the place of the first. Groups, roles, policies and the like are not served
yet: an account has none of them, and the summary says so beside AWS's default quotas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam.service import EntityAlreadyExists, NoSuchEntity, iam
from eucapy.clc.iam.users import KEYS_PER_USER
from eucapy.clc.store import accounts

_QUOTAS = {
    "AccessKeysPerUserQuota": KEYS_PER_USER,
    "AssumeRolePolicySizeQuota": 2048,
    "AttachedPoliciesPerGroupQuota": 10,
    "AttachedPoliciesPerRoleQuota": 10,
    "AttachedPoliciesPerUserQuota": 10,
    "GroupPolicySizeQuota": 5120,
    "GroupsPerUserQuota": 10,
    "GroupsQuota": 300,
    "InstanceProfilesQuota": 1000,
    "PoliciesQuota": 1500,
    "PolicySizeQuota": 6144,
    "PolicyVersionsInUseQuota": 10000,
    "RolePolicySizeQuota": 10240,
    "RolesQuota": 1000,
    "ServerCertificatesQuota": 20,
    "SigningCertificatesPerUserQuota": 2,
    "UserPolicySizeQuota": 2048,
    "UsersQuota": 5000,
    "VersionsPerPolicyQuota": 5,
}
"""AWS's defaults. IAM User Guide, "IAM and STS quotas"."""

_NONE = (
    "AccountAccessKeysPresent", "AccountMFAEnabled", "AccountPasswordPresent", "AccountSigningCertificatesPresent",
    "Groups", "InstanceProfiles", "MFADevices", "MFADevicesInUse", "Policies", "PolicyVersionsInUse", "Providers",
    "Roles", "ServerCertificates",
)  # fmt: skip


@iam.action("CreateAccountAlias")
async def create_account_alias(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """An alias belongs to one account of the whole cloud."""
    alias = p["AccountAlias"]
    holder = await accounts.alias_holder(call.tx, alias)
    if holder is not None:
        raise EntityAlreadyExists(f"The account alias {alias} already exists.")
    await accounts.set_alias(call.tx, call.account, alias)
    return {}


@iam.action("DeleteAccountAlias")
async def delete_account_alias(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    if await accounts.alias_holder(call.tx, p["AccountAlias"]) != call.account:
        raise NoSuchEntity(f"The account alias {p['AccountAlias']} cannot be found.")
    await accounts.set_alias(call.tx, call.account, None)
    return {}


@iam.action("ListAccountAliases")
async def list_account_aliases(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """One alias at most, so that there is never a second page."""
    alias = await accounts.alias_of(call.tx, call.account)
    return {"AccountAliases": [alias] if alias is not None else [], "IsTruncated": False}


@iam.action("GetAccountSummary")
async def get_account_summary(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    users = await accounts.users_of(call.tx, call.account)
    held = {**dict.fromkeys(_NONE, 0), "Users": len(users), "GlobalEndpointTokenVersion": 1}
    return {"SummaryMap": dict(sorted({**_QUOTAS, **held}.items()))}
