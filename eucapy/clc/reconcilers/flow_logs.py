"""The loop `flow_logs`: what the nodes saw becomes files in the buckets of the flow logs that it is about.

    1 a new flow log: its account's bucket is made to let logs in, in the name of whoever made it, unless it does already
    2 each node is asked for its windows since the last delivery; those of five minutes are a file for each flow log
    3 the file is written, then the node's position is moved on

A node is asked again from the same position after a crash between the two, and the file has the same name: nothing is there
twice. What a bucket does not take is dropped, and the flow log says `FAILED`, as in EC2; while the object store is silent
nothing is, for as long as the nodes have room. A node that answers late gets its own files later.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from eucapy.clc import flow_records
from eucapy.clc.actors import Actor
from eucapy.clc.agents import Agents
from eucapy.clc.flow_delivery import Destinations, Undelivered
from eucapy.clc.flow_destinations import Destination, statements, with_statements
from eucapy.clc.flow_records import Blocks, Surroundings
from eucapy.clc.store import (
    components,
    flow_logs,
    ipv6_blocks,
    network_interfaces,
    subnets,
    vpc_cidrs,
    vpc_peerings,
    vpcs,
)
from eucapy.clc.user_objects import Refused, UserObjects
from eucapy.clc.zone_ids import zone_ids
from eucapy.clock import Clock
from eucapy.database import Database, Row, Tx
from eucapy.wire.cluster import ClusterAgent
from eucapy.wire.contract import Unreachable
from eucapy.wire.flows import FlowInterface, FlowPage, FlowWindow

log = logging.getLogger(__name__)

FILE_S = 300
"""A file holds what was seen in so many seconds. Source: "Publish flow logs to Amazon S3", VPC user guide."""
LATE_S = 90
"""So long after their end the last windows of a file are waited for."""
ACCESS_ERROR = "Access error"
_ARN = "arn:aws:s3:::"


class FlowLogs:
    """Callable as the loop's activation."""

    def __init__(
        self,
        database: Database,
        agents: Agents,
        zones: Sequence[str],
        destinations: Destinations,
        objects: UserObjects,
        region: str,
        clock: Clock,
    ) -> None:
        self._database, self._agents, self._zones = database, agents, zones
        self._destinations, self._objects = destinations, objects
        self._region, self._clock = region, clock
        self._zone_ids = zone_ids(region, zones)

    async def __call__(self) -> bool:
        rows = await self._database.read(flow_logs.every)
        if not rows:
            return False
        try:
            changed = await self._let_in(rows)
            for zone in self._zones:
                changed = await self._zone(zone, rows) or changed
        except Unreachable as error:
            log.info("flow logs wait", extra={"data": {"error": str(error)}})
            return False
        return changed

    async def _let_in(self, rows: Sequence[Row]) -> bool:
        """The policies of the buckets of new flow logs. Raises Unreachable."""
        new = [row for row in rows if not row.policy_done]
        for row in new:
            try:
                await self._permit(row)
            except (Refused, msgspec.DecodeError, LookupError, TypeError) as error:
                # Not the bucket's owner, or not allowed: whether logs get in is seen when they are delivered.
                log.info("a bucket's policy stays", extra={"data": {"flow_log": row.id, "reason": str(error)}})
            await self._database.write(lambda tx, row=row: flow_logs.policy_tried(tx, row.id))  # type: ignore[misc]
        return bool(new)

    async def _permit(self, row: Row) -> None:
        destination = destination_of(row)
        standing = await self._destinations.standing(destination, row.account)
        if standing is None or standing.lets_in or standing.account != row.account:
            return
        who = Actor.read(row.actor)
        held = await self._objects.bucket_policy(who, destination.bucket)
        more = with_statements(held, statements(destination, row.account, self._region))
        await self._objects.put_bucket_policy(who, destination.bucket, more)

    async def _zone(self, zone: str, rows: Sequence[Row]) -> bool:
        agent = await self._agents.cluster(zone)
        if agent is None:
            return False
        nodes = await self._database.read(lambda tx: components.of_kind(tx, "nc", zone))
        positions = await self._database.read(flow_logs.positions)
        changed = False
        for node in nodes:
            changed = await self._node(agent, node.name, positions.get(node.name, 0), rows) or changed
        return changed

    async def _node(self, agent: ClusterAgent, node: str, position: int, rows: Sequence[Row]) -> bool:
        """Everything of a node that is complete. Raises Unreachable for the object store alone."""
        began = position
        while position == 0 or self._clock.time() >= _file_end(position):
            try:
                page = await agent.flows(node, position)
            except (Unreachable, LookupError) as error:
                log.info("a node's flows wait", extra={"data": {"node": node, "error": str(error)}})
                break
            batch = self._complete(page)
            if not batch:
                break
            position = await self._deliver(node, batch, rows)
        return position != began

    def _complete(self, page: FlowPage) -> list[FlowWindow]:
        """The windows of the first file, if no more of them are to come."""
        if not page.windows:
            return []
        end = _file_end(page.windows[0].begin)
        batch = [window for window in page.windows if window.begin < end]
        over = len(batch) < len(page.windows) or page.more or batch[-1].end >= end
        return batch if over or self._clock.time() >= end + LATE_S else []

    async def _deliver(self, node: str, batch: Sequence[FlowWindow], rows: Sequence[Row]) -> int:
        """A file a flow log; the node's new position. Raises Unreachable."""
        around = await self._database.read(lambda tx: self._around(tx, batch))
        seen = [*(one for window in batch for one in window.interfaces), *around.elsewhere.values()]
        about = {name for one in seen for name in (one.vpc_id, one.subnet_id, one.interface_id)}
        results: dict[str, str] = {}
        for row in (row for row in rows if row.resource_id in about):
            content = await asyncio.to_thread(flow_records.content, row, batch, around)
            if not content:
                continue
            destination = destination_of(row)
            key = destination.key(row.account, self._region, row.id, batch[0].begin, node, row.per_hour)
            try:
                await self._destinations.deliver(destination, key, row.account, content)
                results[row.id] = ""
            except Undelivered as error:
                log.info("a flow log is not delivered", extra={"data": {"flow_log": row.id, "reason": str(error)}})
                results[row.id] = ACCESS_ERROR
        until = batch[-1].end

        async def done(tx: Tx) -> None:
            await flow_logs.set_position(tx, node, until)
            for flow_log_id, said in results.items():
                await flow_logs.delivered(tx, flow_log_id, said)

        await self._database.write(done)
        return until

    async def _around(self, tx: Tx, batch: Sequence[FlowWindow]) -> Surroundings:
        seen = {one.vpc_id for window in batch for one in window.interfaces}
        foreign = {record.owner for window in batch for record in window.records if record.owner.startswith("vpc-")}
        wanted = sorted(seen | foreign)
        peerings = await vpc_peerings.active_of(tx, wanted)
        sides = {side for row in peerings for side in (row.requester_vpc, row.accepter_vpc)}
        blocks = await _blocks(tx, sorted({*wanted, *sides}))
        peers: dict[str, Blocks] = {}
        for row in peerings:
            for own, other in ((row.requester_vpc, row.accepter_vpc), (row.accepter_vpc, row.requester_vpc)):
                peers[own] = (*peers.get(own, ()), *blocks.get(other, ()))
        return Surroundings(
            region=self._region,
            az_ids={row.id: self._zone_ids.get(row.zone, "-") for row in await subnets.of_vpcs(tx, wanted)},
            blocks=blocks,
            peers=peers,
            elsewhere=await _interfaces(tx, sorted(foreign)),
        )


