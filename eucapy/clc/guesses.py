"""Guesses of short secrets, counted: whoever tries many codes is not listened to for a while.

A six-digit code is no secret from someone who may try as often as they like. What is counted is kept in this process alone
and for minutes only: a refused call leaves nothing in the database.
"""

from __future__ import annotations

from collections import deque

MOST = 10
WITHIN_S = 300.0
MOST_NAMES = 10_000
"""Things that are counted at a time; the one that was tried longest ago goes first."""


class Guesses:
    """Per thing that is guessed at (an MFA device's serial number)."""

    def __init__(self) -> None:
        self._tried: dict[str, deque[float]] = {}

    def may_try(self, name: str, now: float) -> bool:
        """Counts a guess, before it is looked at; False when there were `MOST` within `WITHIN_S` seconds."""
        tried = self._tried.pop(name, None) or deque(maxlen=MOST)
        self._tried[name] = tried
        if len(self._tried) > MOST_NAMES:
            del self._tried[next(iter(self._tried))]
        if len(tried) == MOST and now - tried[0] < WITHIN_S:
            return False
        tried.append(now)
        return True

    def was_right(self, name: str) -> None:
        """Who knows the secret has not guessed."""
        self._tried.pop(name, None)


GUESSES = Guesses()
"""Of this process."""
