"""Objects out: GetObject, HeadObject, GetObjectAttributes.

Small objects come with their metadata, in one read. For the others the blob is opened before the answer begins; when the
version was replaced in between, its row is read again (the new version is then as right an answer as the old one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from eucapy.aws.errors import AccessDenied, InvalidArgument, InvalidRequest
from eucapy.aws.message import Result
from eucapy.aws.timestamps import http_date
from eucapy.database import Tx
from eucapy.errors import ApiError, InternalError
from eucapy.walrus import checksums, conditions, encryption, errors, headers, lifecycle, ranges, sending
from eucapy.walrus.context import Call
from eucapy.walrus.s3 import lockheaders
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets, content, objects
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import NULL_VERSION, Version
from eucapy.walrus.store.uploads import Part

TRIES = 5
MOST_ATTRIBUTE_PARTS = 1000


class Found(msgspec.Struct, frozen=True):
    """A version with what is needed to send it. `data` is there for small ones, `parts` for those made of parts."""

    bucket: Bucket
    version: Version
    data: bytes | None
    parts: Sequence[Part]


async def find_unmarked(tx: Tx, call: Call, p: Mapping[str, Any]) -> tuple[Bucket, Version]:
    """`find`, but a key whose newest version is a delete marker is refused as such. Raises MethodNotAllowed too."""
    try:
        return await find(tx, call, p)
    except errors.NoSuchKey as error:
        bucket = await buckets.by_name(tx, p["Bucket"])
        marker = None if bucket is None else await objects.newest_old(tx, bucket.id, headers.key_bytes(p))
        if marker is None or not marker.marker:
            raise
        raise refuse_marker(call, marker) from error


async def find(tx: Tx, call: Call, p: Mapping[str, Any], action: str | None = None) -> tuple[Bucket, Version]:
    """The version that a request names, to which the caller may do `action` (by default what the request asks for).

    Raises NoSuchBucket, NoSuchKey, NoSuchVersion, MethodNotAllowed, AccessDenied.
    """
    key = headers.key_bytes(p)
    version_id = p.get("VersionId")
    if version_id is None:
        found = await objects.find(tx, p["Bucket"], key)
        bucket = call.existing(found[0] if found else None, p["Bucket"], p.get("ExpectedBucketOwner"))
        if found is None or found[1] is None:
            raise await missing(tx, call, bucket, key, p)
        call.allow(bucket, found[1], key=p["Key"], action=action)
        return bucket, found[1]
    bucket = call.existing(await buckets.by_name(tx, p["Bucket"]), p["Bucket"], p.get("ExpectedBucketOwner"))
    check_version_id(version_id)
    version = await objects.by_version(tx, bucket.id, key, version_id)
    if version is not None:
        call.allow(bucket, version, key=p["Key"], action=action)
    elif not call.may_list(bucket, p["Key"]):
        raise AccessDenied()
    if version is None:
        raise errors.NoSuchVersion(fields={"Key": p["Key"], "VersionId": version_id})
    if version.marker:
        raise refuse_marker(call, version)
    return bucket, version


def refuse_marker(call: Call, marker: Version) -> ApiError:
    """The answer to a request that wants something of a delete marker."""
    return errors.MethodNotAllowed(
        fields={"Method": call.incoming.method, "ResourceType": "DeleteMarker"},
        headers={
            "x-amz-delete-marker": "true",
            "x-amz-version-id": marker.version_id,
            "Last-Modified": http_date(marker.modified_ms // 1000),
            "Allow": "DELETE",
        },
    )


def is_version_id(version_id: str) -> bool:
    """Whether it has the form of a version id."""
    return version_id == NULL_VERSION or objects.decode_version_id(version_id) is not None


def check_version_id(version_id: str) -> None:
    """Raises InvalidArgument for what cannot be a version id."""
    if not is_version_id(version_id):
        raise InvalidArgument(
            "Invalid version id specified", fields={"ArgumentName": "versionId", "ArgumentValue": version_id}
        )


async def missing(tx: Tx, call: Call, bucket: Bucket, key: bytes, p: Mapping[str, Any]) -> ApiError:
    """Who may not list the bucket does not learn what is not in it."""
    if not call.may_list(bucket, p["Key"]):
        return AccessDenied()
    marker = await objects.newest_old(tx, bucket.id, key) if bucket.versioning else None
    said = {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version_id} if marker is not None else {}
    return errors.NoSuchKey(fields={"Key": p["Key"]}, headers=said)


@s3.action("GetObject")
async def get_object(call: Call, p: dict[str, Any]) -> Result | dict[str, Any]:
    encryption.refuse_on_read(call)
    for _ in range(TRIES):
        found = await call.read(lambda tx: _load(tx, call, p))
        try:
            return await _answer(call, found, p)
        except sending.Gone:
            continue
    raise InternalError(f"the bytes of {p['Bucket']}/{p['Key']} are missing")


async def load(tx: Tx, call: Call, p: Mapping[str, Any]) -> Found:
    """The version that a read names, with its bytes where they are inline, or with its parts."""
    if p.get("VersionId") is None:
        located = await objects.locate(tx, p["Bucket"], headers.key_bytes(p))
        bucket = call.existing(located[0] if located else None, p["Bucket"], p.get("ExpectedBucketOwner"))
        assert located is not None
        _, version, data = located
        if version is None:
            raise await missing(tx, call, bucket, headers.key_bytes(p), p)
        call.allow(bucket, version, key=p["Key"])
        if version.place != content.INLINE:
            data = None
        elif data is None:
            raise InternalError("bytes of a version are missing")
    else:
        bucket, version = await find(tx, call, p)
        data = await sending.find_inline(tx, version)
    if version.place == content.EMPTY:
        data = b""
    return Found(bucket, version, data, await sending.find_parts(tx, version))


async def _load(tx: Tx, call: Call, p: Mapping[str, Any]) -> Found:
    found = await load(tx, call, p)
    conditions.check_read(found.version, p, call.now_ms)
    return found


def _members(call: Call, found: Found, p: Mapping[str, Any], span: tuple[int, int] | None) -> dict[str, Any]:
    """What GetObject and HeadObject tell alike of a version; `span` is the part of it that is asked for, if not all."""
    version = found.version
    with_checksum = str(p.get("ChecksumMode")).upper() == "ENABLED"
    is_whole = span is None or (span[1] == version.size and not (p.get("PartNumber") is not None and found.parts))
    answer = headers.response_headers(version, found.bucket, p, with_checksum=with_checksum and is_whole)
    if with_checksum and found.parts and p.get("PartNumber") is not None and version.checksum:
        answer |= _checksum_of_part(version, found.parts[p["PartNumber"] - 1])
    if version.sse is not None:
        answer |= encryption.members(version.sse, p)
    if version.replication is not None:
        answer["ReplicationStatus"] = version.replication
    if version.lock is not None:
        answer |= lockheaders.members(call, found.bucket, version, p["Key"])
    if found.bucket.lifecycle and version.current:
        answer["Expiration"] = lifecycle.expiration(found.bucket.lifecycle, version)
    return answer


async def _answer(call: Call, found: Found, p: Mapping[str, Any]) -> Result | dict[str, Any]:
    version = found.version
    span = choose_span(version, found.parts, p)
    answer = _members(call, found, p, span)
    data_key = encryption.open_version(call, found.bucket, version, p)
    start, length = span or (0, version.size)
    if found.data is not None:
        answer["Body"] = sending.plain(version, found.data, data_key)[start : start + length]
    elif length:
        answer["Body"] = await sending.open_stream(call.walrus, version, found.parts, start, length, data_key)
    else:
        answer["Body"] = b""
    return _partial(answer, version, found.parts, span, p)


def choose_span(version: Version, parts: Sequence[Part], p: Mapping[str, Any]) -> tuple[int, int] | None:
    """(start, length) that Range or partNumber ask for; None for all. Raises InvalidRange, InvalidPartNumber."""
    number = p.get("PartNumber")
    if number is None:
        return ranges.parse(p.get("Range"), version.size)
    if p.get("Range"):
        raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
    if number < 1:
        raise InvalidArgument(
            "Part number must be an integer between 1 and 10000, inclusive",
            fields={"ArgumentName": "partNumber", "ArgumentValue": number},
        )
    if not parts and number == 1:
        return 0, version.size
    start = 0
    for position, part in enumerate(parts, 1):
        if position == number:
            return start, part.size
        start += part.size
    raise errors.InvalidPartNumber(fields={"PartNumberRequested": number, "ActualPartCount": max(1, len(parts))})


def _checksum_of_part(version: Version, part: Part) -> dict[str, str]:
    """What a read of one part says: the part's own sum, of the algorithm and type that its object has."""
    algorithm, kind, _ = (version.checksum or "").split(" ")
    sums = checksums.read_pairs(part.checksum)
    if len(sums) > 1:
        return {}  # of an upload that named no algorithm: its sum is of the whole, and its parts came with others
    value = sums.get(algorithm)
    return {} if value is None else {checksums.MEMBERS[algorithm]: value, "ChecksumType": kind}


