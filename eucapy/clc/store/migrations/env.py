"""Alembic's entry: runs the migrations on the connection that `eucapy/migrating.py` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from eucapy.clc.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
