"""`advance`: the one function that moves a state, by compare-and-set.

The row that the caller saw is named by id and seen state; if another transaction moved it meanwhile, nothing happens and
the caller is told. No other code writes a column called `state`: `tests/architecture` holds that.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from eucapy.database import Row, Tx
from eucapy.lifecycle.machine import Lifecycle, NoSuchEdge

_TABLES: dict[str, sa.Table] = {}


def lifecycle_table(lifecycle: Lifecycle, table: sa.Table) -> sa.Table:
    """Declare that `table`'s `state` column follows `lifecycle`; called where the table is made."""
    _TABLES[lifecycle.resource] = table
    return table


async def advance(tx: Tx, lifecycle: Lifecycle, seen: Row, event: str, **columns: Any) -> str | None:
    """Move the resource that `seen` shows along the edge of `event`, writing `columns` in the same stroke.

    Returns the new state, or None when somebody else moved it first. Raises NoSuchEdge when `event` means nothing in
    the state that was seen: handlers check first and answer the AWS error.
    """
    target = lifecycle.target(seen.state, event)
    if target is None:
        raise NoSuchEdge(f"{lifecycle.resource} {seen.id}: {event!r} means nothing while {seen.state!r}")
    table = _TABLES[lifecycle.resource]
    moved = await tx.run(
        sa.update(table).where(table.c.id == seen.id, table.c.state == seen.state).values(state=target, **columns)
    )
    return target if moved == 1 else None
