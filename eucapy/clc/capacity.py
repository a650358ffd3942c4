"""How much room there is, from the rows: placement's question, asked by the API before it promises and by the loop.

A registered node that has never reported is unknown, not empty: while a zone has one, a launch there is accepted, and
placement decides when it reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eucapy.clc.config import Config
from eucapy.clc.instance_types import InstanceType
from eucapy.clc.placement import Demand, Group, Members, Room, how_many, runs
from eucapy.clc.store import components, hosts, instances
from eucapy.clc.store.instances import Load
from eucapy.database import Row, Tx


def demand_of(row: Any) -> Demand:
    """What an instance's row asks for."""
    return Demand(
        zone=row.zone,
        vcpus=row.vcpus,
        memory_mib=row.memory_mib,
        architecture=row.architecture,
        image_id=row.image_id,
        group=group_of(row),
    )


def group_of(row: Any) -> Group | None:
    """The placement group that an instance's row names."""
    if not row.placement_group_id:
        return None
    return Group(row.placement_group_id, row.placement_strategy, row.placement_partition)


def rooms(usable: Sequence[Row], loads: Mapping[str, Load], config: Config, grouped: Iterable[Row] = ()) -> list[Room]:
    """What is free on the usable hosts (rows of `hosts`); `grouped` are the rows of `instances.grouped`."""
    found: list[Room] = []
    members: dict[str, dict[str, Members]] = {}
    for row in grouped:
        members.setdefault(row.node, {})[row.placement_group_id] = Members(row.members, row.placement_partition)
    for host in usable:
        load = loads.get(host.name, Load())
        found.append(
            Room(
                host=host.name,
                zone=host.zone,
                vcpus=host.cpus * config.cpu_overcommit - load.vcpus,
                memory_mib=host.memory_mib - load.memory_mib,
                architecture=host.architecture,
                cached_images=frozenset(host.cached_images),
                members=members.get(host.name, {}),
            )
        )
    return found


async def how_many_fit(tx: Tx, config: Config, wanted: Sequence[Demand], node: str = "") -> int:
    """How many of the wanted, the first of them, their one zone has room for after those that wait already. `node` is
    where an instance that has its disk there must go."""
    zone = wanted[0].zone
    usable = [host for host in await hosts.usable(tx) if host.zone == zone and node in ("", host.name)]
    if not node and await _has_unknown_nodes(tx, zone):
        return len(wanted)
    free = rooms(usable, await instances.loads(tx), config, await instances.grouped(tx))
    waiting = [demand_of(row) for row in await instances.waiting(tx, zone)]
    return how_many(wanted, free, waiting)


async def by_zone(tx: Tx, config: Config, kinds: Iterable[InstanceType]) -> dict[str, dict[str, tuple[int, int]]]:
    """By type and zone: for how many instances there is room now, and for how many there would be with nothing else there."""
    usable = await hosts.usable(tx)
    free, whole = rooms(usable, await instances.loads(tx), config), rooms(usable, {}, config)
    return {
        kind.name: {zone: (_takes(free, zone, kind), _takes(whole, zone, kind)) for zone in config.zones}
        for kind in kinds
    }


def _takes(among: Iterable[Room], zone: str, kind: InstanceType) -> int:
    return sum(
        max(0, min(int(room.vcpus // kind.vcpus), room.memory_mib // kind.memory_mib))
        for room in among
        if room.zone == zone and not runs(room.architecture).isdisjoint(kind.family.architectures)
    )


async def _has_unknown_nodes(tx: Tx, zone: str) -> bool:
    """The zone has a node that is registered, and has said neither what it has nor that it is away."""
    known = await hosts.of_zone(tx, zone)
    heard = {name for name, row in known.items() if row.memory_mib > 0 or not row.reachable or row.fault_code}
    return any(row.enabled and row.name not in heard for row in await components.of_kind(tx, "nc", zone))
