"""The cluster controller between a cloud controller and two nodes that come, go and lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from eucapy.cc import agent
from eucapy.cc.agent import ClusterController
from eucapy.cc.config import Config
from eucapy.cc.split import Part, split
from eucapy.clock import ManualClock
from eucapy.wire.cluster import ClusterSpec, NodeEntry
from eucapy.wire.contract import Ack, Cursor, Refused, Unreachable
from eucapy.wire.network import NetworkSpec, NetworkStatus
from eucapy.wire.node import Console, NodeSpec, NodeStatus, Screenshot, Sensors
from tests.nc.specs import instance


class FakeAgent:
    """Any of a node's agents: keeps what it is sent, and can be away."""

    def __init__(self, status: NodeStatus | NetworkStatus) -> None:
        self.status = status
        self.specs: list[NodeSpec | NetworkSpec] = []
        self.away = False
        self.refuses: Refused | None = None

    async def put_spec(self, spec: NodeSpec | NetworkSpec) -> Ack:
        if self.away:
            raise Unreachable("away")
        self.specs.append(spec)
        return Ack(generation=spec.generation, refused=self.refuses)

    async def get_status(self, since: Cursor, wait_s: float) -> NodeStatus | NetworkStatus:
        if self.away:
            raise Unreachable("away")
        return self.status

    async def console(self, instance_id: str, max_bytes: int) -> Console:
        return Console(content="aGVsbG8=", read_at=1.0)

    async def screenshot(self, instance_id: str) -> Screenshot:
        raise LookupError

    async def sensors(self, instance_id: str) -> Sensors:
        raise LookupError


class Zone:
    """A controller with two nodes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.ncs = {n: FakeAgent(NodeStatus(boot="b", revision=1, generation=0, node=n)) for n in ("n1", "n2")}
        self.nets = {n: FakeAgent(NetworkStatus(boot="b", revision=1, generation=0, node=n)) for n in ("n1", "n2")}
        self.start()

    def start(self) -> None:
        config = Config(zone="a", data=str(self.folder), pki="", lost_after_s=5.0)
        connect = lambda entry: (self.ncs[entry.node], self.nets[entry.node])  # noqa: E731
        self.cc = ClusterController(config, connect, self.clock, stepped=True)  # type: ignore[arg-type]

    async def wants(self, generation: int, **placed: str) -> None:
        nodes = {
            name: NodeEntry(
                node=name,
                nc_url=name,
                eucanetd_url=name,
                address="192.0.2.1",
                instances={i: instance(i) for i, where in placed.items() if where == name},
            )
            for name in ("n1", "n2")
        }
        await self.cc.put_spec(ClusterSpec(generation=generation, zone="a", nodes=nodes))
        await self.cc.loop.activate()


async def test_a_node_is_sent_its_part_only_when_it_changed(tmp_path: Path) -> None:
    zone = Zone(tmp_path)
    await zone.wants(1, i1="n1")
    await zone.wants(2, i1="n1", i2="n2")
    assert [spec.generation for spec in zone.ncs["n1"].specs] == [1]
    assert [spec.generation for spec in zone.ncs["n2"].specs] == [1, 2]
    await zone.cc.stop()


async def test_a_silent_node_keeps_its_last_words_and_is_told_everything_when_it_is_back(tmp_path: Path) -> None:
    zone = Zone(tmp_path)
    await zone.wants(1, i1="n1")
    zone.ncs["n1"].away = True
    await zone.wants(2, i1="n1", i2="n1")
    assert (await zone.cc.get_status(Cursor(), 0)).nodes["n1"].reachable
    zone.clock.advance(6)
    await zone.cc.loop.activate()
    report = (await zone.cc.get_status(Cursor(), 0)).nodes["n1"]
    assert not report.reachable
    assert report.status is not None
    zone.ncs["n1"].away = False
    await zone.cc.loop.activate()
    await zone.cc.loop.activate()
    assert (await zone.cc.get_status(Cursor(), 0)).nodes["n1"].reachable
    assert zone.ncs["n1"].specs[-1].generation == 2
    await zone.cc.stop()


async def test_one_dead_node_does_not_keep_the_other(tmp_path: Path) -> None:
    zone = Zone(tmp_path)
    zone.ncs["n1"].away = zone.nets["n1"].away = True
    await zone.wants(1, i1="n1", i2="n2")
    assert len(zone.ncs["n2"].specs) == 1
    await zone.cc.stop()


async def test_after_a_restart_it_goes_on_from_its_ledger(tmp_path: Path) -> None:
    zone = Zone(tmp_path)
    await zone.wants(3, i1="n1")
    await zone.cc.stop()
    zone.start()
    await zone.cc.loop.activate()
    assert (await zone.cc.get_status(Cursor(), 0)).generation == 3
    assert [spec.generation for spec in zone.ncs["n1"].specs] == [3, 3]
    await zone.cc.stop()


async def test_a_refused_spec_is_reported_as_the_nodes_fault(tmp_path: Path) -> None:
    zone = Zone(tmp_path)
    zone.ncs["n1"].refuses = Refused.STALE
    await zone.wants(1, i1="n1")
    fault = (await zone.cc.get_status(Cursor(), 0)).nodes["n1"].fault
    assert fault is not None
    assert fault.code == "spec-stale"
    zone.ncs["n1"].refuses = None
    await zone.wants(2, i1="n1")
    assert (await zone.cc.get_status(Cursor(), 0)).nodes["n1"].fault is None
    await zone.cc.stop()


async def test_reads_go_to_the_node_that_has_the_instance(tmp_path: Path) -> None:
    zone = Zone(tmp_path)
    await zone.wants(1, i1="n2")
    assert (await zone.cc.console("i1", 100)).content == "aGVsbG8="
    try:
        await zone.cc.console("i9", 100)
    except LookupError as error:
        assert "i9" in str(error)
    else:
        raise AssertionError("an unknown instance was answered")
    await zone.cc.stop()


async def test_news_of_a_node_is_no_reason_to_divide_the_same_spec_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    divided: list[int] = []

    def counted(spec: ClusterSpec) -> dict[str, Part]:
        divided.append(spec.generation)
        return split(spec)

    monkeypatch.setattr(agent, "split", counted)
    zone = Zone(tmp_path)
    await zone.wants(1, i1="n1")
    for revision in (2, 3):
        zone.ncs["n1"].status = NodeStatus(boot="b", revision=revision, generation=0, node="n1")
        await zone.cc.loop.activate()
    assert divided == [1]
    await zone.wants(2, i1="n1", i2="n2")
    assert divided == [1, 2]
    await zone.cc.stop()
