"""No window: packets are sent without a pause while eucanetd is killed at every step of every change, and each is counted.

What may pass arrives, all of it; what may not never does. The two guests speak within their VPC, and one of them with the
world by its public address.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator

import msgspec
import pytest

from eucapy.wire.network import GroupSpec, PortSpec, RemoteSpec, VpcSpec
from tests.eucanetd.cloud import NetworkCloud, Node, network_cloud
from tests.eucanetd.specs import group, port, tcp, vpc
from tests.eucanetd.test_recovery import Killed, kill_after
from tests.harness.topology import open_tap
from tests.network import frames
from tests.network.wires import Guest, Outside, wait_for_any

pytestmark = pytest.mark.host

OUTSIDER = "198.51.100.253"
OPEN_PORT, CLOSED_PORT = 4001, 4002
PAUSE_S = 0.005
"""Between packets, for others to get to work."""
LEAST = 50
"""Rounds of packets of a pump."""
NODES = {"n1": "10.8.0.1", "n2": "10.8.0.2"}


def udp_in(number: int) -> GroupSpec:
    rule = msgspec.structs.replace(tcp(OPEN_PORT, cidr="0.0.0.0/0"), protocol="udp")
    return group("sg-udp", rule, *(tcp(number + n, cidr="192.0.2.0/24") for n in range(3)))


ONE = port(1, "10.0.0.11", groups=("sg-udp",), public=(("10.0.0.11", "198.51.100.101"),))
TWO = port(2, "10.0.0.12", groups=("sg-udp",))
THREE = port(3, "10.0.0.13", groups=("sg-udp", "sg-more"), public=(("10.0.0.13", "198.51.100.103"),))

Spec = tuple[list[VpcSpec], list[PortSpec], tuple[GroupSpec, ...], dict[str, str]]
BEFORE: Spec = ([vpc()], [ONE, TWO], (udp_in(100),), NODES)
AFTER: Spec = (
    [vpc(remotes=(RemoteSpec(ip="10.0.0.99", node="n2"),), names=(("three", "10.0.0.13"),))],
    [ONE, TWO, THREE],
    (udp_in(200), group("sg-more")),
    NODES,
)
"""A guest comes, with a public address, a group, an address on another node, a name; and rules change."""


class Pump:
    """Datagrams from one to two, from one to the world and back, and to a closed port, one after the other."""

    def __init__(self, one: Guest, two: Guest, outside: Outside) -> None:
        self.one, self.two, self.outside = one, two, outside
        self.sent: set[bytes] = set()
        self.came: set[bytes] = set()
        self.intruders: list[bytes] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pump")

    def __enter__(self) -> Pump:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._end.wait(PAUSE_S) or number < LEAST:
            number += 1
            for wire, source, target in (
                (self.one, "10.0.0.11", "10.0.0.12"),
                (self.two, "10.0.0.12", "10.0.0.11"),
                (self.one, "10.0.0.11", OUTSIDER),
                (self.outside, OUTSIDER, "198.51.100.101"),
            ):
                word = f"{number} {source} {target}".encode()
                self.sent.add(word)
                wire.send(frames.udp(source, target, 4000, OPEN_PORT, word))
            self.outside.send(frames.udp(OUTSIDER, "198.51.100.101", 4000, CLOSED_PORT, b"closed"))
            self.one.send(frames.udp("10.0.0.11", "10.0.0.12", 4000, CLOSED_PORT, b"closed"))
            self._drain()
        while self.sent - self.came and wait_for_any([self.one, self.two, self.outside], 0.5):
            self._drain()

    def _drain(self) -> None:
        for wire in (self.one, self.two, self.outside):
            for packet in wire.drain():
                if packet.target_port == OPEN_PORT:
                    self.came.add(packet.payload)
                elif packet.target_port == CLOSED_PORT:
                    self.intruders.append(packet.payload)


@contextlib.asynccontextmanager
async def pumped() -> AsyncIterator[tuple[NetworkCloud, Pump]]:
    """Two guests at work; at the end nothing was lost and nothing came in that should not."""
    async with network_cloud() as cloud:
        node = cloud.node
        await node.give(*BEFORE)
        one, two = (
            Guest(spec.interface_id, node.host.name, spec.tap, spec.mac, spec.private_ips, "10.0.0.0/24", "10.0.0.1")
            for spec in (ONE, TWO)
        )
        outside = Outside(cloud.net.wire.name, OUTSIDER)
        with contextlib.closing(one), contextlib.closing(two), contextlib.closing(outside):
            await node.settle()
            with Pump(one, two, outside) as pump:
                yield cloud, pump
            lost = pump.sent - pump.came
            assert not lost, f"{len(lost)} of {len(pump.sent)} lost: {sorted(lost)[:4]}"
            assert not pump.intruders


async def test_no_packet_is_lost_while_the_agent_is_killed_after_every_step_of_a_change_and_of_its_opposite() -> None:
    async with pumped() as (cloud, _):
        node = cloud.node
        tap = await asyncio.to_thread(open_tap, node.host.name, THREE.tap)
        try:
            assert await step_by_step(node, AFTER) > 10
            status = await node.settle()
            assert status.ports["eni-3"].plugged
        finally:
            os.close(tap)
        assert await step_by_step(node, BEFORE) > 3


async def step_by_step(node: Node, spec: Spec) -> int:
    """The change, by agents of which each takes one step and is killed; how many there were."""
    lives, done = 0, False
    while not done:
        kill_after(node, 1)
        with contextlib.suppress(Killed):
            await (node.give(*spec) if lives == 0 else node.settle())
            done = True
        lives += 1
        await node.restart()
    return lives


async def test_no_packet_is_lost_when_an_agent_begins_anew_that_knows_nothing_but_its_ledger() -> None:
    async with pumped() as (cloud, _):
        for _ in range(3):
            await cloud.node.restart()
            await cloud.node.settle()
