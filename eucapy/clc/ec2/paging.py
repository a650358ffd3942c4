"""Paging of Describe calls by `MaxResults` and `NextToken`, the same for every resource.

A page is read with one row more than it shows; whether that row came says whether there is more. The token holds the key
of the last row shown, sealed by the edge: a page stays right while rows come and go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import InvalidParameterCombination, InvalidParameterValue

T = TypeVar("T")


def bounds(p: Mapping[str, Any], ids: str = "", least: int = 5, most: int = 1000) -> tuple[int | None, str]:
    """(how many to show, or None for all; the token, or ""). `ids` names the member of ids that EC2 does not take together
    with MaxResults. A value past `most` is cut to it, as EC2 does; one below `least` is refused."""
    limit, token = p.get("MaxResults"), p.get("NextToken") or ""
    if limit is not None:
        if ids and p.get(ids):
            raise InvalidParameterCombination(f"The parameter {ids} cannot be used with the parameter maxResults")
        if limit < least:
            raise InvalidParameterValue(
                f"Value ( {limit} ) for parameter maxResults is invalid. Expecting a value greater than {least}."
            )
        limit = min(limit, most)
    elif token:
        limit = most
    return limit, token


def position(call: Call, token: str) -> str:
    """The key after which the page begins; raises InvalidNextToken."""
    return call.position(token) if token else ""


def one_more(limit: int | None) -> int | None:
    return None if limit is None else limit + 1


def cut(rows: list[T], limit: int | None) -> tuple[list[T], bool]:
    """The rows to show, and whether more follow."""
    if limit is None or len(rows) <= limit:
        return rows, False
    return rows[:limit], True
