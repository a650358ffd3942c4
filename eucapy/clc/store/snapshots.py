"""Snapshots, and the accounts that may make volumes of them. States: `eucapy/lifecycle/snapshot.py`.

A snapshot lies in the storage of the zone that its volume was in. One that is made for an image of an instance names it in
`capture`, and `awaits` the instance before the storage is told of it. `source`: a node's copy of a root disk that it is
made of. `copied_from`: the snapshot that it is a copy of, to be made within `copy_minutes` (0: no matter when). `archived`: how
far the zone's storage has it in its archive, in percent, None where it keeps none or has not said; `archive_fault`: why that
does not go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters, volumes
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store.advance import advance, lifecycle_table
from eucapy.clc.store.base import Json, account_column, client_token_column, created_column, metadata
from eucapy.clc.store.tags import chunks, tag_filters
from eucapy.database import Row, Tx
from eucapy.lifecycle import snapshot as life
from eucapy.lifecycle import volume as volume_life

NO_VOLUME = "vol-ffffffff"
"""What EC2 shows as the volume of a snapshot that was taken of none."""

table = sa.Table(
    "snapshots",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    client_token_column(),
    created_column(),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("volume_id", sa.String(32), nullable=False, index=True),
    sa.Column("size_gib", sa.Integer, nullable=False),
    sa.Column("description", sa.String(255), nullable=False, server_default=""),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("state_at", sa.Float, nullable=False),
    sa.Column("progress", sa.Integer, nullable=False, server_default="0"),
    sa.Column("completed_at", sa.Float),
    sa.Column("fault", sa.Text, nullable=False, server_default=""),
    sa.Column("capture", sa.String(32), nullable=False, server_default="", index=True),
    sa.Column("awaits", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("source", Json),
    sa.Column("archived", sa.Integer),
    sa.Column("archive_fault", sa.Text, nullable=False, server_default=""),
    sa.Column("copied_from", sa.String(32), nullable=False, server_default="", index=True),
    sa.Column("copy_minutes", sa.Integer, nullable=False, server_default="0"),
    sa.Column("public", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index(None, "zone", "state"),
)

permissions = sa.Table(
    "snapshot_permissions",
    metadata,
    sa.Column("snapshot_id", sa.String(32), primary_key=True),
    sa.Column("account", sa.String(12), primary_key=True, index=True),
)

lifecycle_table(life.SNAPSHOT, table)


def _progress(values: Sequence[str]) -> filters.Condition:
    """`80%`, as DescribeSnapshots shows it."""
    shown = table.c.progress.cast(sa.String).concat("%")
    return filters.matches(shown, values)


def _transfer_type(values: Sequence[str]) -> filters.Condition:
    """How a copy is made; what is no copy has none."""
    is_copy, timed = table.c.copied_from != "", table.c.copy_minutes > 0
    return sa.or_(
        sa.and_(filters.constant(TIME_BASED)(values), is_copy, timed),
        sa.and_(filters.constant(STANDARD)(values), is_copy, sa.not_(timed)),
    )


ARCHIVED = 100
"""Percent: the archive has all of it."""
TIME_BASED, STANDARD = "time-based", "standard"

FILTERS: dict[str, filters.Filter] = {
    "description": filters.text(table.c.description),
    "encrypted": filters.constant("false"),
    "owner-alias": filters.never,
    "owner-id": filters.text(table.c.account),
    "progress": _progress,
    "snapshot-id": filters.text(table.c.id),
    "start-time": filters.timestamp(table.c.created_at),
    "status": filters.text(table.c.state),
    "storage-tier": filters.constant("standard"),
    "transfer-type": _transfer_type,
    "volume-id": filters.text(table.c.volume_id),
    "volume-size": filters.number(table.c.size_gib),
    **tag_filters(table.c.id),
}


class Origin(Protocol):
    """What a snapshot is taken of: a volume's row, or something alike."""

    @property
    def id(self) -> str: ...

    @property
    def zone(self) -> str: ...

    @property
    def size_gib(self) -> int: ...


