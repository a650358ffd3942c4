"""The loop `cluster_sync`: tells each zone's cluster controller what shall be.

An activation, zone by zone: compile the spec from the rows, and send it unless the same content was acknowledged already.
The generation is committed before the spec is sent, so that after a crash the same content goes out under the same number.
An instance that has not changed since the last compilation is neither read nor compiled again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec

from eucapy.clc.agents import Agents
from eucapy.clc.specs.cluster import entries, fingerprint
from eucapy.clc.specs.network import zone_network
from eucapy.clc.specs.node import instance_spec
from eucapy.clc.store import attachments, components, instances, network_interfaces, placed_ports, subnets, tags, vpcs
from eucapy.database import Database, Row, Tx
from eucapy.wire.cluster import ClusterAgent, ClusterSpec
from eucapy.wire.contract import Refused, Unreachable
from eucapy.wire.node import InstanceSpec

log = logging.getLogger(__name__)


class ClusterSync:
    """Callable as the loop's activation."""

    def __init__(
        self,
        database: Database,
        agents: Agents,
        zones: Sequence[str],
        region: str,
        heard: Callable[[str], int | None],
        ahead: Callable[[str], int] = lambda zone: 0,
    ) -> None:
        """`heard` tells the generation in the newest status of a zone, None before the first (`Observe.generation`);
        `ahead` the generation that an agent on a node of the zone will not go back from (`Observe.ahead`)."""
        self._database, self._agents, self._zones, self._region = database, agents, zones, region
        self._heard, self._ahead = heard, ahead
        self._sent: dict[str, tuple[str, int]] = {}
        """Zone → (digest, generation) of what its cluster controller acknowledged in this life."""
        self._made: dict[str, tuple[int, InstanceSpec]] = {}
        """Instance → its revision (`store/revisions.py`), and the spec that was made of it."""
        self._known: dict[str, set[str]] = {}
        """Zone → the instances whose specs are kept."""

    async def __call__(self) -> bool:
        changed = False
        for zone in self._zones:
            agent = await self._agents.cluster(zone)
            if agent is None:
                continue
            try:
                changed = await self._send(zone, agent) or changed
            except Unreachable as error:
                self._sent.pop(zone, None)
                log.info("cluster controller silent", extra={"data": {"zone": zone, "error": str(error)}})
        return changed

    async def _send(self, zone: str, agent: ClusterAgent) -> bool:
        name = f"cc/{zone}"
        spec = await self._database.read(lambda tx: self._compile(tx, zone))
        digest = fingerprint(spec)
        sent = self._sent.get(zone)
        passed = sent is None or self._ahead(zone) < sent[1]
        if sent is not None and sent[0] == digest and self._holds(zone) and passed:
            return False
        if not passed:
            await self._database.write(lambda tx: components.skip_to(tx, name, self._ahead(zone)))
        generation = await self._database.write(lambda tx: components.generation(tx, name, digest))
        ack = await agent.put_spec(msgspec.structs.replace(spec, generation=generation))
        if ack.refused in (Refused.STALE, Refused.CONFLICT):
            await self._database.write(lambda tx: components.skip_to(tx, name, ack.generation))
            generation = await self._database.write(lambda tx: components.generation(tx, name, digest))
            ack = await agent.put_spec(msgspec.structs.replace(spec, generation=generation))
        if ack.refused is not None:
            log.error("spec refused", extra={"data": {"zone": zone, "reason": str(ack.refused)}})
            raise Unreachable(f"{name} refused the spec: {ack.refused}")
        before = self._sent.get(zone)
        self._sent[zone] = (digest, generation)
        return before != (digest, generation)

    def _holds(self, zone: str) -> bool:
        """The agent has not lost the spec that it acknowledged (its disk was replaced). Sending twice does no harm."""
        heard = self._heard(zone)
        return heard is None or heard >= self._sent[zone][1]

    async def _compile(self, tx: Tx, zone: str) -> ClusterSpec:
        """The zone's spec, its generation still open."""
        nodes = await components.of_kind(tx, "nc", zone)
        rows = await instances.on_nodes(tx, zone)
        network = zone_network(await placed_ports.of_zone(tx, zone), zone, self._region)
        far = {port.node for port in network.far_ports.values()}
        others = [node for node in await components.of_kind(tx, "nc") if node.name in far]
        return ClusterSpec(
            generation=0,
            zone=zone,
            nodes=entries(nodes, await self._instances(tx, zone, rows)),
            ports=network.ports,
            vpcs=network.vpcs,
            groups=network.groups,
            far_ports=network.far_ports,
            far_nodes={node.name: node.address for node in others},
        )

    async def _instances(self, tx: Tx, zone: str, listed: Sequence[Row]) -> dict[str, list[InstanceSpec]]:
        """The specs by node; those are compiled anew whose revision grew."""
        changed = [row.id for row in listed if self._made.get(row.id, (-1,))[0] != row.revision]
        await self._remake(tx, changed)
        specs: dict[str, list[InstanceSpec]] = {}
        for row in listed:
            specs.setdefault(row.node, []).append(self._made[row.id][1])
        known = {row.id for row in listed}
        here = self._known.setdefault(zone, set())
        for gone in here - known:
            del self._made[gone]
        self._known[zone] = known
        return specs

    async def _remake(self, tx: Tx, wanted: Sequence[str]) -> None:
        rows = await instances.by_ids(tx, wanted)
        interfaces = await network_interfaces.of_instances(tx, wanted)
        volumes = await attachments.of_instances(tx, wanted)
        tagged = await tags.of(tx, [row.id for row in rows.values() if row.metadata_tags])
        cidrs = await _Cidrs.load(tx, interfaces)
        for row in rows.values():
            spec = instance_spec(
                row,
                region=self._region,
                interfaces=interfaces.get(row.id, ()),
                attachments=volumes.get(row.id, ()),
                tags=tagged.get(row.id, ()),
                cidrs=cidrs,
            )
            self._made[row.id] = (row.revision, spec)


class _Cidrs:
    """The address blocks of the VPCs and subnets in question."""

    def __init__(self, by_vpc: Mapping[str, str], by_subnet: Mapping[str, str]) -> None:
        self._vpcs, self._subnets = by_vpc, by_subnet

    @classmethod
    async def load(cls, tx: Tx, interfaces: Mapping[str, Sequence[Row]]) -> _Cidrs:
        wanted = sorted({nic.vpc_id for nics in interfaces.values() for nic in nics})
        return cls(
            {row.id: row.cidr for row in await vpcs.by_ids(tx, wanted)},
            {row.id: row.cidr for row in await subnets.of_vpcs(tx, wanted)},
        )

    def vpc(self, vpc_id: str) -> str:
        return self._vpcs[vpc_id]

    def subnet(self, subnet_id: str) -> str:
        return self._subnets[subnet_id]
