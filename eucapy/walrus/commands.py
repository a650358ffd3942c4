"""`eucapy walrus <command>`: what an operator does with a store's folder (`upkeep.py`, `offline.py`, `keyring.py`).

backup --data DIR --to DIR      while the store works; again into the same folder: only what is new
restore --from DIR --data DIR   into a folder that is no store yet
verify --data DIR               read everything; exit status 1 where something is damaged or missing
usage --data DIR                what every bucket and account holds, as JSON; beside a running store or without one
rotate-key --data DIR           a new master key; restart the store, and it wraps all data keys anew
retire-keys --data DIR          drop the old master keys, once nothing is wrapped by them
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from eucapy import config as configuration
from eucapy.clock import SystemClock
from eucapy.walrus import keyring, offline, upkeep
from eucapy.walrus.config import Config
from eucapy.walrus.store.snapshots import SnapshotError
from eucapy.walrus.store.usage import Usage
from eucapy.walrus.upkeep import UpkeepError

COMMANDS = ("backup", "restore", "verify", "usage", "rotate-key", "retire-keys")


def _read_options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="eucapy walrus", description="Care for an object store's folder.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in COMMANDS:
        command = commands.add_parser(name)
        where = command.add_mutually_exclusive_group(required=True)
        where.add_argument("--data", type=Path, help="the store's folder")
        where.add_argument("--config", type=Path, help="the store's TOML file")
        if name == "backup":
            command.add_argument("--to", type=Path, required=True, help="folder of the backup")
        if name == "restore":
            command.add_argument("--from", dest="source", type=Path, required=True, help="folder of the backup")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> int:
    given = Config(data=str(options.data)) if options.config is None else configuration.load(Config, options.config)
    data = Path(given.data)
    key_file = Path(given.keyring) if given.keyring else data / upkeep.KEYRING
    if options.command == "backup":
        print(msgspec.json.encode(upkeep.backup(data, options.to, key_file)).decode())
    elif options.command == "restore":
        print(msgspec.json.encode(upkeep.restore(options.source, data, key_file)).decode())
    elif options.command == "usage":
        print(_usage(asyncio.run(offline.usage(given, key_file))))
    elif options.command == "rotate-key":
        print(f"master key {keyring.rotate(key_file)}; it wraps from the next start of the store on")
    elif options.command == "retire-keys":
        left = asyncio.run(offline.count_old_envelopes(given, key_file))
        if left:
            raise UpkeepError(f"{left} data keys are still wrapped by old master keys")
        print(f"{keyring.retire(key_file)} master keys dropped")
    else:
        with tempfile.TemporaryDirectory() as scratch:
            found = asyncio.run(offline.verify(given, key_file, Path(scratch) / "place", SystemClock()))
        print(msgspec.json.encode(found).decode())
        return 1 if found.faults else 0
    return 0


def _usage(buckets: Sequence[Usage]) -> str:
    """`{"accounts": {…}, "buckets": […]}`; an account's numbers are the sums of its buckets'."""
    numbers = [name for name in Usage.__struct_fields__ if name not in ("account", "bucket")]
    accounts: dict[str, dict[str, int]] = {}
    for bucket in buckets:
        of_account = accounts.setdefault(bucket.account, {"buckets": 0, **dict.fromkeys(numbers, 0)})
        of_account["buckets"] += 1
        for name in numbers:
            of_account[name] += getattr(bucket, name)
    return msgspec.json.format(msgspec.json.encode({"accounts": accounts, "buckets": buckets})).decode()


def main(arguments: list[str]) -> int:
    """The exit status."""
    try:
        return _run(_read_options(arguments))
    except (UpkeepError, configuration.ConfigError, OSError, SnapshotError, msgspec.DecodeError) as error:
        print(f"eucapy walrus: {error}", file=sys.stderr)
        return 1
