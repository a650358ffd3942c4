"""Every table, in one place to ask: `metadata` is complete once this module is imported.

A table joins `metadata` where it is declared, so all that is needed is that every file of the store has been read.
"""

from __future__ import annotations

import importlib
import pkgutil

from eucapy.clc import store
from eucapy.clc.store.base import metadata

__all__ = ["metadata"]

for _file in pkgutil.iter_modules(store.__path__):
    if not _file.ispkg:
        importlib.import_module(f"{store.__name__}.{_file.name}")
