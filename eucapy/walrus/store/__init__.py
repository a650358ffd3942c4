"""The object store's metadata: plain functions on an open transaction, one file a resource.

`schema.py` the tables · `engine.py` the database and its grouped commits · `migrating.py` the schema's versions ·
`buckets.py` · `objects.py` writing and reading versions · `listings.py` pages of them · `uploads.py` multipart ·
`content.py` where bytes are, and how they are given up.

A function takes the transaction first, never commits and never awaits anything else. What it returns are frozen values.
"""
