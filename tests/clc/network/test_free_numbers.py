"""Free numbers, the public pool as the operator writes it, and the private addresses of a subnet."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eucapy.clc.store.free_numbers import Span, holds, nth, pick
from eucapy.clc.store.private_ips import usable
from eucapy.clc.store.public_ranges import spans


async def picked(wanted: list[Span], taken: set[int]) -> int | None:
    async def is_taken(number: int) -> bool:
        return number in taken

    async def taken_between(first: int, last: int) -> Iterable[int]:
        return {number for number in taken if first <= number <= last}

    return await pick(wanted, is_taken, taken_between)


async def test_numbers_are_picked_until_none_is_left() -> None:
    wanted, taken = [(10, 14), (20, 29), (40, 40)], {22, 99}
    for _ in range(15):
        number = await picked(wanted, taken)
        assert number is not None
        assert number not in taken
        taken.add(number)
    assert await picked(wanted, taken) is None
    assert taken == {*range(10, 15), *range(20, 30), 40, 99}


async def test_the_last_free_number_of_a_large_span_is_found() -> None:
    assert await picked([(0, 4000)], set(range(4001)) - {1777}) == 1777


async def test_no_spans_hold_no_number() -> None:
    assert await picked([], set()) is None


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.data())
def test_every_position_is_a_number_of_the_spans(sizes: list[int], data: st.DataObject) -> None:
    wanted, start = [], 0
    for size in sizes:
        wanted.append((start, start + size - 1))
        start += size + 7
    position = data.draw(st.integers(0, sum(sizes) - 1))
    assert holds(wanted, nth(wanted, position))
    assert len({nth(wanted, each) for each in range(sum(sizes))}) == sum(sizes)


def test_the_pool_is_ranges_and_blocks() -> None:
    first = 3221225985
    assert spans(["192.0.2.1-192.0.2.10"]) == ((first, first + 9),)
    assert spans(["192.0.2.0/30", "192.0.2.7 - 192.0.2.7"]) == ((first - 1, first + 2), (first + 6, first + 6))


@pytest.mark.parametrize(
    "ranges", [["192.0.2.10-192.0.2.1"], ["192.0.2.0/24", "192.0.2.9-192.0.2.9"], ["nonsense"], ["::/64"]]
)
def test_what_is_no_pool(ranges: list[str]) -> None:
    with pytest.raises(ValueError):
        spans(ranges)


def test_five_addresses_of_a_subnet_are_never_given() -> None:
    first, last = usable("192.0.2.0/28")
    assert (first & 0xFF, last & 0xFF, last - first + 1) == (4, 14, 11)
