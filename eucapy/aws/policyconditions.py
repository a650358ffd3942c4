"""Conditions of policies: the operators, with `IfExists`, `ForAnyValue:` and `ForAllValues:`. Pure.

A condition compares one key of the request with the values of the policy, which are alternatives. A key that the request
does not have fails a condition, but meets a negated one (StringNotEquals …), an `…IfExists` and a `ForAllValues:`.
`compiled` reads a condition's values once; what it gives is asked for each request.
Source: "IAM JSON policy elements: Condition operators", "Single-valued vs. multivalued context keys".
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import operator as arithmetic
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from eucapy.aws.policymatching import VARIABLE, Context, Matcher, like, matcher, plain, resolved, tokens, variables_in

__all__ = ["OPERATORS", "Condition", "Context", "compiled", "holds", "is_operator", "keys_of", "like"]

Condition = Callable[[Context], bool]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
T = TypeVar("T")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?\Z", re.ASCII)

# --- how texts are read: None is what is none -------------------------------------------------------------------------


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.match(text) else None


def _moment(text: str) -> float | None:
    number = _number(text)
    if number is not None:
        return number
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _read(values: Sequence[str], reader: Callable[[str], T | None]) -> list[T]:
    return [value for value in map(reader, values) if value is not None]


# --- operators: of the policy's values, whether any of them is met by a value of the request --------------------------


def _ordered(reader: Callable[[str], float | None], compare: Callable[[float, float], bool]) -> Operator:
    def build(values: Sequence[str], variables: bool) -> Matcher:
        wanted = _read(values, reader)

        def met(actual: str, context: Context) -> bool:
            value = reader(actual)
            return value is not None and any(compare(value, each) for each in wanted)

        return met

    return build


def _equal(fold: Callable[[str], str]) -> Operator:
    def build(values: Sequence[str], variables: bool) -> Matcher:
        parts = [tokens(value, variables=variables) for value in values]
        filled = [each for each in parts if any(kind == VARIABLE for kind, _, _ in each)]
        fixed = frozenset(fold(plain(each)) for each in parts if each not in filled)
        if not filled:
            return lambda actual, context: fold(actual) in fixed

        def met(actual: str, context: Context) -> bool:
            folded = fold(actual)
            if folded in fixed:
                return True
            known = (resolved(each, context) for each in filled)
            return any(each is not None and fold(plain(each)) == folded for each in known)

        return met

    return build


def _like(arn: bool) -> Operator:
    def build(values: Sequence[str], variables: bool) -> Matcher:
        wanted = [matcher(value, variables=variables, arn=arn) for value in values]
        if len(wanted) == 1:
            return wanted[0]
        return lambda actual, context: any(each(actual, context) for each in wanted)

    return build


def _bool(values: Sequence[str], variables: bool) -> Matcher:
    wanted = frozenset(value.lower() for value in values)
    return lambda actual, context: actual.lower() in wanted


def _binary(values: Sequence[str], variables: bool) -> Matcher:
    wanted = frozenset(_read(values, _bytes))
    return lambda actual, context: _bytes(actual) in wanted


def _in_network(values: Sequence[str], variables: bool) -> Matcher:
    wanted: list[Network] = _read(values, _network)

    def met(actual: str, context: Context) -> bool:
        try:
            address = ipaddress.ip_address(actual)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in each for each in wanted)

    return met


def _null(key: str, absent: set[bool]) -> Condition:
    def holds(context: Context) -> bool:
        given = context.get(key)
        return (given is None or given == []) in absent

    return holds


Operator = Callable[[Sequence[str], bool], Matcher]
_POSITIVE: dict[str, Operator] = {
    "StringEquals": _equal(str),
    "StringEqualsIgnoreCase": _equal(str.casefold),
    "StringLike": _like(arn=False),
    "NumericEquals": _ordered(_number, arithmetic.eq),
    "NumericLessThan": _ordered(_number, arithmetic.lt),
    "NumericLessThanEquals": _ordered(_number, arithmetic.le),
    "NumericGreaterThan": _ordered(_number, arithmetic.gt),
    "NumericGreaterThanEquals": _ordered(_number, arithmetic.ge),
    "DateEquals": _ordered(_moment, arithmetic.eq),
    "DateLessThan": _ordered(_moment, arithmetic.lt),
    "DateLessThanEquals": _ordered(_moment, arithmetic.le),
    "DateGreaterThan": _ordered(_moment, arithmetic.gt),
    "DateGreaterThanEquals": _ordered(_moment, arithmetic.ge),
    "Bool": _bool,
    "BinaryEquals": _binary,
    "IpAddress": _in_network,
    "ArnEquals": _like(arn=True),
    "ArnLike": _like(arn=True),
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
_FILLED = ("String", "Arn")
"""How the operators begin whose values may have policy variables."""


def _split(operator: str) -> tuple[str, str, bool]:
    """(ForAnyValue, ForAllValues or "", operator, whether a missing key meets it)."""
    quantifier, _, name = operator.rpartition(":")
    base = name.removesuffix("IfExists")
    return quantifier, base, base != name


def is_operator(operator: str) -> bool:
    """Whether AWS has it."""
    quantifier, base, if_exists = _split(operator)
    known = base in OPERATORS and not (base == "Null" and if_exists)
    return known and quantifier in ("", "ForAnyValue", "ForAllValues") and operator.count(":") == bool(quantifier)


def keys_of(operator: str, key: str, values: Sequence[str]) -> frozenset[str]:
    """The keys of a request that the condition looks at: its own, and those of its variables."""
    if not _split(operator)[1].startswith(_FILLED):
        return frozenset({key})
    return frozenset({key}).union(*map(variables_in, values))


def compiled(operator: str, key: str, values: Sequence[str], *, variables: bool) -> Condition:
    """The condition as a function of the request's context. `variables`: `${…}` are variables (Version 2012-10-17)."""
    quantifier, base, if_exists = _split(operator)
    if base == "Null":
        return _null(key, {value.lower() == "true" for value in values})
    negated = base in _NEGATIVE
    met = _POSITIVE[_NEGATIVE[base] if negated else base](values, variables and base.startswith(_FILLED))
    without_key = if_exists or quantifier == "ForAllValues" or (negated and not quantifier)
    every = quantifier == "ForAllValues" or (negated and not quantifier)

    def holds(context: Context) -> bool:
        given = context.get(key)
        if isinstance(given, str) and (given or not quantifier):  # an empty text is no value of several
            return met(given, context) != negated
        if not given:
            return without_key
        answers = (met(value, context) != negated for value in given)
        return all(answers) if every else any(answers)

    return holds


def holds(operator: str, key: str, wanted: Sequence[str], context: Context) -> bool:
    """Whether the request's value of `key` meets the condition."""
    return compiled(operator, key, wanted, variables=True)(context)
