"""Crash points: the process dies before or after the n-th thing that it does to the outside world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eucapy.drivers.block import daemons, layers, records
from eucapy.drivers.block.qmp import Qmp


class Crash(BaseException):
    """The process dies here."""


class CrashPoint:
    """Counts everything that changes the outside world, and dies before or after the n-th."""

    def __init__(self) -> None:
        self.count = 0
        self.at: int | None = None
        self.after = False

    def arm(self, at: int, after: bool) -> None:
        self.count, self.at, self.after = 0, at, after

    def disarm(self) -> None:
        self.at = None

    def __call__(self, act: Callable[[], Any]) -> Any:
        mine, self.count = self.count, self.count + 1
        if mine == self.at and not self.after:
            raise Crash
        result = act()
        if mine == self.at:
            raise Crash
        return result

    async def wait(self, act: Callable[[], Any]) -> Any:
        mine, self.count = self.count, self.count + 1
        if mine == self.at and not self.after:
            raise Crash
        result = await act()
        if mine == self.at:
            raise Crash
        return result


@pytest.fixture
def crash(monkeypatch: pytest.MonkeyPatch) -> Iterator[CrashPoint]:
    point = CrashPoint()

    def around(owner: Any, name: str) -> None:
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, **named: point(lambda: real(*given, **named)))

    def around_waiting(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        async def wrapped(*given: Any, **named: Any) -> Any:
            return await point.wait(lambda: real(*given, **named))

        monkeypatch.setattr(owner, name, wrapped)

    around(records.Records, "put")
    around(records.Records, "remove")
    around(layers.Layers, "_publish")
    around(layers.Layers, "collect")
    around_waiting(layers, "run")
    around_waiting(daemons, "daemonized")
    around_waiting(Qmp, "__call__")
    yield point
    point.disarm()
