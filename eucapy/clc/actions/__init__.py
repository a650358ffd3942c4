"""Every operation's declaration: which IAM action it is, on which resources, with which condition keys.

One table for each service (`ebs.py`, `ec2.py`, `iam.py`, `sts.py`); the object store's stands in `eucapy/walrus/access.py`,
where buckets' policies are decided. The language of the tables: `declaration.py`. Who decides by them:
`eucapy/clc/authorize.py`. A test holds that no operation with a handler is without an entry.
"""

from __future__ import annotations

from eucapy.clc.actions import ebs, ec2, iam, sts
from eucapy.clc.actions.declaration import Ask, Declaration, Scope, Touched

__all__ = ["Ask", "Declaration", "Scope", "Touched", "declared", "services"]

_SERVICES = {"ebs": ebs.DECLARED, "ec2": ec2.DECLARED, "iam": iam.DECLARED, "sts": sts.DECLARED}


def services() -> dict[str, dict[str, Declaration]]:
    """All declarations, by service and operation."""
    return _SERVICES


def declared(service: str, operation: str) -> Declaration | None:
    """The operation's declaration; None for one that nobody may call."""
    return _SERVICES.get(service, {}).get(operation)
