"""Picking a free number out of some spans: private addresses of a subnet, public ones of the pool, VXLAN identifiers.

The choice is random, so that an address that was just given back is not the next one given out: neighbours' caches and
people's known_hosts have time to forget it. A lookup or two is the rule; only nearly full spans are read whole.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence

Span = tuple[int, int]
"""First and last number, both included."""

_TRIES = 8


async def pick(
    spans: Sequence[Span],
    is_taken: Callable[[int], Awaitable[bool]],
    all_taken: Callable[[], Awaitable[Iterable[int]]],
) -> int | None:
    """A number of `spans` that is not taken, or None when all are."""
    total = sum(last - first + 1 for first, last in spans)
    if total <= 0:
        return None
    for _ in range(_TRIES):
        number = nth(spans, secrets.randbelow(total))
        if not await is_taken(number):
            return number
    taken = set(await all_taken())
    left = total - sum(1 for number in taken if holds(spans, number))
    if left <= 0:
        return None
    skip = secrets.randbelow(left)
    for first, last in spans:
        for number in range(first, last + 1):
            if number not in taken:
                if skip == 0:
                    return number
                skip -= 1
    return None


def nth(spans: Sequence[Span], position: int) -> int:
    """The number at `position`, counted through all spans from 0."""
    for first, last in spans:
        size = last - first + 1
        if position < size:
            return first + position
        position -= size
    raise IndexError("past the last span")


def holds(spans: Sequence[Span], number: int) -> bool:
    return any(first <= number <= last for first, last in spans)
