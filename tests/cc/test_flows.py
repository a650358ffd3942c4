"""What a node saw of flows, over the wire: from its agent through the cluster controller to whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eucapy.cc.agent import ClusterController
from eucapy.cc.app import app, connect_over
from eucapy.cc.config import Config
from eucapy.clock import ManualClock
from eucapy.drivers.network.fake import FakeNetwork
from eucapy.drivers.network.flow_counts import Flow
from eucapy.eucanetd.agent import NetworkController
from eucapy.eucanetd.compile.layout import Layout
from eucapy.eucanetd.flows import WINDOW_S
from eucapy.wire.client import Caller, ClusterClient
from eucapy.wire.cluster import ClusterSpec, NodeEntry, PlacedPort
from eucapy.wire.contract import Unreachable
from eucapy.wire.network import NetworkSpec
from eucapy.wire.server import Listener, application, flow_reads
from tests.eucanetd.specs import port, vpc


class Zone:
    """A cluster controller and the network agent of its one node, each behind HTTP."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.network, self.caller = ManualClock(1_800_000_000), FakeNetwork(), Caller()
        (folder / "node").mkdir()
        self.node = NetworkController("n1", folder / "node", self.network, Layout(), self.clock)
        config = Config(zone="z", data=str(folder / "cc"), pki="")
        self.controller = ClusterController(config, connect_over(self.caller), self.clock, stepped=True)

    async def start(self) -> ClusterClient:
        self.at_node = Listener(application(self.node, NetworkSpec, frozenset(), flow_reads(self.node)), "127.0.0.1", 0)
        node_port = await self.at_node.start()
        self._listener = Listener(app(self.controller), "127.0.0.1", 0)
        entry = NodeEntry(
            node="n1", nc_url="http://127.0.0.1:9", eucanetd_url=f"http://127.0.0.1:{node_port}", address="192.0.2.1"
        )
        mine = PlacedPort(node="n1", port=port(1, "10.0.0.11"))
        await self.controller.put_spec(
            ClusterSpec(
                generation=1,
                zone="z",
                nodes={"n1": entry},
                ports={"eni-1": mine},
                vpcs={"vpc-a": vpc(flow_logs=("vpc-a",))},
            )
        )
        await self.controller.loop.activate()
        await self.node.loop.activate()
        return ClusterClient(self.caller, f"http://127.0.0.1:{await self._listener.start()}")

    async def close(self) -> None:
        await self._listener.stop()
        await self.at_node.stop()
        await self.controller.stop()
        await self.node.close()
        await self.caller.close()


@pytest.fixture
async def zone(tmp_path: Path) -> AsyncIterator[Zone]:
    made = Zone(tmp_path)
    yield made
    await made.close()


async def test_windows_come_through_and_asking_changes_nothing(zone: Zone) -> None:
    client = await zone.start()
    number = int.from_bytes(b"i_1")
    zone.network.count("euca-vpc-a", Flow(number, 2, "10.0.0.11", "192.0.2.7", 6, 40000, 80, 3, 180))
    zone.clock.advance(WINDOW_S)
    assert await zone.node.flow_loop.activate()
    page = await client.flows("n1", 0)
    assert [(one.owner, one.target, one.packets) for one in page.windows[0].records] == [("eni-1", "192.0.2.7", 3)]
    assert await client.flows("n1", 0) == page == await zone.node.flows(0)
    assert (await client.flows("n1", page.windows[0].end)).windows == ()


async def test_a_node_that_is_none_and_one_that_is_away_are_told_apart(zone: Zone) -> None:
    client = await zone.start()
    with pytest.raises(LookupError):
        await client.flows("n2", 0)
    await zone.at_node.stop()
    with pytest.raises(Unreachable):
        await client.flows("n1", 0)