async def create(
    tx: Tx,
    *,
    account: str,
    volume: Origin,
    description: str,
    now: float,
    client_token: str = "",
    tags: Mapping[str, str] | None = None,
    capture: str = "",
    awaits: bool = False,
) -> Row:
    """A new snapshot of a volume, `pending`. `capture` is the image that it is made for; with `awaits` the storage hears of
    it later. The caller wakes `storage_sync`."""
    snapshot_id = ids.new("snap")
    await tx.run(
        sa.insert(table).values(
            id=snapshot_id,
            account=account,
            created_at=now,
            zone=volume.zone,
            volume_id=volume.id,
            size_gib=volume.size_gib,
            description=description,
            client_token=client_token,
            capture=capture,
            awaits=awaits,
            state=life.SNAPSHOT.start,
            state_at=now,
        )
    )
    await tag_rows.put(tx, account, "snapshot", snapshot_id, tags or {})
    row = await tx.first(sa.select(table).where(table.c.id == snapshot_id))
    assert row is not None
    return row


async def copy(
    tx: Tx,
    source: Row,
    *,
    account: str,
    description: str,
    now: float,
    client_token: str = "",
    copy_minutes: int = 0,
    tags: Mapping[str, str] | None = None,
) -> Row:
    """A new snapshot with the content of another, in the same storage, `pending`. The caller has checked that the account
    may, and wakes `storage_sync`."""
    snapshot_id = ids.new("snap")
    row = await tx.first(
        sa.insert(table).returning(table),
        {
            "id": snapshot_id,
            "account": account,
            "created_at": now,
            "zone": source.zone,
            "volume_id": NO_VOLUME,
            "size_gib": source.size_gib,
            "description": description,
            "client_token": client_token,
            "copied_from": source.id,
            "copy_minutes": copy_minutes,
            "state": life.SNAPSHOT.start,
            "state_at": now,
        },
    )
    assert row is not None
    await tag_rows.put(tx, account, "snapshot", snapshot_id, tags or {})
    return row


async def by_id(tx: Tx, account: str, snapshot_id: str) -> Row | None:
    """The account's own snapshot, as far as the API shows it."""
    return await tx.first(
        sa.select(table).where(table.c.id == snapshot_id, table.c.account == account, table.c.state.in_(life.SHOWN))
    )


async def visible(tx: Tx, account: str, snapshot_id: str) -> Row | None:
    """The snapshot when the account may make volumes of it: its own, public, or shared with it."""
    return await tx.first(sa.select(table).where(table.c.id == snapshot_id, visible_to(account)))


async def shown(tx: Tx, snapshot_id: str) -> Row | None:
    """The snapshot whoever owns it, as far as the API shows it: an image's launch permission is one for its snapshots."""
    return await tx.first(sa.select(table).where(table.c.id == snapshot_id, table.c.state.in_(life.SHOWN)))


def visible_to(account: str) -> filters.Condition:
    return sa.and_(
        table.c.state.in_(life.SHOWN),
        sa.or_(table.c.account == account, table.c.public.is_(True), table.c.id.in_(_shared_with(account))),
    )


def owned_by(account: str, owners: Sequence[str]) -> filters.Condition:
    """DescribeSnapshots' OwnerIds: `self`, `amazon` (which owns none here) or account ids."""
    return table.c.account.in_([account if owner == "self" else owner for owner in owners])


def restorable_by(account: str, users: Sequence[str]) -> filters.Condition:
    """DescribeSnapshots' RestorableByUserIds: `self`, `all` or account ids, among what `account` may see."""
    named = [account if user == "self" else user for user in users if user != "all"]
    shared = sa.select(permissions.c.snapshot_id).where(permissions.c.account.in_(named))
    own_or_shared = sa.or_(table.c.account.in_(named), table.c.id.in_(shared))
    return sa.or_(own_or_shared, table.c.public.is_(True)) if "all" in users else own_or_shared


