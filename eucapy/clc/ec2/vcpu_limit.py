"""The account's limit on running virtual processors, which AWS counts instances in.

A request for more than the limit ever allows is refused whatever runs; otherwise as many instances are launched as the
rest of the limit allows, down to MinCount. Source: EC2 User Guide, "Amazon EC2 instance type quotas"; RunInstances,
"MaxCount".
"""

from __future__ import annotations

from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import VcpuLimitExceeded
from eucapy.clc.store import vcpu_usage


async def how_many(call: Call, vcpus_each: int, least: int, most: int) -> int:
    """How many instances of `vcpus_each` may be started, `most` at most. Raises VcpuLimitExceeded when not even `least`
    may, and when `most` is more than the limit itself."""
    limit = call.config.vcpus_per_account
    if most * vcpus_each > limit:
        raise VcpuLimitExceeded(limit=limit)
    left = limit - await vcpu_usage.in_use(call.tx, call.account)
    fitting = min(most, left // vcpus_each)
    if fitting < least:
        raise VcpuLimitExceeded(limit=limit)
    return fitting
