"""The cloud controller's loops: which there are, how often the net catches them, what wakes them.

placement     a node for every instance that needs one         cluster_sync   each zone's spec to its cc
observe       what the zones report becomes rows               storage_sync   each zone's spec to its sc, and back
role_credentials   of instances with an instance profile      imports        disks and machines from elsewhere
nat_gateways  which node translates for each
deadlines     states that last too long, things to forget      images         what lies behind new images
exports       images and instances into buckets
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from eucapy import pki
from eucapy.clc.agents import Agents
from eucapy.clc.config import Config
from eucapy.clc.flow_delivery import Destinations
from eucapy.clc.objects import WalrusObjects
from eucapy.clc.reconcilers.captures import Captures
from eucapy.clc.reconcilers.cluster_sync import ClusterSync
from eucapy.clc.reconcilers.deadlines import Deadlines
from eucapy.clc.reconcilers.exports import Exports
from eucapy.clc.reconcilers.flow_logs import FlowLogs
from eucapy.clc.reconcilers.images import Images
from eucapy.clc.reconcilers.imports import Imports
from eucapy.clc.reconcilers.nat_gateways import NatGateways
from eucapy.clc.reconcilers.observe import Observe
from eucapy.clc.reconcilers.placement import Placement
from eucapy.clc.reconcilers.role_credentials import RoleCredentialsLoop
from eucapy.clc.reconcilers.storage_sync import StorageSync
from eucapy.clc.reconcilers.watch import Watch
from eucapy.clc.seal import Seal
from eucapy.clc.sessions import Sessions
from eucapy.clc.store import ipv6_blocks, public_ranges
from eucapy.clc.user_objects import UserObjects
from eucapy.clock import Clock
from eucapy.database import Database
from eucapy.reconcile.loop import Loop, Loops

NET_S = 15.0
SWEEP_S = 5.0
CREDENTIALS_S = 60.0
FLOWS_S = 60.0


def build(
    config: Config, database: Database, agents: Agents, clock: Clock, sessions: Sessions, seal: Seal
) -> tuple[Loops, list[Watch]]:
    """The loops, and the watches that wake them when an agent has news."""
    loops = Loops()
    zones = list(config.zones)
    tls = pki.client_context(Path(config.pki), "clc") if config.pki else None
    observe = Observe(database, agents, zones, clock, loops.wake)
    loops.add(Loop("placement", Placement(database, config, clock, loops.wake), NET_S))
    blocks = [*public_ranges.blocks(config.public_ranges), ipv6_blocks.pool(config.ipv6_pool)]
    sync = ClusterSync(database, agents, zones, config.region, observe.generation, observe.ahead, blocks)
    loops.add(Loop("cluster_sync", sync, NET_S))
    loops.add(Loop("storage_sync", StorageSync(database, agents, zones, clock, loops.wake), NET_S))
    loops.add(Loop("observe", observe, NET_S))
    loops.add(Loop("deadlines", Deadlines(database, config, clock, loops.wake), SWEEP_S))
    objects = WalrusObjects(config.walrus_internal_url, tls)
    loops.add(Loop("images", Images(database, objects), NET_S))
    loops.add(Loop("captures", Captures(database, clock, loops.wake), NET_S))
    user_objects = UserObjects(config.walrus_url, config.region, sessions, clock)
    loops.add(Loop("imports", Imports(database, user_objects, seal, zones, clock, loops.wake), NET_S))
    loops.add(Loop("exports", Exports(database, user_objects, objects, clock, loops.wake), NET_S))
    destinations = Destinations(config.walrus_internal_url, tls, config.region)
    flows = FlowLogs(database, agents, zones, destinations, user_objects, config.region, clock)
    loops.add(Loop("flow_logs", flows, FLOWS_S))
    loops.add(Loop("nat_gateways", NatGateways(database, clock, loops.wake), NET_S))
    credentials = RoleCredentialsLoop(database, sessions, config.region, clock, loops.wake)
    loops.add(Loop("role_credentials", credentials, CREDENTIALS_S))
    watches = []
    for zone in zones:
        watches.append(Watch(partial(agents.cluster, zone), partial(loops.wake, "observe")))
        watches.append(Watch(partial(agents.storage, zone), partial(loops.wake, "storage_sync")))
    return loops, watches
