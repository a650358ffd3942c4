"""Alembic's entry: runs the migrations on the connection that `migrating.py` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from eucapy.walrus.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
