"""Taking away everything that one cloud's agent has laid out on a node: for uninstalling, and for tests.

Guests are ended before: what is left of their taps goes with the namespaces.
"""

from __future__ import annotations

from eucapy.drivers.network.base import NetworkDriver
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


def _goes(thing: Thing) -> bool:
    return not isinstance(thing, Setting) and not (isinstance(thing, Link) and thing.kind is LinkKind.TAP)
