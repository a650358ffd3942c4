"""What `call` promises its caller whatever libvirt does; asked without a daemon."""

from __future__ import annotations

import asyncio
import threading

import pytest

from eucapy.drivers.hypervisor.base import HypervisorUnavailable

pytest.importorskip("libvirt", reason="libvirt's Python binding is not installed")

from eucapy.drivers.hypervisor.libvirt_connection import Connection


class AnythingGoes(Connection):
    """Its libvirt is a word."""

    def _open(self) -> str:
        return "open"


async def test_a_caller_who_is_cancelled_as_the_answer_comes_is_cancelled() -> None:
    before = set(threading.enumerate())
    caller = asyncio.create_task(AnythingGoes("test:///").call(str.upper))
    await asyncio.sleep(0)  # the caller waits now
    for thread in set(threading.enumerate()) - before:
        thread.join()  # the answer is in the loop's queue, and the cancellation right behind it
    asyncio.get_running_loop().call_soon(caller.cancel)
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_an_answer_that_does_not_come_is_given_up() -> None:
    release = threading.Event()
    connection = AnythingGoes("test:///", limit_s=0.01)
    try:
        with pytest.raises(HypervisorUnavailable, match="no answer within"):
            await connection.call(lambda _: release.wait())
    finally:
        release.set()
