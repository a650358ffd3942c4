"""Bring a database to the schema of this version.

Alembic is imported only where there is something to do: a start with a current schema costs one point read.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from eucapy.database import Database

HEAD = "0001"
"""The newest revision in `migrations/versions`; a test holds the two together."""


class NewerSchema(Exception):
    """The database was made by a later version of eucapy; it is left alone."""


async def upgrade(database: Database) -> None:
    """Returns when the schema is current. Raises NewerSchema."""
    await database.with_connection(_upgrade)


def _upgrade(connection: Connection) -> None:
    if not _is_current(connection):
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", "eucapy.walrus.store:migrations")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise NewerSchema(f"the object store's schema is not known to this version: {error}") from error


def _is_current(connection: Connection) -> bool:
    if not sa.inspect(connection).has_table("alembic_version"):
        return False
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD
