"""Network ACLs as nodes are told them: those that hold anything back. Pure.

An ACL whose first entries let everything through, as the default one of a VPC, is no ACL to a node. Entries about IPv6
are sent where the VPC has a block of it. The last ones, which deny, are not: that is what a node does with the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eucapy.wire.network import AclEntrySpec, AclSpec

_LAST = (32767, 32768)
_OPEN = AclEntrySpec(allow=True, protocol="-1", cidr="0.0.0.0/0")
_OPEN6 = AclEntrySpec(allow=True, protocol="-1", cidr="::/0")


def guarding_acls(
    acl_ids: Iterable[str], entries: Mapping[str, Sequence[Any]], *, ipv6: bool = False
) -> dict[str, AclSpec]:
    """Those of the ACLs that may refuse a packet, by id. `entries` has their rows in the order of their numbers; `ipv6`: there
    are packets of IPv6 to refuse."""
    found = {}
    for acl_id in sorted(acl_ids):
        sides: dict[bool, list[AclEntrySpec]] = {True: [], False: []}
        for row in entries.get(acl_id, ()):
            if (row.cidr or ipv6) and row.number not in _LAST:
                sides[bool(row.is_egress)].append(_entry(row))
        if not all(_open(side, ipv6) for side in sides.values()):
            found[acl_id] = AclSpec(acl_id=acl_id, ingress=tuple(sides[False]), egress=tuple(sides[True]))
    return found


def _open(side: Sequence[AclEntrySpec], ipv6: bool) -> bool:
    """Nothing is denied before everything is allowed."""
    first = [entry for entry in side if ":" not in entry.cidr][:1]
    first6 = [entry for entry in side if ":" in entry.cidr][:1]
    return first == [_OPEN] and (not ipv6 or first6 == [_OPEN6])


def _entry(row: Any) -> AclEntrySpec:
    first, last = (row.from_port, row.to_port) if row.icmp_type is None else (row.icmp_type, row.icmp_code)
    return AclEntrySpec(
        allow=row.action == "allow",
        protocol=row.protocol,
        from_port=-1 if first is None else first,
        to_port=-1 if last is None else last,
        cidr=row.cidr or row.cidr6,
    )
