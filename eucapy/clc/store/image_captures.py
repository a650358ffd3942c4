"""Images that are being made of instances: what has to happen to the instance meanwhile. One row an image, while it lasts.

`rest`: the guest shall be down until the disks are copied. `begun`: it is, or need not be, and the copying has begun.
`root_snapshot_id` is the snapshot that the node's copy of the root disk becomes; "" for a root that is a volume. Its
snapshots name the image in `snapshots.capture`. Moved on by `reconcilers/captures.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.tags import chunks
from eucapy.database import Row, Tx

table = sa.Table(
    "image_captures",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    created_column(),
    sa.Column("instance_id", sa.String(32), nullable=False, index=True),
    sa.Column("root_snapshot_id", sa.String(32), nullable=False, server_default=""),
    sa.Column("rest", sa.Boolean, nullable=False),
    sa.Column("begun", sa.Boolean, nullable=False),
)


async def insert(
    tx: Tx, *, image_id: str, account: str, instance_id: str, root_snapshot_id: str, rest: bool, now: float
) -> None:
    """`image_id` is the row's id. Without a rest it has begun. The caller wakes `captures`."""
    await tx.run(
        sa.insert(table).values(
            id=image_id,
            account=account,
            created_at=now,
            instance_id=instance_id,
            root_snapshot_id=root_snapshot_id,
            rest=rest,
            begun=not rest,
        )
    )


async def every(tx: Tx) -> list[Row]:
    """The oldest first."""
    return list(await tx.all(sa.select(table).order_by(table.c.created_at, table.c.id)))


async def of_instances(tx: Tx, instance_ids: Sequence[str]) -> dict[str, list[Row]]:
    """By instance, the oldest first."""
    found: dict[str, list[Row]] = {}
    for chunk in chunks(list(instance_ids), 500):
        statement = sa.select(table).where(table.c.instance_id.in_(chunk)).order_by(table.c.created_at, table.c.id)
        for row in await tx.all(statement):
            found.setdefault(row.instance_id, []).append(row)
    return found


async def set_values(tx: Tx, image_id: str, **columns: object) -> None:
    await tx.run(sa.update(table).where(table.c.id == image_id).values(**columns))


async def remove(tx: Tx, image_id: str) -> None:
    await tx.run(sa.delete(table).where(table.c.id == image_id))
