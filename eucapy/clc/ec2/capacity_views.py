"""DescribeInstanceTypes as Eucalyptus answers its own tools: a type's processors, memory and disk, and how many instances
of it each zone could hold (`max`) and can take now (`available`). Source: euca2ools, `euca-describe-instance-types`.

EC2's other clients are not told: neither do they look for it, nor are they to pay for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eucapy.clc import capacity
from eucapy.clc.context import Call
from eucapy.clc.instance_types import InstanceType

_TOOL = "euca2ools"


def is_asked(call: Call, availability: bool) -> bool:
    """Who asks for the figures, or comes with Eucalyptus's own tools, is shown the details."""
    return availability or call.user_agent.startswith(_TOOL)


async def details(call: Call, kinds: Sequence[InstanceType], availability: bool) -> list[dict[str, Any]]:
    """Memory is in MiB, disks in GiB: those that come with the type."""
    free = await capacity.by_zone(call.tx, call.config, kinds) if availability else {}
    return [
        {
            "Name": kind.name,
            "Cpu": kind.vcpus,
            "Memory": kind.memory_mib,
            "Disk": kind.disk_count * kind.disk_gib,
            "Availability": [
                {"ZoneName": zone, "Max": most, "Available": left}
                for zone, (left, most) in free.get(kind.name, {}).items()
            ],
        }
        for kind in kinds
    ]
