"""The fields of flow logs: which there are, what a format says, and a record as its line. Pure.

    ${version} ${account-id} ${interface-id} …   ─► one line a record, `-` for what is not known

Source: "Flow log records", VPC user guide; fields of versions 2 to 5. What this cloud has nothing of (sub-locations, AWS's own
services) is always `-`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_VERSIONS = {
    2: "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status",
    3: "vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr",
    4: "region az-id sublocation-type sublocation-id",
    5: "pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path",
}
VERSION_OF: dict[str, int] = {name: version for version, names in _VERSIONS.items() for name in names.split()}
DEFAULT = " ".join(f"${{{name}}}" for name in _VERSIONS[2].split())
_FORM = re.compile(r"\$\{[a-z0-9-]+\}(?: \$\{[a-z0-9-]+\})*")
_FIELD = re.compile(r"\$\{([a-z0-9-]+)\}")
UNKNOWN = "-"


def fields(log_format: str) -> list[str]:
    """The names of the fields that a format says, in its order. Raises ValueError for what is no format."""
    if not _FORM.fullmatch(log_format):
        raise ValueError("it is no list of fields")
    found = _FIELD.findall(log_format)
    unknown = [name for name in found if name not in VERSION_OF]
    if unknown:
        raise ValueError(f"there is no field {unknown[0]}")
    return found


def header(names: Sequence[str]) -> str:
    """The first line of a file."""
    return " ".join(names)


def version(names: Sequence[str]) -> str:
    """The highest of the versions that the fields are of."""
    return str(max((VERSION_OF[name] for name in names), default=2))


def line(names: Sequence[str], known: Mapping[str, object]) -> str:
    """A record's line."""
    return " ".join(str(known.get(name, UNKNOWN)) for name in names)
