"""Loops give way to requests, but not for ever."""

from __future__ import annotations

import asyncio
import time

import pytest

from eucapy.reconcile import loop as loops
from eucapy.reconcile.loop import Loop
from eucapy.reconcile.traffic import FEW, QUIET_S, STEP_LULL_S, Traffic


class Time:
    """A clock that moves while somebody sleeps; a request is answered every `every_s` until `ends`."""

    def __init__(self, every_s: float, ends: float) -> None:
        self.now = 0.0
        self.traffic = Traffic(lambda: self.now, self.sleep)
        self._every_s, self._ends = every_s, ends
        self.traffic.served()

    async def sleep(self, seconds: float) -> None:
        target = self.now + seconds
        while self.now < target:
            self.now = min(target, self.now + self._every_s)
            if self.now < self._ends:
                self.traffic.served()


async def test_in_quiet_times_nobody_waits() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await Traffic(time.monotonic, sleep).lull(1.0)
    assert slept == []


async def test_a_loop_goes_on_when_the_requests_end() -> None:
    world = Time(every_s=0.01, ends=0.3)
    await world.traffic.lull(5.0)
    assert 0.3 <= world.now <= 0.3 + QUIET_S + 0.01


async def test_requests_without_end_hold_a_loop_for_its_limit_and_no_longer() -> None:
    world = Time(every_s=0.01, ends=float("inf"))
    await world.traffic.lull(1.0)
    assert world.now == pytest.approx(1.0)


async def test_a_loop_runs_under_traffic_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    traffic = Traffic()
    monkeypatch.setattr(loops, "TRAFFIC", traffic)
    done = asyncio.Event()

    async def activation() -> bool:
        if loop.activations >= 3:
            done.set()
        loop.wake()
        return True

    loop = Loop("busy", activation)
    loop.start()
    try:
        async with asyncio.timeout(20):
            while not done.is_set():
                traffic.served()
                await asyncio.sleep(0)
    finally:
        await loop.stop()


async def test_of_many_items_one_takes_its_step_in_a_turn_of_the_event_loop() -> None:
    traffic = Traffic()
    done: list[int] = []

    async def item(number: int) -> None:
        for _step in range(2):
            await traffic.give_way()
            done.append(number)

    items = [asyncio.create_task(item(number)) for number in range(50)]
    most, before = 0, 0
    while not all(task.done() for task in items):
        await asyncio.sleep(0)
        most, before = max(most, len(done) - before), len(done)
    assert most == 1
    assert done == [*range(50), *range(50)], "an item took its second step before another one its first"


async def test_an_item_that_gives_up_waiting_lets_the_next_one_pass() -> None:
    traffic = Traffic()
    first, second = (asyncio.create_task(traffic.give_way()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    async with asyncio.timeout(5):
        await second


async def test_many_items_go_on_under_traffic_that_never_ends() -> None:
    world = Time(every_s=0.001, ends=float("inf"))
    await asyncio.gather(*(world.traffic.give_way() for _item in range(FEW + 10)))
    assert world.now == pytest.approx(10 * STEP_LULL_S)


async def test_few_items_wait_for_no_request() -> None:
    world = Time(every_s=0.001, ends=float("inf"))
    await asyncio.gather(*(world.traffic.give_way() for _item in range(FEW)))
    assert world.now == 0.0
