"""`eucapy network`: who reaches whom, and a node's part of the network, as it shall be and as it is.

    eucapy network explain SOURCE TARGET [--port N] [--protocol tcp|udp|icmp]
                                  whether a packet gets there, and what lets it or keeps it, step by step

    eucapy network draw VPC [--port N] [--protocol tcp|udp|icmp] [--svg FILE]
                                  subnets, gateways and guests of a VPC, and who reaches whom

On a node, as root:

    eucapy network plan [VPC]     everything that shall be here, by VPC
    eucapy network diff [VPC]     what the agent would do now to make it so; nothing where all is well
    eucapy network drops [VPC]    packets that the rules of each VPC have dropped, by the reason; with --by-interface
                                  whose they were, or the link that they came by or would have left by

The status of `diff` is 1 where something is to be done, that of `explain` 3 where the packet does not get there. Nothing
is ever changed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eucapy import config
from eucapy.cli import output, picture, reach
from eucapy.cli.installation import CliError
from eucapy.config import ConfigError
from eucapy.ledger import LedgerDamaged
from eucapy.run import RunError

CONFIG = Path("/etc/eucapy/eucanetd.toml")


def main(arguments: list[str], data: Path) -> int:
    if arguments[1:2] in (["explain"], ["draw"]):
        asking = reach.main if arguments[1] == "explain" else picture.main
        return asking(arguments[1:], data)
    parser = argparse.ArgumentParser(
        prog="eucapy network", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("explain", "draw", "plan", "diff", "drops"))
    parser.add_argument("vpc", nargs="?", default="", help="of this VPC alone, or of `node`")
    parser.add_argument("--config", type=Path, default=CONFIG, help=f"eucanetd's configuration; default {CONFIG}")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--by-interface", action="store_true", help="of drops: for each interface on its own")
    options = parser.parse_args(arguments[1:])
    try:
        seen = asyncio.run(_look(options.config))
    except (ConfigError, LedgerDamaged, OSError) as error:
        raise CliError(str(error)) from error
    if options.vpc and options.vpc not in seen.desired.items and options.vpc not in seen.desired.faults:
        raise CliError(f"{options.vpc} is not on this node")
    items = [options.vpc] if options.vpc else sorted(seen.desired.items, key=lambda name: (name != "node", name))
    if options.action == "drops":
        namespaces = {item: seen.namespaces[item] for item in items if item in seen.namespaces}
        return _drops(namespaces, seen.interfaces if options.by_interface else None, options.json)
    found = {item: seen.plan(item) if options.action == "plan" else seen.changes(item) for item in items}
    return _show(options.action, found, seen, options.json)


async def _look(path: Path) -> Any:
    """An `Inspection`. The agent's modules are found by name: programs do not import each other."""
    app, inspection, settings = (
        importlib.import_module(f"eucapy.eucanetd.{name}") for name in ("app", "inspection", "config")
    )
    loader = importlib.import_module("eucapy.drivers.network.loader")
    chosen = config.load(settings.Config, path)
    driver = loader.load(chosen.driver, prefix=chosen.namespace_prefix, folder=Path(chosen.run))
    try:
        return await inspection.inspect(Path(chosen.data), driver, app.layout_of(chosen))
    finally:
        await driver.close()


def _show(action: str, found: dict[str, list[str]], seen: Any, as_json: bool) -> int:
    faults = {item: fault.message for item, fault in seen.desired.faults.items()}
    todo = action == "diff" and any(found.values())
    if as_json:
        output.as_json(
            {"generation": seen.generation, action: found, "faults": faults, "strangers": list(seen.strangers)}
        )
        return int(todo)
    print(f"generation {seen.generation}")
    for item, lines in found.items():
        if lines or action == "plan":
            print("\n".join([item, *(f"  {line}" for line in lines)]))
    for item, reason in faults.items():
        print(f"{item}: cannot be laid out: {reason}")
    if seen.strangers:
        print(f"in no spec, and left alone: {', '.join(seen.strangers)}")
    return int(todo)


def _drops(namespaces: dict[str, str], interfaces: Mapping[str, str] | None, as_json: bool) -> int:
    """`interfaces` by tap, where they are asked for one by one."""
    if interfaces is not None:
        return _drops_of_interfaces(namespaces, interfaces, as_json)
    counters = importlib.import_module("eucapy.drivers.network.linux.counters")
    found: dict[str, dict[str, int]] = {}
    for vpc_id, namespace in namespaces.items():
        try:
            found[vpc_id] = counters.drops(namespace)
        except RunError as error:
            raise CliError(f"{vpc_id}: {error}") from error
    if as_json:
        output.as_json(found)
    else:
        print(output.table([{"vpc": vpc_id, **counts} for vpc_id, counts in found.items()]))
    return 0


def _drops_of_interfaces(namespaces: dict[str, str], interfaces: Mapping[str, str], as_json: bool) -> int:
    """Those of which anything was dropped; the link's name where it is no interface's tap."""
    counters = importlib.import_module("eucapy.drivers.network.linux.counters")
    rows: list[dict[str, Any]] = []
    for vpc_id, namespace in namespaces.items():
        try:
            found: dict[str, dict[str, int]] = counters.drops_by_link(namespace)
        except OSError as error:
            raise CliError(f"{vpc_id}: {error}") from error
        rows += [
            {"vpc": vpc_id, "interface": interfaces.get(link, link), **dict.fromkeys(counters.REASONS, 0), **counts}
            for link, counts in sorted(found.items())
        ]
    if as_json:
        output.as_json(rows)
    else:
        print(output.table(rows))
    return 0
