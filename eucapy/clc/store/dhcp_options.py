"""DHCP options sets. A VPC names one, or `default` for none. Each account has the set that AWS gives its default VPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters
from eucapy.clc.store.base import Json, account_column, created_column, metadata
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx

dhcp_options = sa.Table(
    "dhcp_options",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("configurations", Json, nullable=False),
    created_column(),
)
"""`configurations`: option name → list of values, for example `{"domain-name-servers": ["AmazonProvidedDNS"]}`."""

dhcp_values = sa.Table(
    "dhcp_values",
    metadata,
    sa.Column("dhcp_options_id", sa.String(32), sa.ForeignKey("dhcp_options.id"), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.String(512), primary_key=True),
)
"""The same, a row a value, for the filters."""


def _by_value(column: sa.Column[str]) -> filters.Filter:
    return filters.exists(
        lambda values: sa.select(dhcp_values.c.key).where(
            dhcp_values.c.dhcp_options_id == dhcp_options.c.id, filters.matches(column, values)
        )
    )


FILTERS: dict[str, filters.Filter] = {
    "dhcp-options-id": filters.text(dhcp_options.c.id),
    "key": _by_value(dhcp_values.c.key),
    "value": _by_value(dhcp_values.c.value),
    "owner-id": filters.text(dhcp_options.c.account),
    **tag_filters(dhcp_options.c.id),
}


async def insert(
    tx: Tx, *, account: str, configurations: Mapping[str, Sequence[str]], now: float, is_default: bool = False
) -> Row:
    options_id = ids.new("dopt")
    await tx.run(
        sa.insert(dhcp_options).values(
            id=options_id,
            account=account,
            is_default=is_default,
            configurations={key: list(values) for key, values in configurations.items()},
            created_at=now,
        )
    )
    await tx.run(
        sa.insert(dhcp_values),
        [
            {"dhcp_options_id": options_id, "key": key, "value": value}
            for key, values in configurations.items()
            for value in dict.fromkeys(values)
        ],
    )
    row = await by_id(tx, account, options_id)
    assert row is not None
    return row


async def default_of(tx: Tx, account: str) -> Row | None:
    """The set that the account's default VPC was given."""
    return await tx.first(
        sa.select(dhcp_options).where(dhcp_options.c.account == account, dhcp_options.c.is_default.is_(True))
    )


async def by_id(tx: Tx, account: str, options_id: str) -> Row | None:
    return await tx.first(
        sa.select(dhcp_options).where(dhcp_options.c.account == account, dhcp_options.c.id == options_id)
    )


async def count(tx: Tx, account: str) -> int:
    return int(
        await tx.scalar(sa.select(sa.func.count()).select_from(dhcp_options).where(dhcp_options.c.account == account))
    )


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(dhcp_options).where(dhcp_options.c.account == account, dhcp_options.c.id > after, *conditions)
    return list(await tx.all(statement.order_by(dhcp_options.c.id).limit(limit)))


async def remove(tx: Tx, options_id: str) -> None:
    await tx.run(sa.delete(dhcp_values).where(dhcp_values.c.dhcp_options_id == options_id))
    await tx.run(sa.delete(dhcp_options).where(dhcp_options.c.id == options_id))
