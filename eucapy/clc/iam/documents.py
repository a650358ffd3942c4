"""Policy documents as IAM takes and shows them.

They come as JSON, and are answered percent-encoded; SDKs undo that. What a document must be is the engine's grammar
(`aws/policygrammar.py`); here are IAM's code for what is not, the quota of a trust policy, and whether there are the users and
roles that it names.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from eucapy.aws import policygrammar
from eucapy.aws.policygrammar import invalid_principal, size
from eucapy.aws.policystatements import MalformedPolicy
from eucapy.clc.context import Call
from eucapy.clc.iam.service import LimitExceeded, MalformedPolicyDocument
from eucapy.clc.store import accounts, iam_names, roles

__all__ = ["identity_policy", "rename_principal", "shown", "size", "trust_policy"]
_NAMED = re.compile(r"arn:aws:iam::(\d{12}):(user|role)/(?:.*/)?([^/]+)\Z", re.ASCII)


def shown(text: str) -> str:
    """As a response carries it: RFC 3986."""
    return quote(text, safe="-_.~")


def identity_policy(text: str) -> None:
    """A document for a user, a group or a role. Raises MalformedPolicyDocument."""
    try:
        policygrammar.identity(text)
    except MalformedPolicy as error:
        raise MalformedPolicyDocument(error.text) from error


async def trust_policy(call: Call, text: str) -> None:
    """A document that says who may take on a role. Raises MalformedPolicyDocument, LimitExceeded.

    Users and roles of this cloud's accounts that it names must be there; accounts that are not here are let stand.
    """
    try:
        parsed = policygrammar.trust(text)
        for statement in parsed.statements:
            for kind, value in statement.principals or ():
                if kind == "AWS" and not await _is_there(call, value):
                    raise invalid_principal(kind, value)
    except MalformedPolicy as error:
        raise MalformedPolicyDocument(error.text) from error
    if size(text) > policygrammar.MOST_OF_TRUST:
        raise LimitExceeded(quota="ACLSizePerRole", most=policygrammar.MOST_OF_TRUST)


async def rename_principal(call: Call, old: str, new: str) -> None:
    """Every trust policy that names the ARN `old` names `new` from now on: another ARN, or the unique id of who is deleted,
    so that nobody who takes the name later is trusted. Source: "AWS JSON policy elements: Principal", IAM guide."""
    for role in await roles.perhaps_trusting(call.tx, old):
        document, renamed = json.loads(role.trust), False
        statements = document["Statement"]
        for statement in statements if isinstance(statements, list) else [statements]:
            for named in (statement.get("Principal"), statement.get("NotPrincipal")):
                if isinstance(named, dict) and old in _listed(named.get("AWS")):
                    named["AWS"], renamed = _replaced(named["AWS"], old, new), True
        if renamed:
            await iam_names.update(call.tx, roles.roles, role.id, trust=json.dumps(document))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _replaced(value: Any, old: str, new: str) -> Any:
    return (
        [new if each == old else each for each in value] if isinstance(value, list) else new if value == old else value
    )


async def _is_there(call: Call, principal: str) -> bool:
    if policygrammar.GONE.match(principal):
        return False
    named = _NAMED.match(principal)
    if named is None or await accounts.by_id(call.tx, named[1]) is None:
        return True
    if named[2] == "role":
        return await roles.by_arn(call.tx, principal) is not None
    user = await accounts.user(call.tx, named[1], named[3])
    return user is not None and f"arn:aws:iam::{user.account}:user{user.path}{user.name}" == principal
