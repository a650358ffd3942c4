"""Taking away everything that one cloud's agent has laid out on a node: for uninstalling, and for tests.

Guests are ended before: what is left of their taps goes with the namespaces.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eucapy.drivers.network.base import NetworkDriver
from eucapy.drivers.network.loader import load
from eucapy.drivers.network.model import ORDER, Drop, Link, LinkKind, Namespace, Setting, Thing


async def remove_everything(driver: NetworkDriver) -> int:
    """Drop all things that the driver calls its own; returns how many namespaces went. Raises StepFailed.

    Kernel settings stay as they are: who else relies on them cannot be known. A place that cannot be read goes too.
    """
    observed = await driver.observe()
    rank = {kind: number for number, kind in enumerate(ORDER)}
    things: list[Thing] = sorted((t for t in observed.things if _goes(t)), key=lambda t: rank[type(t)], reverse=True)
    things += [Namespace(namespace=name) for name in observed.broken]
    await driver.apply([Drop(thing) for thing in things])
    return sum(isinstance(thing, Namespace) for thing in things)


def remove_now(prefix: str, folder: Path) -> int:
    """`remove_everything` of the cloud with this prefix in the namespace that we are in, for callers without a driver or
    an event loop. `folder` is that of the resolvers' files. Raises StepFailed, OSError."""

    async def remove() -> int:
        driver = load("linux", prefix=prefix, folder=folder)
        try:
            return await remove_everything(driver)
        finally:
            await driver.close()

    with ThreadPoolExecutor(max_workers=1) as worker:  # the caller's thread may have a loop of its own
        return worker.submit(asyncio.run, remove()).result()


def _goes(thing: Thing) -> bool:
    return not isinstance(thing, Setting) and not (isinstance(thing, Link) and thing.kind is LinkKind.TAP)
