"""Flow logs: what they are about, where they go, and how the last delivery went; and how far each node's flows are delivered.

The API writes the row once; `reconcilers/flow_logs.py` alone writes `policy_done`, the status of deliveries, and `until` of a
node. A flow log outlives what it is about, as in EC2.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters
from eucapy.clc.store.base import Json, account_column, created_column, metadata
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx

SUCCESS, FAILED = "SUCCESS", "FAILED"
S3 = "s3"

flow_logs = sa.Table(
    "flow_logs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("resource_id", sa.String(32), nullable=False, index=True),
    sa.Column("vpc_id", sa.String(32), nullable=False, index=True),
    sa.Column("traffic_type", sa.String(8), nullable=False),
    sa.Column("destination", sa.String(1200), nullable=False),
    sa.Column("log_format", sa.Text, nullable=False),
    sa.Column("interval_s", sa.Integer, nullable=False),
    sa.Column("hive", sa.Boolean, nullable=False),
    sa.Column("per_hour", sa.Boolean, nullable=False),
    sa.Column("actor", Json, nullable=False),
    sa.Column("policy_done", sa.Boolean, nullable=False),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("error_message", sa.String(255), nullable=False),
    created_column(),
)

flow_positions = sa.Table(
    "flow_positions",
    metadata,
    sa.Column("node", sa.String(64), primary_key=True),
    sa.Column("until", sa.Integer, nullable=False),
)

FILTERS: dict[str, filters.Filter] = {
    "deliver-log-status": filters.text(flow_logs.c.status),
    "log-destination-type": filters.constant(S3),
    "flow-log-id": filters.text(flow_logs.c.id),
    "log-group-name": filters.never,
    "resource-id": filters.text(flow_logs.c.resource_id),
    "traffic-type": filters.text(flow_logs.c.traffic_type),
    **tag_filters(flow_logs.c.id),
}


async def insert(
    tx: Tx,
    *,
    account: str,
    resource_id: str,
    vpc_id: str,
    traffic_type: str,
    destination: str,
    log_format: str,
    interval_s: int,
    hive: bool,
    per_hour: bool,
    actor: dict[str, object],
    now: float,
) -> str:
    """The id of the new one. `actor`: in whose name the bucket's policy is made to let logs in."""
    flow_log_id = ids.new("fl")
    await tx.run(
        sa.insert(flow_logs).values(
            id=flow_log_id,
            account=account,
            resource_id=resource_id,
            vpc_id=vpc_id,
            traffic_type=traffic_type,
            destination=destination,
            log_format=log_format,
            interval_s=interval_s,
            hive=hive,
            per_hour=per_hour,
            actor=actor,
            policy_done=False,
            status=SUCCESS,
            error_message="",
            created_at=now,
        )
    )
    return flow_log_id


async def of_resource(tx: Tx, resource_id: str) -> list[Row]:
    return list(await tx.all(sa.select(flow_logs).where(flow_logs.c.resource_id == resource_id)))


async def by_ids(tx: Tx, account: str, flow_log_ids: Sequence[str]) -> list[Row]:
    """Those of the account."""
    wanted = (flow_logs.c.account == account, flow_logs.c.id.in_(flow_log_ids))
    return list(await tx.all(sa.select(flow_logs).where(*wanted)))


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(flow_logs).where(flow_logs.c.account == account, flow_logs.c.id > after, *conditions)
    return list(await tx.all(statement.order_by(flow_logs.c.id).limit(limit)))


async def every(tx: Tx) -> list[Row]:
    """Of all accounts, by id; for the loop."""
    return list(await tx.all(sa.select(flow_logs).order_by(flow_logs.c.id)))


async def logged(tx: Tx, vpc_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What flow logs are about, by VPC, in order."""
    statement = sa.select(flow_logs.c.vpc_id, flow_logs.c.resource_id).where(flow_logs.c.vpc_id.in_(vpc_ids))
    found: dict[str, set[str]] = {}
    for row in await tx.all(statement):
        found.setdefault(row.vpc_id, set()).add(row.resource_id)
    return {vpc_id: tuple(sorted(about)) for vpc_id, about in found.items()}


async def remove(tx: Tx, flow_log_ids: Sequence[str]) -> None:
    await tx.run(sa.delete(flow_logs).where(flow_logs.c.id.in_(flow_log_ids)))


async def policy_tried(tx: Tx, flow_log_id: str) -> None:
    """The bucket's policy lets logs in, or its owner has to see to it."""
    await tx.run(sa.update(flow_logs).where(flow_logs.c.id == flow_log_id).values(policy_done=True))


async def delivered(tx: Tx, flow_log_id: str, error_message: str) -> None:
    """How the last delivery went; "" is well."""
    values = {"status": FAILED if error_message else SUCCESS, "error_message": error_message}
    changed = sa.update(flow_logs).where(flow_logs.c.id == flow_log_id, flow_logs.c.error_message != error_message)
    await tx.run(changed.values(**values))


async def positions(tx: Tx) -> dict[str, int]:
    """How far the flows of each node are delivered, in seconds since the epoch."""
    return {row.node: row.until for row in await tx.all(sa.select(flow_positions))}


async def set_position(tx: Tx, node: str, until: int) -> None:
    changed = sa.update(flow_positions).where(flow_positions.c.node == node).values(until=until)
    if not await tx.run(changed):
        await tx.run(sa.insert(flow_positions).values(node=node, until=until))
