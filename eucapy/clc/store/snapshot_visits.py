"""Snapshots of other zones that a zone's storage has for a while, brought from their archives, to make volumes of.

A row is written with the volume that needs it, and stays until the storage has confirmed that the snapshot is gone from there
again. The volume needs it no longer once it is made.
"""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store import snapshots, volumes
from eucapy.clc.store.base import metadata
from eucapy.database import Row, Tx
from eucapy.lifecycle import volume as volume_life

table = sa.Table(
    "snapshot_visits",
    metadata,
    sa.Column("zone", sa.String(64), primary_key=True),
    sa.Column("snapshot_id", sa.String(32), primary_key=True),
)

_IS_NEEDED = sa.exists().where(
    volumes.table.c.snapshot_id == table.c.snapshot_id,
    volumes.table.c.zone == table.c.zone,
    volumes.table.c.state == volume_life.CREATING,
)
_IN_ZONE = (
    sa.select(
        table.c.snapshot_id,
        snapshots.table.c.zone.label("home"),
        snapshots.table.c.size_gib,
        (snapshots.table.c.archived == snapshots.ARCHIVED).label("ready"),
        _IS_NEEDED.label("needed"),
    )
    .outerjoin(snapshots.table, snapshots.table.c.id == table.c.snapshot_id)
    .where(table.c.zone == sa.bindparam("in_zone"))
    .order_by(table.c.snapshot_id)
)


async def ensure(tx: Tx, zone: str, snapshot_id: str) -> None:
    """The caller makes a volume of it in this transaction."""
    here = (table.c.zone == zone, table.c.snapshot_id == snapshot_id)
    if await tx.first(sa.select(table).where(*here)) is None:
        await tx.run(sa.insert(table).values(zone=zone, snapshot_id=snapshot_id))


async def in_zone(tx: Tx, zone: str) -> list[Row]:
    """`snapshot_id`, `home` (its zone), `size_gib`, whether its archive is `ready` (these None when it is deleted), and whether
    it is `needed`."""
    return list(await tx.all(_IN_ZONE, {"in_zone": zone}))


async def remove(tx: Tx, zone: str, snapshot_id: str) -> None:
    await tx.run(sa.delete(table).where(table.c.zone == zone, table.c.snapshot_id == snapshot_id))
