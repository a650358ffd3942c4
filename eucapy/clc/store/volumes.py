"""Volumes. Whom they are attached to: `attachments.py`; states: `eucapy/lifecycle/volume.py`.

The API writes what is wanted, `reconcilers/storage_sync.py` what the storage reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store.advance import advance, lifecycle_table
from eucapy.clc.store.base import account_column, client_token_column, created_column, metadata
from eucapy.clc.store.filters import Condition
from eucapy.clc.store.tags import chunks
from eucapy.database import Row, Tx
from eucapy.lifecycle import volume as life
from eucapy.lifecycle import volume_modification as modification_life

table = sa.Table(
    "volumes",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    client_token_column(),
    created_column(),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("size_gib", sa.Integer, nullable=False),
    sa.Column("volume_type", sa.String(16), nullable=False),
    sa.Column("iops", sa.Integer),
    sa.Column("throughput", sa.Integer),
    sa.Column("snapshot_id", sa.String(32), nullable=False, server_default=""),
    sa.Column("auto_enable_io", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("state_at", sa.Float, nullable=False),
    sa.Column("fault", sa.Text, nullable=False, server_default=""),
    sa.Index(None, "account", "id"),
    sa.Index(None, "zone", "state"),
    sa.Index(None, "snapshot_id"),
)

modifications = sa.Table(
    "volume_modifications",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("ended_at", sa.Float),
    sa.Column("original_size_gib", sa.Integer, nullable=False),
    sa.Column("original_type", sa.String(16), nullable=False),
    sa.Column("original_iops", sa.Integer),
    sa.Column("original_throughput", sa.Integer),
    sa.Column("target_size_gib", sa.Integer, nullable=False),
    sa.Column("target_type", sa.String(16), nullable=False),
    sa.Column("target_iops", sa.Integer),
    sa.Column("target_throughput", sa.Integer),
    sa.Index(None, "zone", "state"),
)
"""The last modification of each volume, by the volume's id: `volume_modifications.py`."""

lifecycle_table(life.VOLUME, table)

BASELINE_IOPS = {"gp3": 3000}
BASELINE_THROUGHPUT = {"gp3": 125}


def default_iops(volume_type: str, size_gib: int) -> int | None:
    """What EC2 shows for a volume whose creator named no IOPS: gp2 grows with the size, magnetic disks have none."""
    if volume_type == "gp2":
        return max(100, min(16000, 3 * size_gib))
    return BASELINE_IOPS.get(volume_type)


_INSERT = sa.insert(table).returning(table)


async def create(
    tx: Tx,
    *,
    account: str,
    zone: str,
    size_gib: int,
    now: float,
    volume_type: str = "gp2",
    snapshot_id: str = "",
    iops: int | None = None,
    throughput: int | None = None,
    client_token: str = "",
    tags: Mapping[str, str] | None = None,
) -> Row:
    """A new volume, `creating`. The caller has checked size, type and snapshot, and wakes `storage_sync`."""
    volume_id = ids.new("vol")
    row = await tx.first(
        _INSERT,
        {
            "id": volume_id,
            "account": account,
            "created_at": now,
            "zone": zone,
            "size_gib": size_gib,
            "volume_type": volume_type,
            "snapshot_id": snapshot_id,
            "iops": iops if iops is not None else default_iops(volume_type, size_gib),
            "throughput": throughput if throughput is not None else BASELINE_THROUGHPUT.get(volume_type),
            "client_token": client_token,
            "state": life.VOLUME.start,
            "state_at": now,
        },
    )
    assert row is not None
    await tag_rows.put(tx, account, "volume", volume_id, tags or {})
    return row


async def by_id(tx: Tx, account: str, volume_id: str) -> Row | None:
    return await tx.first(sa.select(table).where(table.c.id == volume_id, table.c.account == account))


async def by_ids(tx: Tx, volume_ids: Sequence[str]) -> dict[str, Row]:
    """Those that exist, whoever owns them, by id."""
    found: dict[str, Row] = {}
    for chunk in chunks(list(volume_ids), 500):
        found.update((row.id, row) for row in await tx.all(sa.select(table).where(table.c.id.in_(chunk))))
    return found


async def page(
    tx: Tx, account: str, conditions: Iterable[Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """The account's volumes by id, from behind `after`."""
    statement = sa.select(table).where(table.c.account == account, table.c.id > after, *conditions).order_by(table.c.id)
    return list(await tx.all(statement if limit is None else statement.limit(limit)))


async def existing(tx: Tx, account: str, volume_ids: Sequence[str]) -> set[str]:
    """Which of the ids are volumes of the account."""
    found: set[str] = set()
    for chunk in chunks(list(volume_ids), 500):
        rows = await tx.all(sa.select(table.c.id).where(table.c.id.in_(chunk), table.c.account == account))
        found.update(row.id for row in rows)
    return found


def _becoming(target: sa.Column[Any], now: sa.Column[Any]) -> sa.Label[Any]:
    """Of a volume that is being modified what it shall have, which may be nothing; else what it has."""
    return sa.case((modifications.c.id.is_not(None), target), else_=now).label(now.name)


_BEING_MODIFIED = sa.and_(modifications.c.id == table.c.id, modifications.c.state == modification_life.MODIFYING)
_WANTED = (
    sa.select(
        table.c.id,
        sa.func.coalesce(modifications.c.target_size_gib, table.c.size_gib).label("size_gib"),
        sa.func.coalesce(modifications.c.target_type, table.c.volume_type).label("volume_type"),
        _becoming(modifications.c.target_iops, table.c.iops),
        _becoming(modifications.c.target_throughput, table.c.throughput),
        table.c.snapshot_id,
        table.c.state,
    )
    .outerjoin(modifications, _BEING_MODIFIED)
    .where(table.c.zone == sa.bindparam("in_zone"))
    .order_by(table.c.id)
)
_IN_MOTION = (
    sa.select(table)
    .where(table.c.zone == sa.bindparam("in_zone"), table.c.state.in_(life.IN_MOTION))
    .order_by(table.c.id)
)


async def wanted(tx: Tx, zone: str) -> list[Row]:
    """What the zone's storage must know of all its volumes, tombstones included, by id: size, type, IOPS,
    throughput, snapshot, state. One that is being modified is wanted as it shall become."""
    return list(await tx.all(_WANTED, {"in_zone": zone}))


async def in_motion(tx: Tx, zone: str) -> list[Row]:
    """Those of the zone that wait for a word from its storage."""
    return list(await tx.all(_IN_MOTION, {"in_zone": zone}))


async def set_values(tx: Tx, volume_id: str, **columns: object) -> None:
    """Write attributes. State is not among them: `advance`."""
    await tx.run(sa.update(table).where(table.c.id == volume_id).values(**columns))


async def move(tx: Tx, volume: Row, event: str, now: float, **columns: object) -> bool:
    """Along the edge of `event`; False when somebody else moved it first."""
    return await advance(tx, life.VOLUME, volume, event, state_at=now, **columns) is not None


async def finish(tx: Tx, volume: Row, now: float) -> None:
    """The storage confirmed that it is gone: so is the row, with its tags."""
    if await move(tx, volume, "gone", now):
        await tx.run(sa.delete(table).where(table.c.id == volume.id))
        await tx.run(sa.delete(modifications).where(modifications.c.id == volume.id))
        await tag_rows.remove(tx, volume.id)
