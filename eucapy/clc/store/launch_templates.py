"""Launch templates: a name, and numbered versions that never change; one of them is the default, the highest the latest.

`last_number` only grows: the number of a deleted version is not given out again. The data of a version is the request's
`LaunchTemplateData`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters
from eucapy.clc.store.base import Json, account_column, created_column, metadata
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx

table = sa.Table(
    "launch_templates",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("created_by", sa.String(2048), nullable=False),
    created_column(),
    sa.Column("default_version", sa.Integer, nullable=False),
    sa.Column("latest_version", sa.Integer, nullable=False),
    sa.Column("last_number", sa.Integer, nullable=False),
    sa.UniqueConstraint("account", "name"),
)

versions = sa.Table(
    "launch_template_versions",
    metadata,
    sa.Column("template_id", sa.String(32), sa.ForeignKey("launch_templates.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("description", sa.String(255), nullable=False, server_default=""),
    sa.Column("created_by", sa.String(2048), nullable=False),
    created_column(),
    sa.Column("data", Json, nullable=False),
)

FILTERS: dict[str, filters.Filter] = {
    "create-time": filters.timestamp(table.c.created_at),
    "launch-template-name": filters.text(table.c.name),
    **tag_filters(table.c.id),
}

VERSION_FILTERS: dict[str, filters.Filter] = {
    "create-time": filters.timestamp(versions.c.created_at),
    "is-default-version": filters.boolean(versions.c.number == table.c.default_version),
}
"""Those that need no look into the data."""

_WITH_TEMPLATE = sa.select(
    versions, table.c.name, table.c.account, table.c.default_version, table.c.latest_version
).join_from(versions, table, versions.c.template_id == table.c.id)


async def insert(tx: Tx, *, account: str, name: str, created_by: str, now: float) -> Row:
    """A template that has no version yet: `add_version` makes the first. The name must be free: check with `by_name`."""
    template_id = ids.new("lt")
    await tx.run(
        sa.insert(table).values(
            id=template_id,
            account=account,
            name=name,
            created_by=created_by,
            created_at=now,
            default_version=1,
            latest_version=0,
            last_number=0,
        )
    )
    row = await by_id(tx, account, template_id)
    assert row is not None
    return row


async def add_version(
    tx: Tx, template: Row, *, description: str, created_by: str, data: Mapping[str, Any], now: float
) -> Row:
    """The next version."""
    number = template.last_number + 1
    numbers = {"latest_version": number, "last_number": number}
    await tx.run(sa.update(table).where(table.c.id == template.id).values(numbers))
    await tx.run(
        sa.insert(versions).values(
            template_id=template.id,
            number=number,
            description=description,
            created_by=created_by,
            created_at=now,
            data=dict(data),
        )
    )
    row = await version(tx, template.id, number)
    assert row is not None
    return row


async def by_id(tx: Tx, account: str, template_id: str) -> Row | None:
    return await tx.first(sa.select(table).where(table.c.account == account, table.c.id == template_id))


async def by_name(tx: Tx, account: str, name: str) -> Row | None:
    return await tx.first(sa.select(table).where(table.c.account == account, table.c.name == name))


async def count(tx: Tx, account: str) -> int:
    return int(await tx.scalar(sa.select(sa.func.count()).select_from(table).where(table.c.account == account)))


async def count_versions(tx: Tx, template_id: str) -> int:
    counted = sa.select(sa.func.count()).select_from(versions).where(versions.c.template_id == template_id)
    return int(await tx.scalar(counted))


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(table).where(table.c.account == account, table.c.id > after, *conditions)
    return list(await tx.all(statement.order_by(table.c.id).limit(limit)))


async def version(tx: Tx, template_id: str, number: int) -> Row | None:
    """A version together with its template's name, account, default and latest version."""
    return await tx.first(_WITH_TEMPLATE.where(versions.c.template_id == template_id, versions.c.number == number))


async def page_of_versions(
    tx: Tx,
    account: str,
    conditions: Sequence[filters.Condition],
    after: tuple[str, int] | None,
    limit: int,
) -> list[Row]:
    """Rows as `version` gives them, by template, the newest first."""
    statement = _WITH_TEMPLATE.where(table.c.account == account, *conditions)
    if after is not None:
        template_id, number = after
        statement = statement.where(
            sa.or_(
                versions.c.template_id > template_id,
                sa.and_(versions.c.template_id == template_id, versions.c.number < number),
            )
        )
    return list(await tx.all(statement.order_by(versions.c.template_id, versions.c.number.desc()).limit(limit)))


def marked(*, default: bool, latest: bool) -> filters.Condition:
    """The version is its template's default, or its latest: what is asked for of the two."""
    return sa.or_(
        sa.false(),
        *([versions.c.number == table.c.default_version] if default else ()),
        *([versions.c.number == table.c.latest_version] if latest else ()),
    )


async def existing(tx: Tx, template_id: str, numbers: Sequence[int]) -> set[int]:
    """Which of the numbers are versions of the template."""
    wanted = sa.select(versions.c.number).where(versions.c.template_id == template_id, versions.c.number.in_(numbers))
    return {row[0] for row in await tx.all(wanted)}


async def set_default(tx: Tx, template_id: str, number: int) -> None:
    await tx.run(sa.update(table).where(table.c.id == template_id).values(default_version=number))


async def remove_version(tx: Tx, template_id: str, number: int) -> None:
    """When it was the latest, the one before it is now."""
    await tx.run(sa.delete(versions).where(versions.c.template_id == template_id, versions.c.number == number))
    highest = sa.select(sa.func.max(versions.c.number)).where(versions.c.template_id == template_id).scalar_subquery()
    await tx.run(sa.update(table).where(table.c.id == template_id).values(latest_version=highest))


async def remove(tx: Tx, template_id: str) -> None:
    await tx.run(sa.delete(versions).where(versions.c.template_id == template_id))
    await tx.run(sa.delete(table).where(table.c.id == template_id))
