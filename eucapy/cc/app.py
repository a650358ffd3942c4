"""The cluster controller on the network: its HTTPS face, and how it reaches its nodes."""

from __future__ import annotations

from aiohttp import web

from eucapy.cc.agent import ClusterController, Connect
from eucapy.wire.client import Caller, NetworkClient, ReadingClient
from eucapy.wire.cluster import ClusterSpec, NodeEntry
from eucapy.wire.network import NetworkAgent
from eucapy.wire.node import NodeAgent, NodeSpec, NodeStatus
from eucapy.wire.server import Read, application, console_reads, zone_flow_reads

CALLERS = frozenset({"clc", "admin"})


def connect_over(caller: Caller) -> Connect:
    """Nodes are reached at the URLs that the spec gives."""

    def connect(entry: NodeEntry) -> tuple[NodeAgent, NetworkAgent]:
        nc: ReadingClient[NodeSpec, NodeStatus] = ReadingClient(caller, entry.nc_url, NodeStatus)
        return nc, NetworkClient(caller, entry.eucanetd_url)

    return connect


def app(controller: ClusterController) -> web.Application:
    """For the cloud controller and the operator."""
    reads: dict[str, Read] = {**console_reads(controller), **zone_flow_reads(controller)}
    return application(controller, ClusterSpec, CALLERS, reads)
