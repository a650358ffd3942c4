"""Every endpoint to every address: what the reference says of each packet, held against what the packet does.

A `Round` sends a *probe* for each pair and kind of packet, all at once, and knows each by its number wherever it turns up:
those that may pass must arrive, where and as the reference says; those that may not must never be seen. Each that arrived
is answered, and the answer must come home. TCP's become *flows*, which are asked again in later rounds: what was established
goes on under any rules.

Nothing here waits for something not to happen: a probe is known by its number for as long as the matrix lives, so that a
late one is caught by a later round, and the last one ends with the packets that were sent after it.
"""

from __future__ import annotations

import itertools
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from tests.network import frames
from tests.network.frames import Packet
from tests.network.reference import PROTOCOLS, Asked, Passed, Refused
from tests.network.wires import Wire, wait_for_any

ICMP, TCP, UDP, ICMPV6 = PROTOCOLS["icmp"], PROTOCOLS["tcp"], PROTOCOLS["udp"], PROTOCOLS["icmpv6"]
TIMESTAMP = 13
"""ICMP's question for the time."""
INFORMATION = 139
"""ICMPv6's question for a name: another than echo that connections are made of."""
_REPLIES = {
    (ICMP, frames.ECHO): frames.ECHO_REPLY,
    (ICMP, TIMESTAMP): TIMESTAMP + 1,
    (ICMPV6, frames.ECHO6): frames.ECHO_REPLY6,
    (ICMPV6, INFORMATION): INFORMATION + 1,
}

KINDS = (
    Asked(TCP, 22),
    Asked(TCP, 80),
    Asked(UDP, 53),
    Asked(ICMP, frames.ECHO),
    Asked(ICMP, TIMESTAMP),
)

KINDS6 = (
    Asked(TCP, 22),
    Asked(TCP, 80),
    Asked(UDP, 53),
    Asked(ICMPV6, frames.ECHO6),
    Asked(ICMPV6, INFORMATION),
)

PATIENCE_S = 10.0
AGAIN_S = 0.25
QUIET_S = 0.03
FIRST_PORT, LAST_PORT = 20000, 60000
MARK = b"eucapy"
MOST_SAID = 200
"""Bytes of a flow: its sequence numbers, less the lowest byte, are its probe's number."""
MOST_FLOWS = 100

T = TypeVar("T")


class Judge(Protocol):
    """What says what shall become of packets: `reference.World`, or another."""

    @property
    def outside(self) -> frozenset[str]: ...

    def addresses(self) -> set[str]: ...

    def path(
        self, origin: str, target: str, asked: Asked, source: str, *, established: bool = False
    ) -> Passed | Refused: ...

    def comes_back(self, origin: str, target: str, answer: Asked, source: str, passed: Passed) -> bool: ...


@dataclass(slots=True)
class Probe:
    """A packet on its way, with what shall become of it."""

    number: int
    origin: str
    source: str
    target: str
    asked: Asked
    verdict: Passed | Refused
    comes_back: bool = True
    """Its answer does."""
    arrived: Packet | None = None
    answered: bool = False

    @property
    def first_byte(self) -> int:
        """TCP's sequence number of the first byte, in both directions."""
        return (self.number << 8) + 1

    @property
    def name(self) -> str:
        kind = {number: name for name, number in PROTOCOLS.items()}[self.asked.protocol]
        return f"{self.origin} {self.source} → {self.target} {kind}/{self.asked.target_port}"

    def packet(self) -> bytes:
        payload = MARK + struct.pack("!I", self.number)
        asked = self.asked
        if asked.protocol == TCP:
            return frames.tcp(
                self.source, self.target, asked.source_port, asked.target_port, frames.SYN, self.number << 8
            )
        if asked.protocol == UDP:
            return frames.udp(self.source, self.target, asked.source_port, asked.target_port, payload)
        return _icmp(self.source, self.target, asked.target_port, asked.source_port, payload)

    def answer(self) -> tuple[str, bytes]:
        """What the machine at the other end says to what arrived: at which wire, and what."""
        got, verdict = self.arrived, self.verdict
        assert got is not None and isinstance(verdict, Passed)
        payload = MARK + struct.pack("!I", self.number)
        if got.protocol == TCP:
            ports = (got.target_port, got.source_port)
            packet = frames.tcp(got.target, got.source, *ports, frames.SYN_ACK, self.number << 8, got.seq + 1)
        elif got.protocol == UDP:
            packet = frames.udp(got.target, got.source, got.target_port, got.source_port, payload)
        else:
            reply = _REPLIES[got.protocol, got.source_port]
            packet = _icmp(got.target, got.source, reply, got.target_port, payload)
        return verdict.at, packet


