"""Which table holds the resources of each kind of id, to ask whether an account has them.

Every taggable kind stands here; a test compares with `eucapy/ids.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store.base import metadata
from eucapy.clc.store.tags import chunks
from eucapy.database import Tx

TABLES = {
    "i": "instances",
    "r": "instances",
    "ami": "images",
    "aki": "images",
    "ari": "images",
    "vol": "volumes",
    "snap": "snapshots",
    "sg": "security_groups",
    "sgr": "security_group_rules",
    "key": "key_pairs",
    "eipalloc": "public_ips",
    "vpc": "vpcs",
    "subnet": "subnets",
    "eni": "network_interfaces",
    "igw": "internet_gateways",
    "eigw": "egress_only_gateways",
    "rtb": "route_tables",
    "acl": "network_acls",
    "fl": "flow_logs",
    "nat": "nat_gateways",
    "pcx": "vpc_peerings",
    "dopt": "dhcp_options",
    "lt": "launch_templates",
    "pg": "placement_groups",
    "pl": "prefix_lists",
    "scr": "subnet_cidr_reservations",
    "import-snap": "import_tasks",
    "import-ami": "import_tasks",
    "export-ami": "export_tasks",
    "export-i": "export_tasks",
}
_ID_COLUMN = {"r": "reservation_id"}


async def missing(tx: Tx, account: str, resource_ids: Iterable[str]) -> dict[str, list[str]]:
    """Those of the well-formed ids that the account does not own, by prefix."""
    by_prefix: dict[str, list[str]] = {}
    for value in resource_ids:
        kind = ids.kind_of(value)
        assert kind is not None, "callers check the form first"
        by_prefix.setdefault(kind.prefix, []).append(value)
    absent: dict[str, list[str]] = {}
    for prefix, wanted in by_prefix.items():
        statement = _owned(prefix)
        found: set[str] = set()
        if statement is not None:
            for chunk in chunks(wanted, 500):
                rows = await tx.all(statement, {"account": account, "wanted": chunk})
                found.update(row[0] for row in rows)
        left = [value for value in wanted if value not in found]
        if left:
            absent[prefix] = left
    return absent


@functools.cache
def _owned(prefix: str) -> sa.Select[tuple[str]] | None:
    """Those of `:wanted` that `:account` has; None for a kind whose table this cloud does not have. Built once a kind."""
    table = metadata.tables.get(TABLES[prefix])
    if table is None:
        return None
    column = table.c[_ID_COLUMN.get(prefix, "id")]
    return sa.select(column).where(
        table.c.account == sa.bindparam("account"), column.in_(sa.bindparam("wanted", expanding=True))
    )
