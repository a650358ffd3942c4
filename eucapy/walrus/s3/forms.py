"""Browser uploads, POST of a form to a bucket: PutObject with its headers as fields, authorized by a signed policy.

    fields ─► who signed (or nobody) ─► ${filename} ─► the policy covers every field ─► the file, as PutObject takes a body

The fields become the headers of a PutObject (`acl` that of `x-amz-acl`), so that whatever a PUT can say a form can say, with
the same errors. Source: "Browser-based uploads using POST", S3 API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from multidict import CIMultiDict

from eucapy.aws import errors as edge
from eucapy.aws import multipart, postpolicy, protocols, xml, xmlread
from eucapy.aws.authenticate import Authenticator
from eucapy.aws.credentials import Identity
from eucapy.aws.errors import InvalidArgument, MalformedXML
from eucapy.aws.message import Incoming, Outgoing
from eucapy.aws.multipart import FormFile
from eucapy.aws.postpolicy import LengthRange
from eucapy.walrus import errors
from eucapy.walrus.context import Call
from eucapy.walrus.identity import ANONYMOUS, Principal
from eucapy.walrus.receiving import InMemory, Source
from eucapy.walrus.s3 import objects
from eucapy.walrus.s3.service import s3

FORM_ONLY = frozenset(
    {
        "key", "policy", "signature", "awsaccesskeyid", "success_action_redirect", "success_action_status", "redirect",
        "tagging", "bucket", "acl", "content-length", "content-md5", "expect", "host", "x-amz-trailer",
        "x-amz-content-sha256", "x-amz-sdk-checksum-algorithm",
    }
)  # fmt: skip
"""Fields that are no header of the PutObject that the form stands for."""
_KEPT_HEADERS = ("user-agent", "referer")


def is_form(incoming: Incoming, labels: Mapping[str, str]) -> bool:
    return bool(labels.get("Bucket")) and not labels.get("Key") and not incoming.query


@s3.raw("PostObject", "POST", is_form, unsigned=True)
async def post_object(call: Call, p: dict[str, Any]) -> Outgoing:
    """Raises PreconditionFailed, InvalidArgument, AccessDenied, what a broken form or policy raises, and what a PUT does."""
    incoming = call.incoming
    boundary = multipart.boundary_of(incoming.headers.get("content-type", ""))
    if boundary is None or incoming.stream is None:
        raise errors.PreconditionFailed(
            fields={"Condition": "Bucket POST must be of the enclosure-type multipart/form-data"}
        )
    form = await multipart.read_form(incoming.stream, boundary)
    if form.file is None:
        raise InvalidArgument(
            "POST requires exactly one file upload per request.",
            fields={"ArgumentName": "file", "ArgumentValue": "0"},
        )
    fields = _expanded(form.fields, form.file.name)
    if not fields.get("key"):
        raise InvalidArgument(
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
            fields={"ArgumentName": "key", "ArgumentValue": ""},
        )
    assert call.walrus.keys is not None
    authenticator = Authenticator(call.walrus.keys.find, call.walrus.region)
    identity = await postpolicy.post_identity(authenticator, fields, incoming.now)
    lengths = LengthRange()
    if not identity.anonymous:
        lengths = postpolicy.check_policy(fields, bucket=p["Bucket"], now=incoming.now)
    source = await _source(form.file, lengths, call.walrus.inline_bytes)
    put, params = _as_put(call, identity, p["Bucket"], fields)
    answer = await objects.put(put, params, source)
    return _answer(put, fields, params, answer)


def _expanded(fields: Mapping[str, str], filename: str | None) -> dict[str, str]:
    """Every field with `${filename}` put in; a file without a name leaves it as it is."""
    signed = ("policy", "signature", "x-amz-signature")
    return {
        name: value if filename is None or name in signed else value.replace("${filename}", filename)
        for name, value in fields.items()
    }


async def _source(file: FormFile, lengths: LengthRange, inline_bytes: int) -> Source:
    """The file: in memory, and its size checked, where it is small; otherwise counted as it is read."""
    begun: list[bytes] = []
    size = 0
    while size <= inline_bytes:
        piece = await file.read()
        if not piece:
            lengths.check(size)
            return InMemory(b"".join(begun))
        begun.append(piece)
        size += len(piece)
    return _Counted(begun, file, lengths)


class _Counted:
    """The rest of a file behind what was read of it. Raises EntityTooLarge, EntityTooSmall while it is read."""

    def __init__(self, begun: list[bytes], file: FormFile, lengths: LengthRange) -> None:
        self.length: int | None = None
        self._begun = begun
        self._file = file
        self._lengths = lengths
        self._seen = 0

    async def read(self, size: int = -1) -> bytes:
        piece = self._begun.pop(0) if self._begun else await self._file.read()
        self._seen += len(piece)
        if not piece or (self._lengths.high is not None and self._seen > self._lengths.high):
            self._lengths.check(self._seen)
        return piece

    @property
    def trailers(self) -> Mapping[str, str]:
        return {}


def _as_put(call: Call, identity: Identity, bucket: str, fields: Mapping[str, str]) -> tuple[Call, dict[str, Any]]:
    """The PutObject that the form stands for."""
    given: CIMultiDict[str] = CIMultiDict()
    for name in _KEPT_HEADERS:
        if name in call.incoming.headers:
            given[name] = call.incoming.headers[name]
    for name, value in fields.items():
        if name not in FORM_ONLY:
            given[name] = value
    if fields.get("acl"):
        given["x-amz-acl"] = fields["acl"]
    if fields.get("tagging"):
        given["x-amz-tagging"] = _tags(fields["tagging"])
    incoming = msgspec.structs.replace(call.incoming, headers=given, stream=None)
    operation = s3.model.operation("PutObject")
    params = protocols.codec(operation, "rest-xml").parse(incoming, {}, {"Bucket": bucket, "Key": fields["key"]})
    principal = ANONYMOUS if identity.anonymous else identity.principal
    if not isinstance(principal, Principal):
        raise edge.AccessDenied()
    return Call(call.walrus, principal, incoming, "PostObject", params, identity.mechanism), params


def _tags(document: str) -> str:
    """The form's tags, an XML document, as the header has them. Raises MalformedXML."""
    root = xmlread.parse(document.encode("utf-8", "surrogateescape"))
    pairs = []
    for tag_set in root.children:
        for tag in tag_set.children:
            found = {child.tag: child.text for child in tag.children}
            if tag.tag != "Tag" or "Key" not in found or "Value" not in found:
                raise MalformedXML()
            pairs.append(f"{quote(found['Key'], safe='')}={quote(found['Value'], safe='')}")
    return "&".join(pairs)


def _answer(call: Call, fields: Mapping[str, str], params: Mapping[str, Any], answer: dict[str, Any]) -> Outgoing:
    made = protocols.codec(s3.model.operation("PutObject"), "rest-xml").serialize(answer, call.incoming.request_id, "")
    etag, bucket, key = answer["ETag"], params["Bucket"], params["Key"]
    redirect = _redirect(fields.get("success_action_redirect") or fields.get("redirect"), bucket, key, etag)
    if redirect is not None:
        return Outgoing(303, {**made.headers, "Location": redirect})
    incoming = call.incoming
    base = f"{incoming.scheme}://{incoming.host}{incoming.path.rstrip('/')}"
    location = f"{base}/{quote(key, safe='', errors='surrogateescape')}"
    headers = {**made.headers, "Location": location}
    status = fields.get("success_action_status")
    if status == "201":
        values = {"Location": location, "Bucket": bucket, "Key": key, "ETag": etag}
        elements = "".join(f"<{name}>{xml.escape(value)}</{name}>" for name, value in values.items())
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<PostResponse>{elements}</PostResponse>'
        return Outgoing(201, {**headers, "Content-Type": "application/xml"}, body.encode("utf-8", "replace"))
    return Outgoing(200 if status == "200" else 204, headers)


def _redirect(target: str | None, bucket: str, key: str, etag: str) -> str | None:
    """Where a browser goes then; None where the form names no such place, or one that is no URL (as if it named none)."""
    if not target:
        return None
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc or not target.isprintable():
        return None
    told = "&".join(
        f"{name}={quote(value, safe='', errors='surrogateescape')}"
        for name, value in (("bucket", bucket), ("key", key), ("etag", etag))
    )
    query = f"{parts.query}&{told}" if parts.query else told
    return parts._replace(query=query, fragment="").geturl()
