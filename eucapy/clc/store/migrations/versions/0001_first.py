"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("canonical_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("canonical_id", name=op.f("uq_accounts_canonical_id")),
        sa.UniqueConstraint("name", name=op.f("uq_accounts_name")),
    )
    op.create_table(
        "attachments",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("volume_id", sa.String(length=32), nullable=False),
        sa.Column("instance_id", sa.String(length=32), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("delete_on_termination", sa.Boolean(), nullable=False),
        sa.Column("attached_at", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("export", sa.String(length=256), server_default="", nullable=False),
        sa.Column("ending", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("fault", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
        sa.UniqueConstraint("instance_id", "device", name=op.f("uq_attachments_instance_id_device")),
        sa.UniqueConstraint("volume_id", name=op.f("uq_attachments_volume_id")),
    )
    op.create_index(op.f("ix_attachments_account"), "attachments", ["account"])
    op.create_index(op.f("ix_attachments_zone"), "attachments", ["zone"])
    op.create_table(
        "client_tokens",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("account", "action", "token", name=op.f("pk_client_tokens")),
    )
    op.create_table(
        "components",
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("zone", sa.String(length=64), server_default="", nullable=False),
        sa.Column("url", sa.String(length=256), nullable=False),
        sa.Column("eucanetd_url", sa.String(length=256), server_default="", nullable=False),
        sa.Column("address", sa.String(length=64), server_default="", nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_components")),
    )
    op.create_table(
        "dhcp_options",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("configurations", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dhcp_options")),
    )
    op.create_index(op.f("ix_dhcp_options_account"), "dhcp_options", ["account"])
    op.create_table(
        "hosts",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("reachable", sa.Boolean(), nullable=False),
        sa.Column("unreachable_since", sa.Float(), nullable=True),
        sa.Column("cpus", sa.Integer(), server_default="0", nullable=False),
        sa.Column("memory_mib", sa.Integer(), server_default="0", nullable=False),
        sa.Column("disk_gib", sa.Integer(), server_default="0", nullable=False),
        sa.Column("disk_free_gib", sa.Integer(), server_default="0", nullable=False),
        sa.Column("architecture", sa.String(length=16), server_default="x86_64", nullable=False),
        sa.Column("accelerated", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("cpu_model", sa.String(length=128), server_default="", nullable=False),
        sa.Column("cached_images", sa.Text(), nullable=False),
        sa.Column("fault_code", sa.String(length=64), server_default="", nullable=False),
        sa.Column("fault", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_hosts")),
    )
    op.create_index(op.f("ix_hosts_zone"), "hosts", ["zone"])
    op.create_table(
        "image_devices",
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("device", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("virtual_name", sa.String(length=32), server_default="", nullable=False),
        sa.Column("snapshot_id", sa.String(length=32), server_default="", nullable=False),
        sa.Column("size_gib", sa.Integer(), nullable=True),
        sa.Column("volume_type", sa.String(length=16), server_default="gp2", nullable=False),
        sa.Column("delete_on_termination", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("iops", sa.Integer(), nullable=True),
        sa.Column("throughput", sa.Integer(), nullable=True),
        sa.Column("encrypted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "device", name=op.f("pk_image_devices")),
    )
    op.create_index(op.f("ix_image_devices_snapshot_id"), "image_devices", ["snapshot_id"])
    op.create_table(
        "image_permissions",
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "account", name=op.f("pk_image_permissions")),
    )
    op.create_index(op.f("ix_image_permissions_account"), "image_permissions", ["account"])
    op.create_table(
        "images",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("owner_alias", sa.String(length=32), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("description", sa.String(length=255), server_default="", nullable=False),
        sa.Column("location", sa.String(length=1200), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason_code", sa.String(length=64), server_default="", nullable=False),
        sa.Column("reason", sa.String(length=255), server_default="", nullable=False),
        sa.Column("architecture", sa.String(length=16), server_default="x86_64", nullable=False),
        sa.Column("virtualization", sa.String(length=16), server_default="hvm", nullable=False),
        sa.Column("platform", sa.String(length=16), server_default="", nullable=False),
        sa.Column("root_device", sa.String(length=32), nullable=False),
        sa.Column("root_kind", sa.String(length=16), nullable=False),
        sa.Column("root_size_gib", sa.Integer(), server_default="0", nullable=False),
        sa.Column("public", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("ena", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("sriov", sa.String(length=16), server_default="", nullable=False),
        sa.Column("boot_mode", sa.String(length=16), server_default="", nullable=False),
        sa.Column("tpm", sa.String(length=8), server_default="", nullable=False),
        sa.Column("imds", sa.String(length=8), server_default="", nullable=False),
        sa.Column("source_instance_id", sa.String(length=32), server_default="", nullable=False),
        sa.Column("source_image_id", sa.String(length=32), server_default="", nullable=False),
        sa.Column("deprecated_at", sa.Float(), nullable=True),
        sa.Column("launched_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
    )
    op.create_index(op.f("ix_images_account"), "images", ["account"])
    op.create_index(op.f("ix_images_account_name"), "images", ["account", "name"])
    op.create_index(op.f("ix_images_state"), "images", ["state"])
    op.create_table(
        "instances",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("reservation_id", sa.String(length=32), nullable=False),
        sa.Column("launch_index", sa.Integer(), nullable=False),
        sa.Column("client_token", sa.String(length=64), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("launched_at", sa.Float(), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("run", sa.Boolean(), nullable=False),
        sa.Column("starts", sa.Integer(), server_default="1", nullable=False),
        sa.Column("reboots", sa.Integer(), server_default="0", nullable=False),
        sa.Column("force_stop", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("state_at", sa.Float(), nullable=False),
        sa.Column("reason_code", sa.String(length=64), server_default="", nullable=False),
        sa.Column("reason", sa.String(length=255), server_default="", nullable=False),
        sa.Column("transition", sa.String(length=128), server_default="", nullable=False),
        sa.Column("node", sa.String(length=64), server_default="", nullable=False),
        sa.Column("leaving", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("instance_type", sa.String(length=32), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mib", sa.Integer(), nullable=False),
        sa.Column("architecture", sa.String(length=16), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("root_kind", sa.String(length=16), nullable=False),
        sa.Column("root_device", sa.String(length=32), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("ephemerals", sa.Text(), nullable=False),
        sa.Column("boot_mode", sa.String(length=16), server_default="legacy-bios", nullable=False),
        sa.Column("key_name", sa.String(length=255), server_default="", nullable=False),
        sa.Column("public_key", sa.Text(), server_default="", nullable=False),
        sa.Column("user_data", sa.Text(), nullable=True),
        sa.Column("vpc_id", sa.String(length=32), server_default="", nullable=False),
        sa.Column("subnet_id", sa.String(length=32), server_default="", nullable=False),
        sa.Column("private_ip", sa.String(length=15), server_default="", nullable=False),
        sa.Column("shutdown_behavior", sa.String(length=16), server_default="stop", nullable=False),
        sa.Column("keep_from_termination", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("keep_from_stop", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("monitoring", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("ebs_optimized", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("metadata_enabled", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("metadata_tokens", sa.String(length=16), server_default="optional", nullable=False),
        sa.Column("metadata_hops", sa.Integer(), server_default="1", nullable=False),
        sa.Column("metadata_ipv6", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("metadata_tags", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("cores", sa.Integer(), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=False),
        sa.Column("credits", sa.String(length=16), server_default="", nullable=False),
        sa.Column("ena", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("capacity_reservation", sa.String(length=8), server_default="open", nullable=False),
        sa.Column("auto_recovery", sa.String(length=8), server_default="default", nullable=False),
        sa.Column("hostname_type", sa.String(length=16), server_default="ip-name", nullable=False),
        sa.Column("name_a_record", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instances")),
    )
    op.create_index(op.f("ix_instances_account"), "instances", ["account"])
    op.create_index(
        op.f("ix_instances_account_reservation_id_launch_index"),
        "instances",
        ["account", "reservation_id", "launch_index"],
    )
    op.create_index(op.f("ix_instances_image_id"), "instances", ["image_id"])
    op.create_index(op.f("ix_instances_node"), "instances", ["node"])
    op.create_index(
        op.f("ix_instances_state_node_zone_memory_mib_vcpus"),
        "instances",
        ["state", "node", "zone", "memory_mib", "vcpus"],
    )
    op.create_index(op.f("ix_instances_subnet_id"), "instances", ["subnet_id"])
    op.create_index(op.f("ix_instances_vpc_id"), "instances", ["vpc_id"])
    op.create_table(
        "internet_gateways",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("vpc_id", sa.String(length=32), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_internet_gateways")),
    )
    op.create_index(op.f("ix_internet_gateways_account"), "internet_gateways", ["account"])
    op.create_index(op.f("ix_internet_gateways_vpc_id"), "internet_gateways", ["vpc_id"])
    op.create_table(
        "key_pairs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("key_type", sa.String(length=16), nullable=False),
        sa.Column("fingerprint", sa.String(length=128), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_pairs")),
        sa.UniqueConstraint("account", "name", name=op.f("uq_key_pairs_account_name")),
    )
    op.create_index(op.f("ix_key_pairs_account"), "key_pairs", ["account"])
    op.create_table(
        "public_ips",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("ip", sa.String(length=15), nullable=False),
        sa.Column("elastic", sa.Boolean(), nullable=False),
        sa.Column("association_id", sa.String(length=32), server_default="", nullable=False),
        sa.Column("interface_id", sa.String(length=32), server_default="", nullable=False),
        sa.Column("private_ip", sa.String(length=15), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_public_ips")),
        sa.UniqueConstraint("ip", name=op.f("uq_public_ips_ip")),
    )
    op.create_index(op.f("ix_public_ips_account"), "public_ips", ["account"])
    op.create_index(op.f("ix_public_ips_association_id"), "public_ips", ["association_id"])
    op.create_index(op.f("ix_public_ips_interface_id"), "public_ips", ["interface_id"])
    op.create_table(
        "snapshot_permissions",
        sa.Column("snapshot_id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint("snapshot_id", "account", name=op.f("pk_snapshot_permissions")),
    )
    op.create_index(op.f("ix_snapshot_permissions_account"), "snapshot_permissions", ["account"])
    op.create_table(
        "snapshots",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("client_token", sa.String(length=64), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("volume_id", sa.String(length=32), nullable=False),
        sa.Column("size_gib", sa.Integer(), nullable=False),
        sa.Column("description", sa.String(length=255), server_default="", nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("state_at", sa.Float(), nullable=False),
        sa.Column("progress", sa.Integer(), server_default="0", nullable=False),
        sa.Column("completed_at", sa.Float(), nullable=True),
        sa.Column("fault", sa.Text(), server_default="", nullable=False),
        sa.Column("public", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
    )
    op.create_index(op.f("ix_snapshots_account"), "snapshots", ["account"])
    op.create_index(op.f("ix_snapshots_volume_id"), "snapshots", ["volume_id"])
    op.create_index(op.f("ix_snapshots_zone_state"), "snapshots", ["zone", "state"])
    op.create_table(
        "specs",
        sa.Column("agent", sa.String(length=80), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("agent", name=op.f("pk_specs")),
    )
    op.create_table(
        "tags",
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.Column("resource_type", sa.String(length=40), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint("resource_id", "key", name=op.f("pk_tags")),
    )
    op.create_index(op.f("ix_tags_account"), "tags", ["account"])
    op.create_index(op.f("ix_tags_key_value"), "tags", ["key", "value"])
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=512), server_default="/", nullable=False),
        sa.Column("rights", sa.String(length=8), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("account", "name", name=op.f("uq_users_account_name")),
    )
    op.create_index(op.f("ix_users_account"), "users", ["account"])
    op.create_table(
        "vms",
        sa.Column("instance_id", sa.String(length=32), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("power", sa.String(length=16), nullable=False),
        sa.Column("end", sa.String(length=16), server_default="", nullable=False),
        sa.Column("starts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reboots", sa.Integer(), server_default="0", nullable=False),
        sa.Column("disks", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Float(), server_default="0", nullable=False),
        sa.Column("responsive", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("unresponsive_since", sa.Float(), nullable=True),
        sa.Column("phase", sa.String(length=255), server_default="", nullable=False),
        sa.Column("fault_code", sa.String(length=64), server_default="", nullable=False),
        sa.Column("fault", sa.Text(), server_default="", nullable=False),
        sa.Column("fault_final", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_vms")),
    )
    op.create_index(op.f("ix_vms_node"), "vms", ["node"])
    op.create_table(
        "volumes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("client_token", sa.String(length=64), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("size_gib", sa.Integer(), nullable=False),
        sa.Column("volume_type", sa.String(length=16), nullable=False),
        sa.Column("iops", sa.Integer(), nullable=True),
        sa.Column("throughput", sa.Integer(), nullable=True),
        sa.Column("snapshot_id", sa.String(length=32), server_default="", nullable=False),
        sa.Column("auto_enable_io", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("state_at", sa.Float(), nullable=False),
        sa.Column("fault", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volumes")),
    )
    op.create_index(op.f("ix_volumes_account"), "volumes", ["account"])
    op.create_index(op.f("ix_volumes_account_id"), "volumes", ["account", "id"])
    op.create_index(op.f("ix_volumes_snapshot_id"), "volumes", ["snapshot_id"])
    op.create_index(op.f("ix_volumes_zone_state"), "volumes", ["zone", "state"])
    op.create_table(
        "vpcs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("cidr", sa.String(length=18), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("dhcp_options_id", sa.String(length=32), nullable=False),
        sa.Column("tenancy", sa.String(length=16), server_default="default", nullable=False),
        sa.Column("dns_support", sa.Boolean(), nullable=False),
        sa.Column("dns_hostnames", sa.Boolean(), nullable=False),
        sa.Column("vni", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vpcs")),
        sa.UniqueConstraint("vni", name=op.f("uq_vpcs_vni")),
    )
    op.create_index(op.f("ix_vpcs_account"), "vpcs", ["account"])
    op.create_table(
        "access_keys",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_access_keys_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_keys")),
    )
    op.create_index(op.f("ix_access_keys_account"), "access_keys", ["account"])
    op.create_index(op.f("ix_access_keys_user_id"), "access_keys", ["user_id"])
    op.create_table(
        "dhcp_values",
        sa.Column("dhcp_options_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=512), nullable=False),
        sa.ForeignKeyConstraint(["dhcp_options_id"], ["dhcp_options.id"], name=op.f("fk_dhcp_values_dhcp_options_id")),
        sa.PrimaryKeyConstraint("dhcp_options_id", "key", "value", name=op.f("pk_dhcp_values")),
    )
    op.create_table(
        "network_acls",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("vpc_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["vpc_id"], ["vpcs.id"], name=op.f("fk_network_acls_vpc_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_acls")),
    )
    op.create_index(op.f("ix_network_acls_account"), "network_acls", ["account"])
    op.create_index(op.f("ix_network_acls_vpc_id"), "network_acls", ["vpc_id"])
    op.create_table(
        "route_tables",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("vpc_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["vpc_id"], ["vpcs.id"], name=op.f("fk_route_tables_vpc_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_route_tables")),
    )
    op.create_index(op.f("ix_route_tables_account"), "route_tables", ["account"])
    op.create_index(op.f("ix_route_tables_vpc_id"), "route_tables", ["vpc_id"])
    op.create_table(
        "security_groups",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("vpc_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("revision", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["vpc_id"], ["vpcs.id"], name=op.f("fk_security_groups_vpc_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_groups")),
        sa.UniqueConstraint("vpc_id", "name", name=op.f("uq_security_groups_vpc_id_name")),
    )
    op.create_index(op.f("ix_security_groups_account"), "security_groups", ["account"])
    op.create_table(
        "subnets",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("vpc_id", sa.String(length=32), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("cidr", sa.String(length=18), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("map_public_ip", sa.Boolean(), nullable=False),
        sa.Column("hostname_type", sa.String(length=16), server_default="ip-name", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["vpc_id"], ["vpcs.id"], name=op.f("fk_subnets_vpc_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subnets")),
    )
    op.create_index(op.f("ix_subnets_account"), "subnets", ["account"])
    op.create_index(op.f("ix_subnets_vpc_id"), "subnets", ["vpc_id"])
    op.create_table(
        "network_interfaces",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("vpc_id", sa.String(length=32), nullable=False),
        sa.Column("subnet_id", sa.String(length=32), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("mac", sa.String(length=17), nullable=False),
        sa.Column("tap", sa.String(length=15), nullable=False),
        sa.Column("private_ip", sa.String(length=15), nullable=False),
        sa.Column("secondary_ips", sa.Text(), nullable=False),
        sa.Column("groups", sa.Text(), nullable=False),
        sa.Column("source_dest_check", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("auto_public", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("instance_id", sa.String(length=32), server_default="", nullable=False),
        sa.Column("device_index", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attachment_id", sa.String(length=32), server_default="", nullable=False),
        sa.Column("attached_at", sa.Float(), nullable=True),
        sa.Column("delete_on_termination", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("client_token", sa.String(length=64), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["subnet_id"], ["subnets.id"], name=op.f("fk_network_interfaces_subnet_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_interfaces")),
        sa.UniqueConstraint("tap", name=op.f("uq_network_interfaces_tap")),
        sa.UniqueConstraint("vpc_id", "mac", name=op.f("uq_network_interfaces_vpc_id_mac")),
    )
    op.create_index(op.f("ix_network_interfaces_account"), "network_interfaces", ["account"])
    op.create_index(op.f("ix_network_interfaces_attachment_id"), "network_interfaces", ["attachment_id"])
    op.create_index(op.f("ix_network_interfaces_instance_id"), "network_interfaces", ["instance_id"])
    op.create_index(op.f("ix_network_interfaces_subnet_id"), "network_interfaces", ["subnet_id"])
    op.create_index(op.f("ix_network_interfaces_vpc_id"), "network_interfaces", ["vpc_id"])
    op.create_table(
        "private_ips",
        sa.Column("subnet_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("ip", sa.String(length=15), nullable=False),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.Column("interface_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["subnet_id"], ["subnets.id"], name=op.f("fk_private_ips_subnet_id")),
        sa.PrimaryKeyConstraint("subnet_id", "number", name=op.f("pk_private_ips")),
    )
    op.create_index(op.f("ix_private_ips_interface_id"), "private_ips", ["interface_id"])
    op.create_table(
        "route_table_associations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("route_table_id", sa.String(length=32), nullable=False),
        sa.Column("vpc_id", sa.String(length=32), nullable=False),
        sa.Column("subnet_id", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["route_table_id"], ["route_tables.id"], name=op.f("fk_route_table_associations_route_table_id")
        ),
        sa.ForeignKeyConstraint(["subnet_id"], ["subnets.id"], name=op.f("fk_route_table_associations_subnet_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_route_table_associations")),
        sa.UniqueConstraint("subnet_id", name=op.f("uq_route_table_associations_subnet_id")),
    )
    op.create_index(op.f("ix_route_table_associations_route_table_id"), "route_table_associations", ["route_table_id"])
    op.create_index(op.f("ix_route_table_associations_vpc_id"), "route_table_associations", ["vpc_id"])
    op.create_table(
        "routes",
        sa.Column("route_table_id", sa.String(length=32), nullable=False),
        sa.Column("destination", sa.String(length=18), nullable=False),
        sa.Column("gateway_id", sa.String(length=32), nullable=False),
        sa.Column("origin", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["route_table_id"], ["route_tables.id"], name=op.f("fk_routes_route_table_id")),
        sa.PrimaryKeyConstraint("route_table_id", "destination", name=op.f("pk_routes")),
    )
    op.create_table(
        "security_group_rules",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("group_id", sa.String(length=32), nullable=False),
        sa.Column("is_egress", sa.Boolean(), nullable=False),
        sa.Column("protocol", sa.String(length=8), nullable=False),
        sa.Column("from_port", sa.Integer(), nullable=False),
        sa.Column("to_port", sa.Integer(), nullable=False),
        sa.Column("cidr", sa.String(length=18), nullable=False),
        sa.Column("cidr6", sa.String(length=43), nullable=False),
        sa.Column("referenced_group", sa.String(length=32), nullable=False),
        sa.Column("referenced_account", sa.String(length=12), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(["group_id"], ["security_groups.id"], name=op.f("fk_security_group_rules_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_group_rules")),
        sa.UniqueConstraint(
            "group_id",
            "is_egress",
            "protocol",
            "from_port",
            "to_port",
            "cidr",
            "cidr6",
            "referenced_group",
            name=op.f(
                "uq_security_group_rules_group_id_is_egress_protocol_from_port_to_port_cidr_cidr6_referenced_group"
            ),
        ),
    )
    op.create_index(op.f("ix_security_group_rules_account"), "security_group_rules", ["account"])
    op.create_index(op.f("ix_security_group_rules_group_id"), "security_group_rules", ["group_id"])
    op.create_index(op.f("ix_security_group_rules_referenced_group"), "security_group_rules", ["referenced_group"])
    op.create_table(
        "interface_groups",
        sa.Column("interface_id", sa.String(length=32), nullable=False),
        sa.Column("group_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["security_groups.id"], name=op.f("fk_interface_groups_group_id")),
        sa.ForeignKeyConstraint(
            ["interface_id"], ["network_interfaces.id"], name=op.f("fk_interface_groups_interface_id")
        ),
        sa.PrimaryKeyConstraint("interface_id", "group_id", name=op.f("pk_interface_groups")),
    )
    op.create_index(op.f("ix_interface_groups_group_id"), "interface_groups", ["group_id"])
