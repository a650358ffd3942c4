"""How a builder tells what it is doing: a callable that takes one line meant for the person who waits."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]


def silent(_line: str) -> None:
    """The progress of those who do not watch."""
