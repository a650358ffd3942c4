"""How much room there is, from the rows: placement's question, asked by the API before it promises and by the loop.

A registered node that has never reported is unknown, not empty: while a zone has one, a launch there is accepted, and
placement decides when it reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy.clc.config import Config
from eucapy.clc.placement import Demand, Room, how_many
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
    )


def rooms(usable: Sequence[Row], loads: Mapping[str, Load], config: Config) -> list[Room]:
    """What is free on the usable hosts (rows of `hosts`)."""
    found: list[Room] = []
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
            )
        )
    return found


async def how_many_fit(tx: Tx, config: Config, demand: Demand, most: int, node: str = "") -> int:
    """How many instances like this, up to `most`, the demand's zone has room for after those that wait already. `node`
    is where an instance that has its disk there must go."""
    usable = [host for host in await hosts.usable(tx) if host.zone == demand.zone and node in ("", host.name)]
    if not node and await _has_unknown_nodes(tx, demand.zone):
        return most
    free = rooms(usable, await instances.loads(tx), config)
    waiting = [demand_of(row) for row in await instances.waiting(tx, demand.zone)]
    return how_many(demand, most, free, waiting)


async def _has_unknown_nodes(tx: Tx, zone: str) -> bool:
    """The zone has a node that is registered, and has said neither what it has nor that it is away."""
    known = await hosts.of_zone(tx, zone)
    heard = {name for name, row in known.items() if row.memory_mib > 0 or not row.reachable or row.fault_code}
    return any(row.enabled and row.name not in heard for row in await components.of_kind(tx, "nc", zone))
