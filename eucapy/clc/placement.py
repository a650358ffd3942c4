"""Placement: which node takes an instance. Pure; `reconcilers/placement.py` feeds it and writes the answer down.

An instance goes to the host of its zone and architecture with the most free memory, so that load spreads; among equals
to one that has the image already. Memory is never given out twice; processors are, `overcommit` times. The same
functions answer RunInstances whether there is room before it promises anything.

A placement group says more (EC2 User Guide, "Placement strategies"). A host is what EC2 calls a rack: it has its own power
and network.

    spread      no two members on one host, at most seven in a zone
    partition   no host has members of two partitions; a partition grows on the hosts that it has first
    cluster     where most of its members are already, as close together as there is room
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

CLUSTER, SPREAD, PARTITION = "cluster", "spread", "partition"
SPREAD_PER_ZONE = 7
"""Running members of a spread group in a zone."""


@dataclass(frozen=True)
class Group:
    """The placement group that an instance is in; `partition` is 0 but in a partition group."""

    id: str
    strategy: str
    partition: int = 0


@dataclass(frozen=True)
class Members:
    """What a host has of a group: how many instances, and of which partition."""

    count: int
    partition: int = 0


@dataclass(frozen=True)
class Demand:
    """What one instance asks for."""

    zone: str
    vcpus: int
    memory_mib: int
    architecture: str = "x86_64"
    image_id: str = ""
    group: Group | None = None


@dataclass(frozen=True)
class Room:
    """What is free on a host."""

    host: str
    zone: str
    vcpus: float
    memory_mib: int
    architecture: str = "x86_64"
    cached_images: frozenset[str] = frozenset()
    members: Mapping[str, Members] = field(default_factory=dict)
    """By the id of the group."""

    def fits(self, demand: Demand) -> bool:
        return (
            demand.zone == self.zone
            and demand.architecture in runs(self.architecture)
            and demand.memory_mib <= self.memory_mib
            and demand.vcpus <= self.vcpus
            and self._allows(demand.group)
        )

    def without(self, demand: Demand) -> Room:
        """What is left when the demand is met here."""
        left = replace(self, vcpus=self.vcpus - demand.vcpus, memory_mib=self.memory_mib - demand.memory_mib)
        if demand.group is None:
            return left
        members = Members(self.of(demand.group) + 1, demand.group.partition)
        return replace(left, members={**self.members, demand.group.id: members})

    def of(self, group: Group | None) -> int:
        """How many of the group are here."""
        held = self.members.get(group.id) if group is not None else None
        return held.count if held is not None else 0

    def _allows(self, group: Group | None) -> bool:
        held = self.members.get(group.id) if group is not None else None
        if group is None or held is None or group.strategy == CLUSTER:
            return True
        return group.strategy == PARTITION and held.partition == group.partition


def runs(architecture: str) -> frozenset[str]:
    """The guests' architectures that a host of this one runs."""
    return frozenset({"x86_64", "i386"}) if architecture == "x86_64" else frozenset({architecture})


def choose(demand: Demand, rooms: Iterable[Room]) -> Room | None:
    """The host for one instance, or None when it fits nowhere."""
    if demand.group is not None and demand.group.strategy == SPREAD:
        rooms = list(rooms)
        if sum(room.of(demand.group) for room in rooms if room.zone == demand.zone) >= SPREAD_PER_ZONE:
            return None
    return min(
        (room for room in rooms if room.fits(demand)),
        key=lambda room: (
            -room.of(demand.group),
            -room.memory_mib,
            demand.image_id not in room.cached_images,
            -room.vcpus,
            room.host,
        ),
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


def how_many(wanted: Sequence[Demand], rooms: Sequence[Room], before: Iterable[Demand] = ()) -> int:
    """How many of the wanted, the first of them, fit once those `before` them are placed."""
    queue: dict[str, Demand] = {f"before {n}": earlier for n, earlier in enumerate(before)}
    queue.update((f"new {n}", demand) for n, demand in enumerate(wanted))
    placed = place(queue, rooms)
    return next((n for n in range(len(wanted)) if f"new {n}" not in placed), len(wanted))


def partitions(count: int, most: int, held: Mapping[int, int]) -> list[int]:
    """The partitions, of `count`, for `most` instances that name none, so that all have about as many: `held` says how
    many each has already."""
    fill = {number: held.get(number, 0) for number in range(1, count + 1)}
    chosen: list[int] = []
    for _ in range(most):
        emptiest = min(fill, key=lambda number: (fill[number], number))
        fill[emptiest] += 1
        chosen.append(emptiest)
    return chosen
