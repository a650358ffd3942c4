"""VPCs have network ACLs beside their default one: entries, and which subnets each guards."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TYPES: dict[str, Any] = {"is_egress": sa.Boolean(), "number": sa.Integer(), "action": sa.String()}


def upgrade() -> None:
    op.add_column("network_acls", sa.Column("is_default", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "network_acl_entries",
        sa.Column("network_acl_id", sa.String(length=32), nullable=False),
        sa.Column("is_egress", sa.Boolean(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("action", sa.String(length=8), nullable=False),
        sa.Column("protocol", sa.String(length=8), nullable=False),
        sa.Column("cidr", sa.String(length=18), nullable=False),
        sa.Column("cidr6", sa.String(length=43), nullable=False),
        sa.Column("from_port", sa.Integer(), nullable=True),
        sa.Column("to_port", sa.Integer(), nullable=True),
        sa.Column("icmp_type", sa.Integer(), nullable=True),
        sa.Column("icmp_code", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["network_acl_id"], ["network_acls.id"], name=op.f("fk_network_acl_entries_network_acl_id")
        ),
        sa.PrimaryKeyConstraint("network_acl_id", "is_egress", "number", name=op.f("pk_network_acl_entries")),
    )
    op.create_table(
        "network_acl_associations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("network_acl_id", sa.String(length=32), nullable=False),
        sa.Column("subnet_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["network_acl_id"], ["network_acls.id"], name=op.f("fk_network_acl_associations_network_acl_id")
        ),
        sa.ForeignKeyConstraint(["subnet_id"], ["subnets.id"], name=op.f("fk_network_acl_associations_subnet_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_acl_associations")),
        sa.UniqueConstraint("subnet_id", name=op.f("uq_network_acl_associations_subnet_id")),
    )
    op.create_index(op.f("ix_network_acl_associations_network_acl_id"), "network_acl_associations", ["network_acl_id"])
    _keep_what_was_shown()


def _keep_what_was_shown() -> None:
    """Until now there were default ACLs alone, open, guarding every subnet under ids made from the subnets'."""
    op.execute(sa.text("UPDATE network_acls SET is_default = true"))
    entry = sa.text(
        "INSERT INTO network_acl_entries (network_acl_id, is_egress, number, action, protocol, cidr, cidr6) "
        "SELECT id, :is_egress, :number, :action, '-1', '0.0.0.0/0', '' FROM network_acls"
    ).bindparams(*(sa.bindparam(name, type_=kind) for name, kind in _TYPES.items()))
    for is_egress in (True, False):
        for number, action in ((100, "allow"), (32767, "deny")):
            op.execute(entry.bindparams(is_egress=is_egress, number=number, action=action))
    op.execute(
        sa.text(
            "INSERT INTO network_acl_associations (id, network_acl_id, subnet_id) "
            "SELECT replace(subnets.id, 'subnet-', 'aclassoc-'), network_acls.id, subnets.id "
            "FROM subnets JOIN network_acls ON network_acls.vpc_id = subnets.vpc_id"
        )
    )
