"""Timestamps as the protocols write them: ISO 8601, HTTP dates (RFC 822) and seconds since the epoch.

Inside the program a time is an aware `datetime` in UTC; handlers may also return seconds since the epoch. Parsing is
strict about the form and raises ValueError.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

UTC = dt.UTC
Formatter = Callable[[Any], str]

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?([Zz]|[+-]\d\d:?\d\d)?\Z", re.ASCII
)
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\Z", re.ASCII)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def as_datetime(value: Any) -> dt.datetime:
    """An aware UTC datetime from a datetime (naive ones are taken as UTC) or from seconds since the epoch."""
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value if value.tzinfo is UTC else value.astimezone(UTC)
    return dt.datetime.fromtimestamp(value, UTC)


def milliseconds(value: Any) -> str:
    """`2026-01-01T00:00:00.000Z`, EC2's and S3's form. A string passes as it is."""
    if value.__class__ is str:
        return str(value)
    return as_datetime(value).isoformat(timespec="milliseconds")[:-6] + "Z"


def shortest(value: Any) -> str:
    """`2026-01-01T00:00:00Z`, with milliseconds only where there are any: the Query services' form."""
    if value.__class__ is str:
        return str(value)
    time = as_datetime(value)
    return time.isoformat(timespec="milliseconds" if time.microsecond else "seconds")[:-6] + "Z"


def http_date(value: Any) -> str:
    """`Thu, 01 Jan 2026 00:00:00 GMT`."""
    if value.__class__ is str:
        return str(value)
    if value.__class__ is int:
        return _http_second(value)
    return _http_date(value)


@lru_cache(maxsize=4096)
def _http_second(seconds: int) -> str:
    return _http_date(seconds)


def _http_date(value: Any) -> str:
    t = as_datetime(value)
    return (
        f"{_DAYS[t.weekday()]}, {t.day:02d} {_MONTHS[t.month - 1]} {t.year:04d} "
        f"{t.hour:02d}:{t.minute:02d}:{t.second:02d} GMT"
    )


def epoch(value: Any) -> int | float:
    """Seconds since the epoch, an int where the time is whole."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if value.__class__ is str:
        value = parse_iso(value)
    time = as_datetime(value)
    return round(time.timestamp(), 3) if time.microsecond else int(time.timestamp())


def parse_iso(text: str) -> dt.datetime:
    """ISO 8601 in the forms that AWS takes; without an offset it is UTC."""
    match = _ISO.match(text)
    if match is None:
        return parse_compact(text)
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    zone: dt.tzinfo = UTC
    if offset and offset not in "Zz":
        sign = -1 if offset[0] == "-" else 1
        zone = dt.timezone(sign * dt.timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:])))
    time = dt.datetime(
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), min(int(second or 0), 59),
        int((fraction or "0").ljust(6, "0")[:6]), zone,
    )  # fmt: skip
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(text) from error


def parse_compact(text: str) -> dt.datetime:
    """`20260101T000000Z`, the form of X-Amz-Date."""
    match = _COMPACT.match(text)
    if match is None:
        raise ValueError(f"not a timestamp: {text[:40]!r}")
    return dt.datetime(*(int(part) for part in match.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]


def parse_http_date(text: str) -> dt.datetime:
    """RFC 822 dates; a missing zone is UTC."""
    try:
        time = parsedate_to_datetime(text)
    except (TypeError, IndexError, OverflowError) as error:
        raise ValueError(text) from error
    return as_datetime(time)


def parse_epoch(value: Any) -> dt.datetime:
    """Seconds since the epoch, as number or text."""
    try:
        return dt.datetime.fromtimestamp(float(value), UTC)
    except (TypeError, OverflowError, OSError) as error:
        raise ValueError(str(value)) from error


def parse_any(value: Any) -> dt.datetime:
    """A number or a text in any of the forms, as lenient services take it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return parse_epoch(value)
    text = str(value).strip()
    for parse in (parse_iso, parse_epoch, parse_http_date):
        try:
            return parse(text)
        except ValueError:
            continue
    raise ValueError(f"not a timestamp: {text[:40]!r}")


FORMATTERS: dict[str, Formatter] = {
    "iso8601": shortest,
    "rfc822": http_date,
    "unixtimestamp": lambda value: str(epoch(value)),
}
PARSERS: dict[str, Callable[[Any], dt.datetime]] = {
    "iso8601": parse_iso,
    "rfc822": parse_http_date,
    "unixtimestamp": parse_epoch,
}
