"""The result as Markdown: one table a service, medians with the best round in brackets, and how many times better."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.rows import ROWS, Row

OURS = "eucapy"
TIE = 1.5
"""Less than this is within the noise of a shared machine."""


def markdown(lines: Sequence[Mapping[str, Any]], servers: Sequence[str], facts: Mapping[str, str]) -> str:
    """The report. `facts` stand above the tables."""
    out = ["# Benchmarks", ""]
    out += [f"* {name}: {value}" for name, value in facts.items()]
    for service, rows in ROWS.items():
        if any(line["service"] == service for line in lines):
            out += ["", f"## {service.upper()}", "", *_table(rows, lines, servers)]
    failed = [line for line in lines if line.get("error")]
    if failed:
        out += ["", "## What failed", ""]
        out += [f"* {line['label']} {line['test']}: {line['error']}" for line in failed]
    return "\n".join(out) + "\n"


def _table(rows: Sequence[Row], lines: Sequence[Mapping[str, Any]], servers: Sequence[str]) -> list[str]:
    others = [name for name in servers if name != OURS]
    head = ["", *servers, *(f"× {name}" for name in others if OURS in servers), "to reach", ""]
    out = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        found = {name: row.values(lines, name) for name in servers}
        if not any(found.values()):
            continue
        cells = [f"{row.title}, {row.unit}", *(_figure(row, found[name]) for name in servers)]
        if OURS in servers:
            cells += [_ratio(row, found[OURS], found[name]) for name in others]
        cells.append("" if row.target is None else f"{'≥' if row.more else '≤'} {number(row.target)}")
        ours = found.get(OURS, [])
        cells.append("" if row.target is None or not ours else "reached" if row.reached(ours) else "**missed**")
        out.append(f"| {' | '.join(cells)} |")
    return out


def _figure(row: Row, values: list[float]) -> str:
    if not values:
        return "–"
    middle, best = statistics.median(values), row.best(values)
    return number(middle) if len(values) == 1 else f"{number(middle)} ({number(best)})"


def _ratio(row: Row, ours: list[float], theirs: list[float]) -> str:
    if not ours or not theirs:
        return "–"
    times = row.times_better(ours, theirs)
    if 1 / TIE < times < TIE:
        return "tie"
    return f"{number(times)}" if times >= 1 else f"1/{number(1 / times)}"


def number(value: float) -> str:
    """Three figures that mean something: 1,234 · 12.3 · 0.12."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
