"""Instances are in placement groups; subnets have CIDR reservations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "placement_groups",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("strategy", sa.String(length=16), nullable=False),
        sa.Column("partitions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_placement_groups")),
        sa.UniqueConstraint("account", "name", name=op.f("uq_placement_groups_account_name")),
    )
    op.create_index(op.f("ix_placement_groups_account"), "placement_groups", ["account"])
    op.create_table(
        "subnet_cidr_reservations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("subnet_id", sa.String(length=32), nullable=False),
        sa.Column("cidr", sa.String(length=18), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("description", sa.String(length=255), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["subnet_id"], ["subnets.id"], name=op.f("fk_subnet_cidr_reservations_subnet_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subnet_cidr_reservations")),
    )
    op.create_index(op.f("ix_subnet_cidr_reservations_account"), "subnet_cidr_reservations", ["account"])
    op.create_index(
        op.f("ix_subnet_cidr_reservations_subnet_id_first_last"),
        "subnet_cidr_reservations",
        ["subnet_id", "first", "last"],
    )
    for name, length in (("placement_group_id", 32), ("placement_group", 255), ("placement_strategy", 16)):
        op.add_column("instances", sa.Column(name, sa.String(length=length), server_default="", nullable=False))
    op.add_column("instances", sa.Column("placement_partition", sa.Integer(), server_default="0", nullable=False))
    op.create_index(
        "ix_instances_placement_group_id",
        "instances",
        ["placement_group_id"],
        sqlite_where=sa.text("placement_group_id <> ''"),
        postgresql_where=sa.text("placement_group_id <> ''"),
    )
