"""IAM's pages: MaxItems (100 unless asked), Marker, IsTruncated.

    after, most = window(call, p)
    rows = await iam_names.page(call.tx, roles, call.account, prefix, after, most + 1)
    return page(call, "Roles", rows, most, key=lambda row: row.folded, shown=view)

`listed` does the same for a list that is in memory. A marker says behind which key the next page begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from eucapy.clc.context import Call
from eucapy.clc.iam.service import ValidationError
from eucapy.errors import ApiError

T = TypeVar("T")
AT_ONCE = 100


def window(call: Call, p: Mapping[str, Any]) -> tuple[str, int]:
    """Behind which key the page begins ("" for the first), and how many it has at most. Raises ValidationError."""
    marker = p.get("Marker") or ""
    try:
        after = call.position(marker) if marker else ""
    except ApiError as error:
        raise ValidationError("Invalid Marker.") from error
    return after, int(p.get("MaxItems") or AT_ONCE)


def page(
    call: Call, member: str, rows: Sequence[T], most: int, *, key: Callable[[T], str], shown: Callable[[T], Any]
) -> dict[str, Any]:
    """The answer for rows of which one more than `most` was asked for."""
    answer: dict[str, Any] = {member: [shown(row) for row in rows[:most]], "IsTruncated": len(rows) > most}
    if len(rows) > most:
        answer["Marker"] = call.token(key(rows[most - 1]))
    return answer


def listed(
    call: Call,
    p: Mapping[str, Any],
    member: str,
    rows: Sequence[T],
    *,
    key: Callable[[T], str],
    shown: Callable[[T], Any],
) -> dict[str, Any]:
    """A page of a list in memory, sorted by `key`."""
    after, most = window(call, p)
    rest = [row for row in rows if key(row) > after]
    return page(call, member, rest, most, key=key, shown=shown)
