"""The metadata that all tables join, and what they share.

Every table of a resource has its id as primary key and `account` as owner. Times are seconds since the epoch (REAL),
lists and structures are JSON text. Migrations: `migrations/`; a test proves that they lead to exactly this metadata.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Json(sa.types.TypeDecorator[Any]):
    """A JSON document in a text column, the same on both engines."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"), sort_keys=True)

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else json.loads(value)


def account_column() -> sa.Column[str]:
    """The owning account's twelve digits."""
    return sa.Column("account", sa.String(12), nullable=False, index=True)


def created_column() -> sa.Column[float]:
    return sa.Column("created_at", sa.Float, nullable=False)


def client_token_column() -> sa.Column[str]:
    """The idempotency token that the request carried, or ""."""
    return sa.Column("client_token", sa.String(64), nullable=False, server_default="")


def listed(dialect: str, name: str = "wanted") -> sa.Select[Any]:
    """For `column.in_(listed(…))`: the strings of the list that the parameter `name` holds, as `as_list` makes it.

    One parameter, however long the list is: SQLAlchemy writes a statement anew for every `IN` of many parameters, which for
    five hundred costs more than reading the rows.
    """
    parameter = sa.bindparam(name, type_=sa.Text)
    if dialect == "sqlite":
        return sa.select(sa.func.json_each(parameter).table_valued("value").c.value)
    return sa.select(sa.func.jsonb_array_elements_text(sa.cast(parameter, JSONB)))


def as_list(values: Sequence[str]) -> str:
    """The value for a parameter of `listed`."""
    return json.dumps(list(values))
