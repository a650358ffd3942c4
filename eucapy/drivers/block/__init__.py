"""Block storage drivers. `base.py` the interface · `files.py` qcow2 chains · `fake.py` · `loader.py` by name."""
