"""What a write says of its object, and how a read gives it back: standard headers, user metadata, tags, labels.

Headers that mean something which is not built yet are refused with 501, never ignored: an object that its owner believes
encrypted or locked must be so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from eucapy.aws.errors import InvalidArgument, InvalidRequest, NotImplementedS3
from eucapy.aws.timestamps import http_date
from eucapy.walrus import checksums, errors
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import DEFAULT_CONTENT_TYPE, Details, Version

MOST_METADATA_BYTES = 2048
MOST_KEY_BYTES = 1024
MOST_TAGS = 10
MOST_BUCKET_TAGS = 50
STORAGE_CLASSES = frozenset(
    {
        "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE",
        "GLACIER_IR",
    }
)  # fmt: skip
UNBUILT = ("WriteOffsetBytes",)
_OVERRIDES = {
    f"Response{name}": name
    for name in (
        "ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "Expires",
    )
}  # fmt: skip
_TAG_TEXT = re.compile(r"[\w\s+\-=.:/@]*\Z")
"""Letters, digits and spaces of any script, and these signs. Source: "Tag restrictions", S3 user guide."""
_decode_details = msgspec.json.Decoder(Details).decode
_decode_tags = msgspec.json.Decoder(list[tuple[str, str]]).decode
_PLAIN = msgspec.json.encode(Details()).decode()


def key_bytes(p: Mapping[str, Any]) -> bytes:
    """The object's key. Raises KeyTooLongError."""
    key = str(p["Key"]).encode("utf-8", "surrogateescape")
    if len(key) > MOST_KEY_BYTES:
        raise errors.KeyTooLongError(fields={"Size": len(key), "MaxSizeAllowed": MOST_KEY_BYTES})
    return key


def details_of(p: Mapping[str, Any]) -> str:
    """The document of a write's headers. Raises MetadataTooLarge."""
    metadata: Mapping[str, str] = p.get("Metadata") or {}
    size = sum(len(name) + len(value.encode("utf-8", "surrogateescape")) for name, value in metadata.items())
    if size > MOST_METADATA_BYTES:
        raise errors.MetadataTooLarge(fields={"Size": size, "MaxSizeAllowed": MOST_METADATA_BYTES})
    expires = p.get("Expires")
    details = Details(
        content_type=p.get("ContentType") or DEFAULT_CONTENT_TYPE,
        cache_control=p.get("CacheControl"),
        content_disposition=p.get("ContentDisposition"),
        content_encoding=_encoding(p.get("ContentEncoding")),
        content_language=p.get("ContentLanguage"),
        expires=None if expires is None else http_date(expires),
        website_redirect=p.get("WebsiteRedirectLocation"),
        metadata={name.lower(): _readable(value) for name, value in metadata.items()},
    )
    return msgspec.json.encode(details).decode() if details != Details() else _PLAIN


def _readable(value: str) -> str:
    """A value that was encoded (RFC 2047) without need is kept as what it says; one that has to be, as it came."""
    if "=?" not in value:
        return value
    try:
        decoded = str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        return value
    return decoded if decoded.isascii() and decoded.isprintable() else value


def _encoding(text: str | None) -> str | None:
    """A Content-Encoding without `aws-chunked`, which is about the request and not the object."""
    if text is None or "aws-chunked" not in text.lower():
        return text
    codings = [coding.strip() for coding in text.split(",")]
    return ", ".join(coding for coding in codings if coding and coding.lower() != "aws-chunked") or None


def read_details(version: Version) -> Details:
    return _decode_details(version.details)


def refuse_unbuilt(p: Mapping[str, Any]) -> None:
    """Raises NotImplemented for appends, which only directory buckets know."""
    for name in UNBUILT:
        if p.get(name):
            raise NotImplementedS3(fields={"Header": name})


def storage_class(p: Mapping[str, Any]) -> str | None:
    """The label to keep; None for STANDARD. Raises InvalidStorageClass."""
    name = p.get("StorageClass")
    if name is None or name == "STANDARD":
        return None
    if name not in STORAGE_CLASSES:
        raise errors.InvalidStorageClass(fields={"StorageClassRequested": name})
    return str(name)


