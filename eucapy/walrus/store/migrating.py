"""The object store's migrations: where they are, and which is the newest."""

from __future__ import annotations

from eucapy import migrating
from eucapy.database import Database
from eucapy.migrating import NewerSchema

__all__ = ["HEAD", "NewerSchema", "upgrade"]

HEAD = "0001"
"""The newest revision in `migrations/versions`; a test holds the two together."""


async def upgrade(database: Database) -> None:
    """Returns when the schema is current. Raises NewerSchema."""
    await migrating.upgrade(database, "eucapy.walrus.store:migrations", HEAD)
