"""Alembic's entry: runs the migrations on the connection that `eucapy/migrating.py` hands over, in its transaction.

Afterwards the triggers of `revisions.py` are laid: they belong to the tables as they are now, not to a step on the way, and
SQLite loses those of a table that a migration makes anew.
"""

from __future__ import annotations

from alembic import context

from eucapy.clc.store import revisions
from eucapy.clc.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
for statement in revisions.statements(connection.dialect.name):
    connection.exec_driver_sql(statement)
