"""The loop `observe`: what the zones report becomes rows, and moves instances along their lifecycle.

A report is the whole truth of a moment, so nothing is lost when reports are skipped, and applying one twice changes
nothing. What the nodes have goes to `hosts`, what their guests are to `vms`; `verdicts.py` says what that means for an
instance. All of a zone is one transaction. `Watch` follows an agent by long poll and wakes the loop.

What was applied is remembered by node, so that a report costs what is new in it. Remembering nothing, as after a start or
when it was long ago (`REMEMBERED_S`, one node after another), everything in a report is new: the same rows come of it.

A node that the cluster controller cannot reach keeps its instances: they fail their status checks until it is back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from eucapy.clc.agents import Agents
from eucapy.clc.reconcilers import endings
from eucapy.clc.reconcilers.verdicts import Verdict, judge
from eucapy.clc.store import hosts, instances, network_interfaces, vms
from eucapy.clc.store.advance import advance_all
from eucapy.clock import Clock
from eucapy.database import Database, Row, Tx
from eucapy.lifecycle import instance as life
from eucapy.lifecycle import network_interface as interface_life
from eucapy.lifecycle.instance import INSTANCE
from eucapy.wire.cluster import ClusterStatus, NodeReport
from eucapy.wire.contract import Cursor, Refused, Unreachable
from eucapy.wire.node import CaptureStatus, InstanceStatus

log = logging.getLogger(__name__)

REMEMBERED_S = 600.0
"""So long what was applied of a node is taken to be in the rows still; then all of it is looked at once more."""
REFUSALS = (f"spec-{Refused.STALE}", f"spec-{Refused.CONFLICT}")


class _Applied(NamedTuple):
    """What the rows show of a node: its status of this boot and revision, and in it its instances. `since` (monotonic) is
    when all of it was looked at."""

    boot: str
    revision: int
    instances: Mapping[str, InstanceStatus]
    since: float


class Observe:
    """An activation asks every zone's cluster controller for its newest status and applies it."""

    def __init__(
        self, database: Database, agents: Agents, zones: list[str], clock: Clock, wake: Callable[[str], None]
    ) -> None:
        self._database, self._agents, self._zones = database, agents, zones
        self._clock, self._wake = clock, wake
        self._applied: dict[str, _Applied] = {}
        self._generations: dict[str, int] = {}
        self._ahead: dict[str, int] = {}

    def generation(self, zone: str) -> int | None:
        """The generation of the spec that the zone's newest status was observed under; None before the first."""
        return self._generations.get(zone)

    def ahead(self, zone: str) -> int:
        """The newest generation that an agent of the zone's nodes holds on to, refusing the zone's own; 0: none does."""
        return self._ahead.get(zone, 0)

    async def __call__(self) -> bool:
        self._forget_one()
        changed = False
        for zone in self._zones:
            changed = await self._zone(zone) or changed
        return changed

    def _forget_one(self) -> None:
        """The node that was looked at whole the longest ago, when that is long ago: one at a time, for its size's sake."""
        node = min(self._applied, key=lambda name: self._applied[name].since, default="")
        if node and self._clock.monotonic() - self._applied[node].since >= REMEMBERED_S:
            del self._applied[node]

    async def _zone(self, zone: str) -> bool:
        agent = await self._agents.cluster(zone)
        if agent is None:
            return False
        try:
            status = await agent.get_status(Cursor(), 0.0)
        except Unreachable as error:
            log.info("cluster controller silent", extra={"data": {"zone": zone, "error": str(error)}})
            return False
        applied: dict[str, _Applied] = {}

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

    async def _apply(self, tx: Tx, zone: str, status: ClusterStatus, applied: dict[str, _Applied]) -> bool:
        now = self._clock.time()
        changed = await self._hosts(tx, zone, status, now)
        news = [report for report in status.nodes.values() if self._is_news(report, applied)]
        touched = await self._vms(tx, news, now)
        rows = {row.id: row for row in await instances.in_motion(tx, zone)}
        rows.update((row.id, row) for row in await instances.judged(tx, [name for name in touched if name not in rows]))
        moved = await self._judge(tx, rows.values(), status, now)
        moved = await self._strangers(tx, news) or moved
        moved = await self._interfaces(tx, zone, status) or moved
        if moved:
            tx.on_commit(lambda: self._wake("cluster_sync"))
        if moved or touched:
            tx.on_commit(lambda: self._wake("storage_sync"))
        if changed or moved:
            tx.on_commit(lambda: self._wake("placement"))
        return changed or bool(touched) or moved

    def _is_news(self, report: NodeReport, applied: dict[str, _Applied]) -> bool:
        if report.status is None or report.status.generation == 0:
            return False  # an agent that has not looked yet says nothing of its guests
        held, status = self._applied.get(report.node), report.status
        since = held.since if held is not None else self._clock.monotonic()
        applied[report.node] = _Applied(status.boot, status.revision, status.instances, since)
        return held is None or (held.boot, held.revision) != (status.boot, status.revision)

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

    async def _vms(self, tx: Tx, news: Sequence[NodeReport], now: float) -> list[str]:
        """Write what changed; the instances concerned."""
        fresh: dict[str, tuple[str, InstanceStatus]] = {}
        gone: dict[str, str] = {}
        unknown: list[str] = []
        for report in news:
            assert report.status is not None
            held, said = self._applied.get(report.node), report.status.instances
            if held is None:
                unknown.append(report.node)
                fresh.update((name, (report.node, one)) for name, one in said.items())
            else:
                before = held.instances
                fresh.update((name, (report.node, one)) for name, one in said.items() if before.get(name) != one)
                gone.update((name, report.node) for name in before.keys() - said.keys())
        for name, node in (await vms.on_nodes(tx, unknown)).items():
            if name not in fresh:
                gone[name] = node
        known = await vms.of_instances(tx, [*fresh, *(name for name in gone if name not in fresh)])
        written: list[dict[str, Any]] = []
        for name, (node, one) in fresh.items():
            row = known.get(name)
            values = _vm(node, one)
            if row is None or any(getattr(row, column) != value for column, value in values.items()):
                values["unresponsive_since"] = None if one.responsive else (row and row.unresponsive_since) or now
                written.append({"instance_id": name, **values})
        await vms.put(tx, written)
        if any(values["resting"] or values["captures"] for values in written):
            tx.on_commit(lambda: self._wake("captures"))
        # An instance that has come up elsewhere meanwhile has its row from there.
        await vms.remove(
            tx,
            [name for name, node in gone.items() if name not in fresh and name in known and known[name].node == node],
        )
        return [values["instance_id"] for values in written]

    async def _judge(self, tx: Tx, rows: Iterable[Row], status: ClusterStatus, now: float) -> bool:
        """Move the instances as their reports say, those of one verdict together."""
        alike: dict[tuple[str, tuple[tuple[str, Any], ...]], list[Row]] = {}
        leaving: list[Row] = []
        for row in rows:
            seen = _status_of(row, status)
            if not row.node:
                verdict = _nowhere(row)
            elif seen is None:
                continue
            else:
                verdict = judge(row, seen)
            if verdict.event:
                alike.setdefault((verdict.event, tuple(sorted(verdict.columns.items()))), []).append(row)
            if verdict.leaves:
                leaving.append(row)
        late: set[str] = set()
        for (event, columns), some in alike.items():
            moved = await advance_all(tx, INSTANCE, some, event, state_at=now, **dict(columns))
            late.update({row.id for row in some} - {row.id for row in moved})
            for row in moved:
                await self._moved(tx, row, event, now)
        leaving = [row for row in leaving if row.id not in late]
        for row in leaving:
            await instances.leave(tx, row.id)
        await vms.remove(tx, [row.id for row in leaving])
        return bool(leaving) or any(row.id not in late for some in alike.values() for row in some)

    async def _moved(self, tx: Tx, row: Row, event: str, now: float) -> None:
        target = INSTANCE.target(row.state, event)
        log.info("instance", extra={"data": {"instance": row.id, "state": target, "event": event}})
        if target == life.TERMINATED:
            await endings.release(tx, row, now)
        elif target == life.STOPPED:
            await endings.rest(tx, row)

    async def _interfaces(self, tx: Tx, zone: str, status: ClusterStatus) -> bool:
        """Network interfaces that guests got, or let go of, while they run."""
        changed = False
        rows = await network_interfaces.moving(tx, zone)
        owners = await instances.by_ids(tx, sorted({row.instance_id for row in rows}))
        for row in rows:
            seen = _status_of(owners[row.instance_id], status) if row.instance_id in owners else None
            if seen is None:
                continue
            if row.attachment_id in (seen.nics if row.state == interface_life.ATTACHING else seen.released):
                await network_interfaces.settle(tx, row)
                log.info("network interface", extra={"data": {"interface": row.id, "instance": row.instance_id}})
                changed = True
        return changed

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
                sealing_key=node.host.sealing_key,
            )
    elif row is None:
        values["cached_images"] = []
    return values


def _capture(seen: CaptureStatus) -> dict[str, Any]:
    return {"size_bytes": seen.size_bytes, "fault": seen.fault.message if seen.fault is not None else ""}


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
        "resting": seen.resting,
        "captures": {name: _capture(one) for name, one in seen.captures.items()},
        "started_at": seen.started_at,
        "responsive": seen.responsive,
        "phase": seen.phase[:255],
        "fault_code": fault.code if fault is not None else "",
        "fault": fault.message if fault is not None else "",
        "fault_final": fault.final if fault is not None else False,
    }
    return dict(values)
