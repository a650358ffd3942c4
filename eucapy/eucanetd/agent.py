"""eucanetd as an agent: takes the node's network spec, makes it true item by item, tells what is.

    put_spec ─► keeper (ledger) ─► loop: observe ─► intend ─► compile ─► diff ─► execute ─► observe ─► board ─► get_status
    a link comes or goes ─────────► wake

Promises beyond those of every agent (`eucapy/wire/contract.py`):

* Packets do not depend on this process: stopped, killed, started again, it takes up what is there and touches nothing that
  is as it should be. What it has laid out is in a ledger before it is begun.
* A guest is never open: its rules stand before its tap is adopted.
* A port is `plugged` when its tap is in its VPC's namespace and nothing of the VPC is missing or wrong.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

from eucapy.clock import Clock
from eucapy.drivers.network.base import NetworkDriver
from eucapy.drivers.network.model import Namespace, Observed
from eucapy.eucanetd import diff
from eucapy.eucanetd.compile.layout import Layout
from eucapy.eucanetd.executor import Executor
from eucapy.eucanetd.flows import WINDOW_S, FlowRecorder
from eucapy.eucanetd.plan import NODE_ITEM, Desired, Intent, Laid, desire, intend, strangers
from eucapy.ledger import Ledger
from eucapy.reconcile.backoff import Backoff
from eucapy.reconcile.loop import Loop
from eucapy.wire.agent import SpecKeeper, StatusBoard
from eucapy.wire.contract import Ack, Cursor
from eucapy.wire.flows import FlowPage
from eucapy.wire.network import NetworkSpec, NetworkStatus, PortStatus

log = logging.getLogger(__name__)

ROUNDS = 4
"""An activation looks again after it did something, this many times at most: a tap that appears while the first round is
under way need not wait for the next wake-up."""


MOST_FLOWS = 65536
"""Records of a window, if the configuration says nothing else."""


class NetworkController:
    """`NetworkAgent` over a network driver."""

    def __init__(
        self,
        node: str,
        data: Path,
        driver: NetworkDriver,
        layout: Layout,
        clock: Clock,
        resync_s: float = 30.0,
        on_status: Callable[[NetworkStatus], None] | None = None,
        most_flows: int = MOST_FLOWS,
    ) -> None:
        """`data` is the folder of the ledgers, `most_flows` how many records of flows a window may have. Raises
        LedgerDamaged."""
        self._node = node
        self._driver = driver
        self._layout = layout
        self._on_status = on_status
        self.loop = Loop("network", self._activate, period_s=resync_s)
        self._keeper = SpecKeeper(data / "spec.json", NetworkSpec, self.loop.wake)
        self._ledger: Ledger[Laid] = Ledger(data / "laid.json", Laid)
        self._laid = self._ledger.read() or Laid()
        self._board = StatusBoard(NetworkStatus(boot="", revision=0, generation=0, node=node))
        self._executor = Executor(driver, Backoff(clock))
        self._recorder = FlowRecorder(data / "flows", driver, clock, most_flows)
        self.flow_loop = Loop("flows", self._record, period_s=WINDOW_S)

    async def put_spec(self, spec: NetworkSpec) -> Ack:
        return self._keeper.accept(spec)

    async def get_status(self, since: Cursor, wait_s: float) -> NetworkStatus:
        return await self._board.wait(since, wait_s)

    async def flows(self, after: int) -> FlowPage:
        return await self._recorder.flows(after)

    def open(self) -> None:
        """Hear of links that come and go, and begin to run."""
        self._driver.watch(self.loop.wake)
        self.loop.start()
        self.flow_loop.start()

    async def close(self) -> None:
        """Stop; what is laid out stays."""
        await self.flow_loop.stop()
        await self.loop.stop()
        await self._driver.close()

    async def _activate(self) -> bool:
        spec = self._keeper.spec
        if spec is None:
            return False
        changed = False
        for _ in range(ROUNDS):
            observed = await self._driver.observe()
            layout = self._measured(observed)
            intent = intend(spec, self._laid, observed, layout)
            self._write_down(intent)
            self._recorder.watch(intent.laid, layout)
            desired = desire(intent, observed, layout)
            places = {item: layout.namespace(item) for item in desired.items if item != NODE_ITEM}
            steps = diff.plan(desired, observed, places)
            did = await self._executor.take(steps)
            changed = changed or did
            if not did:
                break
        else:
            self.loop.wake()
        self._publish(spec, intent, desired, observed, frozenset(steps), layout)
        self.loop.again_in(self._executor.next_try_s())
        return changed

    async def _record(self) -> bool:
        kept = await self._recorder.activate()
        self.flow_loop.again_in(self._recorder.rest_s())
        return kept

    def _measured(self, observed: Observed) -> Layout:
        """The layout with the underlay's MTU as it is; a link that is away for a moment changes nothing."""
        mtu = observed.mtus.get(self._layout.underlay, 0) if self._layout.underlay else 0
        if mtu and mtu != self._layout.underlay_mtu:
            self._layout = dataclasses.replace(self._layout, underlay_mtu=mtu)
        return self._layout

    def _write_down(self, intent: Intent) -> None:
        if intent.laid != self._laid:
            self._ledger.write(intent.laid)
            self._laid = intent.laid

    def _publish(
        self,
        spec: NetworkSpec,
        intent: Intent,
        desired: Desired,
        observed: Observed,
        unfinished: frozenset[str],
        layout: Layout,
    ) -> None:
        faults = {**self._executor.faults(), **desired.faults}
        ready = {thing.namespace for thing in observed.things if isinstance(thing, Namespace) and thing.ready}
        taps = {vpc_id: observed.taps(layout.namespace(vpc_id)) for vpc_id in intent.laid.vpcs}
        ports: dict[str, PortStatus] = {}
        for interface_id, port in intent.laid.ports.items():
            fault = faults.get(port.vpc_id) or faults.get(NODE_ITEM)
            there = port.tap in taps.get(port.vpc_id, ())
            plugged = there and fault is None and port.vpc_id not in unfinished
            ports[interface_id] = PortStatus(interface_id=interface_id, plugged=plugged, fault=fault)
        laid_out = [
            vpc_id
            for vpc_id in sorted(desired.items)
            if vpc_id not in intent.leaving and layout.namespace(vpc_id) in ready and vpc_id not in unfinished
        ]
        status = NetworkStatus(
            boot="",
            revision=0,
            generation=spec.generation,
            node=self._node,
            ports=ports,
            vpcs=tuple(laid_out),
            strangers=strangers(intent, observed, layout),
            fault=faults.get(NODE_ITEM),
        )
        if self._board.publish(status) and self._on_status is not None:
            self._on_status(self._board.status)
