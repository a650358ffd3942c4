"""Event notifications: what a bucket wants to be told, and the events on their way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIGINT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("buckets", sa.Column("notifications", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "events",
        sa.Column("id", BIGINT, nullable=False, autoincrement=True),
        sa.Column("arn", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_arn", "events", ["arn"])
