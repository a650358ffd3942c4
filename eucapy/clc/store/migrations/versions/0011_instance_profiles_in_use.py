"""Instances have instance profiles, and the credentials of these, sealed to their node."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, length in (("profile_id", 32), ("profile_arn", 704), ("profile_name", 128), ("profile_association", 32)):
        op.add_column("instances", sa.Column(name, sa.String(length=length), server_default="", nullable=False))
    op.add_column("instances", sa.Column("profile_at", sa.Float(), nullable=True))
    op.add_column("instances", sa.Column("credentials", sa.Text(), nullable=True))
    with_profile = sa.text("profile_id <> ''")
    op.create_index(
        "ix_instances_profile_id", "instances", ["profile_id"], sqlite_where=with_profile, postgresql_where=with_profile
    )
    op.add_column("hosts", sa.Column("sealing_key", sa.String(length=64), server_default="", nullable=False))
