"""Lifecycles: one table a resource. `machine.py` what a table is; the diagrams in `docs/lifecycles.md` come from here."""
