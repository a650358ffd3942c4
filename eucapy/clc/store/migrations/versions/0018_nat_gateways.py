"""NAT gateways, and interfaces that are theirs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "nat_gateways",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("vpc_id", sa.String(length=32), nullable=False),
        sa.Column("subnet_id", sa.String(length=32), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("connectivity", sa.String(length=16), nullable=False),
        sa.Column("interface_id", sa.String(length=32), nullable=False),
        sa.Column("private_ip", sa.String(length=15), nullable=False),
        sa.Column("allocation_id", sa.String(length=32), nullable=False),
        sa.Column("association_id", sa.String(length=32), nullable=False),
        sa.Column("public_ip", sa.String(length=15), nullable=False),
        sa.Column("node", sa.String(length=64), server_default="", nullable=False),
        sa.Column("failure_code", sa.String(length=64), server_default="", nullable=False),
        sa.Column("failure_message", sa.String(length=255), server_default="", nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nat_gateways")),
    )
    for column in ("account", "vpc_id", "zone"):
        op.create_index(op.f(f"ix_nat_gateways_{column}"), "nat_gateways", [column])
    op.add_column(
        "network_interfaces", sa.Column("nat_gateway_id", sa.String(length=32), server_default="", nullable=False)
    )
