"""Who asks: finds the signature of whichever version a request carries, checks it, and names the Identity.

A request without any signature is nobody's; whether nobody may do it is decided by the handler's registration and then by
`authorize`. A request with a broken signature is refused even where an unsigned one would do.

For S3 the body is handed on as a reader that goes on checking what the head promised; elsewhere it is in memory and is
checked here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Collection

from multidict import CIMultiDict

from eucapy.aws import sigv2, sigv4
from eucapy.aws.bodies import BodyReader, ChunkedReader, ChunkSigner, HashedReader
from eucapy.aws.credentials import NOBODY, Credential, Identity, identity
from eucapy.aws.errors import MissingContentLength
from eucapy.aws.message import Incoming
from eucapy.aws.refusals import Refused
from eucapy.aws.route import Claim, Route

Lookup = Callable[[str, "str | None"], Awaitable["Credential | None"]]

# What an AWS region looks like. Anything else in a scope is a client without one (`undefined-PID`, a label of a host name)
# and is let pass, for the signature itself is checked all the same.
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d{1,2}\Z")

_QUERY_AUTH = re.compile(r"(?:^|&)(?:X-Amz-Algorithm|Signature)=")

_STREAMING_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_STREAMING_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
_STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_CHUNKED = frozenset({_STREAMING_SIGNED, _STREAMING_SIGNED_TRAILER, _STREAMING_UNSIGNED_TRAILER})


class Authenticator:
    """Checks signatures with the credentials that `lookup` finds. `regions` are the ones a scope may name."""

    def __init__(self, lookup: Lookup, region: str, known_scopes: Collection[str] = ()) -> None:
        self._lookup, self._region = lookup, region
        self._known_scopes = frozenset(known_scopes)

    async def authenticate(self, incoming: Incoming, route: Route, claim: Claim) -> tuple[Identity, Incoming]:
        """(who asks, the request with its body checked or being checked). Raises Refused, ApiError."""
        s3 = route.service.family == "s3"
        if s3 and "authorization" in incoming.headers and _QUERY_AUTH.search(incoming.query):
            raise Refused(
                "argument",
                text="Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                "parameter or the Authorization header should be specified",
                ArgumentName="Authorization",
                ArgumentValue=incoming.headers["authorization"][:200],
            )
        v4 = sigv4.parse(incoming)
        if v4 is not None:
            return await self._version4(v4, incoming, route, s3)
        v2 = sigv2.parse(incoming, route.form, s3)
        if v2 is not None:
            return await self._version2(v2, incoming, route, claim), incoming
        header = incoming.headers.get("authorization")
        if header is not None:
            raise Refused(
                "unsupported",
                text="Unsupported Authorization Type",
                ArgumentName="Authorization",
                ArgumentValue=header[:200],
            )
        return NOBODY, _decoded(incoming, None, sigv4.UNSIGNED) if s3 else incoming

    async def credential(self, access_key_id: str, token: str | None, now: float) -> Credential:
        """The credential that a signature names. Raises Refused for one that may not be used."""
        if not (access_key_id.isascii() and access_key_id.isprintable()):
            raise Refused("unknown key", AWSAccessKeyId=ascii(access_key_id)[:200])  # no database takes it for a text
        found = await self._lookup(access_key_id, token)
        if found is None:
            raise Refused("unknown key", AWSAccessKeyId=access_key_id)
        if not found.active:
            raise Refused("inactive key", AWSAccessKeyId=access_key_id)
        if (found.session_token or None) != (token or None):
            if found.session_token is not None and token is None:
                raise Refused("unknown key", AWSAccessKeyId=access_key_id)
            raise Refused("bad token", **{"Token-0": token or ""})
        if found.expires is not None and now >= found.expires:
            raise Refused("expired token", **{"Token-0": token or ""})
        return found

    async def _version4(
        self, signature: sigv4.Signature, incoming: Incoming, route: Route, s3: bool
    ) -> tuple[Identity, Incoming]:
        self._check_scope(signature, route, s3)
        sigv4.check_signed_headers(signature, incoming, s3)
        credential = await self.credential(signature.access_key_id, signature.token, incoming.now)
        sigv4.check_time(signature, incoming.now)
        payload = _s3_payload(signature, incoming) if s3 else _payload(incoming, route)
        sigv4.verify(signature, credential.secret, incoming, payload, s3=s3)
        who = identity(credential, "v4-query" if signature.presigned else "v4-header")
        if not s3:
            return who, incoming
        signer = None
        if payload in (_STREAMING_SIGNED, _STREAMING_SIGNED_TRAILER):
            key = sigv4.signing_key(credential.secret, signature.date, signature.region, signature.service)
            signer = ChunkSigner(key, signature.timestamp, signature.scope, signature.signature)
        return who, _decoded(incoming, signer, payload)

    async def _version2(self, signature: sigv2.Signature, incoming: Incoming, route: Route, claim: Claim) -> Identity:
        credential = await self.credential(signature.access_key_id, signature.token, incoming.now)
        sigv2.check_time(signature, incoming.now)
        if signature.scheme == "query":
            texts = [sigv2.query_text(incoming, route.form)]
        else:
            texts = sigv2.s3_texts(incoming, signature, claim.bucket)
        sigv2.verify(signature, credential.secret, *texts)
        return identity(credential, "v2-query" if signature.scheme == "s3-query" else "v2-header")

    def _check_scope(self, signature: sigv4.Signature, route: Route, s3: bool) -> None:
        model = route.service.model
        reason = "query scope" if signature.presigned and s3 else "scope"
        allowed = {self._region, "us-east-1"} if model.is_global else {self._region}
        if signature.region not in allowed and _REGION.match(signature.region):
            if s3:
                raise Refused(
                    reason,
                    text=f"the region '{signature.region}' is wrong; expecting '{self._region}'",
                    Region=self._region,
                )
            raise Refused(reason, text="Credential should be scoped to a valid region. ")
        service = signature.service
        if service in self._known_scopes and service not in {model.scope, route.service.name, *route.service.aliases}:
            if s3:
                raise Refused(reason, text=f'incorrect service "{service}". This endpoint belongs to "s3".')
            raise Refused(reason, text=f"Credential should be scoped to correct service: '{model.scope}'. ")


def _payload(incoming: Incoming, route: Route) -> str:
    """The payload's hash for every service but S3: of the body itself."""
    claimed = incoming.headers.get("x-amz-content-sha256")
    if claimed == sigv4.UNSIGNED and route.operation is not None and route.operation.shape.unsigned_payload:
        return claimed
    return hashlib.sha256(incoming.body).hexdigest() if incoming.body else sigv4.EMPTY_SHA256


