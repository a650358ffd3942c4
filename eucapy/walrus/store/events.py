"""Rows of events on their way to destinations: written with what they tell of, gone when they were delivered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from eucapy.database import Tx
from eucapy.walrus.store.schema import events


class Event(msgspec.Struct, frozen=True):
    """`body` is the JSON that its destination gets."""

    id: int
    arn: str
    created_ms: int
    body: str


_columns = [events.c[name] for name in Event.__struct_fields__]
_arn: sa.BindParameter[Any] = sa.bindparam("destination")
_insert = sa.insert(events).values(arn=_arn, created_ms=sa.bindparam("now"), body=sa.bindparam("document"))
_arns = sa.select(events.c.arn).distinct()
_page = sa.select(*_columns).where(events.c.arn == _arn).order_by(events.c.id).limit(sa.bindparam("most"))
_delete = sa.delete(events).where(events.c.id == sa.bindparam("event_id"))


async def insert(tx: Tx, arn: str, now_ms: int, body: str) -> None:
    await tx.run(_insert, {"destination": arn, "now": now_ms, "document": body})


async def destinations(tx: Tx) -> list[str]:
    """The ARNs that events are for."""
    return [str(row[0]) for row in await tx.all(_arns)]


async def page(tx: Tx, arn: str, most: int) -> Sequence[Event]:
    """The oldest events for a destination, in the order in which they happened."""
    rows: Sequence[Sequence[Any]] = await tx.all(_page, {"destination": arn, "most": most})
    return [Event(*row) for row in rows]


async def delete(tx: Tx, ids: Sequence[int]) -> None:
    for event_id in ids:
        await tx.run(_delete, {"event_id": event_id})
