"""Rows of buckets and of their sub-resources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from eucapy.database import Row, Tx
from eucapy.walrus.store import content
from eucapy.walrus.store.schema import bucket_settings, buckets, uploads, versions

ENABLED = "Enabled"
"""The state of versioning in which a write tells its version; while it is suspended that is always `null`, and not told."""


class Bucket(msgspec.Struct, frozen=True):
    """A bucket. `owner` is a canonical id; `versioning` "", "Enabled" or "Suspended".

    `access`, `lock`, `encryption`, `lifecycle`, `notifications` and `replication` are documents of the modules of walrus
    that have these names: they stand here, and not among the settings, because they decide in every request.
    """

    id: int
    name: str
    owner: str
    account: str
    region: str
    created_ms: int
    versioning: str
    ownership: str
    access: str = ""
    lock: str = ""
    encryption: str = ""
    lifecycle: str = ""
    notifications: str = ""
    replication: str = ""


columns = [buckets.c[name] for name in Bucket.__struct_fields__]
_name: sa.BindParameter[Any] = sa.bindparam("bucket_name")
_id: sa.BindParameter[Any] = sa.bindparam("bucket_id")
_by_name = sa.select(*columns).where(buckets.c.name == _name)
_insert = sa.insert(buckets).values({name: sa.bindparam(name) for name in Bucket.__struct_fields__ if name != "id"})
_delete = sa.delete(buckets).where(buckets.c.id == _id)
_page = (
    sa.select(*columns)
    .where(
        buckets.c.owner == sa.bindparam("owner"),
        buckets.c.name > sa.bindparam("after"),
        buckets.c.name >= sa.bindparam("first"),
        buckets.c.name < sa.bindparam("last"),
    )
    .order_by(buckets.c.name)
    .limit(sa.bindparam("most"))
)
_with_lifecycle = (
    sa.select(*columns)
    .where(buckets.c.id > sa.bindparam("after_id"), buckets.c.lifecycle != sa.literal_column("''"))
    .order_by(buckets.c.id)
    .limit(sa.bindparam("most"))
)
_count = sa.select(sa.func.count()).select_from(buckets).where(buckets.c.owner == sa.bindparam("owner"))
_set_ownership = sa.update(buckets).where(buckets.c.id == _id).values(ownership=sa.bindparam("rule"))
_set_access = sa.update(buckets).where(buckets.c.id == _id).values(access=sa.bindparam("document"))
_set_lock = sa.update(buckets).where(buckets.c.id == _id).values(lock=sa.bindparam("document"))
_set_encryption = sa.update(buckets).where(buckets.c.id == _id).values(encryption=sa.bindparam("document"))
_set_lifecycle = sa.update(buckets).where(buckets.c.id == _id).values(lifecycle=sa.bindparam("document"))
_set_replication = sa.update(buckets).where(buckets.c.id == _id).values(replication=sa.bindparam("document"))
_set_notifications = sa.update(buckets).where(buckets.c.id == _id).values(notifications=sa.bindparam("document"))
_set_versioning = sa.update(buckets).where(buckets.c.id == _id).values(versioning=sa.bindparam("status"))
_any_current = sa.select(versions.c.seq).where(versions.c.bucket == _id, versions.c.current == 1).limit(1)
_any_old = sa.select(versions.c.seq).where(versions.c.bucket == _id, versions.c.current == 0).limit(1)
_all_uploads = sa.select(uploads.c.id).where(uploads.c.bucket == _id)
_delete_uploads = sa.delete(uploads).where(uploads.c.bucket == _id)
_setting_name: sa.BindParameter[Any] = sa.bindparam("setting")
_one_setting = sa.select(bucket_settings.c.document).where(
    bucket_settings.c.bucket == _id, bucket_settings.c.name == _setting_name
)
_insert_setting = sa.insert(bucket_settings)
_delete_setting = sa.delete(bucket_settings).where(
    bucket_settings.c.bucket == _id, bucket_settings.c.name == _setting_name
)
_with_setting = (
    sa.select(*columns, bucket_settings.c.document)
    .join_from(bucket_settings, buckets, buckets.c.id == bucket_settings.c.bucket)
    .where(bucket_settings.c.name == _setting_name, buckets.c.id > sa.bindparam("after_id"))
    .order_by(buckets.c.id)
    .limit(sa.bindparam("most"))
)
_delete_settings = sa.delete(bucket_settings).where(bucket_settings.c.bucket == _id)

LAST_NAME = "\x7f"
"""Sorts after every bucket name."""


def _bucket(row: Row) -> Bucket:
    values: Sequence[Any] = row
    return Bucket(*values)


async def by_name(tx: Tx, name: str) -> Bucket | None:
    row = await tx.first(_by_name, {"bucket_name": name})
    return None if row is None else _bucket(row)


async def insert(
    tx: Tx,
    name: str,
    owner: str,
    account: str,
    region: str,
    created_ms: int,
    ownership: str,
    access: str = "",
    *,
    lock: str = "",
    encryption: str = "",
) -> None:
    """The caller has seen in this transaction that the name is free. With a `lock` the bucket is versioned."""
    await tx.run(
        _insert,
        {
            "name": name,
            "owner": owner,
            "account": account,
            "region": region,
            "created_ms": created_ms,
            "versioning": "Enabled" if lock else "",
            "ownership": ownership,
            "access": access,
            "lock": lock,
            "encryption": encryption,
            "lifecycle": "",
            "notifications": "",
            "replication": "",
        },
    )


async def delete(tx: Tx, bucket: Bucket) -> None:
    """The caller has seen that it is empty."""
    await tx.run(_delete_settings, {"bucket_id": bucket.id})
    await tx.run(_delete, {"bucket_id": bucket.id})


async def has_versions(tx: Tx, bucket: Bucket) -> bool:
    """Whether any object, older version or delete marker is in it."""
    for statement in (_any_current, _any_old):
        if await tx.first(statement, {"bucket_id": bucket.id}) is not None:
            return True
    return False


async def drop_uploads(tx: Tx, bucket: Bucket) -> None:
    """Abort what is open in a bucket that goes away."""
    for row in await tx.all(_all_uploads, {"bucket_id": bucket.id}):
        await content.discard_parts(tx, row[0])
    await tx.run(_delete_uploads, {"bucket_id": bucket.id})


async def page(tx: Tx, owner: str, after: str, prefix: str, most: int) -> Sequence[Bucket]:
    """Up to `most` buckets of `owner` in order of name, after the name `after`."""
    last = prefix + LAST_NAME if prefix else LAST_NAME
    found = await tx.all(_page, {"owner": owner, "after": after, "first": prefix, "last": last, "most": most})
    return [_bucket(row) for row in found]


async def with_lifecycle(tx: Tx, after_id: int, most: int) -> Sequence[Bucket]:
    """Up to `most` buckets that have lifecycle rules, behind the id `after_id`."""
    return [_bucket(row) for row in await tx.all(_with_lifecycle, {"after_id": after_id, "most": most})]


async def with_setting(tx: Tx, name: str, after_id: int, most: int) -> Sequence[tuple[Bucket, str]]:
    """Up to `most` (bucket, document) of those that have the setting, behind the id `after_id`."""
    found = await tx.all(_with_setting, {"setting": name, "after_id": after_id, "most": most})
    rows: Sequence[Sequence[Any]] = found
    return [(Bucket(*row[:-1]), row[-1]) for row in rows]


async def count(tx: Tx, owner: str) -> int:
    return int(await tx.scalar(_count, {"owner": owner}))


async def set_versioning(tx: Tx, bucket: Bucket, status: str) -> None:
    await tx.run(_set_versioning, {"bucket_id": bucket.id, "status": status})


async def set_ownership(tx: Tx, bucket: Bucket, rule: str) -> None:
    """`rule` is empty where the bucket has none: then writers own their objects."""
    await tx.run(_set_ownership, {"bucket_id": bucket.id, "rule": rule})


async def set_replication(tx: Tx, bucket: Bucket, document: str) -> None:
    await tx.run(_set_replication, {"bucket_id": bucket.id, "document": document})


async def set_notifications(tx: Tx, bucket: Bucket, document: str) -> None:
    await tx.run(_set_notifications, {"bucket_id": bucket.id, "document": document})


async def set_access(tx: Tx, bucket: Bucket, document: str) -> None:
    await tx.run(_set_access, {"bucket_id": bucket.id, "document": document})


async def set_lock(tx: Tx, bucket: Bucket, document: str) -> None:
    await tx.run(_set_lock, {"bucket_id": bucket.id, "document": document})


async def set_encryption(tx: Tx, bucket: Bucket, document: str) -> None:
    await tx.run(_set_encryption, {"bucket_id": bucket.id, "document": document})


async def set_lifecycle(tx: Tx, bucket: Bucket, document: str) -> None:
    await tx.run(_set_lifecycle, {"bucket_id": bucket.id, "document": document})


async def setting(tx: Tx, bucket: Bucket, name: str) -> str | None:
    """The JSON document of a sub-resource, or None."""
    document: str | None = await tx.scalar(_one_setting, {"bucket_id": bucket.id, "setting": name})
    return document


async def set_setting(tx: Tx, bucket: Bucket, name: str, document: str | None) -> None:
    """Replace the document; None removes it."""
    await tx.run(_delete_setting, {"bucket_id": bucket.id, "setting": name})
    if document is not None:
        await tx.run(_insert_setting, {"bucket": bucket.id, "name": name, "document": document})
