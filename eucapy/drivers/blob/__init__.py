"""The blob family: bytes written once, read many times and removed, for the object store.

`base.py` is the interface and its promises, `files.py` the file system, `memory.py` the twin of equal rank that tests
use, `loader.py` picks one by its configured name. `tests/drivers/blob/test_contract.py` runs over all of them.
"""
