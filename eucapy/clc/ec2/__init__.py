"""EC2: one file a resource. `load()` imports the files of `MODULES`, whose handlers register with `service.ec2`."""

from __future__ import annotations

import importlib

from eucapy.aws.service import Service

MODULES = (
    "absent",
    "account_attributes",
    "account_settings",
    "addresses",
    "attachments",
    "console",
    "copy_image",
    "create_image",
    "credit_specifications",
    "dhcp_options",
    "egress_only_gateways",
    "export_image",
    "export_instance",
    "flow_logs",
    "id_format",
    "image_attributes",
    "image_availability",
    "image_public_access",
    "images",
    "import_image",
    "import_snapshot",
    "instance_attributes",
    "instance_options",
    "instance_profiles",
    "instance_requirements",
    "instance_status",
    "instance_types",
    "instances",
    "internet_gateways",
    "ipv6_addresses",
    "key_pairs",
    "launch_template_data",
    "launch_template_versions",
    "launch_templates",
    "managed_prefix_lists",
    "metadata_defaults",
    "nat_gateways",
    "network_acl_entries",
    "network_acls",
    "network_interfaces",
    "placement_groups",
    "regions",
    "route_tables",
    "run_instances",
    "security_group_rules",
    "security_groups",
    "snapshot_attributes",
    "snapshot_copies",
    "snapshot_sets",
    "snapshots",
    "store_image",
    "subnet_cidr_blocks",
    "subnet_reservations",
    "subnets",
    "tags",
    "volume_modifications",
    "volume_status",
    "volumes",
    "vpc_cidr_blocks",
    "vpc_peerings",
    "vpcs",
)
"""Every file with handlers, in the order of the alphabet."""


def load() -> Service:
    """The service with all its handlers registered."""
    for name in MODULES:
        importlib.import_module(f"{__name__}.{name}")
    from eucapy.clc.ec2.service import ec2

    return ec2
