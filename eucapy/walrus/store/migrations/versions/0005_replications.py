"""Replication: a bucket's rules, what they say of a version, and the versions on their way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIGINT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("buckets", sa.Column("replication", sa.Text, nullable=False, server_default=""))
    op.add_column("versions", sa.Column("replication", sa.Text))
    op.create_table(
        "replications",
        sa.Column("id", BIGINT, nullable=False, autoincrement=True),
        sa.Column("bucket", sa.BigInteger, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("version_id", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("storage_class", sa.Text),
        sa.Column("due_ms", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_replications"),
    )
    op.create_index("ix_replications_due_ms", "replications", ["due_ms"])
    op.create_index("ix_replications_bucket_key", "replications", ["bucket", "key"])
