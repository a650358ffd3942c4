"""Patience per item: a failing item waits longer each time, the others are not kept."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from eucapy.clock import Clock


@dataclass
class _Trouble:
    failures: int = 0
    until: float = 0.0


@dataclass
class Backoff:
    """Exponential with jitter: `first_s`, doubled at each failure, at most `most_s`."""

    clock: Clock
    first_s: float = 0.5
    most_s: float = 60.0
    _items: dict[str, _Trouble] = field(default_factory=dict)

    def ready(self, item: str) -> bool:
        """May the item be tried now?"""
        trouble = self._items.get(item)
        return trouble is None or self.clock.monotonic() >= trouble.until

    def failed(self, item: str) -> float:
        """Note a failure; returns the seconds until the next try."""
        trouble = self._items.setdefault(item, _Trouble())
        trouble.failures += 1
        wait_s: float = min(self.most_s, self.first_s * 2.0 ** min(trouble.failures - 1, 30))
        wait_s *= random.uniform(0.8, 1.2)  # noqa: S311
        trouble.until = self.clock.monotonic() + wait_s
        return wait_s

    def succeeded(self, item: str) -> None:
        self._items.pop(item, None)

    def next_wait_s(self) -> float | None:
        """Seconds until the first waiting item may be tried again; None when none waits."""
        if not self._items:
            return None
        now = self.clock.monotonic()
        return max(0.0, min(trouble.until for trouble in self._items.values()) - now)
