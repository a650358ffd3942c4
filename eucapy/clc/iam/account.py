"""The account itself: its alias, and what it has of what it may have.

An account has at most one alias; a second takes the place of the first. The summary counts what there is, beside AWS's
default quotas, which are enforced where things are made. GetAccountAuthorizationDetails: `details.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam.access_keys import KEYS_PER_USER
from eucapy.clc.iam.service import EntityAlreadyExists, NoSuchEntity, iam
from eucapy.clc.store import (
    accounts,
    iam_certificates,
    iam_groups,
    iam_mfa,
    iam_names,
    iam_passwords,
    iam_policies,
    iam_providers,
    instance_profiles,
    roles,
)
from eucapy.clc.store.iam_providers import oidc_providers, saml_providers

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
    tx, account = call.tx, call.account
    devices = await iam_mfa.of_account(tx, account)
    providers = [await iam_providers.of(tx, table, account) for table in (oidc_providers, saml_providers)]
    held = {
        "AccountAccessKeysPresent": int(bool(await accounts.keys_of(tx, account))),
        "AccountMFAEnabled": int(bool(await iam_mfa.of_user(tx, account))),
        "AccountPasswordPresent": int(await iam_passwords.profile(tx, account) is not None),
        "AccountSigningCertificatesPresent": int(bool(await iam_certificates.signing_of(tx, account))),
        "Groups": await iam_names.count(tx, iam_groups.groups, account),
        "InstanceProfiles": await iam_names.count(tx, instance_profiles.instance_profiles, account),
        "MFADevices": len(devices),
        "MFADevicesInUse": sum(device.user_id is not None for device in devices),
        "Policies": await iam_names.count(tx, iam_policies.policies, account),
        "PolicyVersionsInUse": await iam_policies.versions_in_use(tx, account),
        "Providers": sum(map(len, providers)),
        "Roles": await iam_names.count(tx, roles.roles, account),
        "ServerCertificates": await iam_names.count(tx, iam_certificates.server_certificates, account),
        "Users": len(await accounts.users_of(tx, account)),
        "GlobalEndpointTokenVersion": 1,
    }
    return {"SummaryMap": dict(sorted({**_QUOTAS, **held}.items()))}
