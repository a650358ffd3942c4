"""Bring a database to the schema of this version, by a store's own Alembic migrations.

Alembic is imported only where there is something to do: a start with a current schema costs one point read.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from eucapy.database import Database

LOCK = 0x65756361
"""PostgreSQL's advisory lock of those who migrate."""


class NewerSchema(Exception):
    """The database was made by a later version of eucapy; it is left alone."""


async def upgrade(database: Database, location: str, head: str) -> None:
    """Returns when the schema is `head`, the newest revision in `location` (`package.module:folder`).

    All migrations that are missing run in one transaction. Raises NewerSchema.
    """
    await database.with_connection(lambda connection: _upgrade(connection, location, head))


def _upgrade(connection: Connection, location: str, head: str) -> None:
    if _is_current(connection, head):
        return
    if connection.dialect.name == "postgresql":
        # Two controllers that start at once: the second waits here, and finds the work done. (SQLite has one writer.)
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        if _is_current(connection, head):
            return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", location)
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise NewerSchema(f"the schema is not known to this version: {error}") from error


def _is_current(connection: Connection, head: str) -> bool:
    if not sa.inspect(connection).has_table("alembic_version"):
        return False
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == head