def parse_tagging_header(text: str | None) -> str | None:
    """`x-amz-tagging: a=1&b=2` as a document; None for none. Raises InvalidArgument, InvalidTag."""
    if not text:
        return None
    pairs = parse_qsl(text, keep_blank_values=True)  # a name without `=` is a tag with an empty value
    if not pairs or len({name for name, _ in pairs}) != len(pairs) or not all(_TAG_TEXT.match(v) for _, v in pairs):
        raise InvalidArgument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name "
            "duplicates.",
            fields={"ArgumentName": "x-amz-tagging", "ArgumentValue": text},
        )
    return encode_tags(sorted(pairs), MOST_TAGS)


def encode_tags(pairs: Sequence[tuple[str, str]], most: int) -> str | None:
    """A tag set as a document. Raises BadRequest's kin: InvalidTag, and InvalidArgument past `most`."""
    if len(pairs) > most:
        raise _too_many_tags(most)
    seen: set[str] = set()
    for name, value in pairs:
        if name in seen:
            raise errors.InvalidTag("Cannot provide multiple Tags with the same key", fields={"TagKey": name})
        if name.lower().startswith("aws:"):
            theirs = "System tags cannot be added/updated by requester"
            words = "Your TagKey cannot be prefixed with aws:" if most == MOST_TAGS else theirs
            raise errors.InvalidTag(words, fields={"TagKey": name})
        if not name or len(name) > 128 or not _TAG_TEXT.match(name):
            raise errors.InvalidTag("The TagKey you have provided is invalid", fields={"TagKey": name})
        if len(value) > 256 or not _TAG_TEXT.match(value):
            raise errors.InvalidTag(fields={"TagKey": name, "TagValue": value})
        seen.add(name)
    return msgspec.json.encode(list(pairs)).decode() if pairs else None


class BadRequest(InvalidRequest):
    code = "BadRequest"


def _too_many_tags(most: int) -> BadRequest:
    what = "Object tags" if most == MOST_TAGS else "Bucket tag count"
    return BadRequest(f"{what} cannot be greater than {most}")


def decode_tags(document: str | None) -> list[tuple[str, str]]:
    return _decode_tags(document) if document else []


def response_headers(version: Version, bucket: Bucket, p: Mapping[str, Any], *, with_checksum: bool) -> dict[str, Any]:
    """The members of GetObject and HeadObject that describe `version`, response overrides applied."""
    details = read_details(version)
    answer: dict[str, Any] = {
        "AcceptRanges": "bytes",
        "LastModified": version.modified_ms // 1000,
        "ContentLength": version.size,
        "ETag": f'"{version.etag}"',
        "ContentType": details.content_type,
    }
    if version.details != _PLAIN:
        answer |= {
            "CacheControl": details.cache_control,
            "ContentDisposition": details.content_disposition,
            "ContentEncoding": details.content_encoding,
            "ContentLanguage": details.content_language,
            "Expires": details.expires,
            "WebsiteRedirectLocation": details.website_redirect,
            "Metadata": details.metadata,
        }
    if version.storage_class is not None:
        answer["StorageClass"] = version.storage_class
    for override in p.keys() & _OVERRIDES.keys():
        if p[override]:
            answer[_OVERRIDES[override]] = p[override]
    if bucket.versioning:
        answer["VersionId"] = version.version_id
    if version.tags:
        answer["TagCount"] = len(decode_tags(version.tags))
    if with_checksum and version.checksum:
        answer |= checksum_members(version.checksum)
    return answer


def checksum_members(checksum: str, *, with_count: bool = True) -> dict[str, Any]:
    """A stored checksum, "ALGORITHM TYPE value", as members of an answer. The sum of sums of an upload ends in the count of
    its parts, `-2`, which GetObjectAttributes leaves out."""
    algorithm, kind, value = checksum.split(" ")
    return {checksums.MEMBERS[algorithm]: value if with_count else value.partition("-")[0], "ChecksumType": kind}
