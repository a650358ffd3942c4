"""IPv6: blocks of VPCs and subnets, addresses of interfaces, egress-only gateways, routes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "egress_only_gateways",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("vpc_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["vpc_id"], ["vpcs.id"], name=op.f("fk_egress_only_gateways_vpc_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_egress_only_gateways")),
    )
    with op.batch_alter_table("egress_only_gateways", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_egress_only_gateways_account"), ["account"])
        batch_op.create_index(batch_op.f("ix_egress_only_gateways_vpc_id"), ["vpc_id"])
    op.create_table(
        "ipv6_blocks",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("vpc_id", sa.String(length=32), nullable=False),
        sa.Column("cidr", sa.String(length=43), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["vpc_id"], ["vpcs.id"], name=op.f("fk_ipv6_blocks_vpc_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ipv6_blocks")),
        sa.UniqueConstraint("number", name=op.f("uq_ipv6_blocks_number")),
    )
    with op.batch_alter_table("ipv6_blocks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ipv6_blocks_vpc_id"), ["vpc_id"])
    op.create_table(
        "ipv6_addresses",
        sa.Column("ip", sa.String(length=39), nullable=False),
        sa.Column("subnet_id", sa.String(length=32), nullable=False),
        sa.Column("interface_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["subnet_id"], ["subnets.id"], name=op.f("fk_ipv6_addresses_subnet_id")),
        sa.PrimaryKeyConstraint("ip", name=op.f("pk_ipv6_addresses")),
    )
    with op.batch_alter_table("ipv6_addresses", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ipv6_addresses_interface_id"), ["interface_id"])
        batch_op.create_index(batch_op.f("ix_ipv6_addresses_subnet_id"), ["subnet_id"])
    with op.batch_alter_table("network_interfaces", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ipv6s", sa.Text(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("primary_ipv6", sa.Boolean(), server_default=sa.false(), nullable=False))
    with op.batch_alter_table("routes", schema=None) as batch_op:
        batch_op.alter_column(
            "destination", existing_type=sa.VARCHAR(length=18), type_=sa.String(length=43), existing_nullable=False
        )
    with op.batch_alter_table("subnets", schema=None) as batch_op:
        batch_op.add_column(sa.Column("cidr6", sa.String(length=43), server_default="", nullable=False))
        batch_op.add_column(sa.Column("cidr6_association", sa.String(length=48), server_default="", nullable=False))
        batch_op.add_column(sa.Column("assign_ipv6", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.create_index(batch_op.f("ix_subnets_cidr6_association"), ["cidr6_association"])
