"""eucanetd's process: `python -m eucapy_services.eucanetd.main --config /etc/eucapy/eucanetd.toml`.

Ends on SIGTERM and SIGINT; guests keep their network, and the next start takes it up as it is. Exit status 2 for a
configuration that cannot be used, 1 when the port cannot be had.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from eucapy import config as configuration
from eucapy import logs
from eucapy.eucanetd.app import EucanetdApp
from eucapy.eucanetd.config import Config
from eucapy.ledger import LedgerDamaged

log = logging.getLogger("eucapy.eucanetd")


async def serve(app: EucanetdApp, node: str) -> None:
    """Run until a signal asks to end."""
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    try:
        port = await app.start()
        log.info("ready", extra={"data": {"node": node, "port": port}})
        await end.wait()
    finally:
        await app.stop()


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="eucapy-eucanetd", description="The network agent of one node.")
    parser.add_argument("--config", type=Path, default=Path("/etc/eucapy/eucanetd.toml"))
    options = parser.parse_args()
    try:
        config = configuration.load(Config, options.config)
        logs.setup("eucanetd", config.log_level)
        app = EucanetdApp(config)
    except (configuration.ConfigError, LedgerDamaged, OSError) as error:
        print(f"eucapy-eucanetd: {error}", file=sys.stderr)
        return 2
    try:
        asyncio.run(serve(app, config.node))
    except OSError as error:
        log.error("cannot run", extra={"data": {"reason": str(error)}})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
