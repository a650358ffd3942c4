"""Tags: one row a tag; resources join them by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from eucapy.clc.store import filters
from eucapy.clc.store.base import account_column, metadata
from eucapy.database import Row, Tx

tags = sa.Table(
    "tags",
    metadata,
    sa.Column("resource_id", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(128), primary_key=True),
    sa.Column("value", sa.String(256), nullable=False),
    sa.Column("resource_type", sa.String(40), nullable=False),
    account_column(),
    sa.Index(None, "key", "value"),
)


FILTERS: dict[str, filters.Filter] = {
    "key": filters.text(tags.c.key),
    "value": filters.text(tags.c.value),
    "resource-id": filters.text(tags.c.resource_id),
    "resource-type": filters.text(tags.c.resource_type),
}
"""Of DescribeTags."""


# Built once: for statements this small SQLAlchemy spends more on putting them together than SQLite on running them.
_PUT = {
    dialect: insert(tags).on_conflict_do_update(
        index_elements=["resource_id", "key"], set_={"value": insert(tags).excluded.value}
    )
    for dialect, insert in (("sqlite", sqlite_insert), ("postgresql", postgresql_insert))
}
_OF = (
    sa.select(tags.c.resource_id, tags.c.key, tags.c.value)
    .where(tags.c.resource_id.in_(sa.bindparam("wanted", expanding=True)))
    .order_by(tags.c.resource_id, tags.c.key)
)
_FULL = (
    sa.select(tags.c.resource_id)
    .where(tags.c.resource_id.in_(sa.bindparam("wanted", expanding=True)), tags.c.key.not_like("aws:%"))
    .group_by(tags.c.resource_id)
    .having(sa.func.count() > sa.bindparam("most"))
)


async def put(tx: Tx, account: str, resource_type: str, resource_id: str, values: Mapping[str, str]) -> None:
    """Set tags; an existing key gets the new value."""
    await put_many(tx, account, {resource_id: resource_type}, values)


async def put_many(tx: Tx, account: str, resources: Mapping[str, str], values: Mapping[str, str]) -> None:
    """Set the same tags on resources (id → type)."""
    if not values or not resources:
        return
    await tx.run(
        _PUT[tx.dialect],
        [
            {"resource_id": resource_id, "key": key, "value": value, "resource_type": kind, "account": account}
            for resource_id, kind in resources.items()
            for key, value in values.items()
        ],
    )


async def over(tx: Tx, resource_ids: Sequence[str], most: int) -> bool:
    """Whether one of the resources has more than `most` tags of its owner's (`aws:…` are the cloud's)."""
    for chunk in chunks(resource_ids, 500):
        if await tx.first(_FULL, {"wanted": chunk, "most": most}) is not None:
            return True
    return False


async def remove(tx: Tx, resource_id: str, key: str | None = None, value: str | None = None) -> None:
    """Remove one tag (only with that value, when given), or all of the resource's."""
    statement = sa.delete(tags).where(tags.c.resource_id == resource_id)
    if key is not None:
        statement = statement.where(tags.c.key == key)
    if value is not None:
        statement = statement.where(tags.c.value == value)
    await tx.run(statement)


async def of(tx: Tx, resource_ids: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """The tags of resources as EC2's `TagSet`, sorted by key; resources without tags are absent."""
    found: dict[str, list[dict[str, str]]] = {}
    for chunk in chunks(resource_ids, 500):
        for row in await tx.all(_OF, {"wanted": chunk}):
            found.setdefault(row.resource_id, []).append({"Key": row.key, "Value": row.value})
    return found


async def of_own(tx: Tx, account: str, resource_id: str) -> dict[str, str]:
    """Key to value of a resource of the account's own; nothing of anybody else's."""
    statement = sa.select(tags.c.key, tags.c.value).where(tags.c.resource_id == resource_id, tags.c.account == account)
    return {str(row.key): str(row.value) for row in await tx.all(statement)}


async def page(
    tx: Tx,
    account: str,
    conditions: Sequence[filters.Condition],
    after: tuple[str, str] = ("", ""),
    limit: int | None = None,
) -> list[Row]:
    """The account's tags that meet all conditions, by resource and key, from behind `after`."""
    resource_id, key = after
    statement = (
        sa.select(tags)
        .where(tags.c.account == account, *conditions)
        .where(sa.or_(tags.c.resource_id > resource_id, sa.and_(tags.c.resource_id == resource_id, tags.c.key > key)))
        .order_by(tags.c.resource_id, tags.c.key)
        .limit(limit)
    )
    return list(await tx.all(statement))


def own_tag_filter(key: str) -> filters.Filter:
    """`tag:<key>` of DescribeTags: the tag itself."""
    return lambda values: sa.and_(tags.c.key == key, filters.matches(tags.c.value, values))


def tag_filter(resource_id: sa.ColumnElement[Any]) -> Any:
    """For `filters.where(..., tags=tag_filter(table.c.id))`: the filter of `tag:<key>`."""

    def for_key(key: str) -> filters.Filter:
        return lambda values: resource_id.in_(
            sa.select(tags.c.resource_id).where(tags.c.key == key, filters.matches(tags.c.value, values))
        )

    return for_key


FEW = 200


async def remove_own(tx: Tx, resource_id: str) -> None:
    """Remove all tags that the resource's owner has set: those that begin with `aws:` are the cloud's, and stay."""
    await tx.run(sa.delete(tags).where(tags.c.resource_id == resource_id, tags.c.key.not_like("aws:%")))


async def rare(
    tx: Tx, resource_id: sa.ColumnElement[Any], wanted: Iterable[Mapping[str, Any]]
) -> list[filters.Condition]:
    """A condition on the ids that the first `tag:<key>` filter of a request matches, when they are few; none otherwise.

    Beside the filter's own condition it changes no answer, but lets the database begin with those ids: it cannot know that a
    tag is rare, and would look at every row of the account.
    """
    for one in wanted:
        kind, _, key = str(one.get("Name")).partition(":")
        if kind == "tag" and key:
            matching = sa.select(tags.c.resource_id).where(
                tags.c.key == key, filters.matches(tags.c.value, one.get("Values") or ())
            )
            found = [row[0] for row in await tx.all(matching.limit(FEW + 1))]
            if len(found) <= FEW:
                return [resource_id.in_(found) if found else sa.false()]
            return []
    return []


def tag_filters(resource_id: sa.ColumnElement[Any]) -> dict[str, filters.Filter]:
    """`tag-key` and `tag-value`, which every resource with tags has."""
    return {
        "tag-key": lambda values: resource_id.in_(
            sa.select(tags.c.resource_id).where(filters.matches(tags.c.key, values))
        ),
        "tag-value": lambda values: resource_id.in_(
            sa.select(tags.c.resource_id).where(filters.matches(tags.c.value, values))
        ),
    }


def chunks(values: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    """Slices small enough for a statement's parameters."""
    return (values[start : start + size] for start in range(0, len(values), size))
