"""The result as a picture: a bar for each server and row, how far from the target on a logarithmic scale. Plain SVG.

Right of the line is better than what is asked, left of it is worse. Rows without a target are not drawn.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from benchmarks.report import number
from benchmarks.rows import ROWS, Row

COLOURS = ("#1f6feb", "#c9851a", "#7d8590", "#8250df")
LEFT, WIDTH, BAR, GAP, TOP = 380, 520, 12, 14, 56
DECADES = 2.0
"""What each half of the scale spans; what is further is cut there."""


def svg(lines: Sequence[Mapping[str, Any]], servers: Sequence[str]) -> str:
    """The picture."""
    rows = [row for service in ROWS.values() for row in service if row.target is not None]
    rows = [row for row in rows if any(row.values(lines, name) for name in servers)]
    each = len(servers) * BAR + GAP
    height = TOP + len(rows) * each + 30
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 120} {height}" '
        f'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="100%" height="{height}" fill="#ffffff"/>',
        *_legend(servers),
        *_scale(height),
    ]
    for index, row in enumerate(rows):
        out += _group(row, lines, servers, TOP + index * each)
    return "\n".join([*out, "</svg>"]) + "\n"


def _legend(servers: Sequence[str]) -> list[str]:
    out = []
    for index, name in enumerate(servers):
        x = LEFT + index * 110
        out.append(f'<rect x="{x}" y="10" width="12" height="12" fill="{COLOURS[index % len(COLOURS)]}"/>')
        out.append(f'<text x="{x + 18}" y="20">{escape(name)}</text>')
    return out


def _scale(height: int) -> list[str]:
    out = []
    for power in range(-int(DECADES), int(DECADES) + 1):
        x = _x(10.0**power)
        colour = "#1a7f37" if power == 0 else "#d0d7de"
        said = "to reach" if power == 0 else f"{10**power} × better" if power > 0 else f"{10**-power} × worse"
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 20}" stroke="{colour}"/>')
        out.append(f'<text x="{x:.1f}" y="{TOP - 14}" text-anchor="middle" fill="#57606a">{said}</text>')
    return out


def _group(row: Row, lines: Sequence[Mapping[str, Any]], servers: Sequence[str], y: int) -> list[str]:
    middle = y + len(servers) * BAR / 2 + 4
    out = [f'<text x="{LEFT - 12}" y="{middle:.0f}" text-anchor="end">{escape(row.title)}, {row.unit}</text>']
    assert row.target is not None
    for index, name in enumerate(servers):
        values = row.values(lines, name)
        if not values:
            continue
        value = statistics.median(values)
        better = (value / row.target if row.more else row.target / value) if value else 10.0**DECADES
        start, end = sorted((_x(1.0), _x(better)))
        top = y + index * BAR
        colour = COLOURS[index % len(COLOURS)]
        out.append(
            f'<rect x="{start:.1f}" y="{top}" width="{max(end - start, 1):.1f}" height="{BAR - 2}" fill="{colour}"/>'
        )
        out.append(f'<text x="{LEFT + WIDTH + 8}" y="{top + BAR - 2}" fill="{colour}">{number(value)}</text>')
    return out


def _x(better: float) -> float:
    power = max(-DECADES, min(DECADES, math.log10(better)))
    return LEFT + WIDTH * (power + DECADES) / (2 * DECADES)
