"""Customers' prefix lists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "prefix_lists",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("family", sa.String(length=4), nullable=False),
        sa.Column("max_entries", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("status_message", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prefix_lists")),
    )
    with op.batch_alter_table("prefix_lists", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_prefix_lists_account"), ["account"])
    op.create_table(
        "prefix_list_versions",
        sa.Column("list_id", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["prefix_lists.id"], name=op.f("fk_prefix_list_versions_list_id")),
        sa.PrimaryKeyConstraint("list_id", "version", name=op.f("pk_prefix_list_versions")),
    )
