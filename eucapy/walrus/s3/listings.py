"""Listings: ListObjects, ListObjectsV2, ListObjectVersions. How a page is read: `store/listings.py`.

With `encoding-type=url` keys, prefixes, delimiters and markers are percent-encoded, `/` excepted. XML 1.0 cannot hold all
characters that a key may have, so botocore always asks for it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from eucapy.aws.errors import InvalidArgument
from eucapy.aws.message import Result
from eucapy.aws.xml import Rendered, escape
from eucapy.database import Tx
from eucapy.walrus.access import ENFORCED
from eucapy.walrus.context import Call
from eucapy.walrus.s3.reading import check_version_id
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import listings, objects
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.listings import Page
from eucapy.walrus.store.objects import Version

MOST_KEYS = 1000
Encode = Callable[[bytes], str]
_UNESCAPED = "/-_.~*"


def text_of(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


def encoder(p: Mapping[str, Any]) -> Encode:
    """How names are written in the answer. Raises InvalidArgument."""
    kind = p.get("EncodingType")
    if kind is None:
        return text_of
    if kind != "url":
        raise InvalidArgument(
            "Invalid Encoding Method specified in Request",
            fields={"ArgumentName": "encoding-type", "ArgumentValue": kind},
        )
    return lambda key: quote(key, safe=_UNESCAPED)


def most_of(p: Mapping[str, Any], member: str, name: str, limit: int = MOST_KEYS) -> int:
    """The page size asked for, at most `limit`. Raises InvalidArgument."""
    given = p.get(member)
    if given is None:
        return limit
    if not 0 <= given <= 2147483647:
        raise InvalidArgument(
            f"Argument {name} must be an integer between 0 and 2147483647",
            fields={"ArgumentName": name, "ArgumentValue": given},
        )
    return min(int(given), limit)


def as_bytes(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "surrogateescape")


@s3.action("ListObjects", unchecked=("EncodingType", "MaxKeys"))
async def list_objects(call: Call, p: dict[str, Any]) -> Result:
    encode = encoder(p)
    most = most_of(p, "MaxKeys", "max-keys")
    marker = as_bytes(p.get("Marker"))
    bucket, page = await _page(
        call, p, behind_marker(marker, as_bytes(p.get("Prefix")), as_bytes(p.get("Delimiter"))), most
    )
    answer = _head(p, encode, most, page)
    answer["Marker"] = encode(marker)
    if page.last is not None and p.get("Delimiter"):
        answer["NextMarker"] = encode(_name(page.last))
    _fill(call, answer, page, encode, bucket, with_owner=True)
    return _in_region(answer, bucket)


@s3.action("ListObjectsV2", unchecked=("EncodingType", "MaxKeys"))
async def list_objects_v2(call: Call, p: dict[str, Any]) -> Result:
    encode = encoder(p)
    most = most_of(p, "MaxKeys", "max-keys")
    token = p.get("ContinuationToken")
    after = _read_token(token) if token is not None else as_bytes(p.get("StartAfter"))
    first = start_after(after, as_bytes(p.get("Prefix")), as_bytes(p.get("Delimiter")))
    bucket, page = await _page(call, p, first, most)
    answer = _head(p, encode, most, page)
    answer["KeyCount"] = len(page.rows) + len(page.prefixes)
    if token is not None:
        answer["ContinuationToken"] = token
    elif p.get("StartAfter") is not None:
        answer["StartAfter"] = encode(as_bytes(p["StartAfter"]))
    if page.last is not None:
        answer["NextContinuationToken"] = _make_token(_name(page.last))
    _fill(call, answer, page, encode, bucket, with_owner=bool(p.get("FetchOwner")))
    return _in_region(answer, bucket)


def _in_region(answer: dict[str, Any], bucket: Bucket) -> Result:
    return Result(answer, headers={"x-amz-bucket-region": bucket.region})


async def _page(call: Call, p: Mapping[str, Any], first: bytes, most: int) -> tuple[Bucket, Page[Version]]:
    prefix, delimiter = as_bytes(p.get("Prefix")), as_bytes(p.get("Delimiter"))

    async def work(tx: Tx) -> tuple[Bucket, Page[Version]]:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        if most == 0:
            return bucket, Page([], [], None)
        return bucket, await listings.objects(tx, bucket.id, prefix, delimiter, first, most)

    return await call.read(work)


def start_after(marker: bytes, prefix: bytes, delimiter: bytes) -> bytes:
    """Where a page begins: behind the marker, and behind all of a common prefix that the marker names."""
    if not marker:
        return b""
    if delimiter and marker.startswith(prefix):
        cut = marker.find(delimiter, len(prefix))
        if cut >= 0 and cut + len(delimiter) == len(marker):
            return listings.after_prefix(marker)
    return listings.after_key(marker)


def behind_marker(marker: bytes, prefix: bytes, delimiter: bytes) -> bytes:
    """Where a page begins that continues by the name of a key: behind the marker, and behind all of the common prefix that
    the marker names or lies in. (The second version of the listing goes on within it.)"""
    cut = marker.find(delimiter, len(prefix)) if delimiter and marker.startswith(prefix) else -1
    return start_after(marker if cut < 0 else marker[: cut + len(delimiter)], prefix, delimiter)


def _name(last: Version | bytes) -> bytes:
    return last if isinstance(last, bytes) else last.key


def _make_token(name: bytes) -> str:
    return base64.urlsafe_b64encode(b"1" + name).decode("ascii")


def _read_token(token: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(token)
    except (binascii.Error, ValueError):
        raw = b""
    if raw[:1] != b"1":
        raise InvalidArgument(
            "The continuation token provided is incorrect", fields={"ArgumentName": "continuation-token"}
        )
    return raw[1:]


def _head(p: Mapping[str, Any], encode: Encode, most: int, page: Page[Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"Name": p["Bucket"], "Prefix": encode(as_bytes(p.get("Prefix"))), "MaxKeys": most}
    if p.get("Delimiter"):
        answer["Delimiter"] = encode(as_bytes(p["Delimiter"]))
    if p.get("EncodingType"):
        answer["EncodingType"] = p["EncodingType"]
    answer["IsTruncated"] = page.last is not None
    return answer


def _fill(
    call: Call, answer: dict[str, Any], page: Page[Version], encode: Encode, bucket: Bucket, *, with_owner: bool
) -> None:
    owners: dict[str | None, str] = {None: _owner(call, bucket.owner) if with_owner else ""}
    if with_owner and bucket.ownership != ENFORCED:
        owners |= {row.owner: _owner(call, row.owner) for row in page.rows if row.owner is not None}
    answer["Contents"] = [_rendered(row, encode, owners.get(row.owner, owners[None])) for row in page.rows]
    answer["CommonPrefixes"] = [{"Prefix": encode(prefix)} for prefix in page.prefixes]


def _owner(call: Call, canonical_id: str) -> str:
    person = call.person(canonical_id)
    return "<Owner>" + "".join(f"<{name}>{escape(value)}</{name}>" for name, value in person.items()) + "</Owner>"


def _rendered(row: Version, encode: Encode, owner: str) -> Rendered:
    """An entry as XML: a thousand of them are the hot part of a listing."""
    checksum = ""
    if row.checksum:
        algorithm, kind, _ = row.checksum.split(" ")
        checksum = f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm><ChecksumType>{kind}</ChecksumType>"
    return Rendered(
        f"<Key>{escape(encode(row.key))}</Key><LastModified>{iso(row.modified_ms)}</LastModified>"
        f"<ETag>&quot;{row.etag}&quot;</ETag>{checksum}<Size>{row.size}</Size>{owner}"
        f"<StorageClass>{row.storage_class or 'STANDARD'}</StorageClass>"
    )


def iso(milliseconds: int) -> str:
    """S3's form of a time: whole seconds, written with three zeros."""
    return _second(milliseconds // 1000)


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


async def _behind_version(tx: Tx, bucket: Bucket, key: bytes, version_id: str) -> listings.Position | None:
    """The place of a version, also of one that was deleted meanwhile; None for what never was one."""
    version = await objects.by_version(tx, bucket.id, key, version_id)
    if version is not None:
        return listings.place_of(version)
    seq = objects.decode_version_id(version_id)
    return None if seq is None else (key, seq)


@s3.action("ListObjectVersions", unchecked=("EncodingType", "MaxKeys"))
async def list_object_versions(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    encode = encoder(p)
    most = most_of(p, "MaxKeys", "max-keys")
    key_marker, version_marker = p.get("KeyMarker"), p.get("VersionIdMarker")
    if version_marker:
        if not key_marker:
            raise InvalidArgument(
                "A version-id marker cannot be specified without a key marker.",
                fields={"ArgumentName": "version-id-marker", "ArgumentValue": version_marker},
            )
        check_version_id(version_marker)
    prefix, delimiter = as_bytes(p.get("Prefix")), as_bytes(p.get("Delimiter"))
    marker = as_bytes(key_marker)

    async def work(tx: Tx) -> tuple[Bucket, Page[Version], bytes]:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        if most == 0:
            return bucket, Page([], [], None), b""
        after = await _behind_version(tx, bucket, marker, version_marker) if version_marker else None
        first = marker if after is not None else behind_marker(marker, prefix, delimiter)
        page = await listings.history(tx, bucket.id, prefix, delimiter, first, after, most)
        begins_inside = (
            after is not None
            and bool(page.rows)
            and page.rows[0].key == marker
            and not await objects.is_newest(tx, bucket, page.rows[0])
        )
        return bucket, page, marker if begins_inside else b""

    bucket, page, seen = await call.read(work)
    answer = _head(p, encode, most, page)
    answer["KeyMarker"] = encode(marker)
    answer["VersionIdMarker"] = version_marker or ""
    if page.last is not None:
        answer["NextKeyMarker"] = encode(_name(page.last))
        if isinstance(page.last, Version):
            answer["NextVersionIdMarker"] = page.last.version_id
    versions: list[dict[str, Any]] = []
    markers: list[dict[str, Any]] = []
    for row in page.rows:
        entry: dict[str, Any] = {
            "Key": encode(row.key),
            "VersionId": row.version_id,
            "IsLatest": row.key != seen,
            "LastModified": row.modified_ms // 1000,
            "Owner": call.person(row.owner or bucket.owner),
        }
        seen = row.key
        if row.marker:
            markers.append(entry)
            continue
        entry |= {
            "ETag": f'"{row.etag}"', "Size": row.size, "StorageClass": row.storage_class or "STANDARD",
        }  # fmt: skip
        if row.checksum:
            algorithm, kind, _ = row.checksum.split(" ")
            entry |= {"ChecksumAlgorithm": [algorithm], "ChecksumType": kind}
        versions.append(entry)
    answer |= {"Versions": versions, "DeleteMarkers": markers}
    answer["CommonPrefixes"] = [{"Prefix": encode(prefix)} for prefix in page.prefixes]
    return answer