def destination_of(row: Any) -> Destination:
    """Of a flow log's row."""
    bucket, _, prefix = row.destination.removeprefix(_ARN).partition("/")
    return Destination(bucket, prefix.strip("/"), bool(row.hive))


def _file_end(at: int) -> int:
    """The end of the file that a moment belongs to."""
    return at - at % FILE_S + FILE_S


async def _blocks(tx: Tx, vpc_ids: Sequence[str]) -> dict[str, Blocks]:
    """Of both families."""
    further, of6 = await vpc_cidrs.of_vpcs(tx, vpc_ids), await ipv6_blocks.of_vpcs(tx, vpc_ids)
    return {
        row.id: tuple(
            ipaddress.ip_network(block)
            for block in (row.cidr, *(one.cidr for one in (*further.get(row.id, ()), *of6.get(row.id, ()))))
        )
        for row in await vpcs.by_ids(tx, vpc_ids)
    }


async def _interfaces(tx: Tx, vpc_ids: Sequence[str]) -> dict[tuple[str, str], FlowInterface]:
    """By VPC and each of their addresses."""
    found: dict[tuple[str, str], FlowInterface] = {}
    for row in await network_interfaces.of_vpcs(tx, vpc_ids) if vpc_ids else ():
        one = FlowInterface(
            interface_id=row.id,
            instance_id=row.instance_id or "",
            vpc_id=row.vpc_id,
            subnet_id=row.subnet_id,
            address=row.private_ip,
        )
        found.update(((row.vpc_id, ip), one) for ip in (row.private_ip, *row.secondary_ips, *row.ipv6s))
    return found
