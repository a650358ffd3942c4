"""Accounts have aliases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account_aliases",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("alias", sa.String(length=63), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_account_aliases_account")),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_account_aliases")),
        sa.UniqueConstraint("alias", name=op.f("uq_account_aliases_alias")),
    )
