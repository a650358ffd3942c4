"""The node controller on the network: its HTTPS face."""

from __future__ import annotations

from aiohttp import web

from eucapy.nc.agent import NodeController
from eucapy.wire.node import NodeSpec
from eucapy.wire.server import Files, application, console_reads

CALLERS = frozenset({"cc", "admin"})
STORAGE = frozenset({"sc"})


def app(controller: NodeController) -> web.Application:
    """For the cluster controller and the operator; captures for the storage controller."""
    return application(controller, NodeSpec, CALLERS, console_reads(controller), Files(STORAGE, controller.capture))
