"""Snapshots that are written block by block through the EBS direct APIs: a row beside each one's own.

`touched_at` is when it was started or last written, `timeout_s` for how long it may rest. Once it is `sealed` the storage
makes it of what was written: `blocks` blocks over the content of `parent`, with the aggregate `checksum` ("": not told).
"""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store import snapshots
from eucapy.clc.store.base import metadata
from eucapy.database import Row, Tx
from eucapy.lifecycle import snapshot as life

table = sa.Table(
    "snapshot_writes",
    metadata,
    sa.Column("snapshot_id", sa.String(32), primary_key=True),
    sa.Column("zone", sa.String(64), nullable=False, index=True),
    sa.Column("parent", sa.String(32), nullable=False, server_default="", index=True),
    sa.Column("timeout_s", sa.Float, nullable=False),
    sa.Column("touched_at", sa.Float, nullable=False),
    sa.Column("sealed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("blocks", sa.Integer, nullable=False, server_default="0"),
    sa.Column("checksum", sa.String(64), nullable=False, server_default=""),
)


async def insert(tx: Tx, snapshot: Row, *, parent: str, timeout_s: float, now: float) -> None:
    await tx.run(
        sa.insert(table).values(
            snapshot_id=snapshot.id, zone=snapshot.zone, parent=parent, timeout_s=timeout_s, touched_at=now
        )
    )


async def of(tx: Tx, snapshot_id: str) -> Row | None:
    """What is known of the snapshot's writing; None of one that is not written so."""
    return await tx.first(sa.select(table).where(table.c.snapshot_id == snapshot_id))


async def in_zone(tx: Tx, zone: str) -> dict[str, Row]:
    """All of a zone, by snapshot."""
    rows = await tx.all(sa.select(table).where(table.c.zone == zone))
    return {row.snapshot_id: row for row in rows}


async def needed(tx: Tx, zone: str) -> set[str]:
    """The zone's snapshots that are to be deleted, over which others are still written."""
    below = snapshots.table.alias("below")
    rows = await tx.all(
        sa.select(table.c.parent)
        .join_from(table, below, below.c.id == table.c.parent)
        .join(snapshots.table, snapshots.table.c.id == table.c.snapshot_id)
        .where(table.c.zone == zone, below.c.state == life.DELETING, snapshots.table.c.state == life.PENDING)
    )
    return {row.parent for row in rows}


async def count_open(tx: Tx, account: str) -> int:
    """How many the account has begun that are neither completed nor given up."""
    row = await tx.first(
        sa.select(sa.func.count().label("open"))
        .join_from(table, snapshots.table, snapshots.table.c.id == table.c.snapshot_id)
        .where(snapshots.table.c.account == account, snapshots.table.c.state == life.PENDING)
    )
    return int(row.open) if row is not None else 0


async def touch(tx: Tx, snapshot_id: str, now: float) -> None:
    await tx.run(sa.update(table).where(table.c.snapshot_id == snapshot_id).values(touched_at=now))


async def seal(tx: Tx, snapshot_id: str, *, blocks: int, checksum: str) -> None:
    """Nothing is written any more; the caller wakes `storage_sync`."""
    await tx.run(
        sa.update(table).where(table.c.snapshot_id == snapshot_id).values(sealed=True, blocks=blocks, checksum=checksum)
    )


async def overdue(tx: Tx, now: float) -> list[Row]:
    """The snapshots that are still written, and rested too long; rows of `snapshots`."""
    return list(
        await tx.all(
            sa.select(snapshots.table)
            .join_from(snapshots.table, table, snapshots.table.c.id == table.c.snapshot_id)
            .where(snapshots.table.c.state == life.PENDING, table.c.sealed.is_(False))
            .where(table.c.touched_at + table.c.timeout_s < now)
            .order_by(snapshots.table.c.id)
        )
    )


async def remove(tx: Tx, snapshot_id: str) -> None:
    await tx.run(sa.delete(table).where(table.c.snapshot_id == snapshot_id))
