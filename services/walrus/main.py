"""The object store's process.

    python -m eucapy_services.walrus.main --config /etc/eucapy/walrus.toml              within a cloud
    python -m eucapy_services.walrus.main --port P --data DIR --key ACCESSKEY,SECRET    alone (`eucapy walrus`)
    python -m eucapy_services.walrus.main backup|restore|verify|rotate-key|retire-keys …                 `walrus/commands.py`

Ends on SIGTERM and SIGINT after the requests under way. Exit status 2 for a configuration that cannot be used, 1 when the
folder or a port cannot be had.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import sys
from pathlib import Path

import uvloop

from eucapy import config as configuration
from eucapy import logs
from eucapy.clock import SystemClock
from eucapy.http import allow_open_files
from eucapy.walrus import commands
from eucapy.walrus.app import App
from eucapy.walrus.config import Config
from eucapy.walrus.identity import StaticKeys
from eucapy.walrus.workers.notifier import read_hooks

log = logging.getLogger("eucapy.walrus")


async def serve(config: Config) -> None:
    """Run until a signal asks to end."""
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    app = App(config, SystemClock())
    await app.start()
    # The service models are some hundred thousand objects that never die: the collector need not look at them again.
    gc.collect()
    gc.freeze()
    try:
        log.info("ready", extra={"data": {"port": app.port, "internal_port": app.internal_port}})
        await end.wait()
    finally:
        await app.stop()


def read_options(arguments: list[str]) -> Config:
    """Raises ConfigError, and SystemExit for a wrong call."""
    parser = argparse.ArgumentParser(prog="eucapy walrus", description="The object store: S3.")
    parser.add_argument("--config", type=Path, help="a TOML file; every option: etc/walrus.toml")
    parser.add_argument("--port", type=int, default=8780, help="TCP port of S3 (default 8780)")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at (default 127.0.0.1)")
    parser.add_argument("--data", type=Path, help="folder for objects and metadata")
    parser.add_argument(
        "--key", action="append", default=[], metavar="AK,SK[,ACCOUNT]", help="an access key; repeatable"
    )
    parser.add_argument("--region", default="us-east-1", help="the region (default us-east-1)")
    parser.add_argument("--metrics", default="", metavar="HOST:PORT", help="serve Prometheus's /metrics there")
    parser.add_argument("--database", default="", help="URL of the metadata (default: SQLite in the folder)")
    options = parser.parse_args(arguments)
    if options.config is not None:
        return configuration.load(Config, options.config)
    if options.data is None or not options.key:
        parser.error("either --config, or --data and at least one --key")
    return Config(
        data=str(options.data.absolute()), region=options.region, host=options.host, port=options.port, pki="",
        clc_url="", keys=options.key, database=options.database, metrics=options.metrics,
    )  # fmt: skip


def main() -> int:
    """The exit status."""
    if sys.argv[1:2] and sys.argv[1] in commands.COMMANDS:
        return commands.main(sys.argv[1:])
    try:
        config = read_options(sys.argv[1:])
        StaticKeys(config.keys)
        read_hooks(config.hooks)
    except (configuration.ConfigError, ValueError) as error:
        print(f"eucapy walrus: {error}", file=sys.stderr)
        return 2
    logs.setup("walrus", config.log_level)
    allow_open_files()
    try:
        uvloop.run(serve(config))
    except OSError as error:
        log.error("cannot run", extra={"data": {"reason": str(error)}})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