def _icmp(source: str, target: str, kind: int, identifier: int, payload: bytes) -> bytes:
    payload = payload.ljust(20, b"\0")
    if ":" in source:
        return frames.icmp6(source, target, kind, struct.pack("!HH", identifier, 1) + payload)
    return frames.icmp(source, target, kind, identifier, 1, payload)


@dataclass(slots=True)
class Flow:
    """An established connection of TCP. Each side has said `said` bytes; `heard` are the directions of this round."""

    probe: Probe
    passed: Passed
    ports: tuple[int, int]
    """The sender's and the receiver's, as the receiver sees them."""
    ends: tuple[Wire, Wire]
    """A guest that was off meanwhile is another one."""
    said: int = 0
    heard: set[str] = field(default_factory=set)

    def words(self, way: str) -> tuple[str, bytes]:
        """The next segment of four bytes, `out` from the sender or `back` from the receiver: at which wire, and what."""
        at, word = self.probe.first_byte + self.said, struct.pack("!I", self.said)
        if way == "back":
            seen, to = self.ports
            segment = frames.tcp(self.passed.to, self.passed.seen_as, to, seen, frames.PUSH_ACK, at, at + 4, word)
            return self.passed.at, segment
        asked = self.probe.asked
        ports = (asked.source_port, asked.target_port)
        return self.probe.origin, frames.tcp(
            self.probe.source, self.probe.target, *ports, frames.PUSH_ACK, at, at, word
        )


