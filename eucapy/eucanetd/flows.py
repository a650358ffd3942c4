"""What the rules have counted, window by window: read, translated into what flow logs know, kept for whoever asks.

    rules' sets ─ once a window ─► records ─► <data>/flows/<end>.json ─► `flows(after)`

A window ends at a whole multiple of `window_s`. It is in a file before it is told of, so that a process that is killed loses
at most the window that it was reading. Room is bounded: per VPC by the sets, per window by `most_records` (the largest flows
stay, and the window says of whom it skipped some), altogether by `MOST_WINDOWS` and `MOST_BYTES`, of which the oldest go.
A VPC without flow logs costs nothing.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from eucapy import ledger
from eucapy.clock import Clock
from eucapy.drivers.network import flow_counts
from eucapy.drivers.network.base import NetworkDriver
from eucapy.drivers.network.flow_counts import Flow, Flows
from eucapy.eucanetd.compile.flows import watched
from eucapy.eucanetd.compile.layout import Layout
from eucapy.eucanetd.plan import Laid
from eucapy.wire import codec
from eucapy.wire.flows import FlowInterface, FlowPage, FlowRecord, FlowWindow

log = logging.getLogger(__name__)

WINDOW_S = 60
MOST_WINDOWS = 180
MOST_BYTES = 256 << 20
PAGE_BYTES = 8 << 20
"""A page is full beyond this; it holds one window at least."""
_TCP_FLAGS = (
    (flow_counts.FIN, 1),
    (flow_counts.SYN, 2),
    (flow_counts.RST, 4),
    (flow_counts.SYN_ACK, 18),
)
"""SYN+ACK is 18 in a flow log: SYN and ACK; ACK alone is not told."""


class _Watched:
    """A VPC that is counted: its interfaces by number."""

    def __init__(self, vpc_id: str, interfaces: dict[int, FlowInterface]) -> None:
        self.vpc_id = vpc_id
        self.interfaces = interfaces


class FlowRecorder:
    """`watch` what is laid out, `activate` at the end of a window, and answer."""

    def __init__(
        self,
        folder: Path,
        driver: NetworkDriver,
        clock: Clock,
        most_records: int,
        window_s: int = WINDOW_S,
    ) -> None:
        """Damaged files are removed: they are observations, and nothing depends on them."""
        self._folder, self._driver, self._clock = folder, driver, clock
        self._most, self._window_s = most_records, window_s
        self._watched: dict[str, _Watched] = {}
        self._gone: dict[str, _Watched] = {}
        self._files: dict[int, Path] = {}
        for path in sorted(folder.glob("*.json")):
            if path.stem.isdecimal():
                self._files[int(path.stem)] = path
        now = int(clock.time())
        last = max(self._files, default=0)
        self._begin = last if now - 2 * window_s <= last <= now else now

    def watch(self, laid: Laid, layout: Layout) -> None:
        """From now on these are counted. What is no longer there has one more window to be read."""
        found: dict[str, _Watched] = {}
        for vpc_id, vpc in laid.vpcs.items():
            if not vpc.flow_logs:
                continue
            ports = watched(vpc, (port for port in laid.ports.values() if port.vpc_id == vpc_id))
            interfaces = {
                number: FlowInterface(
                    interface_id=port.interface_id,
                    instance_id=port.instance_id,
                    vpc_id=vpc_id,
                    subnet_id=port.subnet_id,
                    address=port.private_ips[0],
                )
                for number, port in ports.items()
            }
            found[layout.namespace(vpc_id)] = _Watched(vpc_id, interfaces)
        for name, held in self._watched.items():
            left = set(held.interfaces) - set(found[name].interfaces if name in found else ())
            if left or name not in found:
                gone = self._gone.setdefault(name, _Watched(held.vpc_id, {}))
                gone.interfaces.update((number, held.interfaces[number]) for number in left)
        self._watched = found

    def rest_s(self) -> float:
        """Seconds until the window ends."""
        return max(0.0, self._end_of(self._begin) - self._clock.time())

    async def activate(self) -> bool:
        """Read what was counted, if the window is over. Returns whether one was kept."""
        now = int(self._clock.time())
        if now < self._end_of(self._begin):
            if now < self._begin - self._window_s:
                self._begin = now  # the clock was set back
            return False
        begin, self._begin = self._begin, now - now % self._window_s
        known, self._gone = {**self._gone}, {}
        for name, held in self._watched.items():
            before = known[name].interfaces if name in known else {}
            known[name] = _Watched(held.vpc_id, {**before, **held.interfaces})
        if not known:
            return False
        counted = await self._driver.flows(sorted(known))
        window = _window(begin, self._begin, known, counted, self._most)
        if not window.interfaces and not window.records:
            return False
        self._keep(window)
        return True

    async def flows(self, after: int) -> FlowPage:
        windows: list[FlowWindow] = []
        size = 0
        wanted = sorted(end for end in self._files if end > after)
        for at, end in enumerate(wanted):
            try:
                content = self._files[end].read_bytes()
                windows.append(codec.decode(content, FlowWindow))
            except (OSError, codec.BadMessage) as error:
                log.warning("a window of flows is lost", extra={"data": {"end": end, "reason": str(error)}})
                self._forget(end)
                continue
            size += len(content)
            if size >= PAGE_BYTES:
                return FlowPage(windows=tuple(windows), more=at + 1 < len(wanted))
        return FlowPage(windows=tuple(windows))

    def _end_of(self, begin: int) -> int:
        return begin - begin % self._window_s + self._window_s

    def _keep(self, window: FlowWindow) -> None:
        path = self._folder / f"{window.end:012d}.json"
        ledger.write_file(path, codec.encode(window))
        self._files[window.end] = path
        sizes = {end: kept.stat().st_size for end, kept in self._files.items() if kept.exists()}
        total = sum(sizes.values())
        for end in sorted(self._files):
            if len(self._files) <= MOST_WINDOWS and total <= MOST_BYTES:
                break
            total -= sizes.get(end, 0)
            self._forget(end)

    def _forget(self, end: int) -> None:
        self._files.pop(end).unlink(missing_ok=True)


def _window(begin: int, end: int, known: Mapping[str, _Watched], counted: Mapping[str, Flows], most: int) -> FlowWindow:
    interfaces = {one.interface_id: one for held in known.values() for one in held.interfaces.values()}
    skipped = {known[name].vpc_id for name, seen in counted.items() if name in known and seen.skipped}
    records: list[tuple[str, FlowRecord]] = []
    for name, seen in counted.items():
        if name in known:
            records += [(known[name].vpc_id, record) for record in _records(known[name], seen.counted)]
    if len(records) > most:
        records.sort(key=lambda each: (-each[1].packets, _order(each[1])))
        skipped |= {vpc_id for vpc_id, _ in records[most:]}
        del records[most:]
    return FlowWindow(
        begin=begin,
        end=end,
        interfaces=tuple(interfaces[name] for name in sorted(interfaces)),
        records=tuple(sorted((record for _, record in records), key=_order)),
        skipped=tuple(sorted(skipped)),
    )


def _records(held: _Watched, counted: Iterable[Flow]) -> Iterable[FlowRecord]:
    """Lines that differ in their TCP flags alone are one record."""
    sums: dict[tuple[str, bool, bool, str, str, int, int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for flow in counted:
        owner = held.interfaces.get(flow.number)
        if owner is None and flow.number:
            continue
        key = (
            held.vpc_id if owner is None else owner.interface_id,
            bool(flow.kind & flow_counts.RECEIVED),
            bool(flow.kind & flow_counts.REFUSED),
            flow.source,
            flow.target,
            flow.source_port,
            flow.target_port,
            flow.protocol,
        )
        total = sums[key]
        total[0] += flow.packets
        total[1] += flow.bytes
        for flag, told in _TCP_FLAGS:
            if flow.kind & flag:
                total[2] |= told
    for key, (packets, size, flags) in sums.items():
        yield FlowRecord(*key, packets, size, flags)


def _order(record: FlowRecord) -> tuple[object, ...]:
    return (
        record.owner, record.received, record.refused, record.source, record.target,
        record.source_port, record.target_port, record.protocol,
    )  # fmt: skip
