"""Open uploads know when their key was deleted: what they were to replace is not what it was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("removed_ms", sa.BigInteger, nullable=False, server_default="0"))