@dataclass
class Matrix:
    """The wires of a region, and all that was ever sent on them."""

    wires: Mapping[str, Wire]
    kinds: tuple[Asked, ...] = KINDS
    faults: list[str] = field(default_factory=list)
    judged: int = 0
    passed: int = 0
    continued: int = 0
    unheard: int = 0
    """Arrived, and their answers were refused on the way back."""
    _probes: dict[int, Probe] = field(default_factory=dict)
    _flows: dict[int, Flow] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _ports: dict[tuple[str, str], int] = field(default_factory=dict)

    def round(self, world: Judge, unassigned: Iterable[str] = ()) -> None:
        """Every pair, every kind; and the flows of former rounds. What is wrong is added to `faults`."""
        self._continue(world)
        targets = sorted({*unassigned, *world.outside, *world.addresses()})
        probes = [
            self._probe(world, origin, source, target, asked)
            for origin, wire in self.wires.items()
            for source in wire.addresses
            for target in targets
            if target not in wire.addresses
            for asked in self.kinds
        ]
        for probe in probes:
            self.wires[probe.origin].send(probe.packet())
        expected = [probe for probe in probes if isinstance(probe.verdict, Passed)]
        self._until(expected, lambda probe: probe.arrived is not None, lambda probe: (probe.origin, probe.packet()))
        self.faults += [f"{probe.name} did not arrive; {probe.verdict}" for probe in expected if not probe.arrived]
        arrived = [probe for probe in expected if probe.arrived]
        for probe in arrived:
            self._send(*probe.answer())
        heard = [probe for probe in arrived if probe.comes_back]
        self._until(heard, lambda probe: probe.answered, Probe.answer)
        self.faults += [f"the answer to {probe.name} did not come" for probe in heard if not probe.answered]
        self._establish([probe for probe in heard if probe.answered])
        self.judged += len(probes)
        self.passed += len(expected)
        self.unheard += len(arrived) - len(heard)

    def _probe(self, world: Judge, origin: str, source: str, target: str, asked: Asked) -> Probe:
        # A port of its own for each probe of a pair: none is mistaken for an answer, or for more of an older connection.
        port = self._ports[source, target] = self._ports.get((source, target), FIRST_PORT) + 1
        assert port < LAST_PORT
        asked = Asked(asked.protocol, asked.target_port, port)
        verdict = world.path(origin, target, asked, source)
        probe = Probe(next(self._numbers), origin, source, target, asked, verdict)
        if isinstance(verdict, Passed):
            probe.comes_back = world.comes_back(origin, target, answer_of(asked), source, verdict)
        self._probes[probe.number] = probe
        return probe

    def _send(self, at: str, packet: bytes) -> None:
        self.wires[at].send(packet)

    def _until(self, waiting: list[T], done: Callable[[T], bool], again: Callable[[T], tuple[str, bytes]]) -> None:
        """Until all are done, sending again for those that are not; then until the wires are quiet."""
        end, next_try = time.monotonic() + PATIENCE_S, time.monotonic() + AGAIN_S
        while True:
            self._collect()
            waiting = [each for each in waiting if not done(each)]
            now = time.monotonic()
            if not waiting or now > end:
                break
            if now > next_try:
                next_try = now + AGAIN_S
                for each in waiting:
                    self._send(*again(each))
            wait_for_any(self.wires.values(), 0.01)
        while wait_for_any(self.wires.values(), QUIET_S):
            self._collect()

    def _collect(self) -> None:
        for name, wire in self.wires.items():
            for packet in wire.drain():
                probe = self._probes.get(_number(packet))
                if probe is not None:
                    self._found(probe, name, packet)

    def _found(self, probe: Probe, at: str, packet: Packet) -> None:
        verdict, flow = probe.verdict, self._flows.get(probe.number)
        here, back = (at, packet.target, packet.source), _is_answer(packet)
        if isinstance(verdict, Passed) and not back and here == (verdict.at, verdict.to, verdict.seen_as):
            if flow is not None and packet.payload:
                flow.heard.add("out")
            elif packet.flags in (0, frames.SYN):
                probe.arrived = packet
        elif (
            isinstance(verdict, Passed)
            and probe.comes_back
            and back
            and here == (probe.origin, probe.source, probe.target)
        ):
            if flow is not None and packet.payload:
                flow.heard.add("back")
            probe.answered = True
        else:
            self.faults.append(f"{probe.name} was seen at {at} from {packet.source}; {verdict}")

    def _establish(self, answered: list[Probe]) -> None:
        """The handshakes of TCP that both sides saw are finished, and are flows from now on."""
        for probe in answered:
            verdict, got = probe.verdict, probe.arrived
            if probe.asked.protocol != TCP or not isinstance(verdict, Passed) or got is None:
                continue
            asked, first = probe.asked, probe.first_byte
            ports = (asked.source_port, asked.target_port)
            self._send(probe.origin, frames.tcp(probe.source, probe.target, *ports, frames.ACK, first, first))
            ends = (self.wires[probe.origin], self.wires[verdict.at])
            self._flows[probe.number] = Flow(probe, verdict, (got.source_port, got.target_port), ends)

    def _continue(self, world: Judge) -> None:
        """Each flow that there is still a way for says a word in each direction; the others are over."""
        standing = [flow for flow in self._flows.values() if flow.said < MOST_SAID and self._stands(world, flow)]
        self._flows = {flow.probe.number: flow for flow in standing[-MOST_FLOWS:]}
        flows = list(self._flows.values())
        for flow in flows:
            flow.heard.clear()
        for way in ("out", "back"):
            for flow in flows:
                self._send(*flow.words(way))
            self._until(flows, lambda flow, way=way: way in flow.heard, lambda flow, way=way: flow.words(way))  # type: ignore[misc]
            cut = [flow for flow in flows if way not in flow.heard]
            self.faults += [f"{flow.probe.name} was established and is cut on the way {way}" for flow in cut]
        for flow in flows:
            flow.said += 4
        self.continued += len(flows)

    def _stands(self, world: Judge, flow: Flow) -> bool:
        probe = flow.probe
        if flow.ends != (self.wires.get(probe.origin), self.wires.get(flow.passed.at)):
            return False
        way = (probe.origin, probe.target)
        stands = world.path(*way, probe.asked, probe.source, established=True) == flow.passed
        return stands and world.comes_back(*way, answer_of(probe.asked), probe.source, flow.passed)


def answer_of(asked: Asked) -> Asked:
    """What the machine at the other end says to it."""
    if asked.protocol in (ICMP, ICMPV6):
        return Asked(asked.protocol, _REPLIES[asked.protocol, asked.target_port])
    return Asked(asked.protocol, asked.source_port, asked.target_port)


def _number(packet: Packet) -> int:
    """The number of the probe that the packet belongs to, or 0."""
    if packet.protocol == TCP:
        return packet.seq >> 8
    # A message about a packet has that packet inside it, and is none itself.
    here = packet.payload[: len(MARK)] == MARK
    return int.from_bytes(packet.payload[len(MARK) :][:4], "big") if here else 0


def _is_answer(packet: Packet) -> bool:
    """By its ports alone: to a public address of one's own, both ways go from and to the same addresses."""
    if packet.protocol in (ICMP, ICMPV6):
        return packet.source_port in _REPLIES.values()
    return packet.source_port < packet.target_port
