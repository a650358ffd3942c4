"""AssumeRoleWithWebIdentity against a real issuer over TLS: its tokens let in, everything else is refused in AWS's words."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from eucapy.clc import oidc
from eucapy.clock import ManualClock
from tests.clc.launching import error
from tests.clc.sts.granting import role, trust, unsigned, with_credentials
from tests.clc.sts.issuer import Authority, Issuer, serving
from tests.harness.cloud import Cloud

ACTION = "sts:AssumeRoleWithWebIdentity"
NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity "
    "documentation for requirements"
)
NO_JWT = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"


@pytest.fixture(scope="module")
def issuer(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """An issuer that the account has as its provider."""
    with serving(tmp_path_factory.mktemp("issuer")) as found:
        cloud.client("iam").create_open_id_connect_provider(
            Url=found.url, ClientIDList=["client-1", "client-2"], ThumbprintList=[found.authority.thumbprint]
        )
        yield found


@pytest.fixture(scope="module")
def arn(cloud: Cloud, issuer: Issuer) -> str:
    """A role for the issuer's user-1, with the session tags and source identities that tokens bring."""
    return role(
        cloud,
        "web",
        trust(
            {"Federated": provider(cloud, issuer)},
            [ACTION, "sts:TagSession", "sts:SetSourceIdentity"],
            StringEquals={f"{issuer.host}:aud": "client-1"},
            StringLike={f"{issuer.host}:sub": "user-*"},
        ),
    )


def provider(cloud: Cloud, issuer: Issuer) -> str:
    return f"arn:aws:iam::{cloud.account('eucalyptus')['account_id']}:oidc-provider/{issuer.host}"


def assume(cloud: Cloud, arn: str, token: str, **more: Any) -> Any:
    return unsigned(cloud).assume_role_with_web_identity(
        RoleArn=arn, RoleSessionName="web-1", WebIdentityToken=token, **more
    )


def refused(cloud: Cloud, arn: str, token: str) -> tuple[str, str]:
    return error(assume, cloud=cloud, arn=arn, token=token)


def test_a_token_is_exchanged_for_credentials(cloud: Cloud, issuer: Issuer, arn: str) -> None:
    answer = assume(cloud, arn, issuer.token())
    assert answer["SubjectFromWebIdentityToken"] == "user-1"
    assert answer["Audience"] == "client-1"
    assert answer["Provider"] == provider(cloud, issuer)
    who = with_credentials(cloud, "sts", answer["Credentials"]).get_caller_identity()
    assert who["Arn"] == answer["AssumedRoleUser"]["Arn"]
    assert who["Arn"].endswith(":assumed-role/web/web-1")


def test_a_token_for_several_is_for_the_one_that_is_ours(cloud: Cloud, issuer: Issuer, arn: str) -> None:
    assert assume(cloud, arn, issuer.token(aud=["stranger", "client-1"]))["Audience"] == "client-1"
    assert assume(cloud, arn, issuer.token(aud=["stranger"], azp="client-1"))["Audience"] == "client-1"
    assert refused(cloud, arn, issuer.token(aud=["client-1"], azp="stranger")) == (
        "InvalidIdentityToken",
        "Incorrect token audience",
    )


def test_access_tokens_of_oauth_are_not_taken_for_id_tokens(cloud: Cloud, issuer: Issuer, arn: str) -> None:
    code, _ = error(assume, cloud=cloud, arn=arn, token=issuer.token(), ProviderId="graph.facebook.com")
    assert code == "InvalidIdentityToken"


def test_the_issuers_keys_are_asked_for_once_and_again_for_a_new_one(issuer: Issuer) -> None:
    import asyncio

    clock = ManualClock()
    known = oidc.Provider(issuer.host, ("client-1",), (issuer.authority.thumbprint,))

    async def work() -> None:
        issuers = oidc.Issuers(clock)
        now, asked = time.time(), len(issuer.asked)
        for _ in range(3):
            assert (await issuers.claims(known, issuer.token(), now))["sub"] == "user-1"
        assert len(issuer.asked) == asked + 2  # the discovery document and the keys
        issuer.add_key("k2")
        for _ in range(2):  # not asked for each token with a name that somebody made up
            with pytest.raises(oidc.NotAccepted, match="verification key"):
                await issuers.claims(known, issuer.token(kid="k2"), now)
        assert len(issuer.asked) == asked + 2
        clock.advance(oidc.AGAIN_S + 1)
        assert await issuers.claims(known, issuer.token(kid="k2"), now)
        assert len(issuer.asked) == asked + 4
        del issuer.keys["k2"]
        clock.advance(oidc.KEPT_S + 1)  # a key that the issuer gave up counts no longer
        with pytest.raises(oidc.NotAccepted, match="verification key"):
            await issuers.claims(known, issuer.token(key=issuer.keys["k1"], kid="k2"), now)
        await issuers.close()

    asyncio.run(work())


