"""A lifecycle is a table: states with AWS's codes and names, and the edges between them, each with its event.

    VOLUME = Lifecycle(
        "volume",
        states=(State("creating"), State("available"), State("in-use"), State("deleting"), State("deleted", end=True)),
        edges=(Edge("creating", "made", "available"), ...),
    )

Nobody writes a state but `store.advance(tx, LIFECYCLE, seen, event)`, which moves along an edge by compare-and-set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class State:
    """A state: its name in the API, its code where EC2 has one, how long it may last, and what it means."""

    name: str
    code: int | None = None
    end: bool = False
    """Nothing leaves it; the row is removed some time later."""
    deadline_s: float | None = None
    """A resource longer in this state gets the event `deadline`."""
    about: str = ""


@dataclass(frozen=True)
class Edge:
    """From `source`, on `event`, to `target`."""

    source: str
    event: str
    target: str


class NoSuchEdge(Exception):
    """The event means nothing in that state."""


class Lifecycle:
    """The states and edges of one resource; proven whole when it is made."""

    def __init__(self, resource: str, states: Iterable[State], edges: Iterable[Edge], start: str) -> None:
        self.resource = resource
        self.states: dict[str, State] = {state.name: state for state in states}
        self.edges: tuple[Edge, ...] = tuple(edges)
        self.start = start
        self._next: dict[tuple[str, str], str] = {}
        for edge in self.edges:
            for name in (edge.source, edge.target):
                if name not in self.states:
                    raise ValueError(f"{resource}: the edge {edge} names an unknown state {name!r}")
            if (edge.source, edge.event) in self._next:
                raise ValueError(f"{resource}: two edges leave {edge.source!r} on {edge.event!r}")
            if self.states[edge.source].end:
                raise ValueError(f"{resource}: {edge.source!r} is an end, yet {edge} leaves it")
            self._next[edge.source, edge.event] = edge.target
        if start not in self.states:
            raise ValueError(f"{resource}: unknown start {start!r}")
        unreachable = set(self.states) - self._reachable()
        if unreachable:
            raise ValueError(f"{resource}: nothing leads to {sorted(unreachable)}")

    def target(self, state: str, event: str) -> str | None:
        """Where `event` leads from `state`; None when it means nothing there."""
        return self._next.get((state, event))

    def code(self, state: str) -> int:
        """EC2's numeric code of a state."""
        code = self.states[state].code
        if code is None:
            raise ValueError(f"{self.resource}: the state {state!r} has no code")
        return code

    def sources(self, event: str) -> list[str]:
        """The states in which `event` means something."""
        return [source for source, name in self._next if name == event]

    @property
    def events(self) -> list[str]:
        return sorted({edge.event for edge in self.edges})

    def diagram(self) -> str:
        """The lifecycle as a Mermaid state diagram."""
        lines = ["stateDiagram-v2", f"    [*] --> {_node(self.start)}"]
        lines += [f"    {_node(e.source)} --> {_node(e.target)}: {e.event}" for e in self.edges]
        lines += [f"    {_node(state.name)} --> [*]" for state in self.states.values() if state.end]
        return "\n".join(lines)

    def _reachable(self) -> set[str]:
        seen, todo = {self.start}, [self.start]
        while todo:
            here = todo.pop()
            for edge in self.edges:
                if edge.source == here and edge.target not in seen:
                    seen.add(edge.target)
                    todo.append(edge.target)
        return seen


def _node(name: str) -> str:
    return name.replace("-", "_")
