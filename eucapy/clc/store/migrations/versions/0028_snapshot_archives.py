"""How far snapshots are archived, and snapshots that visit other zones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "snapshot_visits",
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("snapshot_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("zone", "snapshot_id", name=op.f("pk_snapshot_visits")),
    )
    with op.batch_alter_table("snapshots", schema=None) as batch_op:
        batch_op.add_column(sa.Column("archived", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("archive_fault", sa.Text(), server_default="", nullable=False))
