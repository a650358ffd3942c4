"""Policy documents as IAM takes and shows them.

They come as JSON, and are answered percent-encoded; SDKs undo that. What a document must be is the engine's grammar
(`aws/policygrammar.py`); here are IAM's code for what is not, the quota of a trust policy, and whether there are the users and
roles that it names.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from eucapy.aws import policygrammar
from eucapy.aws.policygrammar import invalid_principal, size
from eucapy.aws.policystatements import MalformedPolicy
from eucapy.clc.context import Call
from eucapy.clc.iam.service import LimitExceeded, MalformedPolicyDocument
from eucapy.clc.store import accounts, roles

__all__ = ["identity_policy", "shown", "size", "trust_policy"]
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


async def _is_there(call: Call, principal: str) -> bool:
    named = _NAMED.match(principal)
    if named is None or await accounts.by_id(call.tx, named[1]) is None:
        return True
    if named[2] == "role":
        return await roles.by_arn(call.tx, principal) is not None
    user = await accounts.user(call.tx, named[1], named[3])
    return user is not None and f"arn:aws:iam::{user.account}:user{user.path}{user.name}" == principal
