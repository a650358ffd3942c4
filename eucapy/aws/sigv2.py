"""Signature Version 2, for the tools that never left it: boto 2, gsutil, old s3cmd, euca2ools' first releases.

Two unrelated schemes share the name. Query services sign the sorted parameters (`SignatureVersion=2`, HMAC-SHA1 or
HMAC-SHA256). S3 signs a text of method, headers and resource with HMAC-SHA1, in `Authorization: AWS key:signature` or, with
an expiry, in the query string. Version 1 is refused: its signatures are ambiguous.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from eucapy.aws import forms
from eucapy.aws.message import Incoming
from eucapy.aws.presigned import amz_parameters
from eucapy.aws.refusals import Refused
from eucapy.aws.sigv4 import MAX_SKEW_S, header_value
from eucapy.aws.timestamps import milliseconds, parse_http_date, parse_iso

# The query parameters that are part of the resource that S3 signs.
_SUBRESOURCES = frozenset(
    {
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location",
        "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
        "response-cache-control", "response-content-disposition", "response-content-encoding",
        "response-content-language", "response-content-type", "response-expires", "restore", "select", "select-type",
        "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
    }
)  # fmt: skip


class Signature(msgspec.Struct, frozen=True):
    """What a request says about its signature. `scheme` is "query", "s3-header" or "s3-query"."""

    scheme: str
    access_key_id: str
    signature: str
    token: str | None = None
    algorithm: str = "HmacSHA1"
    time: float | None = None  # seconds; of the request
    expires: float | None = None  # seconds; when the signature ends


def parse(incoming: Incoming, form: Mapping[str, str], s3: bool) -> Signature | None:
    """The request's signature, or None when it has none of this version. Raises Refused for a malformed one."""
    if not s3:
        return _parse_query(form)
    header = incoming.headers.get("authorization")
    if header is not None:
        return _parse_s3_header(header, incoming)
    if "Signature=" in incoming.query and "AWSAccessKeyId=" in incoming.query:
        given = forms.form(incoming.query)
        try:
            expires = float(int(given.get("Expires", "")))
        except ValueError:
            raise Refused("missing") from None
        return Signature(
            "s3-query", given.get("AWSAccessKeyId", ""), given.get("Signature", ""),
            given.get("x-amz-security-token") or incoming.headers.get("x-amz-security-token"), expires=expires,
        )  # fmt: skip
    return None


def _parse_query(form: Mapping[str, str]) -> Signature | None:
    access_key_id, signature = form.get("AWSAccessKeyId"), form.get("Signature")
    if access_key_id is None or signature is None:
        return None
    if form.get("SignatureVersion") != "2":
        raise Refused("unsupported", text=f"Unsupported SignatureVersion {form.get('SignatureVersion', '')[:20]}")
    algorithm = form.get("SignatureMethod", "HmacSHA1")
    if algorithm not in ("HmacSHA1", "HmacSHA256"):
        raise Refused("unsupported", text=f"Unsupported SignatureMethod {algorithm[:20]}")
    times: dict[str, float | None] = {"Timestamp": None, "Expires": None}
    for name in times:
        if name in form:
            try:
                times[name] = parse_iso(form[name]).timestamp()
            except ValueError:
                raise Refused("no date", text=f"Could not parse {name} {form[name][:40]}") from None
    if times["Timestamp"] is None and times["Expires"] is None:
        raise Refused("no date", text="Request must contain Timestamp or Expires")
    return Signature(
        "query", access_key_id, signature, form.get("SecurityToken"), algorithm, times["Timestamp"], times["Expires"]
    )


def _parse_s3_header(header: str, incoming: Incoming) -> Signature | None:
    if not header.startswith("AWS "):
        return None
    access_key_id, colon, signature = header[4:].strip().rpartition(":")
    if not colon or not access_key_id or not signature:
        raise Refused(
            "argument",
            text="AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
            ArgumentName="Authorization",
            ArgumentValue=header[:200],
        )
    date = incoming.headers.get("x-amz-date", incoming.headers.get("date", ""))
    try:
        time = parse_http_date(date).timestamp()
    except ValueError:
        try:
            time = parse_iso(date).timestamp()
        except ValueError:
            raise Refused("no date", text="") from None
    if time < 0:
        raise Refused("no date", text="")
    return Signature("s3-header", access_key_id, signature, incoming.headers.get("x-amz-security-token"), time=time)


