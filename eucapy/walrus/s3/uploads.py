"""Multipart uploads: Create, UploadPart, Complete, Abort, ListParts, ListMultipartUploads.

Completing copies no data: the parts become the object (`store/uploads.py`). The same Complete sent twice succeeds twice,
as long as its object is the current one: clients repeat it when the first answer is lost.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from eucapy.aws.errors import InvalidRequest, MalformedXML
from eucapy.database import Tx
from eucapy.walrus import checksums, conditions, encryption, errors, events, headers, lifecycle, locks, receiving
from eucapy.walrus.context import Call
from eucapy.walrus.encryption import Sealed
from eucapy.walrus.receiving import Expected
from eucapy.walrus.s3 import acls, lockheaders
from eucapy.walrus.s3.copies import check_part_number
from eucapy.walrus.s3.listings import Encode, as_bytes, behind_marker, encoder, most_of
from eucapy.walrus.s3.objects import MOST_PUT_BYTES
from eucapy.walrus.s3.reading import part_checksum
from eucapy.walrus.s3.replication import replicating
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import content, listings, objects, uploads
from eucapy.walrus.store.buckets import ENABLED, Bucket
from eucapy.walrus.store.objects import New, Version
from eucapy.walrus.store.uploads import Part, Upload

SMALLEST_PART_BYTES = 5 << 20
MOST_OBJECT_BYTES = 5 << 40
MOST_PARTS = 10_000
MOST_UPLOADS = 1000


_CHECKED_HERE = ("ACL", "StorageClass", "ChecksumAlgorithm", "ChecksumType", "ServerSideEncryption")


@s3.action("CreateMultipartUpload", unchecked=_CHECKED_HERE)
async def create_multipart_upload(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    headers.refuse_unbuilt(p)
    algorithm, kind = _checksum_of_upload(p)
    wanted = lockheaders.asked(call, p, with_body=False)
    upload = Upload(
        key=headers.key_bytes(p),
        id=uploads.new_id(),
        initiated_ms=call.now_ms,
        initiator=call.principal.canonical_id,
        initiator_arn=call.principal.arn,
        checksum_algorithm=algorithm,
        checksum_type=kind,
        storage_class=headers.storage_class(p),
        details=headers.details_of(p),
        tags=headers.parse_tagging_header(p.get("Tagging")),
        acl=None,
        lock=None if wanted is None else locks.dump(wanted),
    )

    async def work(tx: Tx) -> tuple[Bucket, str | None]:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        acl = acls.of_new_upload(call, bucket, p)
        if wanted is not None:
            lockheaders.may_lock(call, bucket, p["Key"], wanted)
        sealed = encryption.begin(bucket, encryption.asked(p))
        sse = None if sealed is None else encryption.envelope(call.walrus, bucket, upload.key, sealed)
        await uploads.insert(tx, bucket.id, msgspec.structs.replace(upload, acl=acl, sse=sse))
        return bucket, sse

    bucket, sse = await call.write(work)
    answer = {"Bucket": p["Bucket"], "Key": p["Key"], "UploadId": upload.id, **_abortion(call, bucket, upload)}
    if sse is not None:
        answer |= encryption.members(sse, p, context=True)
    if p.get("ChecksumAlgorithm"):
        answer |= {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
    return answer


def _abortion(call: Call, bucket: Bucket, upload: Upload) -> dict[str, Any]:
    """When, and by which lifecycle rule, the upload will be aborted."""
    found = lifecycle.abortion(bucket.lifecycle, upload.key, upload.initiated_ms)
    return {} if found is None else {"AbortDate": found[0] // 1000, "AbortRuleId": found[1]}


def _checksum_of_upload(p: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """(algorithm, type), None where the upload names none: its object gets the default. Raises InvalidRequest."""
    named, kind = p.get("ChecksumAlgorithm"), p.get("ChecksumType")
    if named is None:
        if kind is not None:
            raise InvalidRequest(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )
        return None, None
    algorithm = str(named).upper()
    if algorithm not in checksums.ALGORITHMS:
        raise InvalidRequest(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(checksums.ALGORITHMS)}]"
        )
    kind = (kind or checksums.default_type(algorithm)).upper()
    if kind not in (checksums.FULL_OBJECT, checksums.COMPOSITE):
        raise InvalidRequest("Value for x-amz-checksum-type header is invalid.")
    if not checksums.allows(algorithm, kind):
        raise InvalidRequest(
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        )
    return algorithm, kind


async def require(tx: Tx, bucket: Bucket, key: bytes, upload_id: str) -> Upload:
    """Raises NoSuchUpload."""
    upload = await uploads.by_id(tx, bucket.id, key, upload_id)
    if upload is None:
        raise errors.NoSuchUpload(fields={"UploadId": upload_id})
    return upload


@s3.action("UploadPart", unchecked=("ChecksumAlgorithm",))
async def upload_part(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    headers.refuse_unbuilt(p)
    number = check_part_number(p["PartNumber"])
    key = headers.key_bytes(p)
    want = receiving.expected(call, p)

    async def look(tx: Tx) -> tuple[Upload, Sealed | None]:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        upload = await require(tx, bucket, key, p["UploadId"])
        return upload, encryption.open_upload(call, bucket, key, upload.sse, p)

    upload, sealed = await call.read(look)
    want = _fitting(want, upload)
    data_key = None if sealed is None else sealed.data_key
    source = receiving.as_source(call, p.get("Body"))
    received = await receiving.receive(call.walrus, source, want, MOST_PUT_BYTES, -1, data_key)
    part = Part(
        number,
        received.size,
        received.md5 if sealed is None else sealed.etag(received.md5),
        call.now_ms,
        checksums.write_pairs(received.sums),
        received.place,
        received.blob_id,
    )

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"])
        await require(tx, bucket, key, p["UploadId"])
        await uploads.put_part(tx, p["UploadId"], part)

    await received.keep(work)
    answer = {"ETag": f'"{part.etag}"'}
    if want.said or upload.checksum_algorithm:
        answer[checksums.MEMBERS[want.algorithm]] = received.sums[want.algorithm]
    if upload.sse is not None:
        answer |= encryption.members(upload.sse, p)
    return answer


def _fitting(want: Expected, upload: Upload) -> Expected:
    """A part is summed with its upload's algorithm. Raises InvalidRequest where it comes with another.

    An upload that names none takes parts with any; the default is summed beside it, for the object as a whole.
    """
    algorithm = upload.checksum_algorithm or checksums.DEFAULT
    if not want.said:
        return Expected(algorithm=algorithm, md5=want.md5)
    if upload.checksum_algorithm is None:
        return msgspec.structs.replace(want, also=algorithm)
    if want.algorithm != algorithm:
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.lower()}, "
            f"actual checksum Type: {want.algorithm.lower()}"
        )
    return want


@s3.action("CompleteMultipartUpload", unchecked=("MultipartUpload", "ChecksumType"), worded=("MultipartUpload",))
async def complete_multipart_upload(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    key = headers.key_bytes(p)
    listed = (p.get("MultipartUpload") or {}).get("Parts") or []
    if len(listed) > MOST_PARTS or any("PartNumber" not in part or "ETag" not in part for part in listed):
        raise MalformedXML()
    numbers = [part["PartNumber"] for part in listed]
    if any(first >= second for first, second in itertools.pairwise(numbers)):
        raise errors.InvalidPartOrder(fields={"UploadId": p["UploadId"]})
    conditions.write_check(p)

    async def work(tx: Tx) -> tuple[Bucket, Version]:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        upload = await uploads.by_id(tx, bucket.id, key, p["UploadId"])
        if upload is None:
            done = await objects.current(tx, bucket.id, key)
            if done is not None and done.place == content.PARTS and done.content == p["UploadId"]:
                return bucket, done
            raise errors.NoSuchUpload(fields={"UploadId": p["UploadId"]})
        if not listed:
            raise MalformedXML() if p.get("MultipartUpload") is None else InvalidRequest(_NO_PARTS)
        if upload.sse is not None and (upload.checksum_algorithm or p.get("SSECustomerAlgorithm")):
            encryption.check_completer(call, bucket, key, upload.sse, p)
        stored = {part.number: part for part in await uploads.page(tx, upload.id)}
        chosen = [_choose(stored, part, upload) for part in listed]
        size = _check_sizes(chosen, p)
        checksum = _whole_checksum(upload, chosen, p)
        for number in stored.keys() - set(numbers):
            await uploads.drop_part(tx, upload.id, number)
        await uploads.delete(tx, bucket.id, upload)
        owner, acl = acls.of_upload(bucket, upload)
        new = New(
            key=key,
            modified_ms=call.now_ms,
            size=size,
            etag=_etag(chosen),
            details=upload.details,
            place=content.PARTS,
            content=upload.id,
            checksum=checksum,
            storage_class=upload.storage_class,
            tags=upload.tags,
            owner=owner,
            acl=acl,
            lock=locks.of_new_version(bucket, locks.load(upload.lock) if upload.lock else None, call.now_ms),
            sse=upload.sse,
        )
        check = conditions.completion_check(p, upload.initiated_ms, upload.removed_ms)
        version = await objects.put(tx, bucket, new, check)
        await events.created(tx, call, bucket, version)
        if bucket.replication:
            await replicating(tx, call, bucket, version)
        return bucket, version

    bucket, version = await call.write(work)
    call.walrus.collector.wake()
    answer: dict[str, Any] = {
        "Location": _location(call, p),
        "Bucket": p["Bucket"],
        "Key": p["Key"],
        "ETag": f'"{version.etag}"',
    }
    if version.checksum:
        answer |= headers.checksum_members(version.checksum)
    if bucket.versioning == ENABLED:
        answer["VersionId"] = version.version_id
    if version.sse is not None:
        answer |= {name: value for name, value in encryption.members(version.sse, p).items() if "Customer" not in name}
    if bucket.lifecycle:
        answer["Expiration"] = lifecycle.expiration(bucket.lifecycle, version)
    return answer


_NO_PARTS = "You must specify at least one part"


def _choose(stored: Mapping[int, Part], listed: Mapping[str, Any], upload: Upload) -> Part:
    """The part that the client names. Raises InvalidPart."""
    number = listed["PartNumber"]
    part = stored.get(number)
    etag = str(listed["ETag"]).strip().strip('"')
    if part is None or part.etag != etag:
        raise errors.InvalidPart(fields={"UploadId": upload.id, "PartNumber": number, "ETag": etag})
    given = {name: listed[member] for name, member in checksums.MEMBERS.items() if listed.get(member)}
    stored_sums = checksums.read_pairs(part.checksum)
    for name, value in given.items():
        if stored_sums.get(name, "" if upload.checksum_algorithm else value) != value:
            raise errors.InvalidPart(fields={"UploadId": upload.id, "PartNumber": number, "ETag": etag})
    return part


def _check_sizes(chosen: Sequence[Part], p: Mapping[str, Any]) -> int:
    """The object's size. Raises EntityTooSmall, EntityTooLarge, InvalidRequest."""
    for part in chosen[:-1]:
        if part.size < SMALLEST_PART_BYTES:
            raise errors.EntityTooSmall(
                fields={
                    "ProposedSize": part.size,
                    "MinSizeAllowed": SMALLEST_PART_BYTES,
                    "PartNumber": part.number,
                    "ETag": part.etag,
                }
            )
    size = sum(part.size for part in chosen)
    if size > MOST_OBJECT_BYTES:
        raise errors.EntityTooLarge(fields={"ProposedSize": size, "MaxSizeAllowed": MOST_OBJECT_BYTES})
    said = p.get("MpuObjectSize")
    if said is not None and int(said) != size:
        raise InvalidRequest(
            f"The provided 'x-amz-mp-object-size' header value {said} does not match what was computed: {size}"
        )
    return size


def _etag(chosen: Sequence[Part]) -> str:
    joined = b"".join(bytes.fromhex(part.etag) for part in chosen)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(chosen)}"


def _whole_checksum(upload: Upload, chosen: Sequence[Part], p: Mapping[str, Any]) -> str | None:
    """The object's checksum from those of its parts, compared with what the client says. Raises BadDigest."""
    algorithm = upload.checksum_algorithm or checksums.DEFAULT
    kind = upload.checksum_type or checksums.FULL_OBJECT
    if p.get("ChecksumType") and p["ChecksumType"] != kind:
        raise InvalidRequest(
            f"The upload was created using the {kind} checksum mode. The complete request must use the same checksum mode."
        )
    values = [checksums.read_pairs(part.checksum)[algorithm] for part in chosen]
    if kind == checksums.FULL_OBJECT:
        value = checksums.combine(algorithm, [(value, part.size) for value, part in zip(values, chosen, strict=True)])
    else:
        value = checksums.composite(algorithm, values)
    said = p.get(checksums.MEMBERS[algorithm])
    if said is not None and said != value and said != value.partition("-")[0]:
        raise errors.BadDigest(f"The {algorithm} you specified did not match the calculated checksum.")
    return f"{algorithm} {kind} {value}"


def _location(call: Call, p: Mapping[str, Any]) -> str:
    incoming = call.incoming
    path = incoming.path.partition("?")[0]
    return f"{incoming.scheme}://{incoming.host}{path}"