def _s3_payload(signature: sigv4.Signature, incoming: Incoming) -> str:
    claimed = incoming.headers.get("x-amz-content-sha256")
    if claimed is None:
        if signature.presigned:
            return sigv4.UNSIGNED
        raise Refused("no payload hash", text="")
    if claimed == sigv4.UNSIGNED or claimed in _CHUNKED or sigv4.is_sha256(claimed):
        return claimed
    raise Refused(
        "argument",
        text="x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid "
        "sha256 value.",
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=claimed[:200],
    )


def _decoded(incoming: Incoming, signer: ChunkSigner | None, payload: str) -> Incoming:
    """The request with the reader that its payload's form asks for, and without the traces of the encoding."""
    source = incoming.stream
    if not isinstance(source, BodyReader):
        return incoming
    if payload in (sigv4.UNSIGNED, ""):
        payload = incoming.headers.get("x-amz-content-sha256", payload)
        if payload not in _CHUNKED:
            return incoming
    if source.length == 0 and payload == sigv4.EMPTY_SHA256:
        return incoming
    if payload not in _CHUNKED:
        reader: BodyReader = HashedReader(source, payload.lower())
        return _with(incoming, reader, incoming.headers)
    text = incoming.headers.get("x-amz-decoded-content-length", "")
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise MissingContentLength()
    announced = frozenset(
        name.strip().lower() for name in incoming.headers.get("x-amz-trailer", "").split(",") if name.strip()
    )
    trailing = payload.endswith("-TRAILER")
    reader = ChunkedReader(source, int(text), signer, trailing=trailing, announced=announced)
    headers = CIMultiDict(incoming.headers)
    headers["Content-Length"] = text
    codings = [part.strip() for part in headers.pop("Content-Encoding", "").split(",")]
    codings = [part for part in codings if part and part.lower() != "aws-chunked"]
    if codings:
        headers["Content-Encoding"] = ",".join(codings)
    return _with(incoming, reader, headers)


def _with(incoming: Incoming, reader: BodyReader, headers: object) -> Incoming:
    return Incoming(
        incoming.method, incoming.path, incoming.query, headers, incoming.body, reader, incoming.host, incoming.scheme,  # type: ignore[arg-type]
        incoming.remote, incoming.now, incoming.request_id,
    )  # fmt: skip
