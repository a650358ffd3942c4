"""Exports of images and instances."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "export_tasks",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("source_id", sa.String(length=32), nullable=False),
        sa.Column("description", sa.String(length=255), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("bucket", sa.String(length=255), nullable=False),
        sa.Column("disks", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("state_at", sa.Float(), nullable=False),
        sa.Column("begun", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("sealing", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("settled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("progress", sa.Integer(), server_default="0", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export_tasks")),
    )
    with op.batch_alter_table("export_tasks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_export_tasks_account"), ["account"])
        batch_op.create_index(batch_op.f("ix_export_tasks_settled"), ["settled"])
        batch_op.create_index(batch_op.f("ix_export_tasks_source_id"), ["source_id"])
        batch_op.create_index(batch_op.f("ix_export_tasks_state"), ["state"])
