"""VPC peering connections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vpc_peerings",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("accepter_account", sa.String(length=12), nullable=False),
        sa.Column("accepter_region", sa.String(length=64), nullable=False),
        sa.Column("requester_vpc", sa.String(length=32), nullable=False),
        sa.Column("accepter_vpc", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("status_message", sa.String(length=255), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("requester_until", sa.Float(), nullable=True),
        sa.Column("accepter_until", sa.Float(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vpc_peerings")),
    )
    for column in ("account", "accepter_account", "requester_vpc", "accepter_vpc"):
        op.create_index(op.f(f"ix_vpc_peerings_{column}"), "vpc_peerings", [column])
