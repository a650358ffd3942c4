"""Security group rules about groups of peered VPCs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("security_group_rules", schema=None) as batch_op:
        batch_op.add_column(sa.Column("referenced_vpc", sa.String(length=32), server_default="", nullable=False))
        batch_op.add_column(sa.Column("referenced_peering", sa.String(length=32), server_default="", nullable=False))
        batch_op.create_index(batch_op.f("ix_security_group_rules_referenced_peering"), ["referenced_peering"])
