"""Modifications of volumes; attachments know their volume's size, and VMs what their guests know of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "volume_modifications",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("original_size_gib", sa.Integer(), nullable=False),
        sa.Column("original_type", sa.String(length=16), nullable=False),
        sa.Column("original_iops", sa.Integer(), nullable=True),
        sa.Column("original_throughput", sa.Integer(), nullable=True),
        sa.Column("target_size_gib", sa.Integer(), nullable=False),
        sa.Column("target_type", sa.String(length=16), nullable=False),
        sa.Column("target_iops", sa.Integer(), nullable=True),
        sa.Column("target_throughput", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volume_modifications")),
    )
    with op.batch_alter_table("volume_modifications", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_volume_modifications_account"), ["account"], unique=False)
        batch_op.create_index(batch_op.f("ix_volume_modifications_zone_state"), ["zone", "state"], unique=False)
    with op.batch_alter_table("attachments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("size_gib", sa.Integer(), server_default="0", nullable=False))
    with op.batch_alter_table("vms", schema=None) as batch_op:
        batch_op.add_column(sa.Column("disk_gib", sa.Text(), server_default="{}", nullable=False))