def test_a_token_is_refused_for_what_is_wrong_with_it(cloud: Cloud, issuer: Issuer, arn: str) -> None:
    now = int(time.time())
    stranger = rsa.generate_private_key(65537, 2048)
    assert refused(cloud, arn, issuer.token(aud="client-3")) == ("InvalidIdentityToken", "Incorrect token audience")
    code, message = refused(cloud, arn, issuer.token(exp=now - 10))
    assert code == "ExpiredTokenException"
    assert message.endswith(f"must be before the expiration date/time {now - 10}")
    assert message.startswith("Token expired: current date/time ")
    for name in ("sub", "aud", "exp", "iat", "iss"):
        assert refused(cloud, arn, issuer.token(**{name: None})) == (
            "InvalidIdentityToken",
            f"Missing a required claim: {name}",
        )
    assert refused(cloud, arn, issuer.token(iat=now + 600))[0] == "InvalidIdentityToken"
    assert refused(cloud, arn, issuer.token(nbf=now + 600))[0] == "InvalidIdentityToken"
    assert refused(cloud, arn, issuer.token(key=stranger))[0] == "InvalidIdentityToken"
    assert refused(cloud, arn, issuer.token(kid="unheard-of", key=stranger)) == ("InvalidIdentityToken", NO_KEY)
    for text in ("no token", "a.b.c", "e30.e30.e30", "....", "é.é.é"):
        assert refused(cloud, arn, text)[0] == "InvalidIdentityToken"
    assert refused(cloud, arn, "no token") == ("InvalidIdentityToken", NO_JWT)
    assert refused(cloud, arn, issuer.token(iss="https://elsewhere.example.com")) == (
        "InvalidIdentityToken",
        "No OpenIDConnect provider found in your account for https://elsewhere.example.com",
    )


def test_a_token_that_is_not_signed_or_signed_with_the_public_key_is_refused(
    cloud: Cloud, issuer: Issuer, arn: str
) -> None:
    """The two classic forgeries: `alg: none`, and a MAC under the issuer's public key."""
    import hmac

    from cryptography.hazmat.primitives import serialization

    def encoded(value: object) -> str:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    claims = issuer.token().split(".")[1]
    none = f"{encoded({'alg': 'none', 'kid': 'k1'})}.{claims}."
    assert refused(cloud, arn, none)[0] == "InvalidIdentityToken"
    public = (
        issuer.keys["k1"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    head = f"{encoded({'alg': 'HS256', 'kid': 'k1'})}.{claims}"
    forged = f"{head}.{encoded(hmac.digest(public, head.encode(), 'sha256'))}"
    assert refused(cloud, arn, forged)[0] == "InvalidIdentityToken"


def test_the_roles_trust_policy_decides(cloud: Cloud, issuer: Issuer, arn: str) -> None:
    not_allowed = ("AccessDenied", f"Not authorized to perform {ACTION}")
    assert refused(cloud, arn, issuer.token(sub="admin")) == not_allowed
    assert refused(cloud, arn, issuer.token(aud="client-2")) == not_allowed  # a client of ours, but not of this role
    assert refused(cloud, arn.replace("web", "no-such"), issuer.token()) == not_allowed
    plain = role(cloud, "not-web", trust({"AWS": cloud.account("eucalyptus")["account_id"]}))
    assert refused(cloud, plain, issuer.token()) == not_allowed


def test_a_token_brings_tags_and_a_source_identity(cloud: Cloud, issuer: Issuer, arn: str) -> None:
    tags = {"principal_tags": {"team": ["red"]}, "transitive_tag_keys": ["team"]}
    token = issuer.token(**{"https://aws.amazon.com/tags": tags, "https://aws.amazon.com/source_identity": "bob"})
    answer = assume(cloud, arn, token)
    assert answer["SourceIdentity"] == "bob"
    assert answer["PackedPolicySize"] > 0
    account = cloud.account("eucalyptus")["account_id"]
    red = role(
        cloud,
        "web-red",
        trust(
            {"AWS": account},
            ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            StringEquals={"aws:PrincipalTag/team": "red", f"{issuer.host}:sub": "user-1"},
        ),
    )
    chained = with_credentials(cloud, "sts", answer["Credentials"])
    assert chained.assume_role(RoleArn=red, RoleSessionName="s-1")["SourceIdentity"] == "bob"
    odd = issuer.token(**{"https://aws.amazon.com/tags": {"principal_tags": {"team": [{"a": 1}]}}})
    assert refused(cloud, arn, odd)[0] == "InvalidIdentityToken"


def test_an_issuer_is_believed_by_its_certificate_alone(tmp_path: Any) -> None:
    """The authority's thumbprint or the server's own; another's does not do, nor a certificate for another name."""
    import asyncio
    import ssl

    async def claims(issuer: Issuer, *thumbprints: str, authorities: ssl.SSLContext | None = None) -> Any:
        issuers = oidc.Issuers(ManualClock(), authorities)
        try:
            known = oidc.Provider(issuer.host, ("client-1",), thumbprints)
            return await issuers.claims(known, issuer.token(), time.time())
        finally:
            await issuers.close()

    with serving(tmp_path) as issuer:
        good = issuer.authority.thumbprint
        assert asyncio.run(claims(issuer, good.upper()))
        assert asyncio.run(claims(issuer, issuer.leaf))
        trusted = ssl.create_default_context(cadata=issuer.authority.pem)
        assert asyncio.run(claims(issuer, authorities=trusted))
        for wrong in ((), (Authority().thumbprint,), ("0" * 40,)):
            with pytest.raises(oidc.NotAccepted, match="doesn't match configured thumbprint"):
                asyncio.run(claims(issuer, *wrong))
        issuer.issuer_told = "https://elsewhere.example.com"
        with pytest.raises(oidc.NotAccepted, match="verification key"):
            asyncio.run(claims(issuer, good))
        issuer.issuer_told, issuer.status = None, 503
        with pytest.raises(oidc.NotAccepted, match="verification key"):
            asyncio.run(claims(issuer, good))
    with (
        serving(tmp_path, "elsewhere.example.com") as issuer,
        pytest.raises(oidc.NotAccepted, match="doesn't match configured thumbprint"),
    ):
        asyncio.run(claims(issuer, issuer.authority.thumbprint))
    with pytest.raises(oidc.NotAccepted) as silent:
        asyncio.run(claims(issuer, issuer.authority.thumbprint))
    assert silent.value.kind == "unreachable"
