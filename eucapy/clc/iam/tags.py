"""What tags may be, and how IAM shows them. The operations: `tagging.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy.clc.iam.service import InvalidInput, LimitExceeded, ValidationError

MOST = 50


def checked(tags: Sequence[Mapping[str, str]] | None, *, folding: bool = False) -> dict[str, str]:
    """Key to value, as given. `folding`: keys that differ in case alone are the same. Raises InvalidInput, ValidationError."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for tag in tags or ():
        key = tag["Key"].lower() if folding else tag["Key"]
        if tag["Key"].lower().startswith("aws:"):
            raise ValidationError(
                "System tag keys cannot be modified or created. System tag keys start with the prefix 'aws:'."
            )
        if key in seen:
            more = " Please note that Tag keys are case insensitive." if folding else ""
            raise InvalidInput(f"Duplicate tag keys found.{more}")
        seen.add(key)
        found[tag["Key"]] = tag["Value"]
    return found


def refuse_many(tags: Mapping[str, str]) -> None:
    """Raises LimitExceeded when these are more than something may have."""
    if len(tags) > MOST:
        raise LimitExceeded("The number of tags has reached the maximum limit.")


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """As IAM shows them: in the order of the keys."""
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


def with_tags(view: dict[str, Any], tags: Mapping[str, str], *, always: bool = False) -> dict[str, Any]:
    """The view with its tags, in the order given; without the member where there are none, unless `always`."""
    if tags or always:
        view["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return view
