"""`eucapy dev`: the whole cloud with fake drivers in one process, up in seconds.

There is something to use at once: an account with its admin's keys (or a key of your own choice), its default VPC with a
subnet in each zone, and an image that everybody may launch. Writes an environment file once it answers (`. FILE` in a shell
sets endpoint, keys and region for the AWS tools), prints what there is, and serves until it is told to end. What is in the
data folder is kept: a second start finds it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvloop

from eucapy import ledger, logs

from . import admin as admins
from . import generation, starter
from .admin import Admin
from .cloud import DevCloud

PUBLIC_RANGE = "198.18.0.0/15"
"""Nobody's addresses (RFC 2544), and enough for as many instances as anyone tries."""


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    options = parser().parse_args(arguments)
    logs.setup("dev", "warning")
    try:
        return uvloop.run(serve(options))
    except (OSError, generation.OtherLayout) as error:
        print(f"eucapy dev: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="eucapy dev", description=__doc__)
    made.add_argument("--port", type=int, default=4566, help="TCP port of the endpoint (4566); 0 picks a free one")
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    made.add_argument("--data", type=Path, required=True, help="folder for everything that the cloud keeps")
    made.add_argument("--env-file", type=Path, help="file to write the shell environment to, once the cloud answers")
    made.add_argument("--region", default="us-east-1")
    made.add_argument("--zones", default="a,b,c", help="letters of the availability zones (a,b,c)")
    made.add_argument("--nodes", type=int, default=2, help="fake nodes in each zone (2)")
    made.add_argument(
        "--node-cpus", type=int, default=1024, help="processors of each, with 4 GiB of memory each (1024)"
    )
    made.add_argument("--database", default="", help="postgresql+asyncpg://… instead of SQLite in the data folder")
    made.add_argument(
        "--key", type=chosen_key, metavar="AK,SK", help="the admin's key as you want it; default: a random one"
    )
    made.add_argument("--empty", action="store_true", help="begin without the starter image")
    return made


def chosen_key(text: str) -> tuple[str, str]:
    """`AK,SK` as an access key id and a secret."""
    access_key_id, _, secret = text.partition(",")
    if not re.fullmatch(r"\w{1,128}", access_key_id, re.ASCII) or not re.fullmatch(r"[!-~]{1,128}", secret):
        raise argparse.ArgumentTypeError("an access key id of letters and digits, a comma, and a secret")
    return access_key_id, secret


async def serve(options: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    async with begun(options) as (cloud, admin, image_id):
        text = admins.environment(cloud.endpoint, options.region, admin)
        if options.env_file:
            ledger.write_file(options.env_file, text.encode(), mode=0o600)
        print(summary(cloud.endpoint, text, admin, options.env_file, image_id), flush=True)
        await end.wait()
    return 0


@contextlib.asynccontextmanager
async def begun(options: argparse.Namespace) -> AsyncIterator[tuple[DevCloud, Admin, str]]:
    """The cloud, its admin, and the id of the starter image ("" for none)."""
    options.data.mkdir(parents=True, exist_ok=True)
    generation.require(options.data)
    there: dict[str, Any] = {"image": ""}

    async def begin(cloud: DevCloud) -> None:
        there["admin"] = await admins.ensure(cloud, options.key)
        if not options.empty:
            there["image"] = await starter.ensure(cloud, there["admin"].key)

    cloud = DevCloud(
        options.data,
        host=options.host,
        port=options.port,
        region=options.region,
        zones=tuple(options.zones.split(",")),
        nodes_per_zone=options.nodes,
        node_cpus=options.node_cpus,
        database=options.database,
        begin=begin,
        public_ranges=[PUBLIC_RANGE],
        shared_storage=True,
    )
    async with cloud:
        yield cloud, there["admin"], there["image"]


def summary(endpoint: str, exports: str, admin: Admin, env_file: Path | None, image_id: str) -> str:
    """What there is; the first line alone says where."""
    lines = [f"eucapy dev: {endpoint} is up, account {admin.account_id}"]
    lines += [f"  . {env_file}"] if env_file else [f"  {line}" for line in exports.splitlines()]
    if image_id:
        lines.append(f"  aws ec2 run-instances --image-id {image_id} --instance-type t3.micro")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
