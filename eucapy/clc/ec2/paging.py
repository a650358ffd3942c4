"""What all Describe calls share: ids, filters, and pages by `MaxResults` and `NextToken`.

A page is read with one row more than it shows; whether that row came says whether there is more. The token holds the key
of the last row shown, sealed by the edge: a page stays right while rows come and go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from eucapy import ids
from eucapy.aws.paging import max_results
from eucapy.clc.context import Call
from eucapy.clc.store import filters
from eucapy.clc.store.tags import tag_filter
from eucapy.database import Row, Tx

T = TypeVar("T")
LEAST, MOST = 5, 1000
"""Of MaxResults."""


class Page(Protocol):
    """`page` of a store's file: rows of the account that meet the conditions, by id, from behind `after`."""

    def __call__(
        self, tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
    ) -> Awaitable[list[Row]]: ...


async def described(
    call: Call,
    p: Mapping[str, Any],
    *,
    page: Page,
    declared: Mapping[str, filters.Filter],
    id_column: Any,
    prefix: str,
    member: str,
    extra: Sequence[filters.Condition] = (),
    never_together: bool = False,
    low: int = LEAST,
    high: int = MOST,
) -> tuple[list[Row], dict[str, str]]:
    """The rows that the request asks for, and what to add to the answer for the next page.

    `member` holds the wanted ids; one that does not exist is the kind's NotFound error, whatever the filters say.
    `never_together`: EC2 does not take ids and MaxResults in one request.
    """
    wanted = [ids.check(prefix, value) for value in dict.fromkeys(p.get(member) or ())]
    conditions = [*filters.where(declared, p.get("Filters"), tags=tag_filter(id_column)), *extra]
    limit, token = bounds(p, member if never_together else None, low=low, high=high)
    if wanted:
        conditions.append(id_column.in_(wanted))
    rows = await page(call.tx, call.account, conditions, position(call, token), one_more(limit))
    if wanted and len(rows) < len(wanted):
        known = {row.id for row in await page(call.tx, call.account, [id_column.in_(wanted)])}
        absent = [value for value in wanted if value not in known]
        if absent:
            raise ids.missing(prefix, absent)
    rows, more = cut(rows, limit)
    return rows, {"NextToken": call.token(rows[-1].id)} if more else {}


def bounds(
    p: Mapping[str, Any], never_with: str | None = None, *, low: int = LEAST, high: int = MOST
) -> tuple[int | None, str]:
    """(how many to show, or None for all; the token, or ""). `never_with` names the member of ids that EC2 does not take
    together with MaxResults; `low` and `high` are its bounds where they are others than of most operations."""
    limit, token = max_results(dict(p), low=low, high=high, never_with=never_with), p.get("NextToken") or ""
    return MOST if limit is None and token else limit, token


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
