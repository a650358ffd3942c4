"""How much is stored: objects and bytes by bucket, as their owners sent them. Reads every row: for a command, not a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from eucapy.database import Tx
from eucapy.walrus.store.schema import buckets, parts, uploads, versions


class Usage(msgspec.Struct, frozen=True):
    """A bucket. `objects` and `bytes` are what a listing shows, `old_*` the versions behind, `upload_bytes` the parts of
    uploads that are neither completed nor given up."""

    account: str
    bucket: str
    objects: int
    bytes: int
    old_versions: int
    old_bytes: int
    delete_markers: int
    uploads: int
    upload_bytes: int


def _sum(what: Any) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(sa.func.sum(what), 0)


_live = sa.case((versions.c.current == 1, 1), else_=0)
_old = sa.case((sa.and_(versions.c.current == 0, versions.c.marker == 0), 1), else_=0)
_stored = (
    sa.select(buckets.c.id, buckets.c.account, buckets.c.name, _sum(_live), _sum(_live * versions.c.size), _sum(_old),
              _sum(_old * versions.c.size), _sum(versions.c.marker))
    .select_from(buckets.outerjoin(versions, versions.c.bucket == buckets.c.id))
    .group_by(buckets.c.id, buckets.c.account, buckets.c.name)
    .order_by(buckets.c.account, buckets.c.name)
)  # fmt: skip
_uploading = (
    sa.select(uploads.c.bucket, sa.func.count(sa.distinct(uploads.c.id)), _sum(parts.c.size))
    .select_from(uploads.outerjoin(parts, parts.c.upload == uploads.c.id))
    .group_by(uploads.c.bucket)
)


async def by_bucket(tx: Tx) -> Sequence[Usage]:
    """Every bucket, by account and name."""
    waiting: Sequence[Sequence[Any]] = await tx.all(_uploading)
    pending = {row[0]: (int(row[1]), int(row[2])) for row in waiting}
    found = []
    rows: Sequence[Sequence[Any]] = await tx.all(_stored)
    for values in rows:
        numbers = [int(value) for value in (*values[3:], *pending.get(values[0], (0, 0)))]
        found.append(Usage(values[1], values[2], *numbers))
    return found


async def of_account(tx: Tx, account: str) -> dict[str, tuple[int, int]]:
    """Objects and bytes of each bucket of the account, the versions behind and the parts of open uploads among the bytes."""
    waiting: Sequence[Sequence[Any]] = await tx.all(
        sa.select(uploads.c.bucket, _sum(parts.c.size))
        .select_from(
            uploads.join(parts, parts.c.upload == uploads.c.id).join(buckets, buckets.c.id == uploads.c.bucket)
        )
        .where(buckets.c.account == account)
        .group_by(uploads.c.bucket)
    )
    pending = {row[0]: int(row[1]) for row in waiting}
    rows: Sequence[Sequence[Any]] = await tx.all(
        sa.select(buckets.c.id, buckets.c.name, _sum(_live), _sum(versions.c.size))
        .select_from(buckets.outerjoin(versions, versions.c.bucket == buckets.c.id))
        .where(buckets.c.account == account)
        .group_by(buckets.c.id, buckets.c.name)
    )
    return {str(row[1]): (int(row[2]), int(row[3]) + pending.get(row[0], 0)) for row in rows}
