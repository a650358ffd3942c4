"""Signature Version 4: header, presigned query and the seed of chunked uploads.

`parse` reads what the request claims, without believing any of it; `verify` checks it against the credential's secret.
Both raise Refused, which `refusals.py` words for the service. Differences of S3: the path is encoded once (elsewhere the
path that was sent is normalized and encoded again), and the payload's hash is what x-amz-content-sha256 says, so that the
body can stream.

Signing keys depend on (secret, day, region, service) and are kept: a check costs two HMACs and a SHA-256.
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import msgspec

from eucapy.aws import forms
from eucapy.aws.message import Incoming
from eucapy.aws.refusals import Refused
from eucapy.aws.timestamps import milliseconds, parse_compact, parse_http_date, parse_iso

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW_S = 15 * 60
MAX_EXPIRES_S = 7 * 24 * 3600
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

_HEX64 = re.compile(r"[0-9a-fA-F]{64}\Z")
_SPACES = re.compile(r" {2,}")
_PART = re.compile(r"\s*([A-Za-z]+)\s*=\s*([^,\s]*)\s*(?:,|\Z)")
_USUAL = re.compile(r"AWS4-HMAC-SHA256 Credential=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([^,\s]+)\Z")
_UNESCAPED = re.compile(r"[A-Za-z0-9/_.~-]+\Z", re.ASCII)


class Signature(msgspec.Struct, frozen=True):
    """What a request says about its signature. `timestamp` as in X-Amz-Date, `time` the same in seconds."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    time: float
    token: str | None = None
    presigned: bool = False
    expires_s: int = 0

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


@lru_cache(maxsize=4096)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of a day, region and service."""
    key = hmac.digest(b"AWS4" + secret.encode(), date.encode(), "sha256")
    for part in (region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def sign(secret: str, date: str, region: str, service: str, text: str) -> str:
    return hmac.digest(
        signing_key(secret, date, region, service), text.encode("utf-8", "surrogateescape"), "sha256"
    ).hex()


# --- what the request says --------------------------------------------------------------------------------------------


def parse(incoming: Incoming) -> Signature | None:
    """The request's signature, or None when it has none of this version. Raises Refused for a malformed one."""
    header = incoming.headers.get("authorization")
    if header is not None and header.startswith(ALGORITHM):
        return _parse_header(header, incoming)
    if "X-Amz-Signature=" in incoming.query or "X-Amz-Algorithm=" in incoming.query:
        return _parse_query(forms.form(incoming.query))
    return None


def _fields(header: str) -> dict[str, str]:
    usual = _USUAL.match(header)
    if usual is not None:
        return {"Credential": usual[1], "SignedHeaders": usual[2], "Signature": usual[3]}
    return {match.group(1): match.group(2) for match in _PART.finditer(header[len(ALGORITHM) :])}


def _parse_header(header: str, incoming: Incoming) -> Signature:
    fields = _fields(header) if len(header) < 2048 else {}
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not fields.get(name)]
    date = incoming.headers.get("x-amz-date") or incoming.headers.get("date")
    if missing or date is None:
        text = " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
        if date is None:
            if not missing:
                raise Refused("no date", text=_NO_DATE.format(header=header[:200]))
            text += " " + _NO_DATE.format(header="").split(" Authorization=")[0]
        raise Refused("incomplete", text=f"{text} Authorization={header[:200]}")
    timestamp, seconds = _timestamp(date)
    access_key_id, day, region, service = _credential(fields["Credential"], presigned=False)
    _match_day(day, timestamp, date)
    return Signature(
        access_key_id, day, region, service, _names(fields["SignedHeaders"]), fields["Signature"],
        timestamp, seconds, incoming.headers.get("x-amz-security-token"),
    )  # fmt: skip


@lru_cache(maxsize=256)
def _names(text: str) -> tuple[str, ...]:
    return tuple(text.lower().split(";"))


_NO_DATE = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization={header}"
_QUERY_PARAMETERS = (
    "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires",
)  # fmt: skip


