"""EC2's filters, declared per resource and compiled to SQL.

A resource's file declares `FILTERS: dict[str, Filter]`; `where(FILTERS, p.get("Filters"))` gives the conditions. Values
of one filter are alternatives, filters are all demanded; `*` stands for any characters, `?` for one, and a backslash
takes their meaning away. Names and values are case-sensitive. An unknown name is refused as EC2 does. Source: EC2 API
reference, "Filtering your resources".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from eucapy.errors import ApiError

T = TypeVar("T")
Condition = sa.ColumnElement[bool]
Filter = Callable[[Sequence[str]], Condition]


class InvalidFilter(ApiError):
    """`InvalidParameterValue`, in the words that EC2 uses for filters."""

    code = "InvalidParameterValue"


class FilterLimitExceeded(ApiError):
    message = "The maximum number of filter values specified on a single call is 200"


MOST_VALUES = 200


def text(column: sa.ColumnElement[Any]) -> Filter:
    """A string column with wildcards."""
    return lambda values: matches(column, values)


def number(column: sa.ColumnElement[Any]) -> Filter:
    """A numeric column; a value that is not a number matches nothing."""

    def build(values: Sequence[str]) -> Condition:
        numbers = [float(value) for value in values if _is_number(value)]
        if isinstance(column.type, sa.Integer):
            # PostgreSQL takes no fraction and no number past its range for an integer column; no row has one either.
            return column.in_([int(value) for value in numbers if value.is_integer() and abs(value) < 1 << 31])
        return column.in_(numbers)

    return build


def boolean(column: sa.ColumnElement[Any]) -> Filter:
    """A flag; EC2 takes `true` and `false`."""

    def build(values: Sequence[str]) -> Condition:
        return sa.or_(sa.false(), *(column.is_(value == "true") for value in values if value in ("true", "false")))

    return build


def mapped(column: sa.ColumnElement[Any], words: Mapping[str, Any]) -> Filter:
    """A column whose wire words stand for stored values (`instance-state-code`: `16` → `running`)."""

    def build(values: Sequence[str]) -> Condition:
        patterns = [re.compile(_regex(value)) for value in values]
        return column.in_([stored for word, stored in words.items() if any(p.fullmatch(word) for p in patterns)])

    return build


def constant(value: str) -> Filter:
    """A fact that is the same for every row (`hypervisor`, `owner-alias`)."""

    def build(values: Sequence[str]) -> Condition:
        return sa.true() if any(re.fullmatch(_regex(v), value) for v in values) else sa.false()

    return build


def never(values: Sequence[str]) -> Condition:
    """A documented filter on something that no row here can have (`outpost-arn`)."""
    return sa.false()


def always(values: Sequence[str]) -> Condition:
    """A filter that is not the database's to judge: the answer is looked at later."""
    return sa.true()


def timestamp(column: sa.ColumnElement[Any]) -> Filter:
    """Seconds in the column, `2026-01-31T12:00:00.000Z` in the filter; wildcards allowed (`2026-01-*`)."""
    from eucapy.clc.store import moments

    def build(values: Sequence[str]) -> Condition:
        return sa.or_(sa.false(), *(moments.within(column, value) for value in values))

    return build


def exists(build: Callable[[Sequence[str]], sa.Select[Any]]) -> Filter:
    """Another table's rows: `build(values)` selects those that belong to the row and match."""
    return lambda values: build(values).exists()


def matches(column: sa.ColumnElement[Any], values: Sequence[str]) -> Condition:
    """The column equals, or is like, one of the values."""
    plain = [unescape(value) for value in values if not has_wildcard(value)]
    likes = [column.like(_like(value), escape="\\") for value in values if has_wildcard(value)]
    conditions: list[Condition] = [column.in_(plain)] if plain else []
    return sa.or_(*conditions, *likes) if conditions or likes else sa.false()


def where(
    declared: Mapping[str, Filter],
    filters: Iterable[Mapping[str, Any]] | None,
    tags: Callable[[str], Filter] | None = None,
) -> list[Condition]:
    """The conditions of a request's `Filters`. `tags` builds the filter of `tag:<key>` where the resource has tags."""

    def known(name: str) -> Filter | None:
        if tags is not None and name.startswith("tag:"):
            return declared.get(name) or tags(name[4:])
        return declared.get(name)

    return [build(values) for build, values in demanded(filters, known)]


def demanded(
    filters: Iterable[Mapping[str, Any]] | None, known: Callable[[str], T | None]
) -> Iterator[tuple[T, list[str]]]:
    """What `known` has for the name of each filter of a request, and the filter's values; for answers that are not rows
    too. Raises InvalidFilter for a name that is not known (None) and a filter without values, FilterLimitExceeded."""
    count = 0
    for entry in filters or ():
        name = entry.get("Name") or ""
        values = [str(value) for value in entry.get("Values") or ()]
        if not name:
            raise InvalidFilter("The filter name must not be empty.")
        found = known(name)
        if found is None:
            raise InvalidFilter(f"The filter '{name}' is invalid")
        if not values:
            raise InvalidFilter(f"The filter '{name}' must have at least one value")
        count += len(values)
        if count > MOST_VALUES:
            raise FilterLimitExceeded
        yield found, values


def has_wildcard(value: str) -> bool:
    return any(char in "*?" for char in re.sub(r"\\.", "", value))


def unescape(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value)


def pattern(value: str) -> re.Pattern[str]:
    """A filter value as a regular expression, for answers that are not rows."""
    return re.compile(_regex(value), re.DOTALL)


def _like(value: str) -> str:
    out: list[str] = []
    chars = iter(value)
    for char in chars:
        if char == "\\":
            char = next(chars, "\\")
            out.append(f"\\{char}" if char in "%_\\" else char)
        elif char == "*":
            out.append("%")
        elif char == "?":
            out.append("_")
        else:
            out.append(f"\\{char}" if char in "%_\\" else char)
    return "".join(out)


def _regex(value: str) -> str:
    """What stands between two stars is looked for once, from left to right, and never again further on (that is enough:
    the earliest place leaves most to the rest). Tried everywhere, ten stars would keep the process for hours."""
    parts = [""]
    chars = iter(value)
    for char in chars:
        if char == "\\":
            parts[-1] += re.escape(next(chars, "\\"))
        elif char == "*":
            parts.append("")
        else:
            parts[-1] += "." if char == "?" else re.escape(char)
    if len(parts) == 1:
        return parts[0]
    first, *middle, last = parts
    return first + "".join(f"(?>.*?{part})" for part in middle if part) + ".*" + last


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
