"""`advance` moves a state, by compare-and-set; `advance_all` those of many rows. Nothing else does.

The row that the caller saw is named by id and seen state; if another transaction moved it meanwhile, nothing happens and
the caller is told. No other code writes a column called `state`: `tests/architecture` holds that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from eucapy.clc.store.base import as_list, listed
from eucapy.database import Row, Tx
from eucapy.lifecycle.machine import Lifecycle, NoSuchEdge

MOST_AT_ONCE = 100
"""Rows that one statement moves: it is not interrupted."""

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


async def advance_all(tx: Tx, lifecycle: Lifecycle, seen: Sequence[Row], event: str, **columns: Any) -> list[Row]:
    """`advance` for many rows, in one statement for each state that they were seen in. Those that moved, as they were seen.

    Raises NoSuchEdge before anything is written.
    """
    by_state: dict[str, list[Row]] = {}
    for row in seen:
        by_state.setdefault(row.state, []).append(row)
    targets: dict[str, str] = {}
    for state, rows in by_state.items():
        target = lifecycle.target(state, event)
        if target is None:
            raise NoSuchEdge(f"{lifecycle.resource} {rows[0].id}: {event!r} means nothing while {state!r}")
        targets[state] = target
    table = _TABLES[lifecycle.resource]
    moved: list[Row] = []
    for state, rows in by_state.items():
        for start in range(0, len(rows), MOST_AT_ONCE):
            some = rows[start : start + MOST_AT_ONCE]
            changed = await tx.all(
                sa.update(table)
                .where(table.c.id.in_(listed(tx.dialect)), table.c.state == state)
                .values(state=targets[state], **columns)
                .returning(table.c.id),
                {"wanted": as_list([row.id for row in some])},
            )
            ids = {row[0] for row in changed}
            moved += [row for row in some if row.id in ids]
    return moved