def _partial(
    answer: dict[str, Any], version: Version, parts: Sequence[Part], span: tuple[int, int] | None, p: Mapping[str, Any]
) -> Result | dict[str, Any]:
    if p.get("PartNumber") is not None and parts:
        answer["PartsCount"] = len(parts)
    if span is None:
        return answer
    start, length = span
    answer["ContentLength"] = length
    if length:
        answer["ContentRange"] = f"bytes {start}-{start + length - 1}/{version.size}"
    return Result(answer, status=206 if length else 200)


@s3.action("HeadObject")
async def head_object(call: Call, p: dict[str, Any]) -> Result | dict[str, Any]:
    encryption.refuse_on_read(call)

    async def work(tx: Tx) -> Found:
        bucket, version = await find(tx, call, p)
        conditions.check_read(version, p, call.now_ms)
        parts = await sending.find_parts(tx, version) if p.get("PartNumber") is not None else ()
        return Found(bucket, version, None, parts)

    found = await call.read(work)
    version = found.version
    encryption.check_reader(call, found.bucket, version, p)
    span = choose_span(version, found.parts, p)
    answer = _members(call, found, p, span)
    return _partial(answer, version, found.parts, span, p)


@s3.action("GetObjectAttributes", unchecked=("ObjectAttributes",))
async def get_object_attributes(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    wanted = set(p.get("ObjectAttributes") or ())
    known = {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}
    if not wanted or wanted - known:
        raise InvalidArgument(
            "Invalid attribute name specified.",
            fields={"ArgumentName": "x-amz-object-attributes", "ArgumentValue": ",".join(sorted(wanted))},
        )

    async def work(tx: Tx) -> tuple[Bucket, Version, Sequence[Part]]:
        bucket, version = await find(tx, call, p)
        return bucket, version, await sending.find_parts(tx, version)

    bucket, version, parts = await call.read(work)
    encryption.check_reader(call, bucket, version, p)
    answer: dict[str, Any] = {"LastModified": version.modified_ms / 1000}
    if bucket.versioning:
        answer["VersionId"] = version.version_id
    if "ETag" in wanted:
        answer["ETag"] = version.etag
    if "Checksum" in wanted and version.checksum:
        answer["Checksum"] = headers.checksum_members(version.checksum, with_count=False)
    if "ObjectParts" in wanted and version.place == content.PARTS:
        answer["ObjectParts"] = _object_parts(version, parts, p)
    if "StorageClass" in wanted:
        answer["StorageClass"] = version.storage_class or "STANDARD"
    if "ObjectSize" in wanted:
        answer["ObjectSize"] = version.size
    return answer


def _object_parts(version: Version, parts: Sequence[Part], p: Mapping[str, Any]) -> dict[str, Any]:
    after = int(p.get("PartNumberMarker") or 0)
    asked = p.get("MaxParts")
    most = MOST_ATTRIBUTE_PARTS if asked is None else min(int(asked), MOST_ATTRIBUTE_PARTS)
    rest = [(number, part) for number, part in enumerate(parts, 1) if number > after]
    shown = rest[:most]
    # AWS lists the parts one by one only where each has a checksum of its own; here their sizes are told in any case.
    summed = bool(version.checksum and f" {checksums.COMPOSITE} " in version.checksum)
    return {
        "TotalPartsCount": len(parts),
        "PartNumberMarker": after,
        "NextPartNumberMarker": shown[-1][0] if shown else 0,
        "MaxParts": most,
        "IsTruncated": len(rest) > len(shown),
        "Parts": [
            {"PartNumber": number, "Size": part.size, **(part_checksum(part) if summed else {})}
            for number, part in shown
        ],
    }


def part_checksum(part: Part) -> dict[str, str]:
    """A part's checksums as members of an answer."""
    return {checksums.MEMBERS[name]: value for name, value in checksums.read_pairs(part.checksum).items()}
