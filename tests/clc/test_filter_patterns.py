"""Wildcards of filters, where answers are not rows: EC2's meaning, and no pattern that keeps the process."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from eucapy.clc.store import filters


def plainly(value: str, text: str) -> bool:
    """By the definition: a star is any run of characters, a question mark any one."""
    if not value:
        return not text
    if value[0] == "*":
        return any(plainly(value[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and value[0] in ("?", text[0]) and plainly(value[1:], text[1:])


@given(st.text("ab*?", max_size=8), st.text("ab\n", max_size=8))
@example("*a*ab", "aab")
@example("a*a", "a")
@example("**", "")
def test_a_pattern_means_what_it_says(value: str, text: str) -> None:
    assert (filters.pattern(value).fullmatch(text) is not None) == plainly(value, text)


def test_an_escaped_wildcard_is_a_character() -> None:
    pattern = filters.pattern(r"a\*\?\\")
    assert pattern.fullmatch("a*?\\") and not pattern.fullmatch("ab?\\")


def test_no_number_of_stars_keeps_the_process() -> None:
    """Tried at every place, this would take longer than anybody lives."""
    pattern = filters.pattern("*a" * 100 + "*b")
    assert not pattern.fullmatch("a" * 10_000)
    assert pattern.fullmatch("a" * 10_000 + "b")


def test_what_else_is_special_to_expressions_is_not_to_filters() -> None:
    for text in ("a.b", "(a)", "[a]", "a+", "^a$", "a{2}"):
        assert filters.pattern(text).fullmatch(text)
        assert filters.pattern(f"*{re.sub('[*?]', '', text)}*").fullmatch(f"x{text}y")
    assert not filters.pattern("a.b").fullmatch("axb")
