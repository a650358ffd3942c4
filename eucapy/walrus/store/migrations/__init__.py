"""Alembic's folder for the object store's schema: one file a change in `versions/`. Run by `../migrating.py`."""
