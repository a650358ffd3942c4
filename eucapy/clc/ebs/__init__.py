"""The EBS direct APIs: snapshots read and written by blocks of 512 KiB, without a volume or an instance.

Snapshots are EC2's own (`clc/store/snapshots.py`); their blocks are asked of the storage of the zone that they lie in, after
the request's transaction (`clc/blocks.py`). Reading: `reading.py`, with tokens of `tokens.py`; writing: `writing.py`. Source:
EBS direct APIs reference, and "Use EBS direct APIs to access the contents of an EBS snapshot". `load()` imports the files of
`MODULES`.
"""

from __future__ import annotations

import importlib

from eucapy.aws.service import Service

MODULES = (
    "reading",
    "writing",
)
"""Every file with handlers, in the order of the alphabet."""


def load() -> Service:
    """The service with all its handlers registered."""
    for name in MODULES:
        importlib.import_module(f"{__name__}.{name}")
    from eucapy.clc.ebs.service import ebs

    return ebs
