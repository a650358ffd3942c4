"""What a zone's network is compiled from: the interfaces of instances that placement put on nodes, and all that they touch.

Read in one go, for `specs/network.py`. The VPCs are those with a port in the zone; the interfaces are all of these VPCs',
in whatever zone, since each node must know where its neighbours are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from eucapy.clc.store import public_ips, route_tables, security_group_rules, security_groups, subnets, vpcs
from eucapy.clc.store.dhcp_options import dhcp_options
from eucapy.clc.store.instances import table as instances
from eucapy.clc.store.network_interfaces import network_interfaces
from eucapy.clc.store.tags import chunks
from eucapy.database import Row, Tx

_PORT = (
    network_interfaces.c.id,
    network_interfaces.c.instance_id,
    network_interfaces.c.vpc_id,
    network_interfaces.c.subnet_id,
    network_interfaces.c.tap,
    network_interfaces.c.mac,
    network_interfaces.c.private_ip,
    sa.type_coerce(network_interfaces.c.secondary_ips, sa.Text).label("secondary_ips"),
    sa.type_coerce(network_interfaces.c.groups, sa.Text).label("groups"),
    network_interfaces.c.source_dest_check,
)


@dataclass(frozen=True)
class NetworkRows:
    """`interfaces` carry `node` and `placed_zone` of their instance; their lists are JSON still, since most of them were
    seen before and nobody will look. `options` are DHCP options by id, `public` the public
    addresses by interface, `rules` the groups' rules by group, `public_subnets` those that lead to the internet."""

    interfaces: Sequence[Row]
    vpcs: Sequence[Row]
    subnets: Sequence[Row]
    options: Mapping[str, Row]
    public: Mapping[str, Sequence[Row]]
    groups: Sequence[Row]
    rules: Mapping[str, Sequence[Row]]
    public_subnets: set[str]


async def of_zone(tx: Tx, zone: str) -> NetworkRows:
    """Everything about the network of the zone, rows in the order of their ids."""
    placed = sa.and_(
        instances.c.id == network_interfaces.c.instance_id, instances.c.node != "", instances.c.state != "terminated"
    )
    here = sa.select(network_interfaces.c.vpc_id).distinct().join(instances, placed).where(instances.c.zone == zone)
    vpc_ids = sorted(row.vpc_id for row in await tx.all(here))
    found = await vpcs.by_ids(tx, vpc_ids)
    interfaces = await tx.all(
        sa.select(*_PORT, instances.c.node, instances.c.zone.label("placed_zone"))
        .join(instances, placed)
        .where(network_interfaces.c.vpc_id.in_(vpc_ids))
        .order_by(network_interfaces.c.id)
    )
    options = await tx.all(sa.select(dhcp_options).where(dhcp_options.c.id.in_([row.dhcp_options_id for row in found])))
    public: dict[str, list[Row]] = {}
    for chunk in chunks([row.id for row in interfaces], 500):
        public.update(await public_ips.of_interfaces(tx, chunk))
    groups = await security_groups.of_vpcs(tx, vpc_ids)
    return NetworkRows(
        interfaces=interfaces,
        vpcs=found,
        subnets=await subnets.of_vpcs(tx, vpc_ids),
        options={row.id: row for row in options},
        public=public,
        groups=groups,
        rules=await security_group_rules.of_groups(tx, [row.id for row in groups]),
        public_subnets=await route_tables.public_subnets(tx, vpc_ids),
    )