def _parse_query(form: Mapping[str, str]) -> Signature:
    if any(not form.get(name) for name in _QUERY_PARAMETERS if name != "X-Amz-Expires"):
        raise Refused(
            "query",
            text="Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        )
    if form["X-Amz-Algorithm"] != ALGORITHM:
        raise Refused("query", text='X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"')
    timestamp, seconds = _timestamp(form["X-Amz-Date"], presigned=True)
    # STS takes presigned requests without an expiry; they are as good as a header's, for 15 minutes.
    text = form.get("X-Amz-Expires", str(MAX_SKEW_S))
    if not re.fullmatch(r"-?\d{1,15}", text, re.ASCII):
        raise Refused("query", text="X-Amz-Expires should be a number")
    expires = int(text)
    if expires < 0:
        raise Refused("query", text="X-Amz-Expires must be non-negative")
    if expires > MAX_EXPIRES_S:
        raise Refused(
            "query",
            text="X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less "
            "than 604800 seconds",
        )
    access_key_id, day, region, service = _credential(form["X-Amz-Credential"], presigned=True)
    if day != timestamp[:8]:
        raise Refused(
            "query scope", text=f'incorrect date "{day}". This date should match the X-Amz-Date "{timestamp[:8]}".'
        )
    return Signature(
        access_key_id, day, region, service, tuple(form["X-Amz-SignedHeaders"].lower().split(";")),
        form["X-Amz-Signature"], timestamp, seconds, form.get("X-Amz-Security-Token"), True, expires,
    )  # fmt: skip


def _credential(text: str, presigned: bool) -> tuple[str, str, str, str]:
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or parts[4] != "aws4_request" or not parts[0]:
        raise Refused(
            "query scope" if presigned else "incomplete",
            text='the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
        )
    return parts[0], parts[1], parts[2], parts[3]


@lru_cache(maxsize=256)
def _timestamp(text: str, presigned: bool = False) -> tuple[str, float]:
    for parser in (parse_compact, parse_http_date, parse_iso):
        try:
            time = parser(text)
        except ValueError:
            continue
        return time.strftime("%Y%m%dT%H%M%SZ"), time.timestamp()
    if presigned:
        raise Refused("query", text="X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    raise Refused("no date", text=f"Date must be in ISO-8601 'basic format'. Got '{text[:60]}'.")


def _match_day(day: str, timestamp: str, date: str) -> None:
    if day != timestamp[:8]:
        raise Refused(
            "incomplete",
            text="Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{day}' != '{timestamp[:8]}', from '{date}'.",
        )


# --- time -------------------------------------------------------------------------------------------------------------


def check_time(signature: Signature, now: float) -> None:
    """The signature is of now, or, presigned, not yet past its expiry. Raises Refused."""
    if signature.presigned:
        end = signature.time + signature.expires_s
        if now > end:
            raise Refused(
                "expired",
                text=_expired_text(signature.time, now),
                **{"X-Amz-Expires": signature.expires_s, "Expires": _iso(end), "ServerTime": _iso(now)},
            )
        if signature.time > now + MAX_SKEW_S:
            raise Refused("skewed", text=_early_text(signature.time, now), **_skew_details(signature, now))
        return
    if now - signature.time > MAX_SKEW_S:
        raise Refused("skewed", text=_expired_text(signature.time, now), **_skew_details(signature, now))
    if signature.time - now > MAX_SKEW_S:
        raise Refused("skewed", text=_early_text(signature.time, now), **_skew_details(signature, now))


def _skew_details(signature: Signature, now: float) -> dict[str, Any]:
    return {
        "RequestTime": signature.timestamp,
        "ServerTime": _iso(now),
        "MaxAllowedSkewMilliseconds": MAX_SKEW_S * 1000,
    }


def _iso(seconds: float) -> str:
    return milliseconds(int(seconds)).replace(".000Z", "Z")


def _basic(seconds: float) -> str:
    return _iso(seconds).replace("-", "").replace(":", "")


def _expired_text(time: float, now: float) -> str:
    return f"Signature expired: {_basic(time)} is now earlier than {_basic(now - MAX_SKEW_S)} ({_basic(now)} - 15 min.)"


def _early_text(time: float, now: float) -> str:
    return (
        f"Signature not yet current: {_basic(time)} is still later than {_basic(now + MAX_SKEW_S)} "
        f"({_basic(now)} + 15 min.)"
    )


# --- the signature ----------------------------------------------------------------------------------------------------


def canonical_path(path: str, single: bool) -> str:
    """The path as it is signed: `single` for S3, which decodes and encodes once."""
    if path in ("", "/"):
        return "/"
    if single:
        if _UNESCAPED.match(path):
            return path
        return quote(unquote_to_bytes(path), safe="/~")
    normal = posixpath.normpath("/" + path.lstrip("/"))
    if path.endswith("/") and not normal.endswith("/"):
        normal += "/"
    return quote(normal, safe="/~")


def canonical_query(query: str, presigned: bool) -> str:
    """The query string as it is signed: decoded, encoded, sorted; without the signature itself."""
    if not query:
        return ""
    encoded = [
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in forms.pairs(query)
        if not (presigned and name == "X-Amz-Signature")
    ]
    encoded.sort()
    return "&".join([f"{name}={value}" for name, value in encoded])


def header_value(headers: Mapping[str, str], name: str) -> str:
    """A header as it is signed: all its values joined, trimmed, runs of spaces made one."""
    getall = getattr(headers, "getall", None)
    values: list[str] = getall(name, []) if getall is not None else [headers[name]] if name in headers else []
    if not values:
        return ""
    joined = values[0].strip() if len(values) == 1 else ",".join(value.strip() for value in values)
    return _SPACES.sub(" ", joined) if "  " in joined else joined


def canonical_request(signature: Signature, incoming: Incoming, payload: str, single: bool) -> str:
    headers = incoming.headers
    lines = "".join([f"{name}:{header_value(headers, name)}\n" for name in signature.signed_headers])
    return (
        f"{incoming.method}\n{canonical_path(incoming.path, single)}\n"
        f"{canonical_query(incoming.query, signature.presigned)}\n{lines}\n{';'.join(signature.signed_headers)}\n{payload}"
    )


_NEED_NO_SIGNATURE = frozenset({"x-amz-cf-id", "x-amz-content-sha256"})
"""x-amz-content-sha256 stands in the text that is signed."""


def check_signed_headers(signature: Signature, incoming: Incoming, s3: bool) -> None:
    """`host` is signed, and for S3 every x-amz- header. Raises Refused."""
    signed = signature.signed_headers
    if "host" not in signed:
        raise Refused(
            "unsigned headers",
            text="'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
            HeadersNotSigned="host",
        )
    if "x-amz-target" in incoming.headers and "x-amz-target" not in signed:
        # It decides what is asked; a signature that leaves it out would be good for every operation.
        raise Refused("unsigned headers", text="'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.")
    if s3:
        unsigned = {
            lower
            for name in incoming.headers
            if (lower := name.lower()).startswith("x-amz-") and lower not in signed and lower not in _NEED_NO_SIGNATURE
        }
        if unsigned:
            raise Refused("unsigned headers", text="", HeadersNotSigned=", ".join(sorted(unsigned)))


def verify(signature: Signature, secret: str, incoming: Incoming, payload: str, *, s3: bool) -> None:
    """The signature is the secret's over this request. Raises Refused with what S3 tells about a mismatch."""
    request = canonical_request(signature, incoming, payload, s3)
    raw = request.encode("utf-8", "surrogateescape")
    text = f"{ALGORITHM}\n{signature.timestamp}\n{signature.scope}\n{hashlib.sha256(raw).hexdigest()}"
    computed = sign(secret, signature.date, signature.region, signature.service, text)
    if not hmac.compare_digest(computed.encode(), signature.signature.encode("utf-8", "surrogateescape")):
        raise Refused(
            "mismatch",
            AWSAccessKeyId=signature.access_key_id,
            StringToSign=text,
            SignatureProvided=signature.signature,
            StringToSignBytes=_bytes(text.encode("utf-8", "surrogateescape")),
            CanonicalRequest=request,
            CanonicalRequestBytes=_bytes(raw),
        )


def _bytes(raw: bytes) -> str:
    return raw.hex(" ")


def is_sha256(text: str) -> bool:
    return _HEX64.match(text) is not None
