"""Copies: CopyObject, UploadPartCopy.

A whole blob is cloned by the driver where that is cheap: nothing is read. A small object's bytes travel with the metadata.
What is left (ranges, objects made of parts) is read and written once, through the same path as an upload.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import msgspec

from eucapy.aws.errors import InvalidArgument, InvalidRequest
from eucapy.database import Tx
from eucapy.drivers.blob.base import BlobMissing
from eucapy.errors import InternalError
from eucapy.walrus import (
    checksums,
    conditions,
    encryption,
    errors,
    events,
    headers,
    lifecycle,
    locks,
    ranges,
    receiving,
    sending,
)
from eucapy.walrus.context import Call
from eucapy.walrus.encryption import Sealed, Wanted
from eucapy.walrus.receiving import Expected, InMemory, Received
from eucapy.walrus.s3 import acls, lockheaders, reading
from eucapy.walrus.s3.objects import MOST_PUT_BYTES
from eucapy.walrus.s3.reading import TRIES, Found
from eucapy.walrus.s3.replication import replicating
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import content, objects, uploads
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import NULL_VERSION, New, Version
from eucapy.walrus.store.uploads import Part


class FromStream:
    """A version's bytes as the source of a write."""

    def __init__(self, stream: sending.Stream) -> None:
        self.length = stream.length
        self._pieces = stream.pieces()

    async def read(self, size: int = -1) -> bytes:
        return await anext(self._pieces, b"")

    @property
    def trailers(self) -> Mapping[str, str]:
        return {}


def parse_source(text: str) -> dict[str, str]:
    """`/bucket/key?versionId=v`, percent-encoded or as forms are (`+` is a space), as parameters of a read.

    Raises InvalidArgument.
    """
    path, _, query = text.partition("?")
    bucket, _, key = unquote_plus(path.lstrip("/"), errors="surrogateescape").partition("/")
    if not bucket or not key:
        name = "x-amz-copy-source"  # AWS gives the header's name for its value, too
        raise InvalidArgument("Invalid copy source object key", fields={"ArgumentName": name, "ArgumentValue": name})
    source = {"Bucket": bucket, "Key": key}
    version = parse_qs(query).get("versionId")
    if version:
        source["VersionId"] = version[0]
    return source


async def _load(tx: Tx, call: Call, p: Mapping[str, Any], source: Mapping[str, Any]) -> Found:
    action = "GetObject" if source.get("VersionId") is None else "GetObjectVersion"
    bucket, version = await reading.find(tx, call, source, action)
    conditions.check_copy_source(version, p, call.now_ms)
    data = await sending.find_inline(tx, version)
    return Found(bucket, version, data, () if data is not None else await sending.find_parts(tx, version))


async def _take(
    call: Call, found: Found, start: int, length: int, want: Expected, keys: Keys, *, inline: bool
) -> Received:
    """The bytes from `start` on, put away a second time. Raises sending.Gone."""
    version = found.version
    walrus = call.walrus
    most_inline = None if inline else -1
    if found.data is not None:
        source: receiving.Source = InMemory(sending.plain(version, found.data, keys.source)[start : start + length])
        return await receiving.receive(walrus, source, want, MOST_PUT_BYTES, most_inline, keys.target)
    whole = version.place == content.BLOB and length == version.size and keys.source == keys.target
    known = _known(version, want)
    if whole and known is not None and walrus.blobs.capabilities.cheap_clone:
        assert version.content is not None
        try:
            clone = await walrus.blobs.clone(version.content)
        except BlobMissing:
            raise sending.Gone from None
        is_sealed = keys.target is not None
        return Received(walrus, length, version.etag, {want.algorithm: known}, blob_id=clone, is_sealed=is_sealed)
    if length == 0:
        return await receiving.receive(walrus, InMemory(b""), want, MOST_PUT_BYTES)
    stream = await sending.open_stream(walrus, version, found.parts, start, length, keys.source)
    try:
        return await receiving.receive(walrus, FromStream(stream), want, MOST_PUT_BYTES, most_inline, keys.target)
    finally:
        stream.close()


class Keys(msgspec.Struct, frozen=True):
    """The data keys of a copy's source and of what is made, None for what is not encrypted."""

    source: bytes | None
    target: bytes | None


def _shared(found: Found, target: Bucket, wanted: Wanted | None, source: bytes | None) -> Sealed | None:
    """The encryption of a copy. From SSE-S3 to SSE-S3 it has its source's data key, wrapped anew: the bytes are shared."""
    sealed = encryption.begin(target, wanted)
    if sealed is None or source is None or sealed.wanted.kind != encryption.S3:
        return sealed
    is_s3 = encryption.load(found.version.sse or "").kind == encryption.S3
    return encryption.begin(target, wanted, source) if is_s3 else sealed


