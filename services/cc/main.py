"""The cluster controller as a process: `python -m eucapy_services.cc.main --config etc/cc.toml`."""

from __future__ import annotations

from pathlib import Path

from eucapy import pki
from eucapy.cc.agent import ClusterController
from eucapy.cc.app import app, connect_over
from eucapy.cc.config import Config
from eucapy.clock import SystemClock
from eucapy.process import forever, run_daemon
from eucapy.wire.client import Caller
from eucapy.wire.server import Listener


async def serve(config: Config) -> None:
    """Run until cancelled."""
    folder = Path(config.pki)
    caller = Caller(pki.client_context(folder, "cc") if config.pki else None)
    controller = ClusterController(config, connect_over(caller), SystemClock())
    tls = pki.server_context(folder, "cc") if config.pki else None
    listener = Listener(app(controller), config.host, config.port, tls)
    await listener.start()
    controller.loop.start()
    try:
        await forever()
    finally:
        await listener.stop()
        await controller.stop()
        await caller.close()


if __name__ == "__main__":
    run_daemon("cc", Config, serve)
