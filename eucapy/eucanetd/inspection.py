"""What this node's network shall be, what it is, and what lies between: for `eucapy network`. Changes nothing.

It reads the ledgers and the kernel as the agent does, compiles as the agent does, and stops where the agent would begin to
act: the steps that it would take are the difference. Beside a running agent that is at rest there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from eucapy.drivers.network.base import NetworkDriver
from eucapy.drivers.network.model import Announce, Drop, Observed, Put, Step, Thing
from eucapy.eucanetd import diff
from eucapy.eucanetd.compile.layout import Layout
from eucapy.eucanetd.plan import NODE_ITEM, Desired, Laid, desire, intend, strangers
from eucapy.ledger import Ledger
from eucapy.wire.network import NetworkSpec

SIGNS = {Put: "+", Drop: "-", Announce: "!"}


@dataclass(frozen=True)
class Inspection:
    """One look. `steps` by item: what the agent would do now; `namespaces` of the VPCs' items."""

    generation: int
    desired: Desired
    observed: Observed
    steps: Mapping[str, list[Step]]
    namespaces: Mapping[str, str]
    strangers: tuple[str, ...]
    interfaces: Mapping[str, str]
    """By tap."""

    def plan(self, item: str) -> list[str]:
        """The things of an item, a line each, sorted."""
        return sorted(line(thing) for thing in self.desired.items.get(item, frozenset()))

    def changes(self, item: str) -> list[str]:
        """What is to be done for an item, in order: `+` put, `-` drop, `!` announce."""
        return [f"{SIGNS[type(step)]} {line(step.thing)}" for step in self.steps.get(item, [])]


async def inspect(data: Path, driver: NetworkDriver, layout: Layout) -> Inspection:
    """`data` is the folder of the agent's ledgers. Raises LedgerDamaged, OSError."""
    spec = Ledger(data / "spec.json", NetworkSpec).read() or NetworkSpec(generation=0, node="")
    laid = Ledger(data / "laid.json", Laid).read() or Laid()
    observed = await driver.observe()
    mtu = observed.mtus.get(layout.underlay, 0) if layout.underlay else 0
    layout = replace(layout, underlay_mtu=mtu) if mtu else layout
    intent = intend(spec, laid, observed, layout)
    desired = desire(intent, observed, layout)
    places = {item: layout.namespace(item) for item in desired.items if item != NODE_ITEM}
    return Inspection(
        generation=spec.generation,
        desired=desired,
        observed=observed,
        steps=diff.plan(desired, observed, places),
        namespaces=places,
        strangers=strangers(intent, observed, layout),
        interfaces={port.tap: port.interface_id for port in intent.laid.ports.values()},
    )


def line(thing: Thing) -> str:
    """The thing in a line: its key, then what of it is neither key nor text for another program."""
    key = thing.key if isinstance(thing.key, tuple) else (thing.key,)
    kind, _, *rest = (str(part) for part in key if part != 0)
    shown = {
        name: getattr(thing, name)
        for name, spec in type(thing).__dataclass_fields__.items()
        if name not in ("namespace", "published") and spec.compare and str(getattr(thing, name)) not in rest
    }
    more = " ".join(f"{name}={value}" for name, value in shown.items() if value not in ("", 0, None))
    return " ".join(part for part in (kind, *rest, more) if part)
