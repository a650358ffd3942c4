"""The loop `observe`: what the zones report becomes rows, and moves instances along their lifecycle.

A report is the whole truth of a moment, so nothing is lost when reports are skipped, and applying one twice changes
nothing. What the nodes have goes to `hosts`, what their guests are to `vms`; `verdicts.py` says what that means for an
instance. All of a zone is one transaction. `Watch` follows an agent by long poll and wakes the loop.

A node that the cluster controller cannot reach keeps its instances: they fail their status checks until it is back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from eucapy.clc.agents import Agents
from eucapy.clc.reconcilers import endings
from eucapy.clc.reconcilers.verdicts import Verdict, judge
from eucapy.clc.store import hosts, instances, vms
from eucapy.clc.store.advance import advance
from eucapy.clock import Clock
from eucapy.database import Database, Row, Tx
from eucapy.lifecycle import instance as life
from eucapy.lifecycle.instance import INSTANCE
from eucapy.wire.cluster import ClusterStatus, NodeReport
from eucapy.wire.contract import Cursor, Refused, Unreachable
from eucapy.wire.node import InstanceStatus

log = logging.getLogger(__name__)

REFUSALS = (f"spec-{Refused.STALE}", f"spec-{Refused.CONFLICT}")


class Observe:
    """An activation asks every zone's cluster controller for its newest status and applies it."""

    def __init__(
        self, database: Database, agents: Agents, zones: list[str], clock: Clock, wake: Callable[[str], None]
    ) -> None:
        self._database, self._agents, self._zones = database, agents, zones
        self._clock, self._wake = clock, wake
        self._applied: dict[str, tuple[str, int]] = {}
        """Node → (boot, revision) of its status that the rows show."""
        self._generations: dict[str, int] = {}
        self._ahead: dict[str, int] = {}

    def generation(self, zone: str) -> int | None:
        """The generation of the spec that the zone's newest status was observed under; None before the first."""
        return self._generations.get(zone)

    def ahead(self, zone: str) -> int:
        """The newest generation that an agent of the zone's nodes holds on to, refusing the zone's own; 0: none does."""
        return self._ahead.get(zone, 0)

    async def __call__(self) -> bool:
        changed = False
        for zone in self._zones:
            changed = await self._zone(zone) or changed
        return changed

    async def _zone(self, zone: str) -> bool:
        agent = await self._agents.cluster(zone)
        if agent is None:
            return False
        try:
            status = await agent.get_status(Cursor(), 0.0)
        except Unreachable as error:
            log.info("cluster controller silent", extra={"data": {"zone": zone, "error": str(error)}})
            return False
        applied: dict[str, tuple[str, int]] = {}

        async def work(tx: Tx) -> bool:
            applied.clear()
            return await self._apply(tx, zone, status, applied)

        changed = await self._database.write(work)
        self._applied.update(applied)
        self._generations[zone] = status.generation
        return self._refusals(zone, status) or changed

    def _refusals(self, zone: str, status: ClusterStatus) -> bool:
        before = self.ahead(zone)
        self._ahead[zone] = max(map(_held_against_us, status.nodes.values()), default=0)
        if self._ahead[zone] >= status.generation > 0:
            self._wake("cluster_sync")
        return self._ahead[zone] != before

    async def _apply(self, tx: Tx, zone: str, status: ClusterStatus, applied: dict[str, tuple[str, int]]) -> bool:
        now = self._clock.time()
        changed = await self._hosts(tx, zone, status, now)
        news = [report for report in status.nodes.values() if self._is_news(report, applied)]
        touched = await self._vms(tx, news, now)
        rows = {row.id: row for row in await instances.in_motion(tx, zone)}
        rows.update(await instances.by_ids(tx, [name for name in touched if name not in rows]))
        moved = False
        for row in rows.values():
            moved = await self._instance(tx, row, _status_of(row, status), now) or moved
        moved = await self._strangers(tx, news) or moved
        if moved:
            tx.on_commit(lambda: self._wake("cluster_sync"))
        if moved or touched:
            tx.on_commit(lambda: self._wake("storage_sync"))
        if changed or moved:
            tx.on_commit(lambda: self._wake("placement"))
        return changed or bool(touched) or moved

    def _is_news(self, report: NodeReport, applied: dict[str, tuple[str, int]]) -> bool:
        if report.status is None or report.status.generation == 0:
            return False  # an agent that has not looked yet says nothing of its guests
        stamp = (report.status.boot, report.status.revision)
        applied[report.node] = stamp
        return self._applied.get(report.node) != stamp

    async def _hosts(self, tx: Tx, zone: str, status: ClusterStatus, now: float) -> bool:
        known = await hosts.of_zone(tx, zone)
        changed = False
        for report in status.nodes.values():
            row = known.get(report.node)
            values = _host(zone, report, row, now)
            if row is None or any(getattr(row, name) != value for name, value in values.items()):
                await hosts.put(tx, report.node, values, known=row is not None)
                changed = True
        return changed

    async def _vms(self, tx: Tx, news: Iterable[NodeReport], now: float) -> list[str]:
        """Write what changed; the instances concerned."""
        reports = {report.node: report for report in news}
        known = await vms.of_nodes(tx, list(reports))
        seen = {
            name: (node, one) for node, r in reports.items() if r.status for name, one in r.status.instances.items()
        }
        elsewhere = await vms.of_instances(tx, [name for name in seen if name not in known])
        touched: list[str] = []
        for name, (node, one) in seen.items():
            row = known.get(name) or elsewhere.get(name)
            values = _vm(node, one)
            if row is None or any(getattr(row, column) != value for column, value in values.items()):
                values["unresponsive_since"] = None if one.responsive else (row and row.unresponsive_since) or now
                await vms.put(tx, name, values, known=row is not None)
                touched.append(name)
        forgotten = [name for name, row in known.items() if name not in seen]
        await vms.remove(tx, forgotten)
        return touched

    async def _instance(self, tx: Tx, row: Row, seen: InstanceStatus | None, now: float) -> bool:
        if not row.node:
            verdict = _nowhere(row)
        elif seen is None:
            return False
        else:
            verdict = judge(row, seen)
        if verdict.event:
            target = await advance(tx, INSTANCE, row, verdict.event, state_at=now, **verdict.columns)
            if target is None:
                return False
            log.info("instance", extra={"data": {"instance": row.id, "state": target, "event": verdict.event}})
            if target == life.TERMINATED:
                await endings.release(tx, row, now)
            elif target == life.STOPPED:
                await endings.rest(tx, row)
        if verdict.leaves:
            await instances.leave(tx, row.id)
            await vms.remove(tx, [row.id])
        return bool(verdict.event) or verdict.leaves

    async def _strangers(self, tx: Tx, news: Iterable[NodeReport]) -> bool:
        """A guest of an instance that ended was found on a node that is not told of it: tell it again, as a tombstone."""
        found = {name: report.node for report in news if report.status for name in report.status.strangers}
        changed = False
        for row in (await instances.by_ids(tx, list(found))).values():
            if not row.node and row.state in (life.SHUTTING_DOWN, life.TERMINATED):
                await instances.set_values(tx, row.id, node=found[row.id])
                changed = True
        return changed


