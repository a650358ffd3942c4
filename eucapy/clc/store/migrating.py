"""The cloud controller's migrations: where they are, and which is the newest.

`python etc/dev/migration.py clc <next number> "<what changes>"` writes the next one. The triggers of `revisions.py` are no
part of them: `migrations/env.py` lays them anew over whatever tables the migrations led to.
"""

from __future__ import annotations

from eucapy import migrating
from eucapy.database import Database
from eucapy.migrating import NewerSchema

__all__ = ["HEAD", "NewerSchema", "upgrade"]

HEAD = "0028"
"""The newest revision in `migrations/versions`; a test holds the two together."""


async def upgrade(database: Database) -> None:
    """Returns when the schema is current. Raises NewerSchema."""
    await migrating.upgrade(database, "eucapy.clc.store:migrations", HEAD)
