"""Objects in: PutObject.

    check the head ─► receive the body (durable, invisible) ─► one transaction: bucket, condition, version ─► answer

Unless it is small, the bucket is looked at twice: before the body, so that a refused client does not send it, and in the
transaction that makes the object visible, because the bucket may be gone by then.
"""

from __future__ import annotations

from typing import Any

from eucapy.database import Tx
from eucapy.walrus import checksums, conditions, encryption, events, headers, lifecycle, locks, receiving
from eucapy.walrus.context import Call
from eucapy.walrus.encryption import Sealed
from eucapy.walrus.receiving import Source
from eucapy.walrus.s3 import acls, lockheaders
from eucapy.walrus.s3.replication import replicating
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import objects
from eucapy.walrus.store.buckets import ENABLED, Bucket
from eucapy.walrus.store.objects import New, Version

MOST_PUT_BYTES = 5 << 30


@s3.action("PutObject", unchecked=("ACL", "StorageClass", "ChecksumAlgorithm", "ServerSideEncryption"))
async def put_object(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    return await put(call, p, receiving.as_source(call, p.get("Body")))


async def put(call: Call, p: dict[str, Any], source: Source) -> dict[str, Any]:
    """Store `source` as PutObject's parameters say, and answer as it does. A source of unknown length may come here too."""
    headers.refuse_unbuilt(p)
    key = headers.key_bytes(p)
    details = headers.details_of(p)
    tags = headers.parse_tagging_header(p.get("Tagging"))
    label = headers.storage_class(p)
    check = conditions.write_check(p)
    want = receiving.expected(call, p)
    wanted = lockheaders.asked(call, p)
    sealed: Sealed | None = None
    decided = False
    owner: str | None = None
    acl: str | None = None

    async def look(tx: Tx) -> tuple[Bucket, Version | None]:
        found = await objects.find(tx, p["Bucket"], key)
        bucket = call.check_bucket(found[0] if found else None, p["Bucket"], p.get("ExpectedBucketOwner"))
        nonlocal owner, acl
        owner, acl = acls.of_new_object(call, bucket, p)
        if wanted is not None:
            lockheaders.may_lock(call, bucket, p["Key"], wanted)
        replaced = found[1] if found else None
        if check is not None:
            check(replaced)
        nonlocal sealed, decided
        if not decided:  # once: what is received now is not encrypted anew when the bucket's default changes
            sealed, decided = encryption.begin(bucket, encryption.asked(p)), True
        return bucket, replaced

    if receiving.is_worth_a_look(call, source):
        await call.read(look)
    data_key = None if sealed is None else sealed.data_key
    received = await receiving.receive(call.walrus, source, want, MOST_PUT_BYTES, data_key=data_key)
    checksum = f"{want.algorithm} {checksums.FULL_OBJECT} {received.sums[want.algorithm]}"

    async def work(tx: Tx) -> tuple[Bucket, Version]:
        bucket, replaced = await look(tx)
        new = New(
            key=key,
            modified_ms=call.now_ms,
            size=received.size,
            etag=received.md5 if sealed is None else sealed.etag(received.md5),
            details=details,
            place=received.place,
            content=received.blob_id,
            data=received.data_for(None if sealed is None else sealed.data_key),
            checksum=checksum,
            storage_class=label,
            tags=tags,
            owner=owner,
            acl=acl,
            lock=locks.of_new_version(bucket, wanted, call.now_ms),
            sse=None if sealed is None else encryption.envelope(call.walrus, bucket, key, sealed),
        )
        version = await objects.replace(tx, bucket, replaced, new)
        if bucket.notifications:
            await events.created(tx, call, bucket, version)
        if bucket.replication:
            await replicating(tx, call, bucket, version)
        return bucket, version

    bucket, version = await received.keep(work)
    call.walrus.collector.wake()
    answer: dict[str, Any] = {"ETag": f'"{version.etag}"', **headers.checksum_members(checksum)}
    if bucket.versioning == ENABLED:
        answer["VersionId"] = version.version_id
    if version.sse is not None:
        answer |= encryption.members(version.sse, p, context=True)
    if bucket.lifecycle:
        answer["Expiration"] = lifecycle.expiration(bucket.lifecycle, version)
    return answer
