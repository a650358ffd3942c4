"""AssumeRoleWithSAML: a role for whoever a SAML 2.0 identity provider vouches for. Nobody signs; the response says it all.

Response and metadata: `clc/saml.py`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from eucapy.clc import saml
from eucapy.clc.context import ASSUMED_ROLE, Call
from eucapy.clc.sessions import Session
from eucapy.clc.store import iam_providers, roles
from eucapy.clc.sts import granting, trust
from eucapy.clc.sts.service import AccessDenied, ExpiredTokenException, InvalidIdentityToken, sts

ACTION = "sts:AssumeRoleWithSAML"


@sts.action("AssumeRoleWithSAML", anonymous=True)
async def assume_role_with_saml(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    arn, provider_arn = p["RoleArn"], p["PrincipalArn"]
    account = trust.account_of(arn)
    if trust.account_of(provider_arn) != account:
        raise AccessDenied(f"Not authorized to perform {ACTION}")
    limits = granting.limits(p)
    provider = await iam_providers.by_arn(call.tx, iam_providers.saml_providers, provider_arn)
    if provider is None:
        raise InvalidIdentityToken("Specified provider doesn't exist")
    try:
        found = saml.response(p["SAMLAssertion"], saml.Metadata.read(provider.document), call.now)
    except saml.NotAccepted as refused:
        raise (ExpiredTokenException if refused.kind == "expired" else InvalidIdentityToken)(refused.text) from refused
    if (arn, provider_arn) not in found.roles:
        raise AccessDenied(f"Not authorized to perform {ACTION}")
    if len(found.tags) > granting.MOST_TAGS:
        raise InvalidIdentityToken("The session tags of the AuthnResponse are not valid")
    tags = granting.session_tags([{"Key": key, "Value": value} for key, value in found.tags], found.transitive, None)
    role = await roles.by_arn(call.tx, arn)
    qualifier = name_qualifier(found.issuer, account, provider_arn)
    keys = _keys(found, account, provider_arn, qualifier)
    trust.require_federated(
        call,
        role,
        provider_arn,
        trust.actions(ACTION, tags["tags"], found.source_identity),
        keys
        | trust.facts(
            name=found.session_name,
            tags=tags["tags"],
            transitive=tags["transitive"],
            source_identity=found.source_identity,
        ),
    )
    assert role is not None
    now = int(call.now)
    ends = now + granting.role_seconds(p.get("DurationSeconds"), role.max_session_s, chained=False)
    if found.ends_at is not None:
        ends = min(ends, int(found.ends_at))
        if ends <= now:
            raise ExpiredTokenException("Token must be redeemed within 5 minutes of issuance")
    session = Session(
        kind=ASSUMED_ROLE,
        account=role.account,
        holder=role.id,
        name=found.session_name,
        issued_at=now,
        expires_at=ends,
        source_identity=found.source_identity,
        origin="saml",
        provider=provider_arn,
        facts=tuple((key, str(value)) for key, value in keys.items()),
        **limits,
        **tags,
    )
    answer = granting.of_role(granting.begin(call, session, p.get("MinimumSessionTokenSize", 0)), session, role)
    return {
        **answer,
        "Subject": found.subject,
        "SubjectType": found.subject_type,
        "Issuer": found.issuer,
        "Audience": found.recipient,
        "NameQualifier": qualifier,
    }


def name_qualifier(issuer: str, account: str, provider_arn: str) -> str:
    """Tells the users of one provider from those of another. Source: AssumeRoleWithSAML, "NameQualifier"."""
    friendly = provider_arn.rpartition("/")[2]
    return base64.b64encode(hashlib.sha1(f"{issuer}{account}/{friendly}".encode()).digest()).decode()


def _keys(found: saml.Assertion, account: str, provider_arn: str, qualifier: str) -> trust.Keys:
    """Source: "Available keys for SAML-based AWS STS federation"."""
    return {
        "saml:aud": found.recipient,
        "saml:doc": f"{account}/{provider_arn.rpartition('/')[2]}",
        "saml:iss": found.issuer,
        "saml:namequalifier": qualifier,
        "saml:sub": found.subject,
        "saml:sub_type": found.subject_type.lower(),
    }
