"""What each STS operation takes to be allowed. Source: "Actions, resources, and condition keys for AWS STS".

For the roles to be assumed the trust policy decides too, beside the caller's own: `eucapy/clc/sts/`.
"""

from __future__ import annotations

from collections.abc import Iterable

from eucapy.clc.actions.declaration import (
    FREE,
    ON_ALL,
    Ask,
    Declaration,
    Facts,
    Kind,
    Params,
    Scope,
    Targets,
    Touched,
    needs,
    tag_facts,
)

TARGETS = Targets(
    (
        Kind("role", "{id}", "", ("iam:ResourceTag/${TagKey}", "aws:ResourceTag/${TagKey}")),
        Kind("federated-user", "arn:aws:sts::{account}:federated-user/{id}"),
    )
)
_KEYS = (
    "aws:RequestTag/${TagKey}", "aws:TagKeys", "sts:ExternalId", "sts:RoleSessionName", "sts:SourceIdentity",
    "sts:TransitiveTagKeys",
)  # fmt: skip


def _said(p: Params, scope: Scope) -> Facts:
    facts = tag_facts(p.get("Tags") or ())
    for key, member in (
        ("sts:externalid", "ExternalId"),
        ("sts:rolesessionname", "RoleSessionName"),
        ("sts:sourceidentity", "SourceIdentity"),
    ):
        if p.get(member):
            facts[key] = str(p[member])
    if p.get("TransitiveTagKeys"):
        facts["sts:transitivetagkeys"] = [str(each) for each in p["TransitiveTagKeys"]]
    return facts


def _role(p: Params, scope: Scope) -> Iterable[Touched]:
    yield Touched(TARGETS.kinds["role"], str(p.get("RoleArn") or ""))


def _tagging(p: Params, scope: Scope) -> Iterable[Ask]:
    """Session tags need a right of their own: policies are written in terms of them. Source: "Pass session tags in AWS STS",
    "Permissions required to add session tags"."""
    if p.get("Tags"):
        yield Ask("sts:TagSession", Touched(TARGETS.kinds["federated-user"], str(p.get("Name") or "")), _said(p, scope))


DECLARED: dict[str, Declaration] = {
    "GetCallerIdentity": FREE,
    "GetSessionToken": FREE,
    "GetAccessKeyInfo": ON_ALL,
    "DecodeAuthorizationMessage": ON_ALL,
    "GetFederationToken": needs(
        TARGETS.of("federated-user", "Name"),
        says=_said,
        says_keys=_KEYS[:2],
        further=(_tagging,),
        also=("sts:TagSession",),
    ),
    # The role's trust policy is half of the answer, so that the call itself asks for both: `eucapy/clc/sts/`.
    "AssumeRole": Declaration(
        kinds=(TARGETS.kinds["role"],), targets=(_role,), says=_said, says_keys=_KEYS, decides_itself=True
    ),
    # By the word of an identity provider alone: these come without a signature.
    "AssumeRoleWithSAML": Declaration(free=True, kinds=(TARGETS.kinds["role"],), says_keys=_KEYS),
    "AssumeRoleWithWebIdentity": Declaration(free=True, kinds=(TARGETS.kinds["role"],), says_keys=_KEYS),
}
