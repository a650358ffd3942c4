"""A daemon's frame: command line, configuration, logs, uvloop, and a clean end on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import uvloop

from eucapy import config as configuration
from eucapy import logs
from eucapy.http import allow_open_files

T = TypeVar("T", bound=msgspec.Struct)

log = logging.getLogger(__name__)


def run_daemon(name: str, kind: type[T], serve: Callable[[T], Awaitable[None]]) -> None:
    """Read `--config`, then run `serve(config)` until it ends or the process is told to.

    `serve` is cancelled on SIGTERM and SIGINT and cleans up in its `finally`. Exit status 0 after a signal, 2 for a
    configuration that cannot be used, 1 for a failure.
    """
    parser = argparse.ArgumentParser(prog=f"eucapy-{name}", description=serve.__doc__)
    parser.add_argument("--config", type=Path, required=True, help=f"the TOML file; every option: etc/{name}.toml")
    arguments = parser.parse_args()
    try:
        config = configuration.load(kind, arguments.config)
    except configuration.ConfigError as error:
        print(f"eucapy-{name}: {error}", file=sys.stderr)
        sys.exit(2)
    logs.setup(name, getattr(config, "log_level", "info"))
    allow_open_files()
    sys.exit(uvloop.run(_until_told(name, serve(config))))


async def _until_told(name: str, serving: Awaitable[None]) -> int:
    task = asyncio.ensure_future(serving)
    loop = asyncio.get_running_loop()
    told: list[str] = []

    def stop(which: signal.Signals) -> None:
        told.append(which.name)
        task.cancel()

    for which in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(which, stop, which)
    log.info("started", extra={"data": {"daemon": name}})
    try:
        await task
    except asyncio.CancelledError:
        if not told:
            raise
    except Exception:
        log.exception("the daemon failed")
        return 1
    log.info("ended", extra={"data": {"signal": told[0] if told else ""}})
    return 0


async def forever() -> None:
    """Wait to be cancelled."""
    await asyncio.Event().wait()
