"""Flow logs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flow_logs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("resource_id", sa.String(length=32), nullable=False),
        sa.Column("vpc_id", sa.String(length=32), nullable=False),
        sa.Column("traffic_type", sa.String(length=8), nullable=False),
        sa.Column("destination", sa.String(length=1200), nullable=False),
        sa.Column("log_format", sa.Text(), nullable=False),
        sa.Column("interval_s", sa.Integer(), nullable=False),
        sa.Column("hive", sa.Boolean(), nullable=False),
        sa.Column("per_hour", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("policy_done", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("error_message", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flow_logs")),
    )
    with op.batch_alter_table("flow_logs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_flow_logs_account"), ["account"])
        batch_op.create_index(batch_op.f("ix_flow_logs_resource_id"), ["resource_id"])
        batch_op.create_index(batch_op.f("ix_flow_logs_vpc_id"), ["vpc_id"])
    op.create_table(
        "flow_positions",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("until", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("node", name=op.f("pk_flow_positions")),
    )
