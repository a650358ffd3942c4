"""The cloud controller as a process: `python -m eucapy_services.clc.main --config etc/clc.toml`."""

from __future__ import annotations

from pathlib import Path

from eucapy import heap, pki
from eucapy.aws.http import serving
from eucapy.clc.agents import RegisteredAgents
from eucapy.clc.app import CloudController, api_tls
from eucapy.clc.config import Config
from eucapy.clock import SystemClock
from eucapy.database import open_database
from eucapy.process import forever, run_daemon
from eucapy.wire.client import Caller
from eucapy.wire.server import Listener


async def serve(config: Config) -> None:
    """Run until cancelled."""
    folder, data = Path(config.pki), Path(config.data)
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = open_database(config.database or f"sqlite:///{(data / 'eucapy.sqlite').absolute()}")
    caller = Caller(pki.client_context(folder, "clc") if config.pki else None)
    clc = CloudController(config, database, RegisteredAgents(database, caller), SystemClock())
    await clc.open()
    internal = Listener(
        clc.operator_port(),
        config.internal_host,
        config.internal_port,
        pki.server_context(folder, "clc") if config.pki else None,
    )
    try:
        await internal.start()
        async with serving(clc.edge, config.host, config.port, tls=api_tls(config)):
            clc.start()
            heap.settled()
            await forever()
    finally:
        await internal.stop()
        await clc.stop()
        await caller.close()
        await database.close()


if __name__ == "__main__":
    run_daemon("clc", Config, serve)