def _known(version: Version, want: Expected) -> str | None:
    """The checksum that a copy will have, if that is known already."""
    if version.checksum:
        algorithm, kind, value = version.checksum.split(" ")
        if algorithm == want.algorithm and kind == checksums.FULL_OBJECT:
            return value
    return None


def _algorithm(p: Mapping[str, Any], version: Version) -> str:
    """A copy keeps its source's algorithm unless it asks for another."""
    asked = p.get("ChecksumAlgorithm")
    if asked:
        if asked.upper() not in checksums.ALGORITHMS:
            raise InvalidRequest("Checksum algorithm provided is unsupported.")
        return str(asked).upper()
    return version.checksum.split(" ")[0] if version.checksum else checksums.DEFAULT


_CHECKED_HERE = (
    "ACL", "StorageClass", "ChecksumAlgorithm", "MetadataDirective", "TaggingDirective", "ServerSideEncryption",
)  # fmt: skip


@s3.action(
    "CopyObject",
    unchecked=_CHECKED_HERE,
)
async def copy_object(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    headers.refuse_unbuilt(p)
    key = headers.key_bytes(p)
    source = parse_source(p["CopySource"])
    replace = _directive(p, "MetadataDirective", "x-amz-metadata-directive")
    replace_tags = _directive(p, "TaggingDirective", "x-amz-tagging-directive")
    label = headers.storage_class(p)
    tags = headers.parse_tagging_header(p.get("Tagging"))
    check = conditions.write_check(p)
    details = headers.details_of(p)
    wanted = lockheaders.asked(call, p, with_body=False)
    itself = source["Bucket"] == p["Bucket"] and source["Key"] == p["Key"] and "VersionId" not in source
    encrypted = p.get("ServerSideEncryption") or p.get("SSECustomerAlgorithm")
    changes = replace or label or encrypted or p.get("WebsiteRedirectLocation") or p.get("StorageClass")

    sealed: Sealed | None = None

    async def look(tx: Tx) -> tuple[Found, Keys]:
        nonlocal sealed
        target = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        # An encryption that somebody has set for the bucket is a change, even to what the object has.
        if itself and not changes and target.encryption in ("", call.walrus.default_encryption):
            raise InvalidRequest(
                "This copy request is illegal because it is trying to copy an object to itself without changing the "
                "object's metadata, storage class, website redirect location or encryption attributes."
            )
        acls.of_new_object(call, target, p)
        if wanted is not None:
            lockheaders.may_lock(call, target, p["Key"], wanted)
        found = await _load(tx, call, p, {**source, "ExpectedBucketOwner": p.get("ExpectedSourceBucketOwner")})
        opened = encryption.open_version(call, found.bucket, found.version, p, "CopySource")
        sealed = _shared(found, target, encryption.asked(p), opened)
        return found, Keys(opened, None if sealed is None else sealed.data_key)

    found, received = await _read_and_take(
        call, look, lambda found: (0, found.version.size), lambda version: _algorithm(p, version), p, inline=True
    )
    if found.version.size > MOST_PUT_BYTES:
        raise InvalidRequest(
            f"The specified copy source is larger than the maximum allowable size for a copy source: {MOST_PUT_BYTES}"
        )
    algorithm, value = next(iter(received.sums.items()))
    checksum = f"{algorithm} {checksums.FULL_OBJECT} {value}"

    async def work(tx: Tx) -> tuple[Bucket, Version]:
        bucket = await call.bucket(tx, p["Bucket"])
        owner, acl = acls.of_new_object(call, bucket, p)
        new = New(
            key=key,
            modified_ms=call.now_ms,
            size=received.size,
            etag=received.md5 if sealed is None else sealed.etag(received.md5),
            details=details if replace else _without_redirect(found.version, p),
            place=received.place,
            content=received.blob_id,
            data=received.data_for(None if sealed is None else sealed.data_key),
            checksum=checksum,
            storage_class=label,
            tags=tags if replace_tags else found.version.tags,
            owner=owner,
            acl=acl,
            lock=locks.of_new_version(bucket, wanted, call.now_ms),
            sse=None if sealed is None else encryption.envelope(call.walrus, bucket, key, sealed),
        )
        version = await objects.put(tx, bucket, new, check)
        await events.created(tx, call, bucket, version)
        if bucket.replication:
            await replicating(tx, call, bucket, version)
        return bucket, version

    bucket, version = await received.keep(work)
    call.walrus.collector.wake()
    result = {"ETag": f'"{version.etag}"', "LastModified": version.modified_ms // 1000}
    answer: dict[str, Any] = {"CopyObjectResult": result | headers.checksum_members(checksum)}
    if bucket.versioning:
        answer["VersionId"] = version.version_id
    if found.version.version_id != NULL_VERSION:
        answer["CopySourceVersionId"] = found.version.version_id
    if version.sse is not None:
        answer |= encryption.members(version.sse, p, context=True)
    if bucket.lifecycle:
        answer["Expiration"] = lifecycle.expiration(bucket.lifecycle, version)
    return answer


async def _read_and_take(
    call: Call,
    look: Callable[[Tx], Awaitable[tuple[Found, Keys]]],
    span: Callable[[Found], tuple[int, int]],
    algorithm: Callable[[Version], str],
    p: Mapping[str, Any],
    *,
    inline: bool,
) -> tuple[Found, Received]:
    """Find the source and put its bytes away; again where it was replaced in between."""
    for _ in range(TRIES):
        found, keys = await call.read(look)
        start, length = span(found)
        want = Expected(algorithm=algorithm(found.version))
        try:
            return found, await _take(call, found, start, length, want, keys, inline=inline)
        except sending.Gone:
            continue
    raise InternalError(f"the bytes of {p['CopySource']} are missing")


def _directive(p: Mapping[str, Any], member: str, header: str) -> bool:
    """Whether a directive says REPLACE. Raises InvalidArgument."""
    value = p.get(member) or "COPY"
    if value not in ("COPY", "REPLACE"):
        raise InvalidArgument(
            f"Unknown {'metadata' if member == 'MetadataDirective' else 'tagging'} directive.",
            fields={"ArgumentName": header, "ArgumentValue": value},
        )
    return bool(value == "REPLACE")


def _without_redirect(version: Version, p: Mapping[str, Any]) -> str:
    """A copy's headers: its source's, but a website redirect is not copied."""
    details = headers.read_details(version)
    redirect = p.get("WebsiteRedirectLocation")
    if details.website_redirect == redirect:
        return version.details
    return msgspec.json.encode(msgspec.structs.replace(details, website_redirect=redirect)).decode()


@s3.action("UploadPartCopy")
async def upload_part_copy(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    headers.refuse_unbuilt(p)
    key = headers.key_bytes(p)
    source = parse_source(p["CopySource"])
    number = check_part_number(p["PartNumber"])
    algorithm, is_summed = checksums.DEFAULT, False

    sealed: Sealed | None = None
    sse: str | None = None

    async def look(tx: Tx) -> tuple[Found, Keys]:
        nonlocal algorithm, is_summed, sealed, sse
        target = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        upload = await uploads.by_id(tx, target.id, key, p["UploadId"])
        if upload is None:
            raise errors.NoSuchUpload(fields={"UploadId": p["UploadId"]})
        algorithm, is_summed = upload.checksum_algorithm or checksums.DEFAULT, upload.checksum_algorithm is not None
        sealed, sse = encryption.open_upload(call, target, key, upload.sse, p), upload.sse
        found = await _load(tx, call, p, {**source, "ExpectedBucketOwner": p.get("ExpectedSourceBucketOwner")})
        opened = encryption.open_version(call, found.bucket, found.version, p, "CopySource")
        return found, Keys(opened, None if sealed is None else sealed.data_key)

    def span(found: Found) -> tuple[int, int]:
        start, length = ranges.parse_copy(p.get("CopySourceRange"), found.version.size)
        if length > MOST_PUT_BYTES:
            raise errors.EntityTooLarge(fields={"ProposedSize": length, "MaxSizeAllowed": MOST_PUT_BYTES})
        return start, length

    found, received = await _read_and_take(call, look, span, lambda version: algorithm, p, inline=False)
    checksum = " ".join(next(iter(received.sums.items())))
    etag = received.md5 if sealed is None else sealed.etag(received.md5)
    part = Part(number, received.size, etag, call.now_ms, checksum, received.place, received.blob_id)

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"])
        if await uploads.by_id(tx, bucket.id, key, p["UploadId"]) is None:
            raise errors.NoSuchUpload(fields={"UploadId": p["UploadId"]})
        await uploads.put_part(tx, p["UploadId"], part)

    await received.keep(work)
    result: dict[str, Any] = {
        "ETag": f'"{etag}"',
        "LastModified": part.modified_ms // 1000,
        **(reading.part_checksum(part) if is_summed else {}),
    }
    answer: dict[str, Any] = {"CopyPartResult": result}
    if sse is not None:
        answer |= encryption.members(sse, p)
    if found.version.version_id != NULL_VERSION:
        answer["CopySourceVersionId"] = found.version.version_id
    return answer


def check_part_number(number: int) -> int:
    """Raises InvalidArgument."""
    if not 1 <= number <= 10_000:
        raise InvalidArgument(
            "Part number must be an integer between 1 and 10000, inclusive",
            fields={"ArgumentName": "partNumber", "ArgumentValue": number},
        )
    return number
