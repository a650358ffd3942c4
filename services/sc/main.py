"""The storage controller's process: `python -m eucapy_services.sc.main --config /etc/eucapy/sc.toml`.

Ends on SIGTERM and SIGINT; exported volumes stay reachable and are found again by the next start. Exit status 2 for a
configuration that cannot be used, 1 when the pool or the port cannot be had.
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
from eucapy.drivers.block.base import BadRequest, BlockError
from eucapy.http import allow_open_files
from eucapy.ledger import LedgerDamaged
from eucapy.sc.app import StorageControllerApp
from eucapy.sc.config import Config

log = logging.getLogger("eucapy.sc")


async def serve(app: StorageControllerApp, zone: str) -> None:
    """Run until a signal asks to end."""
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    try:
        port = await app.start()
        log.info("ready", extra={"data": {"zone": zone, "port": port}})
        await end.wait()
    finally:
        await app.stop()


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="eucapy-sc", description="The storage controller of one zone.")
    parser.add_argument("--config", type=Path, default=Path("/etc/eucapy/sc.toml"))
    options = parser.parse_args()
    try:
        config = configuration.load(Config, options.config)
        logs.setup("sc", config.log_level)
        allow_open_files()
        app = StorageControllerApp(config)
    except (configuration.ConfigError, BadRequest, LedgerDamaged, OSError) as error:
        print(f"eucapy-sc: {error}", file=sys.stderr)
        return 2
    try:
        asyncio.run(serve(app, config.zone))
    except (BlockError, OSError) as error:
        log.error("cannot run", extra={"data": {"reason": str(error)}})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
