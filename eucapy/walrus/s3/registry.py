"""Every file of handlers, imported by name, so that importing this module makes the service complete."""

from __future__ import annotations

from eucapy.walrus.s3 import (
    accesslogs,
    acls,
    buckets,
    configurations,
    copies,
    cors,
    deletes,
    encryption,
    forms,
    lifecycle,
    listings,
    locks,
    objects,
    payment,
    policies,
    reading,
    tagging,
    uploads,
    versioning,
    websites,
)
from eucapy.walrus.s3.service import s3

__all__ = [
    "accesslogs",
    "acls",
    "buckets",
    "configurations",
    "copies",
    "cors",
    "deletes",
    "encryption",
    "forms",
    "lifecycle",
    "listings",
    "locks",
    "objects",
    "payment",
    "policies",
    "reading",
    "s3",
    "tagging",
    "uploads",
    "versioning",
    "websites",
]
