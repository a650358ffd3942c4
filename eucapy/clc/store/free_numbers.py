"""Picking a free number out of some spans: private addresses of a subnet, public ones of the pool, VXLAN identifiers.

The choice is random, so that an address that was just given back is not the next one given out: neighbours' caches and
people's known_hosts have time to forget it. A lookup or two is the rule; crowded spans are read in parts.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

Span = tuple[int, int]
"""First and last number, both included."""

_TRIES = 8
_PART = 256
"""Numbers that are looked at together where most are taken."""


async def pick(
    spans: Sequence[Span],
    is_taken: Callable[[int], Awaitable[bool]],
    taken_between: Callable[[int, int], Awaitable[Iterable[int]]],
) -> int | None:
    """A number of `spans` that is not taken, or None when all are. `taken_between(first, last)` tells at least the taken
    ones of these, both included."""
    total = sum(last - first + 1 for first, last in spans)
    if total <= 0:
        return None
    for _ in range(_TRIES):
        number = nth(spans, secrets.randbelow(total))
        if not await is_taken(number):
            return number
    parts = list(_parts(spans))
    begin = secrets.randbelow(len(parts))
    for first, last in parts[begin:] + parts[:begin]:
        taken = set(await taken_between(first, last))
        free = [number for number in range(first, last + 1) if number not in taken]
        if free:
            return secrets.choice(free)
    return None


def _parts(spans: Iterable[Span]) -> Iterator[Span]:
    for first, last in spans:
        for start in range(first, last + 1, _PART):
            yield start, min(start + _PART - 1, last)


def nth(spans: Sequence[Span], position: int) -> int:
    """The number at `position`, counted through all spans from 0."""
    for first, last in spans:
        size = last - first + 1
        if position < size:
            return first + position
        position -= size
    raise IndexError("past the last span")


def without(span: Span, taken: Iterable[Span]) -> list[Span]:
    """What is left of the span; `taken` are in order and do not overlap."""
    left: list[Span] = []
    first, end = span
    for begin, last in taken:
        if begin > first:
            left.append((first, min(begin - 1, end)))
        first = max(first, last + 1)
    return [*left, (first, end)] if first <= end else left


def holds(spans: Sequence[Span], number: int) -> bool:
    return any(first <= number <= last for first, last in spans)
