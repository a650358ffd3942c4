"""Snapshots that are written block by block."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "snapshot_writes",
        sa.Column("snapshot_id", sa.String(length=32), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("parent", sa.String(length=32), server_default="", nullable=False),
        sa.Column("timeout_s", sa.Float(), nullable=False),
        sa.Column("touched_at", sa.Float(), nullable=False),
        sa.Column("sealed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("blocks", sa.Integer(), server_default="0", nullable=False),
        sa.Column("checksum", sa.String(length=64), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("snapshot_id", name=op.f("pk_snapshot_writes")),
    )
    op.create_index(op.f("ix_snapshot_writes_parent"), "snapshot_writes", ["parent"], unique=False)
    op.create_index(op.f("ix_snapshot_writes_zone"), "snapshot_writes", ["zone"], unique=False)
