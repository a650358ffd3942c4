"""The condition keys that every request has: who asks, from where, when, how it signed. Pure.

Names are lower-case, as policies are matched. Source: "AWS global condition context keys".
"""

from __future__ import annotations

from datetime import UTC, datetime

from eucapy.aws.chain import Request
from eucapy.clc.context import ASSUMED_ROLE, FEDERATED_USER, ROOT, USER, Principal

Keys = dict[str, "str | list[str]"]
_KINDS = {USER: "User", ROOT: "Account", ASSUMED_ROLE: "AssumedRole", FEDERATED_USER: "FederatedUser"}
GLOBAL_REGION = "us-east-1"
"""Where IAM is, whatever region was asked. Source: aws:RequestedRegion."""


def of(request: Request, now: float) -> Keys:
    """`now`: seconds since the epoch."""
    http, principal = request.http, request.identity.principal
    moment = datetime.fromtimestamp(now, UTC)
    region = GLOBAL_REGION if request.service.name == "iam" else request.region
    keys: Keys = {
        "aws:sourceip": http.remote,
        "aws:securetransport": "true" if http.scheme == "https" else "false",
        "aws:currenttime": _iso(moment),
        "aws:epochtime": str(int(now)),
        "aws:requestedregion": region,
        "aws:viaawsservice": "false",
        "aws:principalisawsservice": "false",
    }
    if request.service.name == "ec2":
        keys["ec2:region"] = request.region
    for name, header in (("aws:useragent", "user-agent"), ("aws:referer", "referer")):
        if http.headers.get(header):
            keys[name] = http.headers[header]
    if isinstance(principal, Principal):
        keys.update(of_principal(principal, now))
    return keys


def of_principal(principal: Principal, now: float = 0.0) -> Keys:
    """Those that tell of the caller alone; those that change with time only where it is given."""
    keys: Keys = {
        "aws:principalarn": principal.lasting_arn,
        "aws:principalaccount": principal.account,
        "aws:principaltype": _KINDS[principal.kind],
        "aws:userid": principal.unique_id,
    }
    if principal.kind == USER:
        keys["aws:username"] = principal.user_name
    for key, value in principal.tags.items():
        keys[f"aws:principaltag/{key}".lower()] = value
    session = principal.session
    if session is None:
        return keys
    keys["aws:tokenissuetime"] = _iso(datetime.fromtimestamp(session.issued_at, UTC))
    keys["aws:multifactorauthpresent"] = "true" if session.mfa_at is not None else "false"
    if session.mfa_at is not None and now:
        keys["aws:multifactorauthage"] = str(max(0, int(now) - session.mfa_at))
    if session.source_identity:
        keys["aws:sourceidentity"] = session.source_identity
    if session.provider:
        keys["aws:federatedprovider"] = session.provider
    if session.instance:
        keys["ec2:sourceinstancearn"] = session.instance
    for key, value in session.facts:
        keys[key.lower()] = value
    return keys


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
