"""What commands print: JSON for programs, plain aligned columns for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def as_json(value: Any) -> None:
    """The answer, indented, on stdout."""
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


def rows(answer: Any, *, key: str, json_wanted: bool) -> None:
    """A listing: the list itself, or the one under `key`; as a table unless JSON is wanted."""
    listed = answer.get(key, []) if isinstance(answer, Mapping) else answer
    if json_wanted:
        as_json(listed)
    else:
        print(table(listed))


def table(items: Sequence[Mapping[str, Any]]) -> str:
    """Columns in the order in which the members first appear; nested values as compact JSON."""
    if not items:
        return "none"
    names = list(dict.fromkeys(name for item in items for name in item))
    cells = [[name.replace("_", " ") for name in names]]
    cells += [[_cell(item.get(name)) for name in names] for item in items]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | dict):
        return json.dumps(value, separators=(",", ":"))
    return str(value)
