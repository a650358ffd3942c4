"""Images that are disabled or protected, accounts that let none become public."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "image_public_access",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_image_public_access")),
    )
    op.add_column("images", sa.Column("protection", sa.String(length=32), server_default="", nullable=False))
    op.add_column("images", sa.Column("protected_until", sa.Float(), nullable=True))
