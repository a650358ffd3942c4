"""OpenID Connect: whether an ID token is what its issuer signed, for us and now.

    claims = await issuers.claims(Provider(url, client_ids, thumbprints), token, now)     # NotAccepted says why not

`unverified_issuer` reads who a token says it is from, so that the account's provider of that name can be found; nothing in
a token counts before its signature was checked with a key of that issuer. The keys come from the issuer itself (its
discovery document names where they are), over HTTPS alone, without redirects, within bounds of time and size, and are kept
for a while. The issuer's certificate must be good to the machine's own authorities; where it is not, a certificate of its
chain must have one of the provider's thumbprints, and is then the only authority. Source: "Obtain the thumbprint for an
OpenID Connect identity provider" and "Create an OpenID Connect identity provider in IAM", IAM guide.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import hashlib
import json
import logging
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jwt
import msgspec

from eucapy.clock import Clock

log = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
LIMIT_S = 5.0
"""For each of the two documents."""
MOST_BYTES = 256 << 10
KEPT_S = 3600.0
AGAIN_S = 30.0
"""A key that the kept ones do not have is looked for again no sooner than this; so is an issuer that did not answer."""
MOST_ISSUERS = 256
SKEW_S = 5.0
"""How far a token may be from the future: clocks differ."""


class Provider(msgspec.Struct, frozen=True):
    """An account's OpenID Connect provider. `url` is the issuer without `https://`."""

    url: str
    client_ids: tuple[str, ...] = ()
    thumbprints: tuple[str, ...] = ()


