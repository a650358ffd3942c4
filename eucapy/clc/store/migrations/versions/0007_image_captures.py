"""Images that are made of instances."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "image_captures",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("instance_id", sa.String(length=32), nullable=False),
        sa.Column("root_snapshot_id", sa.String(length=32), server_default="", nullable=False),
        sa.Column("rest", sa.Boolean(), nullable=False),
        sa.Column("begun", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_captures")),
    )
    with op.batch_alter_table("image_captures", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_image_captures_account"), ["account"], unique=False)
        batch_op.create_index(batch_op.f("ix_image_captures_instance_id"), ["instance_id"], unique=False)
    with op.batch_alter_table("snapshots", schema=None) as batch_op:
        batch_op.add_column(sa.Column("capture", sa.String(length=32), server_default="", nullable=False))
        batch_op.add_column(sa.Column("awaits", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("source", sa.Text(), nullable=True))
        batch_op.create_index(batch_op.f("ix_snapshots_capture"), ["capture"], unique=False)
    with op.batch_alter_table("vms", schema=None) as batch_op:
        batch_op.add_column(sa.Column("resting", sa.String(length=32), server_default="", nullable=False))
        batch_op.add_column(sa.Column("captures", sa.Text(), server_default="{}", nullable=False))