def _shared_with(account: str) -> sa.Select[Any]:
    return sa.select(permissions.c.snapshot_id).where(permissions.c.account == account)


async def page(tx: Tx, conditions: Iterable[filters.Condition], after: str, limit: int | None) -> list[Row]:
    """Snapshots by id, from behind `after`."""
    statement = sa.select(table).where(table.c.id > after, *conditions).order_by(table.c.id)
    return list(await tx.all(statement if limit is None else statement.limit(limit)))


async def existing(tx: Tx, account: str, snapshot_ids: Sequence[str]) -> set[str]:
    """Which of the ids the account may see."""
    found: set[str] = set()
    for chunk in chunks(list(snapshot_ids), 500):
        rows = await tx.all(sa.select(table.c.id).where(table.c.id.in_(chunk), visible_to(account)))
        found.update(row.id for row in rows)
    return found


_WANTED = (
    sa.select(
        table.c.id,
        table.c.volume_id,
        table.c.size_gib,
        table.c.state,
        table.c.source,
        table.c.copied_from,
        table.c.created_at,
        table.c.completed_at,
    )
    .where(table.c.zone == sa.bindparam("in_zone"))
    .where(sa.or_(table.c.awaits.is_(False), table.c.state == life.DELETING))
    .order_by(table.c.id)
)
_NEEDED_BY_VOLUMES = (
    sa.select(volumes.table.c.snapshot_id)
    .join_from(table, volumes.table, volumes.table.c.snapshot_id == table.c.id)
    .where(table.c.zone == sa.bindparam("in_zone"), table.c.state == life.DELETING)
    .where(volumes.table.c.state == volume_life.CREATING)
)
_copies = table.alias("copies")
_NEEDED_BY_COPIES = (
    sa.select(_copies.c.copied_from.label("snapshot_id"))
    .join_from(table, _copies, _copies.c.copied_from == table.c.id)
    .where(table.c.zone == sa.bindparam("in_zone"), table.c.state == life.DELETING)
    .where(_copies.c.state == life.PENDING)
)
_NEEDED = sa.union(_NEEDED_BY_VOLUMES, _NEEDED_BY_COPIES)
_AWAITED = (
    sa.select(table.c.volume_id)
    .where(table.c.zone == sa.bindparam("in_zone"), table.c.awaits.is_(True))
    .where(table.c.state == life.PENDING)
)
_IN_MOTION = (
    sa.select(table)
    .where(table.c.zone == sa.bindparam("in_zone"), table.c.state.in_(life.IN_MOTION))
    .order_by(table.c.id)
)


_UNARCHIVED = (
    sa.select(table.c.id, table.c.archived, table.c.archive_fault)
    .where(table.c.zone == sa.bindparam("in_zone"), table.c.state.in_((life.COMPLETED, life.DELETING)))
    .where(sa.or_(table.c.archived.is_(None), table.c.archived < ARCHIVED))
    .order_by(table.c.id)
)
_ARCHIVES = (
    sa.select(
        table.c.zone,
        sa.func.count().label("snapshots"),
        sa.func.sum(sa.case((table.c.archived == ARCHIVED, 1), else_=0)).label("kept"),
        sa.func.sum(table.c.archived).label("percents"),
        sa.func.max(table.c.archive_fault).label("fault"),
    )
    .where(table.c.state == life.COMPLETED, table.c.archived.is_not(None))
    .group_by(table.c.zone)
    .order_by(table.c.zone)
)


async def wanted(tx: Tx, zone: str) -> list[Row]:
    """What the zone's storage must know of all its snapshots, tombstones included, by id: volume, size, state, source, when it
    was asked for and made."""
    return list(await tx.all(_WANTED, {"in_zone": zone}))


