"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIGINT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "buckets",
        sa.Column("id", BIGINT, nullable=False, autoincrement=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("region", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("versioning", sa.Text, nullable=False),
        sa.Column("ownership", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_buckets"),
        sa.UniqueConstraint("name", name="uq_buckets_name"),
    )
    op.create_index("ix_buckets_owner", "buckets", ["owner"])
    op.create_table(
        "bucket_settings",
        sa.Column("bucket", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("bucket", "name", name="pk_bucket_settings"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "versions",
        sa.Column("bucket", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("current", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("version_id", sa.Text, nullable=False),
        sa.Column("marker", sa.SmallInteger, nullable=False),
        sa.Column("modified_ms", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("etag", sa.Text, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("checksum", sa.Text),
        sa.Column("storage_class", sa.Text),
        sa.Column("place", sa.SmallInteger, nullable=False),
        sa.Column("content", sa.Text),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("tags", sa.Text),
        sa.Column("acl", sa.Text),
        sa.PrimaryKeyConstraint("bucket", "current", "key", "seq", name="pk_versions"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_versions_content",
        "versions",
        ["content"],
        sqlite_where=sa.text("place >= 2"),
        postgresql_where=sa.text("place >= 2"),
    )
    op.create_table(
        "uploads",
        sa.Column("bucket", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("initiated_ms", sa.BigInteger, nullable=False),
        sa.Column("initiator", sa.Text, nullable=False),
        sa.Column("initiator_arn", sa.Text, nullable=False),
        sa.Column("checksum_algorithm", sa.Text),
        sa.Column("checksum_type", sa.Text),
        sa.Column("storage_class", sa.Text),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("tags", sa.Text),
        sa.Column("acl", sa.Text),
        sa.PrimaryKeyConstraint("bucket", "key", "id", name="pk_uploads"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "parts",
        sa.Column("upload", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("etag", sa.Text, nullable=False),
        sa.Column("modified_ms", sa.BigInteger, nullable=False),
        sa.Column("checksum", sa.Text),
        sa.Column("place", sa.SmallInteger, nullable=False),
        sa.Column("content", sa.Text),
        sa.PrimaryKeyConstraint("upload", "number", name="pk_parts"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_parts_content",
        "parts",
        ["content"],
        sqlite_where=sa.text("place = 2"),
        postgresql_where=sa.text("place = 2"),
    )
    op.create_table(
        "inline_data",
        sa.Column("id", BIGINT, nullable=False, autoincrement=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_inline_data"),
    )
    op.create_table(
        "dead_blobs",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dead_blobs"),
        sqlite_with_rowid=False,
    )
