"""The loop `cluster_sync`: tells each zone's cluster controller what shall be.

An activation, zone by zone: compile the spec from the rows, and send it unless the same content was acknowledged already.
The generation is committed before the spec is sent, so that after a crash the same content goes out under the same number.
An instance that has not changed since the last compilation is neither read nor compiled again: all that is kept of it is
kept under its revision. A loop that has just begun keeps nothing, reads everything, and makes the same bytes of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from eucapy.clc.agents import Agents
from eucapy.clc.specs.cluster import entries, fingerprint
from eucapy.clc.specs.network import zone_network
from eucapy.clc.specs.node import instance_spec
from eucapy.clc.store import (
    attachments,
    components,
    image_captures,
    instances,
    ipv6_blocks,
    nat_gateways,
    network_interfaces,
    placed_ports,
    subnets,
    tags,
    vpc_cidrs,
    vpc_peerings,
    vpcs,
)
from eucapy.clc.zone_ids import zone_ids
from eucapy.database import Database, Row, Tx
from eucapy.wire import codec
from eucapy.wire.cluster import ClusterAgent, ClusterSpec
from eucapy.wire.contract import Refused, Unreachable
from eucapy.wire.node import InstanceSpec

log = logging.getLogger(__name__)


AT_ONCE = 50
"""Instances that are compiled in one turn of the event loop."""


_NEVER: tuple[int, Sequence[placed_ports.Interface]] = (-1, ())


class _Made(NamedTuple):
    """What was made of an instance, as of a revision (`store/revisions.py`)."""

    revision: int
    spec: InstanceSpec
    digest: str


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
        guest_blocks: Sequence[str] = (),
    ) -> None:
        """`heard` tells the generation in the newest status of a zone, None before the first (`Observe.generation`);
        `ahead` the generation that an agent on a node of the zone will not go back from (`Observe.ahead`); `guest_blocks`
        are the public addresses that guests get, as CIDRs."""
        self._database, self._agents, self._zones, self._region = database, agents, zones, region
        self._heard, self._ahead, self._guest_blocks = heard, ahead, tuple(guest_blocks)
        self._zone_ids = zone_ids(region, zones)
        self._sent: dict[str, tuple[str, int]] = {}
        """Zone → (digest, generation) of what its cluster controller acknowledged in this life."""
        self._made: dict[str, _Made] = {}
        self._interfaces: dict[str, dict[str, tuple[int, Sequence[placed_ports.Interface]]]] = {}
        """Zone → instance → its revision, and its interfaces as of then."""
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
        spec, digest = await self._database.read(lambda tx: self._compile(tx, zone))
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

    async def _compile(self, tx: Tx, zone: str) -> tuple[ClusterSpec, str]:
        """The zone's spec, its generation still open, and its fingerprint. What is long is done in parts, with a turn for
        others between them: nothing of it depends on what they do, since all is read from one snapshot."""
        nodes = await components.of_kind(tx, "nc", zone)
        rows = await instances.on_nodes(tx, zone)
        made = await self._instances(tx, zone, rows)
        await asyncio.sleep(0)
        ports = await self._ports(tx, zone)
        here = {interface.vpc_id for interface, _, home in ports if home == zone}
        here |= await nat_gateways.vpcs_in(tx, zone)
        around = await placed_ports.around(tx, here | await vpc_peerings.peers(tx, here))
        await asyncio.sleep(0)
        network = zone_network(ports, around, zone, self._region)
        far = {port.node for port in network.far_ports.values()}
        far |= {gateway.node for vpc in network.vpcs.values() for gateway in vpc.nat_gateways}
        others = [node for node in await components.of_kind(tx, "nc") if node.name in far and node.zone != zone]
        await asyncio.sleep(0)
        spec = ClusterSpec(
            generation=0,
            zone=zone,
            nodes=entries(nodes, {name: [one.spec for one in some] for name, some in made.items()}),
            ports=network.ports,
            vpcs=network.vpcs,
            groups=network.groups,
            far_ports=network.far_ports,
            far_nodes={node.name: node.address for node in others},
            guest_blocks=self._guest_blocks,
        )
        return spec, fingerprint(spec, [one.digest for name in spec.nodes for one in made.get(name, ())])

    async def _ports(self, tx: Tx, zone: str) -> list[tuple[placed_ports.Interface, str, str]]:
        """The interfaces of all VPCs with one in the zone, by id, each with its node and zone."""
        placed = await placed_ports.placed(tx, zone)
        held = self._interfaces.get(zone, {})
        changed = [row[0] for row in placed if held.get(row[0], _NEVER)[0] != row[1]]
        read = await placed_ports.interfaces_of(tx, changed)
        now: dict[str, tuple[int, Sequence[placed_ports.Interface]]] = {}
        found: list[tuple[placed_ports.Interface, str, str]] = []
        for instance_id, revision, node, home in placed:
            one = held.get(instance_id, _NEVER)
            if one[0] != revision:
                one = (revision, read.get(instance_id, ()))
            now[instance_id] = one
            found += [(interface, node, home) for interface in one[1]]
        self._interfaces[zone] = now
        found.sort(key=_id)
        return found

    async def _instances(self, tx: Tx, zone: str, listed: Sequence[Any]) -> dict[str, list[_Made]]:
        """The specs by node; those are compiled anew whose revision grew."""
        changed = [row[0] for row in listed if (held := self._made.get(row[0])) is None or held.revision != row[2]]
        for chunk in tags.chunks(changed, AT_ONCE):
            await self._remake(tx, chunk)
            await asyncio.sleep(0)
        specs: dict[str, list[_Made]] = {}
        for instance_id, node, _ in listed:
            specs.setdefault(node, []).append(self._made[instance_id])
        known = {row[0] for row in listed}
        for gone in self._known.get(zone, set()) - known:
            del self._made[gone]
        self._known[zone] = known
        return specs

    async def _remake(self, tx: Tx, wanted: Sequence[str]) -> None:
        rows = await instances.by_ids(tx, wanted)
        interfaces = await network_interfaces.of_instances(tx, wanted)
        volumes = await attachments.of_instances(tx, wanted)
        captured = await image_captures.of_instances(tx, wanted)
        tagged = await tags.of(tx, [row.id for row in rows.values() if row.metadata_tags])
        cidrs = await _Cidrs.load(tx, interfaces)
        for row in rows.values():
            spec = instance_spec(
                row,
                region=self._region,
                zone_id=self._zone_ids.get(row.zone, ""),
                interfaces=interfaces.get(row.id, ()),
                attachments=volumes.get(row.id, ()),
                tags=tagged.get(row.id, ()),
                captures=captured.get(row.id, ()),
                cidrs=cidrs,
            )
            self._made[row.id] = _Made(row.revision, spec, codec.digest(spec))


def _id(port: tuple[placed_ports.Interface, str, str]) -> str:
    return port[0].id


class _Cidrs:
    """The address blocks of the VPCs and subnets in question."""

    def __init__(
        self,
        by_vpc: Mapping[str, tuple[str, ...]],
        by_vpc6: Mapping[str, tuple[str, ...]],
        by_subnet: Mapping[str, tuple[str, str]],
    ) -> None:
        self._vpcs, self._vpcs6, self._subnets = by_vpc, by_vpc6, by_subnet

    @classmethod
    async def load(cls, tx: Tx, interfaces: Mapping[str, Sequence[Row]]) -> _Cidrs:
        wanted = sorted({nic.vpc_id for nics in interfaces.values() for nic in nics})
        further = await vpc_cidrs.of_vpcs(tx, wanted)
        six = await ipv6_blocks.of_vpcs(tx, wanted)
        return cls(
            {
                row.id: (row.cidr, *(one.cidr for one in further.get(row.id, ())))
                for row in await vpcs.by_ids(tx, wanted)
            },
            {vpc_id: tuple(one.cidr for one in blocks) for vpc_id, blocks in six.items()},
            {row.id: (row.cidr, row.cidr6) for row in await subnets.of_vpcs(tx, wanted)},
        )

    def vpc(self, vpc_id: str) -> tuple[str, ...]:
        return self._vpcs[vpc_id]

    def vpc6(self, vpc_id: str) -> tuple[str, ...]:
        return self._vpcs6.get(vpc_id, ())

    def subnet(self, subnet_id: str) -> str:
        return self._subnets[subnet_id][0]

    def subnet6(self, subnet_id: str) -> str:
        return self._subnets[subnet_id][1]
