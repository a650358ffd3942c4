"""The cloud controller's tables: one file a resource, plain functions on an open transaction.

`base.py` the metadata and the shared columns · `filters.py` EC2's filters as SQL · `advance.py` the only writer of states.
A function takes the transaction first and returns rows or values; it never commits. Rows do not leave their transaction.
"""
