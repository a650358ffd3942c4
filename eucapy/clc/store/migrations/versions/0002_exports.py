"""Attachments know the node that their export is for.

An export that is known today is that of the instance's present node.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("attachments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("export_node", sa.String(length=64), server_default="", nullable=False))
    op.execute(
        "UPDATE attachments SET export_node = "
        "COALESCE((SELECT node FROM instances WHERE instances.id = attachments.instance_id), '') WHERE export <> ''"
    )
