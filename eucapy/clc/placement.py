"""Placement: which node takes an instance. Pure; `reconcilers/placement.py` feeds it and writes the answer down.

An instance goes to the host of its zone and architecture with the most free memory, so that load spreads; among equals
to one that has the image already. Memory is never given out twice; processors are, `overcommit` times. The same
functions answer RunInstances whether there is room before it promises anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Demand:
    """What one instance asks for."""

    zone: str
    vcpus: int
    memory_mib: int
    architecture: str = "x86_64"
    image_id: str = ""


@dataclass(frozen=True)
class Room:
    """What is free on a host."""

    host: str
    zone: str
    vcpus: float
    memory_mib: int
    architecture: str = "x86_64"
    cached_images: frozenset[str] = frozenset()

    def fits(self, demand: Demand) -> bool:
        return (
            demand.zone == self.zone
            and demand.architecture in runs(self.architecture)
            and demand.memory_mib <= self.memory_mib
            and demand.vcpus <= self.vcpus
        )

    def without(self, demand: Demand) -> Room:
        """What is left when the demand is met here."""
        return replace(self, vcpus=self.vcpus - demand.vcpus, memory_mib=self.memory_mib - demand.memory_mib)


def runs(architecture: str) -> frozenset[str]:
    """The guests' architectures that a host of this one runs."""
    return frozenset({"x86_64", "i386"}) if architecture == "x86_64" else frozenset({architecture})


def choose(demand: Demand, rooms: Iterable[Room]) -> Room | None:
    """The host for one instance, or None when it fits nowhere."""
    return min(
        (room for room in rooms if room.fits(demand)),
        key=lambda room: (-room.memory_mib, demand.image_id not in room.cached_images, -room.vcpus, room.host),
        default=None,
    )


def place(demands: Mapping[str, Demand], rooms: Sequence[Room]) -> dict[str, str]:
    """Instance → host, in the order of the demands; those that fit nowhere are absent."""
    free = {room.host: room for room in rooms}
    placed: dict[str, str] = {}
    for instance_id, demand in demands.items():
        room = choose(demand, free.values())
        if room is not None:
            placed[instance_id] = room.host
            free[room.host] = room.without(demand)
    return placed


def how_many(demand: Demand, most: int, rooms: Sequence[Room], before: Iterable[Demand] = ()) -> int:
    """How many instances of one kind, up to `most`, fit once those `before` them are placed."""
    queue: dict[str, Demand] = {f"before {n}": earlier for n, earlier in enumerate(before)}
    queue.update((f"new {n}", demand) for n in range(most))
    return sum(name.startswith("new ") for name in place(queue, rooms))
