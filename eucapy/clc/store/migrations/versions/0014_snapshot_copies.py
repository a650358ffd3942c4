"""Snapshots know what they are copies of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("snapshots") as batch:
        batch.add_column(sa.Column("copied_from", sa.String(length=32), nullable=False, server_default=""))
        batch.add_column(sa.Column("copy_minutes", sa.Integer(), nullable=False, server_default="0"))
        batch.create_index(batch.f("ix_snapshots_copied_from"), ["copied_from"])
