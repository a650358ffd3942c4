"""Every table, in one place to ask: `metadata` is complete once this module is imported."""

from __future__ import annotations

from eucapy.clc.store import (
    accounts,
    addresses,
    attachments,
    client_tokens,
    components,
    dhcp_options,
    hosts,
    images,
    instances,
    internet_gateways,
    key_pairs,
    network_acls,
    network_interfaces,
    public_ips,
    route_tables,
    security_group_rules,
    security_groups,
    snapshots,
    subnets,
    tags,
    vms,
    volumes,
    vpcs,
)
from eucapy.clc.store.base import metadata
from eucapy.database import Database

TABLES = (
    accounts,
    addresses,
    attachments,
    client_tokens,
    components,
    dhcp_options,
    hosts,
    images,
    instances,
    internet_gateways,
    key_pairs,
    network_acls,
    network_interfaces,
    public_ips,
    route_tables,
    security_group_rules,
    security_groups,
    snapshots,
    subnets,
    tags,
    vms,
    volumes,
    vpcs,
)
"""The modules that declare tables."""


async def ensure(database: Database) -> None:
    """Bring the database to this version's schema."""
    await database.with_connection(metadata.create_all)
