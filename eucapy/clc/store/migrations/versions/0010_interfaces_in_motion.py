"""Network interfaces have states: guests get them, and let go of them, while they run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_MOVING = sa.text("state IN ('attaching', 'detaching')")


def upgrade() -> None:
    op.add_column(
        "network_interfaces", sa.Column("state", sa.String(length=16), server_default="available", nullable=False)
    )
    op.execute("UPDATE network_interfaces SET state = 'in-use' WHERE instance_id <> ''")
    op.create_index(
        "ix_network_interfaces_moving", "network_interfaces", ["zone"], sqlite_where=_MOVING, postgresql_where=_MOVING
    )