@s3.action("AbortMultipartUpload")
async def abort_multipart_upload(call: Call, p: dict[str, Any]) -> None:
    key = headers.key_bytes(p)

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        upload = await require(tx, bucket, key, p["UploadId"])
        await content.discard_parts(tx, upload.id)
        await uploads.delete(tx, bucket.id, upload)

    await call.write(work)
    call.walrus.collector.wake()


@s3.action("ListParts")
async def list_parts(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    key = headers.key_bytes(p)
    most = most_of(p, "MaxParts", "max-parts")
    after = most_of(p, "PartNumberMarker", "part-number-marker", MOST_PARTS) if p.get("PartNumberMarker") else 0

    async def work(tx: Tx) -> tuple[Bucket, Upload, Sequence[Part]]:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        upload = await require(tx, bucket, key, p["UploadId"])
        return bucket, upload, await uploads.page(tx, upload.id, after, most + 1)

    bucket, upload, found = await call.read(work)
    shown = found[:most]
    return {
        "Bucket": p["Bucket"],
        "Key": p["Key"],
        "UploadId": upload.id,
        "PartNumberMarker": after,
        "NextPartNumberMarker": shown[-1].number if shown else 0,
        "MaxParts": most,
        "IsTruncated": most > 0 and len(found) > most,
        "Parts": [
            {
                "PartNumber": part.number,
                "LastModified": part.modified_ms // 1000,
                "ETag": f'"{part.etag}"',
                "Size": part.size,
                **(part_checksum(part) if upload.checksum_algorithm else {}),
            }
            for part in shown
        ],
        "Initiator": _initiator(call, upload),
        "Owner": call.person(acls.of_upload(bucket, upload)[0] or bucket.owner),
        "StorageClass": upload.storage_class or "STANDARD",
        "ChecksumAlgorithm": upload.checksum_algorithm,
        "ChecksumType": upload.checksum_type,
        **_abortion(call, bucket, upload),
    }


def _initiator(call: Call, upload: Upload) -> dict[str, str]:
    """Who began an upload: an account by its canonical id, a user of one by its ARN."""
    if upload.initiator_arn.endswith(":root"):
        return call.person(upload.initiator)
    return {"ID": upload.initiator_arn, "DisplayName": upload.initiator_arn.rpartition("/")[2]}


@s3.action("ListMultipartUploads", unchecked=("EncodingType", "MaxUploads"))
async def list_multipart_uploads(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    encode = encoder(p)
    most = most_of(p, "MaxUploads", "max-uploads", MOST_UPLOADS)
    prefix, delimiter, marker = as_bytes(p.get("Prefix")), as_bytes(p.get("Delimiter")), as_bytes(p.get("KeyMarker"))
    id_marker = p.get("UploadIdMarker") or ""
    if id_marker and not marker:
        id_marker = ""  # as in AWS: without a key marker it means nothing
    first = marker if id_marker else behind_marker(marker, prefix, delimiter)

    async def work(tx: Tx) -> tuple[Bucket, listings.Page[Upload]]:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        if most == 0:
            return bucket, listings.Page([], [], None)
        return bucket, await listings.open_uploads(tx, bucket.id, prefix, delimiter, first, id_marker, most)

    bucket, page = await call.read(work)
    answer: dict[str, Any] = {
        "Bucket": p["Bucket"],
        "KeyMarker": encode(marker),
        "UploadIdMarker": id_marker,
        "MaxUploads": most,
        "IsTruncated": page.last is not None,
    }
    if p.get("Prefix") is not None:
        answer["Prefix"] = encode(prefix)
    if delimiter:
        answer["Delimiter"] = encode(delimiter)
    if p.get("EncodingType"):
        answer["EncodingType"] = p["EncodingType"]
    answer |= _next_markers(page, encode)
    answer["Uploads"] = [
        {
            "UploadId": upload.id,
            "Key": encode(upload.key),
            "Initiated": upload.initiated_ms // 1000,
            "StorageClass": upload.storage_class or "STANDARD",
            "Owner": call.person(acls.of_upload(bucket, upload)[0] or bucket.owner),
            "Initiator": _initiator(call, upload),
            "ChecksumAlgorithm": upload.checksum_algorithm,
            "ChecksumType": upload.checksum_type,
        }
        for upload in page.rows
    ]
    answer["CommonPrefixes"] = [{"Prefix": encode(common)} for common in page.prefixes]
    return answer


def _next_markers(page: listings.Page[Upload], encode: Encode) -> dict[str, str]:
    """Where the page ended; the last upload where there is no more, unless a common prefix comes behind it; or empty."""
    last: Upload | bytes | None = page.last
    if last is None and page.rows and (not page.prefixes or page.prefixes[-1] < page.rows[-1].key):
        last = page.rows[-1]
    if last is None:
        return {"NextKeyMarker": "", "NextUploadIdMarker": ""}
    if isinstance(last, bytes):
        return {"NextKeyMarker": encode(last), "NextUploadIdMarker": ""}
    return {"NextKeyMarker": encode(last.key), "NextUploadIdMarker": last.id}
