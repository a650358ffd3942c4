"""Modifications of volumes: the last one of each. States: `eucapy/lifecycle/volume_modification.py`.

Its id is the volume's. The API writes what is wanted, `reconcilers/storage_sync.py` how far it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from eucapy.clc.store import filters, volumes
from eucapy.clc.store.advance import advance, lifecycle_table
from eucapy.database import Row, Tx
from eucapy.lifecycle import volume_modification as life

table = volumes.modifications

lifecycle_table(life.VOLUME_MODIFICATION, table)

FILTERS: dict[str, filters.Filter] = {
    "modification-state": filters.text(table.c.state),
    "operator.managed": filters.constant("false"),
    "operator.principal": filters.never,
    "original-iops": filters.number(table.c.original_iops),
    "original-size": filters.number(table.c.original_size_gib),
    "original-volume-type": filters.text(table.c.original_type),
    "originalMultiAttachEnabled": filters.constant("false"),
    "start-time": filters.timestamp(table.c.started_at),
    "target-iops": filters.number(table.c.target_iops),
    "target-size": filters.number(table.c.target_size_gib),
    "target-volume-type": filters.text(table.c.target_type),
    "targetMultiAttachEnabled": filters.constant("false"),
    "volume-id": filters.text(table.c.id),
}


async def begin(tx: Tx, volume: Row, target: Mapping[str, Any], now: float) -> Row:
    """A new modification in the place of the last one; `target` holds size_gib, type, iops and throughput. The caller has
    checked that none is under way, and wakes `storage_sync`."""
    await remove(tx, volume.id)
    row = await tx.first(
        sa.insert(table).returning(table),
        {
            "id": volume.id,
            "account": volume.account,
            "zone": volume.zone,
            "state": life.VOLUME_MODIFICATION.start,
            "started_at": now,
            "original_size_gib": volume.size_gib,
            "original_type": volume.volume_type,
            "original_iops": volume.iops,
            "original_throughput": volume.throughput,
            **{f"target_{name}": value for name, value in target.items()},
        },
    )
    assert row is not None
    return row


async def by_id(tx: Tx, volume_id: str) -> Row | None:
    return await tx.first(sa.select(table).where(table.c.id == volume_id))


async def page(
    tx: Tx, account: str, conditions: Iterable[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """The account's by volume, from behind `after`."""
    statement = sa.select(table).where(table.c.account == account, table.c.id > after, *conditions).order_by(table.c.id)
    return list(await tx.all(statement if limit is None else statement.limit(limit)))


_IN_MOTION = (
    sa.select(table)
    .where(table.c.zone == sa.bindparam("in_zone"), table.c.state.in_(life.IN_MOTION))
    .order_by(table.c.id)
)


async def in_motion(tx: Tx, zone: str) -> list[Row]:
    """Those of the zone that are not over."""
    return list(await tx.all(_IN_MOTION, {"in_zone": zone}))


async def move(tx: Tx, modification: Row, event: str, now: float, **columns: object) -> bool:
    """Along the edge of `event`; False when somebody else moved it first. Once it is applied, the volume is as it was to
    become; once it ends, `ended_at` says when."""
    if life.VOLUME_MODIFICATION.states[str(life.VOLUME_MODIFICATION.target(modification.state, event))].end:
        columns["ended_at"] = now
    if await advance(tx, life.VOLUME_MODIFICATION, modification, event, **columns) is None:
        return False
    if event == "applied":
        await volumes.set_values(
            tx,
            modification.id,
            size_gib=modification.target_size_gib,
            volume_type=modification.target_type,
            iops=modification.target_iops,
            throughput=modification.target_throughput,
        )
    return True


async def remove(tx: Tx, volume_id: str) -> None:
    await tx.run(sa.delete(table).where(table.c.id == volume_id))
