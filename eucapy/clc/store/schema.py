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
    image_captures,
    images,
    instances,
    internet_gateways,
    key_pairs,
    launch_templates,
    metadata_defaults,
    network_acls,
    network_interfaces,
    public_ips,
    route_tables,
    security_group_rules,
    security_groups,
    snapshots,
    subnets,
    tags,
    vcpu_usage,
    vms,
    volumes,
    vpcs,
)
from eucapy.clc.store.base import metadata

__all__ = ["TABLES", "metadata"]

TABLES = (
    accounts,
    addresses,
    attachments,
    client_tokens,
    components,
    dhcp_options,
    hosts,
    image_captures,
    images,
    instances,
    internet_gateways,
    key_pairs,
    launch_templates,
    metadata_defaults,
    network_acls,
    network_interfaces,
    public_ips,
    route_tables,
    security_group_rules,
    security_groups,
    snapshots,
    subnets,
    tags,
    vcpu_usage,
    vms,
    volumes,
    vpcs,
)
"""The modules that declare tables."""
