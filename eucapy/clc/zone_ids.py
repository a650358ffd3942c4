"""AWS's ids of availability zones, such as `use1-az6`: of the API, and of the metadata that guests see."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def zone_ids(region: str, zones: Sequence[str]) -> dict[str, str]:
    """By the names of the region's zones, all of them in their order."""
    return {name: zone_id(region, index) for index, name in enumerate(zones)}


def zone_id(region: str, index: int) -> str:
    """AWS's id of the region's zone with this index, such as `use1-az6` for the first zone of us-east-1."""
    numbers = _NUMBERS.get(region, ())
    number = numbers[index] if index < len(numbers) else index + 1
    parts = region.split("-")
    if len(parts) in (3, 4) and parts[-1].isdigit():
        middle = "".join(word[0] for part in parts[1:-1] for word in _words(part))
        return f"{parts[0]}{middle}{parts[-1]}-az{number}"
    return f"{hashlib.sha256(region.encode()).hexdigest()[:4]}-az{number}"


_NUMBERS = {"us-east-1": (6, 1, 2, 4, 3, 5), "us-west-1": (3, 1, 2), "us-west-2": (2, 1, 3, 4), "eu-west-1": (3, 1, 2)}
"""Which zone a name stands for is AWS's choice, account by account: in its older regions the names are not in the order of the
zones. These are what newer accounts find; public suites and configurations that name zones by id rely on it."""


def _words(direction: str) -> list[str]:
    """`northeast` is two words, `east` is one."""
    for first in ("north", "south"):
        if direction.startswith(first) and direction != first:
            return [first, direction[len(first) :]]
    return [direction]
