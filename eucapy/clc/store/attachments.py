"""Attachments of volumes to instances: one a volume.

`export` is the NBD address under which the storage controller made the volume reachable to the node `export_node`; it stays
while its server is away, because the guest waits for it there. `size_gib` is the size that the storage
reported last, 0 before. `ending`: the instance ends, and a volume that shall not outlive it goes too. States:
`eucapy/lifecycle/attachment.py`; moved on by `reconcilers/storage_sync.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import volumes
from eucapy.clc.store.advance import advance, lifecycle_table
from eucapy.clc.store.base import account_column, metadata
from eucapy.clc.store.tags import chunks
from eucapy.database import Row, Tx
from eucapy.lifecycle import attachment as life
from eucapy.lifecycle import volume as volume_life

table = sa.Table(
    "attachments",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("volume_id", sa.String(32), nullable=False, unique=True),
    sa.Column("instance_id", sa.String(32), nullable=False),
    sa.Column("zone", sa.String(64), nullable=False, index=True),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("delete_on_termination", sa.Boolean, nullable=False),
    sa.Column("attached_at", sa.Float, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("export", sa.String(256), nullable=False, server_default=""),
    sa.Column("export_node", sa.String(64), nullable=False, server_default=""),
    sa.Column("size_gib", sa.Integer, nullable=False, server_default="0"),
    sa.Column("ending", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("fault", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("instance_id", "device"),
)

lifecycle_table(life.ATTACHMENT, table)


async def create(
    tx: Tx, *, volume_id: str, instance_id: str, device: str, delete_on_termination: bool, now: float
) -> Row:
    """Attach a volume that is `available` or, at launch, still `creating`. The caller wakes `storage_sync`.

    The device must be free on the instance: check with `of_instances`."""
    volume = (await volumes.by_ids(tx, [volume_id]))[volume_id]
    attachment_id = ids.new("vatt")
    await tx.run(
        sa.insert(table).values(
            id=attachment_id,
            account=volume.account,
            volume_id=volume.id,
            instance_id=instance_id,
            zone=volume.zone,
            device=device,
            delete_on_termination=delete_on_termination,
            attached_at=now,
            state=life.ATTACHMENT.start,
        )
    )
    if volume.state != volume_life.CREATING:
        await volumes.move(tx, volume, "attach", now)
    row = await tx.first(sa.select(table).where(table.c.id == attachment_id))
    assert row is not None
    return row


async def of_volumes(tx: Tx, volume_ids: Sequence[str]) -> dict[str, Row]:
    """The attachment of each volume that has one, by volume."""
    found: dict[str, Row] = {}
    for chunk in chunks(list(volume_ids), 500):
        rows = await tx.all(sa.select(table).where(table.c.volume_id.in_(chunk)))
        found.update((row.volume_id, row) for row in rows)
    return found


async def of_instances(tx: Tx, instance_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The attachments of instances, by instance, in the order of their devices."""
    found: dict[str, list[Row]] = {}
    for chunk in chunks(list(instance_ids), 500):
        rows = await tx.all(
            sa.select(table).where(table.c.instance_id.in_(chunk)).order_by(table.c.instance_id, table.c.device)
        )
        for row in rows:
            found.setdefault(row.instance_id, []).append(row)
    return found


async def in_zone(tx: Tx, zone: str) -> list[Row]:
    return list(await tx.all(sa.select(table).where(table.c.zone == zone).order_by(table.c.id)))


async def set_values(tx: Tx, attachment_id: str, **columns: object) -> None:
    """Write attributes and observed columns. State is not among them: `advance`."""
    await tx.run(sa.update(table).where(table.c.id == attachment_id).values(**columns))


async def detach(tx: Tx, attachment: Row) -> bool:
    """Ask that the guest lets go. False when that was asked before. The caller wakes `storage_sync`, `cluster_sync`."""
    if attachment.state not in life.WANTED:
        return False
    return await advance(tx, life.ATTACHMENT, attachment, "detach") is not None


async def plugged(tx: Tx, attachment: Row) -> bool:
    """The guest has the disk."""
    return await advance(tx, life.ATTACHMENT, attachment, "plugged") is not None


async def release_all(tx: Tx, instance_id: str, now: float) -> None:
    """The instance ends: detach all, and delete with it what shall not outlive it. The caller wakes `storage_sync`."""
    await tx.run(sa.update(table).where(table.c.instance_id == instance_id).values(ending=True))
    for attachment in (await of_instances(tx, [instance_id])).get(instance_id, []):
        await detach(tx, attachment)


async def release(tx: Tx, attachment: Row, now: float) -> None:
    """The guest has let go: the attachment is over, and its volume free, or on its way out."""
    if await advance(tx, life.ATTACHMENT, attachment, "released") is None:
        return
    await tx.run(sa.delete(table).where(table.c.id == attachment.id))
    volume = (await volumes.by_ids(tx, [attachment.volume_id])).get(attachment.volume_id)
    if volume is None:
        return
    event = "dropped" if attachment.ending and attachment.delete_on_termination else "detached"
    if volume_life.VOLUME.target(volume.state, event) is not None:
        await volumes.move(tx, volume, event, now)