async def needed(tx: Tx, zone: str) -> set[str]:
    """Those of the zone that are to be deleted, and that a volume in any zone, or a copy, is being made of."""
    return {row.snapshot_id for row in await tx.all(_NEEDED, {"in_zone": zone})}


async def awaited(tx: Tx, zone: str) -> set[str]:
    """The zone's volumes of which snapshots are to be taken that its storage was not told of yet."""
    return {row.volume_id for row in await tx.all(_AWAITED, {"in_zone": zone})}


async def by_ids(tx: Tx, snapshot_ids: Sequence[str]) -> dict[str, Row]:
    """Whoever's they are and in whatever state, by id."""
    found: dict[str, Row] = {}
    for chunk in chunks(list(snapshot_ids), 500):
        found.update({row.id: row for row in await tx.all(sa.select(table).where(table.c.id.in_(chunk)))})
    return found


async def of_capture(tx: Tx, image_id: str) -> list[Row]:
    """Those that are or were made for an image of an instance."""
    return list(await tx.all(sa.select(table).where(table.c.capture == image_id).order_by(table.c.id)))


async def in_motion(tx: Tx, zone: str) -> list[Row]:
    """Those of the zone that wait for a word from its storage."""
    return list(await tx.all(_IN_MOTION, {"in_zone": zone}))


async def unarchived(tx: Tx, zone: str) -> list[Row]:
    """Those of the zone that were made and that its archive has not got yet: how far they are, and why no farther. One that is
    to be deleted may be awaited in another zone."""
    return list(await tx.all(_UNARCHIVED, {"in_zone": zone}))


async def archives(tx: Tx) -> list[dict[str, object]]:
    """By zone that keeps an archive: how many of its snapshots are in it, and how far that is."""
    return [
        {
            "zone": row.zone,
            "snapshots": row.snapshots,
            "kept": int(row.kept),
            "percent": int(row.percents) // row.snapshots,
            "fault": row.fault,
        }
        for row in await tx.all(_ARCHIVES)
    ]


async def set_values(tx: Tx, snapshot_id: str, **columns: object) -> None:
    """Write attributes and observed columns. State is not among them: `advance`."""
    await tx.run(sa.update(table).where(table.c.id == snapshot_id).values(**columns))


async def move(tx: Tx, snapshot: Row, event: str, now: float, **columns: object) -> bool:
    """Along the edge of `event`; False when somebody else moved it first."""
    return await advance(tx, life.SNAPSHOT, snapshot, event, state_at=now, **columns) is not None


async def finish(tx: Tx, snapshot: Row, now: float) -> None:
    """The storage confirmed that it is gone: so is the row, with its tags and permissions."""
    if await move(tx, snapshot, "gone", now):
        await tx.run(sa.delete(table).where(table.c.id == snapshot.id))
        await tx.run(sa.delete(permissions).where(permissions.c.snapshot_id == snapshot.id))
        await tag_rows.remove(tx, snapshot.id)


async def shared_with(tx: Tx, snapshot_id: str) -> list[str]:
    """The accounts that it is shared with, in order."""
    rows = await tx.all(
        sa.select(permissions.c.account).where(permissions.c.snapshot_id == snapshot_id).order_by(permissions.c.account)
    )
    return [row.account for row in rows]


async def share(tx: Tx, snapshot_id: str, accounts: Iterable[str]) -> None:
    new = sorted(set(accounts) - set(await shared_with(tx, snapshot_id)))
    if new:
        await tx.run(sa.insert(permissions), [{"snapshot_id": snapshot_id, "account": account} for account in new])


async def unshare(tx: Tx, snapshot_id: str, accounts: Iterable[str] | None = None) -> None:
    """Take the permission away from these accounts, or from all."""
    statement = sa.delete(permissions).where(permissions.c.snapshot_id == snapshot_id)
    if accounts is not None:
        statement = statement.where(permissions.c.account.in_(list(accounts)))
    await tx.run(statement)
