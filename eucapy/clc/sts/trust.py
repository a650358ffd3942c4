"""May somebody take a role on? The role's trust policy says, and for callers of this cloud their own policies too.

    trust.require_caller(call, role, arn, actions, facts)              # AssumeRole: a user or a role's session
    trust.require_federated(call, role, provider, actions, facts)      # by an identity provider's word

With session tags or a source identity comes a further action of its own (sts:TagSession, sts:SetSourceIdentity); all must be
allowed. A role that is not there is refused in the words of one that is, so that nobody learns which there are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import lru_cache

from eucapy.aws import evaluation, policygrammar
from eucapy.aws.policy import MalformedPolicy, Policy, Question
from eucapy.clc.context import ASSUMED_ROLE, Call
from eucapy.clc.store import iam_tags, roles
from eucapy.clc.sts.service import AccessDenied, ValidationError
from eucapy.database import Row

log = logging.getLogger(__name__)

Keys = dict[str, "str | list[str]"]


def account_of(arn: str) -> str:
    """The account in an IAM ARN. Raises ValidationError."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or parts[2] != "iam" or not parts[5]:
        raise ValidationError(f"{arn} is invalid")
    return parts[4]


def actions(action: str, tags: Sequence[tuple[str, str]], source_identity: str) -> list[str]:
    """What has to be allowed for a session with these."""
    found = [action]
    if tags:
        found.append("sts:TagSession")
    if source_identity:
        found.append("sts:SetSourceIdentity")
    return found


def facts(
    *, name: str, tags: Sequence[tuple[str, str]], transitive: Sequence[str], source_identity: str,
    external_id: str | None = None,
) -> Keys:  # fmt: skip
    """The condition keys of the session that is asked for. Source: "Actions, resources, and condition keys for AWS STS"."""
    keys: Keys = {"sts:rolesessionname": name}
    for key, value in tags:
        keys[f"aws:requesttag/{key}".lower()] = value
    if tags:
        keys["aws:tagkeys"] = [key for key, _ in tags]
    if transitive:
        keys["sts:transitivetagkeys"] = list(transitive)
    if source_identity:
        keys["sts:sourceidentity"] = source_identity
    if external_id:
        keys["sts:externalid"] = external_id
    return keys


def mfa_facts(at: int | None) -> Keys:
    """A code that came with the call itself counts for the trust policy."""
    return {} if at is None else {"aws:multifactorauthpresent": "true", "aws:multifactorauthage": "0"}


async def require_caller(call: Call, role: Row | None, arn: str, asked: Iterable[str], keys: Keys) -> None:
    """The caller may take the role on: the role trusts it (or its account), and its own policies allow it where AWS asks
    them. Raises AccessDenied."""
    principal = call.principal
    powers = await call.powers()
    context = {**call.keys(), **keys}
    if role is not None:
        context |= await _of_role(call, role)
    for action in asked:
        question = Question(
            principal.arn,
            principal.account,
            frozenset((principal.canonical_id,)),
            action,
            arn,
            context,
            parent=principal.lasting_arn if principal.kind == ASSUMED_ROLE else "",
        )
        verdict = None
        if role is not None:
            verdict = evaluation.evaluate(
                powers, question, resource_policy=read(role.trust), resource_account=role.account, kind=evaluation.TRUST
            )
        if verdict is None or not verdict.allowed:
            # Source: recorded answers. Unlike other refusals this one does not tell which policy kept silent.
            more = f" {verdict.because}" if verdict is not None and verdict.explicit else ""
            raise AccessDenied(f"User: {principal.arn} is not authorized to perform: {action} on resource: {arn}{more}")


def require_federated(call: Call, role: Row | None, provider: str, asked: Sequence[str], keys: Keys) -> None:
    """The role trusts whoever this identity provider vouches for. Raises AccessDenied."""
    context = {**call.keys(), **keys, "aws:federatedprovider": provider}
    kinds = (("Federated", provider),)
    for action in asked:
        allowed = False
        if role is not None:
            question = Question("", "", frozenset(), action, roles.arn(role), context)
            allowed = evaluation.trusts(read(role.trust), question, kinds).allowed
        if not allowed:
            raise AccessDenied(f"Not authorized to perform {asked[0]}")


async def _of_role(call: Call, role: Row) -> Keys:
    tags = await iam_tags.of(call.tx, role.id)
    return {
        **{f"aws:resourcetag/{key}".lower(): value for key, value in tags.items()},
        **{f"iam:resourcetag/{key}".lower(): value for key, value in tags.items()},
        "aws:resourceaccount": role.account,
    }


@lru_cache(maxsize=1024)
def read(text: str) -> Policy:
    """A role's trust policy; one that cannot be read any more trusts nobody."""
    try:
        return policygrammar.trust(text)
    except MalformedPolicy as error:
        log.error("a trust policy that cannot be read trusts nobody: %s", error.text)
        return Policy(())
