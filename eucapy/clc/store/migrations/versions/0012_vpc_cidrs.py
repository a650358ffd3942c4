"""VPCs have further CIDR blocks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vpc_cidrs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("vpc_id", sa.String(length=32), nullable=False),
        sa.Column("cidr", sa.String(length=18), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["vpc_id"], ["vpcs.id"], name=op.f("fk_vpc_cidrs_vpc_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vpc_cidrs")),
        sa.UniqueConstraint("vpc_id", "cidr", name=op.f("uq_vpc_cidrs_vpc_id_cidr")),
    )
    op.create_index(op.f("ix_vpc_cidrs_vpc_id"), "vpc_cidrs", ["vpc_id"])
