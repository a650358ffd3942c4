"""How many virtual processors an account's instances use: what its limit counts.

Instances that run or are about to count; those that are stopped or end do not. Source: EC2 User Guide, "On-Demand Instance
quotas": the quota is in vCPUs of running instances.
"""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store.instances import table
from eucapy.database import Tx
from eucapy.lifecycle import instance as life

COUNTED = (life.PENDING, life.RUNNING, life.STOPPING)

# The sum is asked for by every launch: it is taken from the index alone, without a look at the instances.
sa.Index(None, table.c.account, table.c.state, table.c.vcpus)

_IN_USE = sa.select(sa.func.coalesce(sa.func.sum(table.c.vcpus), 0)).where(
    table.c.account == sa.bindparam("account"), table.c.state.in_(COUNTED)
)


async def in_use(tx: Tx, account: str) -> int:
    """The virtual processors of the account's instances that count."""
    return int(await tx.scalar(_IN_USE, {"account": account}))
