"""The object store's schema and its migrations (how they are run: `eucapy/migrating.py`)."""

from __future__ import annotations

from eucapy import migrating
from eucapy.database import Database
from eucapy.migrating import NewerSchema

__all__ = ["HEAD", "NewerSchema", "upgrade"]

HEAD = "0006"
"""The newest revision in `migrations/versions`; a test holds the two together."""


async def upgrade(database: Database) -> None:
    """Returns when the schema is current. Raises NewerSchema."""
    await migrating.upgrade(database, "eucapy.walrus.store:migrations", HEAD)
