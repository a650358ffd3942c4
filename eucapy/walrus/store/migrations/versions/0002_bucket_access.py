"""Who may use a bucket: ACL, policy and public-access block in one column of its row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("buckets", sa.Column("access", sa.Text, nullable=False, server_default=""))
