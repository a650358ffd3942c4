"""Tags of users, roles, policies, instance profiles, server certificates, MFA devices and identity providers.

Tag keys of users and roles are one whatever their case; those of everything else are told apart by it. Fifty at most.
Source: "Rules for tagging in IAM and AWS STS".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam import certificates, mfa, oidc, policies, profiles, roles, saml, users
from eucapy.clc.iam.paging import listed
from eucapy.clc.iam.service import changed, iam
from eucapy.clc.iam.tags import checked, refuse_many, tag_list
from eucapy.clc.store import iam_tags

Find = Callable[[Call, str], Awaitable[str]]
"""The id that something's tags are kept under, by its name or ARN. Raises NoSuchEntity."""


async def _user(call: Call, name: str) -> str:
    return str((await users.require(call, name)).id)


async def _role(call: Call, name: str) -> str:
    return str((await roles.require(call, name)).id)


async def _policy(call: Call, arn: str) -> str:
    return str((await policies.require_own(call, arn)).id)


async def _profile(call: Call, name: str) -> str:
    return str((await profiles.require(call, name)).id)


async def _certificate(call: Call, name: str) -> str:
    return str((await certificates.require(call, name)).id)


async def _device(call: Call, serial: str) -> str:
    return str((await mfa.require(call, serial)).serial)


async def _oidc(call: Call, arn: str) -> str:
    return str((await oidc.require(call, arn)).arn)


async def _saml(call: Call, arn: str) -> str:
    return str((await saml.require(call, arn)).arn)


KINDS: Sequence[tuple[str, str, Find, bool]] = (
    ("User", "UserName", _user, True),
    ("Role", "RoleName", _role, True),
    ("Policy", "PolicyArn", _policy, False),
    ("InstanceProfile", "InstanceProfileName", _profile, False),
    ("ServerCertificate", "ServerCertificateName", _certificate, False),
    ("MFADevice", "SerialNumber", _device, False),
    ("OpenIDConnectProvider", "OpenIDConnectProviderArn", _oidc, False),
    ("SAMLProvider", "SAMLProviderArn", _saml, False),
)
"""What operations call it, the member that names it, how it is found, whether its keys are one whatever their case."""


def _register(kind: str, member: str, find: Find, folding: bool) -> None:
    @iam.action(f"Tag{kind}")
    async def tag(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
        owner = await find(call, p[member])
        added = checked(p["Tags"], folding=folding)
        await iam_tags.put(call.tx, owner, added, folding=folding)
        await _full(call, owner)
        changed(call)
        return {}

    @iam.action(f"Untag{kind}")
    async def untag(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
        await iam_tags.remove(call.tx, await find(call, p[member]), p["TagKeys"], folding=folding)
        changed(call)
        return {}

    @iam.action(f"List{kind}Tags")
    async def tags(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
        held = tag_list(await iam_tags.of(call.tx, await find(call, p[member])))
        return listed(call, p, "Tags", held, key=lambda each: each["Key"], shown=lambda each: each)


async def _full(call: Call, owner: str) -> None:
    refuse_many(await iam_tags.of(call.tx, owner))


for _kind in KINDS:
    _register(*_kind)
