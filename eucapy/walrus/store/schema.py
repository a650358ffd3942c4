"""The tables of the object store.

    buckets ─┬─ bucket_settings   one document per sub-resource: tagging, acl, …
             ├─ versions          every version of every object, and delete markers
             └─ uploads ── parts  open multipart uploads; a completed one leaves its parts behind as the object's bytes
    inline_data                   bytes of small objects, kept beside their metadata: one commit makes both durable
    events                        what happened, on its way to the destinations that want to know
    replications                  versions on their way to other buckets
    dead_blobs                    blobs that nothing refers to any more, until the collector has removed them

Keys are bytes (UTF-8), because S3 lists them in byte order and both databases compare bytes so. The primary key of
`versions` is the order of listing: `current` = 1 holds the live object of each key and nothing else, so that a listing is
one range scan however many versions and delete markers there are; `current` = 0 holds the older versions and the markers.
`seq` counts *down*, so that ascending order is newest first.

Where bytes are (`place`, `content`): see `content.py`. Migrations: `migrations/`; a test proves that they lead here.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BIGINT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""64 bits on both, and SQLite's own row id where it is the primary key."""

buckets = sa.Table(
    "buckets",
    metadata,
    sa.Column("id", BIGINT, primary_key=True, autoincrement=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("owner", sa.Text, nullable=False, index=True),  # canonical id
    sa.Column("account", sa.Text, nullable=False),  # twelve digits
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("versioning", sa.Text, nullable=False),  # "", "Enabled" or "Suspended"
    sa.Column(
        "ownership", sa.Text, nullable=False
    ),  # BucketOwnerEnforced, BucketOwnerPreferred, ObjectWriter, "": none
    sa.Column("access", sa.Text, nullable=False, server_default=""),  # JSON of walrus/access.py; "": its default
    sa.Column("lock", sa.Text, nullable=False, server_default=""),  # JSON of walrus/locks.py; "": no object lock
    sa.Column("encryption", sa.Text, nullable=False, server_default=""),  # JSON of walrus/encryption.py; "": none
    sa.Column("lifecycle", sa.Text, nullable=False, server_default=""),  # JSON of walrus/lifecycle.py; "": no rules
    sa.Column("notifications", sa.Text, nullable=False, server_default=""),  # JSON of walrus/notifications.py; "": none
    sa.Column("replication", sa.Text, nullable=False, server_default=""),  # JSON of walrus/replication.py; "": none
)

bucket_settings = sa.Table(
    "bucket_settings",
    metadata,
    sa.Column("bucket", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("document", sa.Text, nullable=False),  # JSON
    sqlite_with_rowid=False,
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("bucket", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("current", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version_id", sa.Text, nullable=False),  # "null" or what seq encodes to
    sa.Column("marker", sa.SmallInteger, nullable=False),
    sa.Column("modified_ms", sa.BigInteger, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("etag", sa.Text, nullable=False),  # without quotes
    sa.Column("owner", sa.Text),  # canonical id; NULL: the bucket's owner
    sa.Column("checksum", sa.Text),  # "CRC32 FULL_OBJECT AAAAAA=="
    sa.Column("storage_class", sa.Text),  # NULL: STANDARD
    sa.Column("place", sa.SmallInteger, nullable=False),
    sa.Column("content", sa.Text),
    sa.Column("details", sa.Text, nullable=False),  # JSON of headers and user metadata
    sa.Column("tags", sa.Text),  # JSON; NULL: none
    sa.Column("acl", sa.Text),  # NULL: private
    sa.Column("lock", sa.Text),  # JSON of walrus/locks.py; NULL: never locked
    sa.Column("sse", sa.Text),  # JSON of walrus/encryption.py; NULL: the bytes are as they came
    sa.Column("replication", sa.Text),  # PENDING, COMPLETED, FAILED or REPLICA; NULL: nothing of the kind
    sqlite_with_rowid=False,
)
sa.Index(
    "ix_versions_content",
    versions.c.content,
    sqlite_where=versions.c.place >= 2,
    postgresql_where=versions.c.place >= 2,
)

uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("bucket", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("initiated_ms", sa.BigInteger, nullable=False),
    sa.Column("initiator", sa.Text, nullable=False),  # canonical id
    sa.Column("initiator_arn", sa.Text, nullable=False),
    sa.Column("checksum_algorithm", sa.Text),
    sa.Column("checksum_type", sa.Text),
    sa.Column("storage_class", sa.Text),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("tags", sa.Text),
    sa.Column("acl", sa.Text),
    sa.Column("lock", sa.Text),
    sa.Column("sse", sa.Text),
    sa.Column("removed_ms", sa.BigInteger, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)

parts = sa.Table(
    "parts",
    metadata,
    sa.Column("upload", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("etag", sa.Text, nullable=False),
    sa.Column("modified_ms", sa.BigInteger, nullable=False),
    sa.Column("checksum", sa.Text),  # "CRC32 AAAAAA=="
    sa.Column("place", sa.SmallInteger, nullable=False),
    sa.Column("content", sa.Text),
    sqlite_with_rowid=False,
)
sa.Index("ix_parts_content", parts.c.content, sqlite_where=parts.c.place == 2, postgresql_where=parts.c.place == 2)

inline_data = sa.Table(
    "inline_data",
    metadata,
    sa.Column("id", BIGINT, primary_key=True, autoincrement=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

dead_blobs = sa.Table(
    "dead_blobs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", BIGINT, primary_key=True, autoincrement=True),
    sa.Column("arn", sa.Text, nullable=False, index=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # JSON, as it is posted
)

replications = sa.Table(
    "replications",
    metadata,
    sa.Column("id", BIGINT, primary_key=True, autoincrement=True),
    sa.Column("bucket", sa.BigInteger, nullable=False),  # the source's id
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("version_id", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),  # a bucket's name
    sa.Column("storage_class", sa.Text),
    sa.Column("due_ms", sa.BigInteger, nullable=False, index=True),  # not to be tried before
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Index("ix_replications_bucket_key", "bucket", "key"),
)
