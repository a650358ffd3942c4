"""VMs: one incarnation of an instance on one node, as the node's report says. Written by `reconcilers/observe.py` only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from eucapy.clc.store.base import Json, metadata
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
    sa.Column("started_at", sa.Float, nullable=False, server_default="0"),
    sa.Column("responsive", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("unresponsive_since", sa.Float),
    sa.Column("phase", sa.String(255), nullable=False, server_default=""),
    sa.Column("fault_code", sa.String(64), nullable=False, server_default=""),
    sa.Column("fault", sa.Text, nullable=False, server_default=""),
    sa.Column("fault_final", sa.Boolean, nullable=False, server_default=sa.false()),
)

OBSERVED = (
    "node", "power", "end", "starts", "reboots", "disks", "disk_gib", "started_at", "responsive", "phase", "fault_code",
    "fault", "fault_final",
)  # fmt: skip
"""The columns that a report decides."""


async def of_nodes(tx: Tx, nodes: Sequence[str]) -> dict[str, Row]:
    """The last known incarnations on these nodes, by instance."""
    found: dict[str, Row] = {}
    for chunk in chunks(list(nodes), 500):
        rows = await tx.all(sa.select(table).where(table.c.node.in_(chunk)))
        found.update((row.instance_id, row) for row in rows)
    return found


async def of_instances(tx: Tx, instance_ids: Sequence[str]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for chunk in chunks(list(instance_ids), 500):
        rows = await tx.all(sa.select(table).where(table.c.instance_id.in_(chunk)))
        found.update((row.instance_id, row) for row in rows)
    return found


async def put(tx: Tx, instance_id: str, values: Mapping[str, Any], known: bool) -> None:
    """Write what was observed; `known` says whether there is a row already."""
    if known:
        await tx.run(sa.update(table).where(table.c.instance_id == instance_id).values(**values))
    else:
        await tx.run(sa.insert(table).values(instance_id=instance_id, **values))


async def remove(tx: Tx, instance_ids: Sequence[str]) -> None:
    for chunk in chunks(list(instance_ids), 500):
        await tx.run(sa.delete(table).where(table.c.instance_id.in_(chunk)))
