"""The virtual processors that an account uses are summed from an index."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_instances_account_state_vcpus"), "instances", ["account", "state", "vcpus"])
