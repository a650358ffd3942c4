"""Policies as they were written: where each statement stands in its text, and the keys of requests that it names. Pure.

`positions` counts lines and columns as IAM's simulator does: from 1, and both ends of a statement are the place *behind* what
was read last: its own closing brace at the end; at the beginning the bracket that opens the list, the statement before it,
or, for a single statement, its own brace. Source: the examples of SimulateCustomPolicy and SimulatePrincipalPolicy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_SPACE = re.compile(r"[\s,:]*")
_VARIABLE = re.compile(r"\$\{([^{},]+)[^{}]*\}")
_decode = json.JSONDecoder().raw_decode
Place = tuple[int, int]
"""(line, column)"""


def positions(text: str) -> list[tuple[Place, Place]]:
    """(beginning, end) of every statement of a policy, in their order. The text is one that parses."""
    found: list[tuple[int, int]] = []
    at = _after(text, 0) + 1
    while text[at := _after(text, at)] != "}":
        name, at = _decode(text, at)
        at = _after(text, at)
        if name != "Statement" or text[at] not in "[{":
            at = _decode(text, at)[1]
        elif text[at] == "{":
            end = _decode(text, at)[1]
            found = [(at + 1, end)]
            at = end
        else:
            found, at = [], at + 1
            while text[begin := _after(text, at)] != "]":
                end = _decode(text, begin)[1]
                found.append((at, end))
                at = end
            at = begin + 1
    return [(_place(text, begin), _place(text, end)) for begin, end in found]


def _after(text: str, at: int) -> int:
    """Where the next token begins."""
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _place(text: str, at: int) -> Place:
    before = text[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1


def keys(texts: Iterable[str]) -> list[str]:
    """The keys that policies name, in conditions and as variables, each once and as it was first written."""
    found: dict[str, str] = {}
    for text in texts:
        for key in _keys(json.loads(text)):
            found.setdefault(key.lower(), key)
    return list(found.values())


def _keys(document: Mapping[str, Any]) -> Iterator[str]:
    statements = document.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        yield from _variables(statement.get("Resource", statement.get("NotResource")))
        for conditions in statement.get("Condition", {}).values():
            for key, values in conditions.items():
                yield key
                yield from _variables(values)


def _variables(values: Any) -> Iterator[str]:
    for value in values if isinstance(values, list) else [values]:
        for found in _VARIABLE.finditer(value if isinstance(value, str) else ""):
            if found.group(1) not in ("*", "?", "$"):
                yield found.group(1).strip()