def check_time(signature: Signature, now: float) -> None:
    """The signature is of now or not yet past its expiry. Raises Refused."""
    if signature.expires is not None:
        if now > signature.expires:
            expires, server = milliseconds(signature.expires), milliseconds(int(now))
            raise Refused(
                "expired",
                text="Request has expired",
                Expires=expires.replace(".000", ""),
                ServerTime=server.replace(".000", ""),
            )
    elif signature.time is not None and abs(now - signature.time) > MAX_SKEW_S:
        raise Refused(
            "skewed",
            text="Request has expired",
            RequestTime=milliseconds(signature.time),
            ServerTime=milliseconds(int(now)),
            MaxAllowedSkewMilliseconds=MAX_SKEW_S * 1000,
        )


def query_text(incoming: Incoming, form: Mapping[str, str]) -> str:
    """What a Query service's client signs."""
    names = sorted((name for name in form if name != "Signature"), key=lambda name: name.encode())
    canonical = "&".join([f"{quote(name, safe='-_.~')}={quote(form[name], safe='-_.~')}" for name in names])
    return f"{incoming.method}\n{incoming.host.lower()}\n{incoming.path or '/'}\n{canonical}"


def s3_texts(incoming: Incoming, signature: Signature, bucket: str | None) -> list[str]:
    """What S3's client may sign. `bucket` is the one of a virtual host, which the path does not hold.

    Of a bucket named by the path, boto3 asks for `/bucket` and signs `/bucket/`; others sign what they ask for.
    """
    path = incoming.path or "/"
    texts = [_s3_text(incoming, signature, (f"/{bucket}" if bucket else "") + path)]
    if bucket is None and len(path) > 1 and path.count("/") == 1:
        texts.append(_s3_text(incoming, signature, path + "/"))
    return texts


def _s3_text(incoming: Incoming, signature: Signature, resource: str) -> str:
    headers = incoming.headers
    if signature.scheme == "s3-query":
        date = str(int(signature.expires or 0))
    else:
        date = "" if "x-amz-date" in headers else headers.get("date", "")
    said = {name.lower(): header_value(headers, name.lower()) for name in headers if name[:6].lower() == "x-amz-"}
    if signature.scheme == "s3-query":
        said = amz_parameters(incoming.query) | said  # a link's parameters are signed as the headers they stand for
    amz = "".join([f"{name}:{said[name]}\n" for name in sorted(said)])
    parts = []
    for part in incoming.query.split("&"):
        name, has_value, value = part.partition("=")
        if name in _SUBRESOURCES:
            parts.append((name, f"={forms.decode(value)}" if has_value else ""))
    if parts:
        resource += "?" + "&".join([name + value for name, value in sorted(parts)])
    md5, kind = headers.get("content-md5", ""), headers.get("content-type", "")
    return f"{incoming.method}\n{md5}\n{kind}\n{date}\n{amz}{resource}"


def sign(secret: str, text: str, algorithm: str = "HmacSHA1") -> str:
    digest = hashlib.sha256 if algorithm == "HmacSHA256" else hashlib.sha1
    raw = hmac.new(secret.encode(), text.encode("utf-8", "surrogateescape"), digest).digest()
    return base64.b64encode(raw).decode("ascii")


def verify(signature: Signature, secret: str, text: str, *others: str) -> None:
    """The signature is the secret's over `text`, or over one of the others. Raises Refused."""
    given = signature.signature.encode("utf-8", "surrogateescape")
    computed = [sign(secret, each, signature.algorithm).encode() for each in (text, *others)]
    if not any(hmac.compare_digest(each, given) for each in computed):
        raise Refused(
            "mismatch",
            AWSAccessKeyId=signature.access_key_id,
            StringToSign=text,
            SignatureProvided=signature.signature,
            StringToSignBytes=text.encode("utf-8", "surrogateescape").hex(" "),
        )