class NotAccepted(Exception):
    """`kind` is "invalid", "expired" or "unreachable"; the text is AWS's."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


class _Kept(msgspec.Struct, frozen=True):
    keys: tuple[jwt.PyJWK, ...]
    asked_at: float
    failure: NotAccepted | None = None


_NO_JWT = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
_NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity "
    "documentation for requirements"
)
_WRONG_CERTIFICATE = "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint"


def unverified_issuer(token: str) -> str:
    """The `iss` that a token claims. Raises NotAccepted."""
    claims = _unverified(token)
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not issuer:
        raise NotAccepted("invalid", "Missing a required claim: iss")
    return issuer


class Issuers:
    """The signing keys of issuers, kept in memory."""

    def __init__(self, clock: Clock, authorities: ssl.SSLContext | None = None) -> None:
        """`authorities`: whose certificates are good; the machine's own unless given."""
        self._clock = clock
        self._given_authorities = authorities
        self._kept: dict[tuple[str, tuple[str, ...]], _Kept] = {}
        self._asking: dict[tuple[str, tuple[str, ...]], asyncio.Task[_Kept]] = {}

    @functools.cached_property
    def _authorities(self) -> ssl.SSLContext:
        # Reading the machine's authorities takes as long as fifty API calls: only a cloud that federates does.
        return self._given_authorities or ssl.create_default_context()

    async def claims(self, provider: Provider, token: str, now: float) -> dict[str, Any]:
        """What the token says, all of it checked. Raises NotAccepted."""
        claims = _unverified(token)
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS:
            raise NotAccepted("invalid", _NO_KEY)
        for key in await self._keys(provider, header):
            try:
                jwt.decode(token, key, algorithms=[str(header["alg"])], options=_SIGNATURE_ALONE)
            except jwt.InvalidTokenError:
                continue
            _check(provider, claims, now)
            return claims
        raise NotAccepted("invalid", "The ID Token's signature is not valid")

    async def close(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keys(self, provider: Provider, header: Mapping[str, Any]) -> list[jwt.PyJWK]:
        """The issuer's keys that may have signed this. Raises NotAccepted for none."""
        name = (provider.url, provider.thumbprints)
        kept = self._kept.get(name)
        now = self._clock.monotonic()
        found = _fitting(kept.keys, header) if kept is not None and now - kept.asked_at <= KEPT_S else []
        if not found and (kept is None or now - kept.asked_at > AGAIN_S):
            kept = await asyncio.shield(self._ask(provider, name))
            found = _fitting(kept.keys, header)
        if kept is not None and kept.failure is not None:
            raise kept.failure
        if not found:
            raise NotAccepted("invalid", _NO_KEY)
        return found

    def _ask(self, provider: Provider, name: tuple[str, tuple[str, ...]]) -> asyncio.Task[_Kept]:
        """One question at a time for each issuer."""
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = asyncio.create_task(self._refresh(provider, name))
            task.add_done_callback(lambda _: self._asking.pop(name, None))
        return task

    async def _refresh(self, provider: Provider, name: tuple[str, tuple[str, ...]]) -> _Kept:
        asked_at = self._clock.monotonic()
        try:
            kept = _Kept(await self._fetch(provider), asked_at)
        except NotAccepted as failure:
            log.warning(
                "an identity provider's keys were not got",
                extra={"data": {"issuer": provider.url, "reason": failure.text, "cause": repr(failure.__cause__)}},
            )
            kept = _Kept((), asked_at, failure)
        self._kept.pop(name, None)
        if len(self._kept) >= MOST_ISSUERS:
            self._kept.pop(next(iter(self._kept)))
        self._kept[name] = kept
        return kept

    async def _fetch(self, provider: Provider) -> tuple[jwt.PyJWK, ...]:
        issuer = f"https://{provider.url}"
        document = await self._json(f"{issuer.rstrip('/')}/.well-known/openid-configuration", provider)
        if document.get("issuer") != issuer:
            raise NotAccepted("invalid", _NO_KEY)
        keys = (await self._json(str(document.get("jwks_uri")), provider)).get("keys")
        return tuple(_key(each) for each in keys if _is_signing_key(each)) if isinstance(keys, list) else ()

    async def _json(self, url: str, provider: Provider) -> dict[str, Any]:
        """A JSON object, got from the issuer. Raises NotAccepted."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise NotAccepted("invalid", _NO_KEY)
        try:
            try:
                content = await _get(url, self._authorities)
            except aiohttp.ClientConnectorCertificateError:
                content = await _get(url, await _pinned(parts.hostname, parts.port or 443, provider.thumbprints))
            found = json.loads(content)
        except aiohttp.ClientConnectorCertificateError as error:
            raise NotAccepted("invalid", _WRONG_CERTIFICATE) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NotAccepted("unreachable", _NO_KEY) from error
        except (ValueError, RecursionError) as error:
            raise NotAccepted("invalid", _NO_KEY) from error
        if not isinstance(found, dict):
            raise NotAccepted("invalid", _NO_KEY)
        return found


_SIGNATURE_ALONE: Any = {
    "verify_signature": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False,
    "verify_iss": False, "verify_sub": False, "verify_jti": False,
}  # fmt: skip


def _unverified(token: str) -> dict[str, Any]:
    """The claims, as they stand. Raises NotAccepted."""
    parts = token.split(".")
    try:
        if len(parts) != 3:
            raise ValueError(f"{len(parts)} parts")
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        jwt.get_unverified_header(token)
    except (ValueError, RecursionError, jwt.InvalidTokenError) as error:
        raise NotAccepted("invalid", _NO_JWT) from error
    if not isinstance(claims, dict):
        raise NotAccepted("invalid", _NO_JWT)
    return claims


def _check(provider: Provider, claims: Mapping[str, Any], now: float) -> None:
    """The claims of a token whose signature is good. Raises NotAccepted."""
    for name in ("iss", "sub", "aud", "exp", "iat"):
        if name not in claims:
            raise NotAccepted("invalid", f"Missing a required claim: {name}")
    if claims["iss"] != f"https://{provider.url}" or not isinstance(claims["sub"], str):
        raise NotAccepted("invalid", _NO_JWT)
    expires, issued = _moment(claims["exp"]), _moment(claims["iat"])
    if now >= expires:
        raise NotAccepted(
            "expired",
            f"Token expired: current date/time {int(now)} must be before the expiration date/time {int(expires)}",
        )
    if max(issued, _moment(claims.get("nbf", issued))) > now + SKEW_S:
        raise NotAccepted("invalid", "The ID Token is not valid yet")
    if not set(audiences(claims)) & set(provider.client_ids):
        raise NotAccepted("invalid", "Incorrect token audience")


def audiences(claims: Mapping[str, Any]) -> list[str]:
    """Whom the token is for. Where it names an authorized party (`azp`), that is who asked for it and counts alone."""
    party = claims.get("azp")
    if isinstance(party, str) and party:
        return [party]
    told = claims.get("aud")
    return [each for each in (told if isinstance(told, list) else [told]) if isinstance(each, str)]


def _moment(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotAccepted("invalid", _NO_JWT)
    return float(value)


def _is_signing_key(raw: Any) -> bool:
    if not isinstance(raw, dict) or raw.get("kty") not in ("RSA", "EC") or raw.get("use", "sig") != "sig":
        return False
    try:
        _key(raw)
    except (jwt.PyJWTError, ValueError, TypeError):
        return False  # of a curve or size that nobody here knows: the others still count
    return True


def _key(raw: Mapping[str, Any]) -> jwt.PyJWK:
    return jwt.PyJWK({key: value for key, value in raw.items() if key != "use"})


def _fitting(keys: tuple[jwt.PyJWK, ...], header: Mapping[str, Any]) -> list[jwt.PyJWK]:
    wanted = header.get("kid")
    kind = "RSA" if str(header["alg"]).startswith("RS") else "EC"
    return [key for key in keys if key.key_type == kind and (wanted is None or key.key_id == wanted)]


# --- HTTPS ------------------------------------------------------------------------------------------------------------


async def _get(url: str, tls: ssl.SSLContext) -> bytes:
    """The body of a 200. Raises aiohttp.ClientError, OSError, TimeoutError, ValueError for another answer."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as session,
        session.get(url, ssl=tls, allow_redirects=False, headers={"Accept": "application/json"}) as answer,
    ):
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}")
        content = bytearray()
        async for part in answer.content.iter_any():
            content += part
            if len(content) > MOST_BYTES:
                raise ValueError("too large")
        return bytes(content)


async def _pinned(host: str, port: int, thumbprints: tuple[str, ...]) -> ssl.SSLContext:
    """A context that trusts those certificates of the server's chain that have one of the thumbprints, and nothing else.
    Raises NotAccepted where there is none, OSError."""
    wanted = {thumbprint.lower() for thumbprint in thumbprints}
    chain = await _presented(host, port)
    trusted = [each for each in chain if hashlib.sha1(each).hexdigest() in wanted]
    if not trusted:
        raise NotAccepted("invalid", _WRONG_CERTIFICATE)
    context = ssl.create_default_context(cadata=b"".join(trusted))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


async def _presented(host: str, port: int) -> list[bytes]:
    """The certificates that a server shows, as DER. Nothing is sent to it, and nothing that it says is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with asyncio.timeout(LIMIT_S):
        _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    try:
        wire: Any = writer.get_extra_info("ssl_object")
        if hasattr(wire, "get_unverified_chain"):  # Python 3.13
            return [bytes(each) for each in wire.get_unverified_chain()]
        der = 2  # ssl's ENCODING_DER
        return [bytes(each.public_bytes(der)) for each in wire._sslobj.get_unverified_chain() or ()]
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
