"""VMs: one incarnation of an instance on one node, as the node's report says. Written by `reconcilers/observe.py` only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from eucapy.clc.store.base import Json, as_list, listed, metadata
from eucapy.clc.store.tags import chunks
from eucapy.database import Row, Tx

table = sa.Table(
    "vms",
    metadata,
    sa.Column("instance_id", sa.String(32), primary_key=True),
    sa.Column("node", sa.String(64), nullable=False, index=True),
    sa.Column("power", sa.String(16), nullable=False),
    sa.Column("end", sa.String(16), nullable=False, server_default=""),
    sa.Column("starts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reboots", sa.Integer, nullable=False, server_default="0"),
    sa.Column("disks", Json, nullable=False),
    sa.Column("disk_gib", Json, nullable=False, server_default="{}"),
    sa.Column("resting", sa.String(32), nullable=False, server_default=""),
    sa.Column("captures", Json, nullable=False, server_default="{}"),
    sa.Column("started_at", sa.Float, nullable=False, server_default="0"),
    sa.Column("responsive", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("unresponsive_since", sa.Float),
    sa.Column("phase", sa.String(255), nullable=False, server_default=""),
    sa.Column("fault_code", sa.String(64), nullable=False, server_default=""),
    sa.Column("fault", sa.Text, nullable=False, server_default=""),
    sa.Column("fault_final", sa.Boolean, nullable=False, server_default=sa.false()),
)

OBSERVED = (
    "node", "power", "end", "starts", "reboots", "disks", "disk_gib", "resting", "captures", "started_at", "responsive",
    "phase", "fault_code", "fault", "fault_final",
)  # fmt: skip
"""The columns that a report decides."""


_ON_NODES = sa.select(table.c.instance_id, table.c.node).where(table.c.node.in_(sa.bindparam("nodes", expanding=True)))


async def on_nodes(tx: Tx, nodes: Sequence[str]) -> dict[str, str]:
    """The instances whose last known incarnations are on these nodes, each with its node."""
    found: dict[str, str] = {}
    for chunk in chunks(list(nodes), 500):
        found.update((row.instance_id, row.node) for row in await tx.all(_ON_NODES, {"nodes": list(chunk)}))
    return found


async def of_instances(tx: Tx, instance_ids: Sequence[str]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for chunk in chunks(list(instance_ids), 500):
        rows = await tx.all(
            sa.select(table).where(table.c.instance_id.in_(listed(tx.dialect))), {"wanted": as_list(chunk)}
        )
        found.update((row.instance_id, row) for row in rows)
    return found


_PUT = {
    dialect: insert(table).on_conflict_do_update(
        index_elements=["instance_id"],
        set_={name: insert(table).excluded[name] for name in (*OBSERVED, "unresponsive_since")},
    )
    for dialect, insert in (("sqlite", sqlite_insert), ("postgresql", postgresql_insert))
}


async def put(tx: Tx, observed: Sequence[Mapping[str, Any]]) -> None:
    """Write what was observed: `instance_id`, all columns of `OBSERVED` and `unresponsive_since` of each."""
    if observed:
        await tx.run(_PUT[tx.dialect], list(observed))


async def remove(tx: Tx, instance_ids: Sequence[str]) -> None:
    for chunk in chunks(list(instance_ids), 500):
        await tx.run(sa.delete(table).where(table.c.instance_id.in_(chunk)))
