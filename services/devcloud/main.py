"""`eucapy dev`: the whole cloud with fake drivers in one process, up in seconds.

Writes an environment file once it answers (`. FILE` in a shell sets endpoint, keys and region for the AWS tools), prints
where it is, and serves until it is told to end. What is in the data folder is kept: a second start finds it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

import msgspec
import uvloop

from eucapy import heap, ledger, logs
from eucapy.clc.store import accounts
from eucapy.database import Tx

from .cloud import DevCloud

ACCOUNT = "eucalyptus"
ACCOUNT_ID = "123456789012"
PUBLIC_RANGE = "198.18.0.0/15"
"""Nobody's addresses (RFC 2544), and enough for as many instances as anyone tries."""


class Admin(msgspec.Struct):
    """The admin's key, kept in the data folder so that a second start says the same."""

    account_id: str
    access_key_id: str
    secret_access_key: str


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="eucapy dev", description=__doc__)
    parser.add_argument("--port", type=int, default=4566, help="TCP port of the endpoint (4566); 0 picks a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--data", type=Path, required=True, help="folder for everything that the cloud keeps")
    parser.add_argument("--env-file", type=Path, help="file to write the shell environment to, once the cloud answers")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--zones", default="a,b,c", help="letters of the availability zones (a,b,c)")
    parser.add_argument("--nodes", type=int, default=2, help="fake nodes in each zone (2)")
    parser.add_argument(
        "--node-cpus", type=int, default=1024, help="processors of each, with 4 GiB of memory each (1024)"
    )
    parser.add_argument("--database", default="", help="postgresql+asyncpg://… instead of SQLite in the data folder")
    options = parser.parse_args(arguments)
    logs.setup("dev", "warning")
    try:
        return uvloop.run(serve(options))
    except OSError as error:
        print(f"eucapy dev: {error}", file=sys.stderr)
        return 1


async def serve(options: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    options.data.mkdir(parents=True, exist_ok=True)
    cloud = DevCloud(
        options.data,
        host=options.host,
        port=options.port,
        region=options.region,
        zones=tuple(options.zones.split(",")),
        nodes_per_zone=options.nodes,
        node_cpus=options.node_cpus,
        database=options.database,
        public_ranges=[PUBLIC_RANGE],
    )
    async with cloud:
        admin = await _admin(cloud)
        text = environment(cloud.endpoint, options.region, admin)
        if options.env_file:
            ledger.write_file(options.env_file, text.encode(), mode=0o600)
        print(
            f"eucapy dev: {cloud.endpoint} is up; keys: {options.env_file or options.data / 'admin.json'}", flush=True
        )
        heap.settled()
        await end.wait()
    return 0


def environment(endpoint: str, region: str, admin: Admin) -> str:
    """What a shell sources."""
    return (
        f"export AWS_ENDPOINT_URL={endpoint}\n"
        f"export AWS_ACCESS_KEY_ID={admin.access_key_id}\n"
        f"export AWS_SECRET_ACCESS_KEY={admin.secret_access_key}\n"
        f"export AWS_DEFAULT_REGION={region}\n"
        f"export AWS_REGION={region}\n"
    )


async def _admin(cloud: DevCloud) -> Admin:
    """The admin of the cloud's account, made at the first start."""
    path = cloud.data / "admin.json"
    kept = ledger.Ledger(path, Admin).read()
    if kept is not None:
        return kept

    async def work(tx: Tx) -> Admin:
        operations = cloud.clc.operations
        if await accounts.by_name(tx, ACCOUNT) is None:
            made = await operations.create_account(tx, ACCOUNT, ACCOUNT_ID)
        else:
            made = await operations.create_key(tx, ACCOUNT, "admin")
        return Admin(made["account_id"], made["access_key_id"], made["secret_access_key"])

    admin: Admin = await cloud.database.write(work)
    ledger.Ledger(path, Admin).write(admin)
    logging.getLogger(__name__).debug("admin made")
    return admin


if __name__ == "__main__":
    sys.exit(main())
