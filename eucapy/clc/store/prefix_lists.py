"""Prefix lists of accounts: named lists of blocks that security group rules and routes refer to, every version of them kept.

`status` is EC2's word for how the last thing went that was asked for (`create-complete`, `modify-failed` …): all is done
within the request. Which rules name a list: `security_group_rules.py`; which routes: `route_tables.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters
from eucapy.clc.store.base import Json, account_column, created_column, metadata
from eucapy.clc.store.tags import chunks, tag_filters
from eucapy.database import Row, Tx

table = sa.Table(
    "prefix_lists",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("family", sa.String(4), nullable=False),
    sa.Column("max_entries", sa.Integer, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("status_message", sa.Text, nullable=False, server_default=""),
    created_column(),
)

versions = sa.Table(
    "prefix_list_versions",
    metadata,
    sa.Column("list_id", sa.String(32), sa.ForeignKey("prefix_lists.id"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("entries", Json, nullable=False),
)
"""`entries`: [block, description] pairs, in the order of their making."""

FILTERS: dict[str, filters.Filter] = {
    "owner-id": filters.text(table.c.account),
    "prefix-list-id": filters.text(table.c.id),
    "prefix-list-name": filters.text(table.c.name),
    **tag_filters(table.c.id),
}


class Entry(NamedTuple):
    """A canonical block of the list's family, and what its owner says of it ("" for nothing)."""

    cidr: str
    description: str = ""


async def insert(
    tx: Tx, *, account: str, name: str, family: str, max_entries: int, entries: Sequence[Entry], now: float
) -> Row:
    list_id = ids.new("pl")
    await tx.run(
        sa.insert(table).values(
            id=list_id,
            account=account,
            name=name,
            family=family,
            max_entries=max_entries,
            version=1,
            status="create-complete",
            created_at=now,
        )
    )
    await _keep(tx, list_id, 1, entries)
    row = await by_id(tx, account, list_id)
    assert row is not None
    return row


async def by_id(tx: Tx, account: str, list_id: str) -> Row | None:
    return await tx.first(sa.select(table).where(table.c.account == account, table.c.id == list_id))


async def by_ids(tx: Tx, list_ids: Iterable[str]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for chunk in chunks(sorted(set(list_ids)), 500):
        found.update({row.id: row for row in await tx.all(sa.select(table).where(table.c.id.in_(chunk)))})
    return found


async def count(tx: Tx, account: str) -> int:
    return int(await tx.scalar(sa.select(sa.func.count()).select_from(table).where(table.c.account == account)))


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(table).where(table.c.account == account, table.c.id > after, *conditions)
    return list(await tx.all(statement.order_by(table.c.id).limit(limit)))


async def entries(tx: Tx, list_id: str, version: int) -> list[Entry] | None:
    """What the list said in that version; None when it never had one of the number."""
    row = await tx.first(
        sa.select(versions.c.entries).where(versions.c.list_id == list_id, versions.c.version == version)
    )
    return None if row is None else [Entry(*pair) for pair in row.entries]


async def blocks(tx: Tx, list_ids: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The blocks that lists hold now, by list."""
    found: dict[str, tuple[str, ...]] = {}
    for chunk in chunks(sorted(set(list_ids)), 500):
        rows = await tx.all(
            sa.select(table.c.id, versions.c.entries)
            .join(versions, (versions.c.list_id == table.c.id) & (versions.c.version == table.c.version))
            .where(table.c.id.in_(chunk))
        )
        found.update({row.id: tuple(cidr for cidr, _ in row.entries) for row in rows})
    return found


async def set_values(tx: Tx, list_id: str, **columns: object) -> None:
    await tx.run(sa.update(table).where(table.c.id == list_id).values(**columns))


async def next_version(tx: Tx, row: Row, wanted: Sequence[Entry]) -> None:
    """From now on the list says `wanted`."""
    await _keep(tx, row.id, row.version + 1, wanted)
    await set_values(tx, row.id, version=row.version + 1)


async def remove(tx: Tx, list_id: str) -> None:
    await tx.run(sa.delete(versions).where(versions.c.list_id == list_id))
    await tx.run(sa.delete(table).where(table.c.id == list_id))


async def _keep(tx: Tx, list_id: str, version: int, wanted: Sequence[Entry]) -> None:
    await tx.run(
        sa.insert(versions).values(list_id=list_id, version=version, entries=[list(entry) for entry in wanted])
    )
