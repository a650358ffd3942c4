"""Patterns of policies: wildcards, ARNs by their segments, and policy variables. Pure.

    find = matcher("arn:aws:s3:::home/${aws:username}/*", variables=True, arn=True)
    find("arn:aws:s3:::home/ann/k", {"aws:username": "ann"})        # True

`*` is any number of characters, `?` is one. In an ARN neither leaves its segment, but in the last segment, which has no end;
an ARN with segments missing at its end means any of them. A variable is a text of the request, whose own `*` and `?` are but
characters, as are those written `${*}`, `${?}` and `${$}`; one that the request does not have, nor several values of, makes
the pattern match nothing unless the policy gives a default: `${aws:PrincipalTag/team, 'none'}`.

Matching takes no longer than the text's length times the pattern's, whoever wrote either: what lies between two stars
is searched once, from the left, and never tried again (the atomic groups below).
Source: "IAM JSON policy elements: Resource", "… Variables and tags", IAM guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

Context = Mapping[str, "str | list[str]"]
Matcher = Callable[[str, Context], bool]
Token = tuple[str, str, "str | None"]
"""(TEXT, text, None), (ANY or ONE, "", None) or (VARIABLE, key in lower case, default)."""

TEXT, ANY, ONE, VARIABLE = "text", "*", "?", "variable"
_SEGMENTS = 6
_MOST_KEPT = 64
_PARTS = re.compile(r"\$\{([^{}]*)\}|(\*+)|(\?)")
_WILD = re.compile(r"\*+|\?")


def tokens(pattern: str, *, variables: bool) -> tuple[Token, ...]:
    """The pattern taken apart; without `variables` a `${…}` is text."""
    found: list[Token] = []
    at = 0
    for part in (_PARTS if variables else _WILD).finditer(pattern):
        if part.start() > at:
            found.append((TEXT, pattern[at : part.start()], None))
        at = part.end()
        text = part.group(0)
        if text.startswith("$"):
            found.append(_variable(part.group(1)))
        else:
            found.append((text[0], "", None))
    if at < len(pattern):
        found.append((TEXT, pattern[at:], None))
    return tuple(found)


def _variable(inside: str) -> Token:
    name, comma, default = inside.partition(",")
    name = name.strip()
    if name in ("*", "?", "$"):
        return TEXT, name, None
    return VARIABLE, name.lower(), default.strip().strip("'") if comma else None


def variables_in(pattern: str) -> frozenset[str]:
    """The keys that a pattern's variables ask for, in lower case."""
    if "${" not in pattern:
        return frozenset()
    return frozenset(value for kind, value, _ in tokens(pattern, variables=True) if kind == VARIABLE)


def resolved(parts: tuple[Token, ...], context: Context) -> tuple[Token, ...] | None:
    """The parts with the request's texts for the variables; None: one of them has no value."""
    found: list[Token] = []
    for part in parts:
        if part[0] != VARIABLE:
            found.append(part)
            continue
        value = context.get(part[1])
        if not isinstance(value, str):
            value = part[2]
        if value is None:
            return None
        found.append((TEXT, value, None))
    return tuple(found)


def plain(parts: tuple[Token, ...]) -> str:
    """The parts as one text, in which wildcards are characters."""
    return "".join(text if kind == TEXT else kind for kind, text, _ in parts)


def matcher(pattern: str, *, variables: bool, arn: bool = False) -> Matcher:
    """Whether a text, in the context of a request, is what the pattern says. `arn`: by segments, if it begins with arn:."""
    parts = tokens(pattern, variables=variables)
    arn = arn and pattern.startswith("arn:")
    if any(kind == VARIABLE for kind, _, _ in parts):
        return _filled(parts, arn)
    return _fixed(parts, arn)


def _filled(parts: tuple[Token, ...], arn: bool) -> Matcher:
    """What its values make of the pattern is kept, for as many values as one pattern commonly meets."""
    names = tuple((key, default) for kind, key, default in parts if kind == VARIABLE)
    kept: dict[str | tuple[str, ...], Callable[[str], object]] = {}

    def match(text: str, context: Context) -> bool:
        values = []
        for key, default in names:
            value = context.get(key)
            if not isinstance(value, str):
                value = default
            if value is None:
                return False
            values.append(value)
        name = values[0] if len(values) == 1 else tuple(values)
        found = kept.get(name)
        if found is None:
            if len(kept) >= _MOST_KEPT:
                kept.clear()
            known = resolved(parts, context)
            assert known is not None
            # The segments are those of the pattern: a colon in a value makes no new one.
            found = kept[name] = re.compile(_expression(parts, known, arn)).match
        return found(text) is not None

    return match


def _fixed(parts: tuple[Token, ...], arn: bool) -> Matcher:
    kinds = [kind for kind, _, _ in parts]
    text = "".join(value for _, value, _ in parts)
    complete = not arn or text.count(":") >= _SEGMENTS - 1
    if kinds == [ANY]:
        return lambda actual, context: True
    if complete and ANY not in kinds and ONE not in kinds:
        return lambda actual, context: actual == text
    if complete and kinds == [TEXT, ANY]:
        return lambda actual, context: actual.startswith(text)
    match = re.compile(_expression(parts, parts, arn)).match
    return lambda actual, context: match(actual) is not None


def _expression(parts: tuple[Token, ...], known: tuple[Token, ...], arn: bool) -> str:
    """A regular expression: segment by segment, and in each what lies between two stars as one atomic group."""
    segments: list[list[str]] = [[]]  # each: pieces of an expression, "*" for a star
    for kind, (_, value, _) in zip((kind for kind, _, _ in parts), known, strict=True):
        if kind in (ANY, ONE):
            segments[-1].append(kind)
            continue
        texts = value.split(":", _SEGMENTS - len(segments)) if arn and kind == TEXT else [value]
        segments[-1].append(re.escape(texts[0]))
        segments.extend([re.escape(text)] for text in texts[1:])
    missing = _SEGMENTS - len(segments) if arn else 0
    segments.extend([ANY] for _ in range(missing))
    last = len(segments) - 1
    written = (_segment(each, "[^:]" if at < last else ".") for at, each in enumerate(segments))
    return f"(?s:{':'.join(written)})\\Z"


def _segment(pieces: list[str], one: str) -> str:
    between = [""]
    for piece in pieces:
        if piece == ANY:
            between.append("")
        else:
            between[-1] += one if piece == ONE else piece
    first, rest = between[0], between[1:]
    if not rest:
        return first
    return first + "".join(f"(?>{one}*?{text})" for text in rest[:-1] if text) + f"{one}*{rest[-1]}"


@lru_cache(maxsize=4096)
def _kept(pattern: str) -> Matcher:
    return matcher(pattern, variables=False)


def like(text: str, pattern: str) -> bool:
    """Whether a text is what a pattern of `*` and `?` says; what it was compiled to is kept."""
    return _kept(pattern)(text, {})
