"""What happens to stored objects: object lock, encryption and lifecycle, beside what they decide."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("lock", "encryption", "lifecycle"):
        op.add_column("buckets", sa.Column(name, sa.Text, nullable=False, server_default=""))
    for table in ("versions", "uploads"):
        op.add_column(table, sa.Column("lock", sa.Text))
        op.add_column(table, sa.Column("sse", sa.Text))
