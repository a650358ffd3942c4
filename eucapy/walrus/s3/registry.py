"""Every file of handlers, imported by name, so that importing this module makes the service complete."""

from __future__ import annotations

from eucapy.walrus.s3 import (
    acls,
    buckets,
    configurations,
    copies,
    cors,
    deletes,
    forms,
    lifecycle,
    listings,
    locks,
    objects,
    policies,
    reading,
    tagging,
    uploads,
    versioning,
    websites,
)
from eucapy.walrus.s3.service import s3

__all__ = [
    "acls",
    "buckets",
    "configurations",
    "copies",
    "cors",
    "deletes",
    "forms",
    "lifecycle",
    "listings",
    "locks",
    "objects",
    "policies",
    "reading",
    "s3",
    "tagging",
    "uploads",
    "versioning",
    "websites",
]
