"""From what is there to what shall be: the steps, by item. Pure.

For each key: put what is not as desired; drop what is ours and not desired. Rules come first, so that nothing that is
plugged, moved or removed afterwards meets the old ones; then what goes, then what comes. What is as desired is not touched
at all. Doing the steps and looking again gives no steps: `plan(desired, apply(plan(desired, seen), seen)) == {}`.

Things in the node's namespace that nobody desires any more belong to the node's item, since nothing on them says whose
they were. What lies in a namespace that no item claims is left alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from eucapy.drivers.network.model import (
    NODE,
    ORDER,
    Announce,
    Drop,
    Link,
    LinkKind,
    Namespace,
    Observed,
    PublicAddress,
    Put,
    Ruleset,
    Setting,
    Step,
    Thing,
)
from eucapy.eucanetd.plan import NODE_ITEM, Desired

_RANK = {kind: rank for rank, kind in enumerate(ORDER)}
_RULES_STAND = _RANK[Ruleset]


def plan(desired: Desired, observed: Observed, places: Mapping[str, str]) -> dict[str, list[Step]]:
    """The steps of each item that needs any. `places` has the namespace of each VPC's item."""
    seen: dict[Hashable, Thing] = {thing.key: thing for thing in observed.things}
    wanted: set[Hashable] = {thing.key for things in desired.items.values() for thing in things}
    by_place: dict[str, list[Thing]] = {}
    for thing in observed.things:
        by_place.setdefault(thing.namespace, []).append(thing)
    steps: dict[str, list[Step]] = {}
    for item, things in desired.items.items():
        puts = [thing for thing in things if seen.get(thing.key) != thing]
        place = NODE if item == NODE_ITEM else places[item]
        # While some VPC cannot be compiled, what it has in the node's namespace is not known to be unwanted.
        blind = item == NODE_ITEM and bool(desired.faults)
        drops = [] if blind else [t for t in by_place.get(place, []) if t.key not in wanted and _ours(t)]
        found = _ordered(puts, drops, seen)
        if found:
            steps[item] = found
    return steps


def _ours(thing: Thing) -> bool:
    """A guest's tap goes with its guest; a kernel setting may be someone else's wish too."""
    return not isinstance(thing, Setting) and not (isinstance(thing, Link) and thing.kind is LinkKind.TAP)


def _ordered(puts: list[Thing], drops: list[Thing], seen: Mapping[Hashable, Thing]) -> list[Step]:
    steps: list[Step] = []
    puts.sort(key=_place_in_order)
    drops.sort(key=_place_in_order, reverse=True)
    early = [thing for thing in puts if _RANK[type(thing)] <= _RULES_STAND]
    steps += [Put(thing) for thing in early]
    steps += [Drop(thing) for thing in drops if not isinstance(thing, Namespace)]
    for thing in puts[len(early) :]:
        steps.append(Put(thing))
        if isinstance(thing, PublicAddress) and thing.key not in seen:
            steps.append(Announce(thing))
    steps += [Drop(thing) for thing in drops if isinstance(thing, Namespace)]
    return steps


def _place_in_order(thing: Thing) -> tuple[int, str]:
    # A pair is made in the VPC's namespace before its far end can be set; unreachable routes stand before open ones.
    return _RANK[type(thing)], ("1" if thing.namespace == NODE else "0") + repr(thing.key)
