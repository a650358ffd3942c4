"""Times in filters: a text such as `2026-01-31T12:00:00.000Z`, whole or with wildcards, against seconds in a column."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

_FIRST = (1, 1, 1, 0, 0, 0)
_PREFIXES = (
    (re.compile(r"(\d{4})-?"), "year"),
    (re.compile(r"(\d{4})-(\d{2})-?"), "month"),
    (re.compile(r"(\d{4})-(\d{2})-(\d{2})T?"), "day"),
    (re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):?"), "hour"),
    (re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):?"), "minute"),
    (re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})\.?"), "second"),
)


def within(column: sa.ColumnElement[Any], value: str) -> sa.ColumnElement[bool]:
    """The column's moment is the value's (to the millisecond), or lies in the span that a trailing `*` leaves open."""
    if value == "*":
        return column.is_not(None)
    if value.endswith("*"):
        span = _span(value[:-1])
        return sa.and_(column >= span[0], column < span[1]) if span else sa.false()
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return sa.false()
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    # The wire shows the millisecond in which a moment lies (cut off, not rounded); floats carry about a microsecond.
    return sa.and_(column > seconds - 0.000001, column < seconds + 0.000999)


def _span(prefix: str) -> tuple[float, float] | None:
    for pattern, unit in _PREFIXES:
        match = pattern.fullmatch(prefix)
        if match is None:
            continue
        parts = [int(part) for part in match.groups()]
        try:
            year, month, day, hour, minute, second = [*parts, *_FIRST[len(parts) :]]
            start = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            return None
        return start.timestamp(), _after(start, unit).timestamp()
    return None


def _after(start: datetime, unit: str) -> datetime:
    if unit == "year":
        return start.replace(year=start.year + 1)
    if unit == "month":
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return start + timedelta(**{f"{unit}s": 1})
