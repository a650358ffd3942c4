"""What Eucalyptus adds to EC2's shapes, as botocore's files describe them: `Availability` of DescribeInstanceTypes, and
the answer that euca2ools prints (`capacity_views.py`)."""

from __future__ import annotations

from typing import Any


def _member(shape: str, name: str) -> dict[str, str]:
    return {"shape": shape, "locationName": name}


def _list(shape: str) -> dict[str, Any]:
    return {"type": "list", "member": _member(shape, "item")}


EXTENSION: dict[str, Any] = {
    "shapes": {
        "EucaZoneAvailability": {
            "type": "structure",
            "members": {
                "ZoneName": _member("String", "zoneName"),
                "Max": _member("Integer", "max"),
                "Available": _member("Integer", "available"),
            },
        },
        "EucaZoneAvailabilityList": _list("EucaZoneAvailability"),
        "EucaInstanceTypeDetails": {
            "type": "structure",
            "members": {
                "Name": _member("String", "name"),
                "Cpu": _member("Integer", "cpu"),
                "Memory": _member("Integer", "memory"),
                "Disk": _member("Integer", "disk"),
                "Availability": _member("EucaZoneAvailabilityList", "availability"),
            },
        },
        "EucaInstanceTypeDetailsList": _list("EucaInstanceTypeDetails"),
    },
    "members": {
        "DescribeInstanceTypesRequest": {"Availability": {"shape": "Boolean"}},
        "DescribeInstanceTypesResult": {
            "InstanceTypeDetails": _member("EucaInstanceTypeDetailsList", "instanceTypeDetails")
        },
    },
}
"""For `Service(extend=…)`."""
