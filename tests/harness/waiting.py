"""Waiting for a condition, with a limit; the only reason for a test to sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], T], limit_s: float = 20.0, every_s: float = 0.01) -> T:
    """What `condition` returns as soon as it is true. Raises TimeoutError."""
    async with asyncio.timeout(limit_s):
        while not (found := condition()):  # noqa: ASYNC110
            await asyncio.sleep(every_s)
    return found


def wait_until(condition: Callable[[], T], limit_s: float = 60.0, every_s: float = 0.1) -> T:
    """`until` for tests without an event loop."""
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {limit_s:g} s")
        time.sleep(every_s)
    return found


def pause(seconds: float = 0.2) -> None:
    """A moment for a program that was killed to come back, or a random one at which something is to happen."""
    time.sleep(seconds)
