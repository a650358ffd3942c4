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
                memory_mib=host.memory_mib - config.memory_reserve_mib - load.memory_mib,
                architecture=host.architecture,
                cached_images=frozenset(host.cached_images),
            )
        )
    return found


async def how_many_fit(tx: Tx, config: Config, demand: Demand, most: int) -> int:
    """How many instances like this, up to `most`, the demand's zone has room for after those that wait already."""
    usable = await hosts.usable(tx)
    registered = {row.name for row in await components.of_kind(tx, "nc", demand.zone) if row.enabled}
    if registered - set(await hosts.of_zone(tx, demand.zone)):
        return most
    here = [host for host in usable if host.zone == demand.zone]
    free = rooms(here, await instances.loads(tx), config)
    waiting = [demand_of(row) for row in await instances.unplaced(tx) if row.zone == demand.zone]
    return how_many(demand, most, free, waiting)
