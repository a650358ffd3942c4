"""Accounts have defaults for their instances' metadata options."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "metadata_defaults",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("tokens", sa.String(length=16), nullable=True),
        sa.Column("hops", sa.Integer(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=True),
        sa.Column("tags", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_metadata_defaults")),
    )