def _held_against_us(report: NodeReport) -> int:
    """What the node's agents hold, when one of them refused its part of the zone's spec as older or other than its own:
    our database was restored, or the node comes from another zone."""
    if report.fault is None or report.fault.code not in REFUSALS:
        return 0
    return max((held.generation for held in (report.status, report.network) if held is not None), default=0)


def _nowhere(row: Row) -> Verdict:
    """An instance without a node needs nobody's word to end or to stop."""
    return Verdict({life.SHUTTING_DOWN: "gone", life.STOPPING: "stopped"}.get(row.state, ""))


def _status_of(row: Row, status: ClusterStatus) -> InstanceStatus | None:
    report = status.nodes.get(row.node)
    return report.status.instances.get(row.id) if report is not None and report.status is not None else None


def _host(zone: str, report: NodeReport, row: Row | None, now: float) -> dict[str, Any]:
    values: dict[str, Any] = {"zone": zone, "reachable": report.reachable}
    since = row.unreachable_since if row is not None else None
    values["unreachable_since"] = None if report.reachable else since or now
    node = report.status
    fault = (node.fault if node is not None else None) or report.fault
    values["fault_code"], values["fault"] = (fault.code, fault.message) if fault is not None else ("", "")
    if node is not None:
        values["cached_images"] = sorted(node.cached_images)
        if node.host is not None:
            values.update(
                cpus=node.host.cpus,
                memory_mib=node.host.memory_mib,
                disk_gib=node.host.disk_gib,
                disk_free_gib=node.host.disk_free_gib,
                architecture=node.host.architecture,
                accelerated=node.host.accelerated,
                cpu_model=node.host.cpu_model,
            )
    elif row is None:
        values["cached_images"] = []
    return values


def _vm(node: str, seen: InstanceStatus) -> dict[str, Any]:
    fault = seen.fault
    values: Mapping[str, Any] = {
        "node": node,
        "power": str(seen.power),
        "end": str(seen.end),
        "starts": seen.starts,
        "reboots": seen.reboots,
        "disks": list(seen.disks),
        "disk_gib": dict(seen.disk_gib),
        "started_at": seen.started_at,
        "responsive": seen.responsive,
        "phase": seen.phase[:255],
        "fault_code": fault.code if fault is not None else "",
        "fault": fault.message if fault is not None else "",
        "fault_final": fault.final if fault is not None else False,
    }
    return dict(values)
