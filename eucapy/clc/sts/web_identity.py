"""AssumeRoleWithWebIdentity: a role for whoever an OpenID Connect issuer vouches for. Nobody signs; the ID token says it all.

The rows are read first; then the token is checked, for which the issuer may have to be asked for its keys, with no
transaction open; then the role's trust policy decides. Token and keys: `clc/oidc.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc import oidc
from eucapy.clc.context import ASSUMED_ROLE, Call, Later
from eucapy.clc.sessions import Session
from eucapy.clc.store import iam_providers, roles
from eucapy.clc.sts import granting, trust
from eucapy.clc.sts.service import (
    ExpiredTokenException,
    IDPCommunicationError,
    InvalidIdentityToken,
    sts,
)
from eucapy.database import Row
from eucapy.errors import ApiError

ACTION = "sts:AssumeRoleWithWebIdentity"
_TAGS = "https://aws.amazon.com/tags"
_SOURCE_IDENTITY = "https://aws.amazon.com/source_identity"
_KINDS = {"expired": ExpiredTokenException, "unreachable": IDPCommunicationError}


@sts.action("AssumeRoleWithWebIdentity", anonymous=True)
async def assume_role_with_web_identity(call: Call, p: Mapping[str, Any]) -> Later:
    arn, token = p["RoleArn"], p["WebIdentityToken"]
    account = trust.account_of(arn)
    if p.get("ProviderId"):  # an access token of OAuth 2.0, which only the providers that AWS knows by name give
        raise InvalidIdentityToken(f"No OpenIDConnect provider found in your account for {p['ProviderId']}")
    limits = granting.limits(p)
    try:
        issuer = oidc.unverified_issuer(token)
    except oidc.NotAccepted as refused:
        raise _told(refused) from refused
    provider_arn = f"arn:aws:iam::{account}:oidc-provider/{issuer.removeprefix('https://')}"
    found = await iam_providers.by_arn(call.tx, iam_providers.oidc_providers, provider_arn)
    if found is None or not issuer.startswith("https://"):
        raise InvalidIdentityToken(f"No OpenIDConnect provider found in your account for {issuer}")
    provider = oidc.Provider(found.url, tuple(found.client_ids), tuple(found.thumbprints))
    role = await roles.by_arn(call.tx, arn)

    async def work() -> Mapping[str, Any]:
        try:
            claims = await call.issuers.claims(provider, token, call.now)
        except oidc.NotAccepted as refused:
            raise _told(refused) from refused
        return _session(call, p, role, limits, provider_arn, provider, claims)

    return Later(work)


def _session(
    call: Call, p: Mapping[str, Any], role: Row | None, limits: Mapping[str, Any], provider_arn: str,
    provider: oidc.Provider, claims: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    told = claims.get(_TAGS)
    tags = _tags(told if isinstance(told, dict) else {})
    source_identity = claims.get(_SOURCE_IDENTITY)
    source_identity = source_identity if isinstance(source_identity, str) else ""
    trust.require_federated(
        call,
        role,
        provider_arn,
        trust.actions(ACTION, tags["tags"], source_identity),
        _keys(provider, claims)
        | trust.facts(
            name=p["RoleSessionName"],
            tags=tags["tags"],
            transitive=tags["transitive"],
            source_identity=source_identity,
        ),
    )
    assert role is not None
    now = int(call.now)
    audience = _audience(provider, claims)
    session = Session(
        kind=ASSUMED_ROLE,
        account=role.account,
        holder=role.id,
        name=p["RoleSessionName"],
        issued_at=now,
        expires_at=now + granting.role_seconds(p.get("DurationSeconds"), role.max_session_s, chained=False),
        source_identity=source_identity,
        origin="web",
        provider=provider_arn,
        facts=((f"{provider.url}:sub", claims["sub"]), (f"{provider.url}:aud", audience)),
        **limits,
        **tags,
    )
    answer = granting.of_role(granting.begin(call, session, p.get("MinimumSessionTokenSize", 0)), session, role)
    return {**answer, "SubjectFromWebIdentityToken": claims["sub"], "Audience": audience, "Provider": provider_arn}


def _keys(provider: oidc.Provider, claims: Mapping[str, Any]) -> trust.Keys:
    """`accounts.example.com:sub` and the like: the claims that are texts, or lists of texts. `aud` is whom the token is for
    (the authorized party where there is one), `oaud` its own audience. Source: "Available keys for AWS OIDC federation"."""
    keys: trust.Keys = {}
    for name, value in claims.items():
        if isinstance(value, str) or (
            isinstance(value, list) and value and all(isinstance(each, str) for each in value)
        ):
            keys[f"{provider.url}:{name}".lower()] = value
    if "aud" in claims:
        keys[f"{provider.url}:oaud".lower()] = keys.get(f"{provider.url}:aud".lower(), "")
    keys[f"{provider.url}:aud".lower()] = _audience(provider, claims)
    return keys


def _audience(provider: oidc.Provider, claims: Mapping[str, Any]) -> str:
    """The client of ours that the token is for; it may name others beside."""
    return next(each for each in oidc.audiences(claims) if each in provider.client_ids)


def _tags(told: Mapping[str, Any]) -> dict[str, Any]:
    """Session tags of a token: {"principal_tags": {key: [value]}, "transitive_tag_keys": [key]}."""
    tags, transitive = told.get("principal_tags"), told.get("transitive_tag_keys")
    asked = [
        {"Key": key, "Value": value[0] if isinstance(value, list) and value else value}
        for key, value in (tags.items() if isinstance(tags, dict) else ())
    ]
    if any(not isinstance(tag["Value"], str) for tag in asked) or len(asked) > granting.MOST_TAGS:
        raise InvalidIdentityToken("The session tags of the ID Token are not valid")
    keys = [key for key in transitive if isinstance(key, str)] if isinstance(transitive, list) else []
    return granting.session_tags(asked, keys, None)


def _told(refused: oidc.NotAccepted) -> ApiError:
    return _KINDS.get(refused.kind, InvalidIdentityToken)(refused.text)
