"""Hosts: what the registered nodes have, as they report it. Written by `reconcilers/observe.py` only.

A node that is registered and has not been heard of yet has no row, and takes no instances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from eucapy.clc.store.base import Json, metadata
from eucapy.clc.store.components import components
from eucapy.database import Row, Tx

table = sa.Table(
    "hosts",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("zone", sa.String(64), nullable=False, index=True),
    sa.Column("reachable", sa.Boolean, nullable=False),
    sa.Column("unreachable_since", sa.Float),
    sa.Column("cpus", sa.Integer, nullable=False, server_default="0"),
    sa.Column("memory_mib", sa.Integer, nullable=False, server_default="0"),
    sa.Column("disk_gib", sa.Integer, nullable=False, server_default="0"),
    sa.Column("disk_free_gib", sa.Integer, nullable=False, server_default="0"),
    sa.Column("architecture", sa.String(16), nullable=False, server_default="x86_64"),
    sa.Column("accelerated", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("cpu_model", sa.String(128), nullable=False, server_default=""),
    sa.Column("sealing_key", sa.String(64), nullable=False, server_default=""),
    sa.Column("cached_images", Json, nullable=False),
    sa.Column("fault_code", sa.String(64), nullable=False, server_default=""),
    sa.Column("fault", sa.Text, nullable=False, server_default=""),
)


async def of_zone(tx: Tx, zone: str) -> dict[str, Row]:
    return {row.name: row for row in await tx.all(sa.select(table).where(table.c.zone == zone))}


async def by_names(tx: Tx, names: Sequence[str]) -> dict[str, Row]:
    return {row.name: row for row in await tx.all(sa.select(table).where(table.c.name.in_(list(names))))}


async def usable(tx: Tx) -> list[Row]:
    """Hosts that take new instances: registered, enabled, reachable, and able to work; by name."""
    return list(
        await tx.all(
            sa.select(table)
            .join(components, sa.and_(components.c.kind == "nc", components.c.name == table.c.name))
            .where(components.c.enabled.is_(True), table.c.reachable.is_(True), table.c.fault_code == "")
            .where(table.c.memory_mib > 0)
            .order_by(table.c.name)
        )
    )


async def put(tx: Tx, name: str, values: Mapping[str, Any], known: bool) -> None:
    """Write what was observed; `known` says whether there is a row already."""
    if known:
        await tx.run(sa.update(table).where(table.c.name == name).values(**values))
    else:
        await tx.run(sa.insert(table).values(name=name, **values))


async def remove(tx: Tx, names: Sequence[str]) -> None:
    await tx.run(sa.delete(table).where(table.c.name.in_(list(names))))
