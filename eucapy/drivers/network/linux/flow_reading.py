"""Reading what the rules have counted, by `flow_counts.py`'s halves.

What a table has counted goes with the table: before one is replaced whole or removed, it is read (`keep`), and given out at
the next reading.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from collections.abc import Collection

from eucapy.drivers.network import flow_counts, netns
from eucapy.drivers.network.flow_counts import Flow, Flows
from eucapy.drivers.network.linux import counted_sets, counters, netlink
from eucapy.drivers.network.linux.counted_sets import TABLE, Counted
from eucapy.drivers.network.linux.netlink import Asking
from eucapy.run import RunError, in_netns, run_now

log = logging.getLogger(__name__)

_TCP, _UDP = 6, 17
_FAMILIES = {
    flow_counts.PORTS: (socket.AF_INET, 4),
    flow_counts.OTHERS: (socket.AF_INET, 4),
    flow_counts.PORTS6: (socket.AF_INET6, 16),
    flow_counts.OTHERS6: (socket.AF_INET6, 16),
}
"""The family of a set's addresses, and how many bytes they have."""


class FlowReader:
    """Remembers which half each namespace counts into, and what was kept of tables that are gone."""

    def __init__(self) -> None:
        self._half: dict[str, int] = {}
        self._skipped: dict[str, int] = {}
        self._kept: dict[str, Flows] = {}

    def read(self, namespaces: Collection[str]) -> dict[str, Flows]:
        """What these have counted since they were read last, and what was kept of others. Blocks. A namespace that cannot be
        read, or does not count, has nothing to say."""
        found, self._kept = self._kept, {}
        for name in namespaces:
            try:
                if _counts(name):
                    found[name] = _joined(found.get(name, Flows()), self._turned(name))
            except (OSError, RunError) as error:
                log.warning("flows are not read", extra={"data": {"namespace": name, "reason": str(error)}})
        return found

    def keep(self, name: str) -> None:
        """The namespace's table goes: read what it has counted. Blocks; what cannot be read is lost."""
        half, seen = self._half.pop(name, 0), self._skipped.pop(name, 0)
        try:
            if not _counts(name):
                return
            held = _elements(name, half)
            skipped = _since(seen, counters.packets(name).get(flow_counts.SKIPPED, 0))
        except (OSError, RunError) as error:
            log.warning("flows are lost", extra={"data": {"namespace": name, "reason": str(error)}})
            return
        self._kept[name] = _joined(self._kept.get(name, Flows()), Flows(held, skipped))

    def _turned(self, name: str) -> Flows:
        """Everything since the last reading: the half that was counted into, which is emptied then. After a start it may be
        the other one, and is read at the next turn."""
        half = self._half.get(name, 0)
        _load(name, flow_counts.turn(f"inet {TABLE}", 1 - half))
        self._half[name] = 1 - half
        counted = _elements(name, half)
        if counted:
            _load(name, flow_counts.emptied(f"inet {TABLE}", half))
        total = counters.packets(name).get(flow_counts.SKIPPED, 0)
        skipped = _since(self._skipped.get(name, 0), total)
        self._skipped[name] = total
        return Flows(counted, skipped)


def _since(seen: int, total: int) -> int:
    """A counter that is smaller than it was began anew."""
    return total - seen if total >= seen else total


def _joined(one: Flows, other: Flows) -> Flows:
    return Flows((*one.counted, *other.counted), one.skipped + other.skipped)


def _counts(name: str) -> bool:
    return netns.exists(name) and netlink.has_chain(name, netlink.NFPROTO_INET, TABLE, flow_counts.PORTS)


def _load(name: str, text: str) -> None:
    run_now(*in_netns(name, ["nft", "-f", "-"]), stdin=text)


def _elements(name: str, which: int) -> tuple[Flow, ...]:
    """Raises OSError."""
    with contextlib.closing(Asking(name, netlink.NETFILTER)) as asking:
        return tuple(
            _flow(of, counted)
            for of in flow_counts.NAMES
            for counted in counted_sets.elements(asking, flow_counts.half(of, which))
        )


def _flow(of: str, counted: Counted) -> Flow:
    """Every part of a key is filled up to four bytes."""
    key = counted.key
    (mark,) = struct.unpack_from("=I", key)
    kind = mark & (1 << flow_counts.NUMBER_SHIFT) - 1
    family, length = _FAMILIES[of]
    source, target, rest = 4, 4 + length, 4 + 2 * length
    if of in (flow_counts.PORTS, flow_counts.PORTS6):
        protocol = _UDP if kind & flow_counts.UDP else _TCP
        source_port, target_port = struct.unpack_from("!H2xH", key, rest)
    else:
        protocol, source_port, target_port = key[rest], 0, 0
    return Flow(
        number=mark >> flow_counts.NUMBER_SHIFT,
        kind=kind,
        source=socket.inet_ntop(family, key[source:target]),
        target=socket.inet_ntop(family, key[target:rest]),
        protocol=protocol,
        source_port=source_port,
        target_port=target_port,
        packets=counted.packets,
        bytes=counted.bytes,
    )
