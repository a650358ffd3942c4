"""Conditions of policies: the operators, with `IfExists`, `ForAnyValue:` and `ForAllValues:`. Pure.

A condition compares one key of the request with the values of the policy, which are alternatives. A key that the request
does not have fails a condition, but meets a negated one (StringNotEquals …), an `…IfExists` and a `ForAllValues:`.
Source: "IAM JSON policy elements: Condition operators".
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

Context = Mapping[str, "str | list[str]"]
Compare = Callable[[str, str], bool]


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\[\*\]|\[\?\]|\*+|\?)", pattern)
    meaning = {"[*]": r"\*", "[?]": r"\?", "?": "."}
    text = "".join(meaning.get(part) or (".*" if part.startswith("*") else re.escape(part)) for part in parts)
    return re.compile(f"(?s:{text})\\Z")


def like(actual: str, pattern: str) -> bool:
    """`*` is any number of characters, `?` one of them; `[*]` and `[?]` are the characters themselves."""
    return pattern == "*" or _pattern(pattern).match(actual) is not None


def _arn_like(actual: str, wanted: str) -> bool:
    ours, theirs = actual.split(":", 5), wanted.split(":", 5)
    return len(ours) == len(theirs) == 6 and all(like(a, w) for a, w in zip(ours, theirs, strict=True))


def _number(compare: Callable[[float, float], bool]) -> Compare:
    def check(actual: str, wanted: str) -> bool:
        try:
            return compare(float(actual), float(wanted))
        except ValueError:
            return False

    return check


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _date(compare: Callable[[float, float], bool]) -> Compare:
    def check(actual: str, wanted: str) -> bool:
        try:
            return compare(_moment(actual), _moment(wanted))
        except ValueError:
            return False

    return check


def _in_network(actual: str, wanted: str) -> bool:
    try:
        address = ipaddress.ip_address(actual)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


def _binary(actual: str, wanted: str) -> bool:
    try:
        return base64.b64decode(actual, validate=True) == base64.b64decode(wanted, validate=True)
    except (binascii.Error, ValueError):
        return False


_POSITIVE: dict[str, Compare] = {
    "StringEquals": lambda actual, wanted: actual == wanted.replace("[*]", "*").replace("[?]", "?"),
    "StringEqualsIgnoreCase": lambda actual, wanted: actual.casefold() == wanted.casefold(),
    "StringLike": like,
    "NumericEquals": _number(lambda a, w: a == w),
    "NumericLessThan": _number(lambda a, w: a < w),
    "NumericLessThanEquals": _number(lambda a, w: a <= w),
    "NumericGreaterThan": _number(lambda a, w: a > w),
    "NumericGreaterThanEquals": _number(lambda a, w: a >= w),
    "DateEquals": _date(lambda a, w: a == w),
    "DateLessThan": _date(lambda a, w: a < w),
    "DateLessThanEquals": _date(lambda a, w: a <= w),
    "DateGreaterThan": _date(lambda a, w: a > w),
    "DateGreaterThanEquals": _date(lambda a, w: a >= w),
    "Bool": lambda actual, wanted: actual.lower() == wanted.lower(),
    "BinaryEquals": _binary,
    "IpAddress": _in_network,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
}
_NEGATIVE = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
OPERATORS = frozenset({*_POSITIVE, *_NEGATIVE, "Null"})
"""Without prefixes and suffixes."""


def _split(operator: str) -> tuple[str, str, bool]:
    """(ForAnyValue, ForAllValues or "", operator, whether a missing key meets it)."""
    quantifier, _, name = operator.rpartition(":")
    base = name.removesuffix("IfExists")
    return quantifier, base, base != name


def is_operator(operator: str) -> bool:
    """Whether AWS has it."""
    quantifier, base, if_exists = _split(operator)
    known = base in OPERATORS and not (base == "Null" and if_exists)
    return known and quantifier in ("", "ForAnyValue", "ForAllValues")


def holds(operator: str, key: str, wanted: Sequence[str], context: Context) -> bool:
    """Whether the request's value of `key` meets the condition."""
    quantifier, base, if_exists = _split(operator)
    given = context.get(key)
    actual = [given] if isinstance(given, str) else given
    if base == "Null":
        return any((value.lower() == "true") == (not actual) for value in wanted)
    if not actual:
        if quantifier == "ForAnyValue":
            return False
        return if_exists or base in _NEGATIVE or quantifier == "ForAllValues"
    negated = base in _NEGATIVE
    compare = _POSITIVE[_NEGATIVE[base] if negated else base]
    met = [any(compare(value, each) for each in wanted) != negated for value in actual]
    if quantifier == "ForAllValues" or (negated and not quantifier):
        return all(met)
    return any(met)
