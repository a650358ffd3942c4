"""`python -m benchmarks`: measure, then write results.jsonl, results.md and results.svg.

Rounds are interleaved (every server once, then every server again), so that a change of the machine's mood meets all of
them. Nothing is begun after the run's own time limit; what was measured until then is reported.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import clients, peers, plot, report, servers
from eucapy.run import RunError, run_now

RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 1 when nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--servers", default=",".join(servers.NAMES), help="which to measure, in this order")
    parser.add_argument("--services", default="ec2", help="ec2, s3 or both, by comma")
    parser.add_argument("--groups", default="", help="only these groups of tests")
    parser.add_argument("--sizes", default="10,1000,10000", help="instances that the account holds")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each test of req/s")
    parser.add_argument("--group-limit", type=float, default=240.0, help="most seconds for one group on one server")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds after which nothing more is begun")
    parser.add_argument("--clients", type=Path, help="folder of ec2bench.py and s3bench.py")
    parser.add_argument("--cache", type=Path, default=peers.default_cache(), help="where the peers are installed")
    parser.add_argument(
        "--database",
        default="sqlite",
        help="what eucapy keeps its state in: sqlite, postgresql (a server of the run's own), or the URL of an empty database",
    )
    parser.add_argument("--nodes", type=int, default=servers.NODES_PER_ZONE, help="fake nodes in each of three zones")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    options = parser.parse_args(arguments)
    try:
        found = clients.folder(options.clients)
    except FileNotFoundError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    with _databases(options.database) as new_database:
        settings = servers.Settings(options.cache, new_database, options.nodes)
        names = _installed(options.servers.split(","), settings)
        lines = measure(options, found, names, settings)
    if not lines:
        print("benchmarks: nothing was measured", file=sys.stderr)
        return 1
    text = report.markdown(lines, names, _facts(options, names))
    (options.out / "results.md").write_text(text)
    (options.out / "results.svg").write_text(plot.svg(lines, names))
    print(text)
    return 0


@contextlib.contextmanager
def _databases(wanted: str) -> Iterator[Callable[[], str]]:
    """Gives an empty database's URL each time, "" for SQLite. A URL that was given is there for one server only."""
    if wanted == "sqlite":
        yield str
    elif wanted == "postgresql":
        from tests.harness.postgres import PostgresServer, programs

        if programs() is None:
            raise SystemExit("benchmarks: no PostgreSQL server is installed")
        with PostgresServer() as server:
            yield server.create_database
    else:
        left = [wanted]

        def once() -> str:
            if not left:
                raise RuntimeError(
                    "the database has been used: one group and one round for a URL (--groups, --rounds 1)"
                )
            return left.pop()

        yield once


def measure(
    options: argparse.Namespace, found: Path, names: list[str], settings: servers.Settings
) -> list[dict[str, Any]]:
    """All figures; each is on disk (results.jsonl) as soon as its group has ended."""
    lines: list[dict[str, Any]] = []
    until = time.monotonic() + options.limit
    sizes = [int(size) for size in options.sizes.split(",")]
    chosen = set(filter(None, options.groups.split(",")))
    with (options.out / "results.jsonl").open("w") as out:
        for turn in range(options.rounds):
            for service in options.services.split(","):
                for group in clients.GROUPS[service]:
                    for name in names:
                        left = until - time.monotonic()
                        if left <= 0 or (chosen and group not in chosen):
                            continue
                        limit_s = min(options.group_limit, left)
                        new = _one(found, service, group, name, settings, sizes, options.seconds, turn, limit_s)
                        lines += new
                        out.writelines(json.dumps(line) + "\n" for line in new)
                        out.flush()
    return lines


def _one(
    found: Path, service: str, group: str, name: str, settings: servers.Settings,
    sizes: list[int], seconds: float, turn: int, limit_s: float,
) -> list[dict[str, Any]]:  # fmt: skip
    begun = time.monotonic()
    try:
        with servers.start(name, service, settings) as server:
            lines = clients.run(found, service, group, server, sizes=sizes, seconds=seconds, turn=turn, limit_s=limit_s)
    except (RuntimeError, TimeoutError) as error:
        print(f"{name} {service}: {error}", file=sys.stderr)
        return []
    print(f"{name} {service} {group}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return lines


def _installed(wanted: list[str], settings: servers.Settings) -> list[str]:
    """The servers that are here or could be installed."""
    here = []
    for name in wanted:
        if name not in servers.NAMES:
            raise SystemExit(f"benchmarks: no server {name!r}: {', '.join(servers.NAMES)}")
        try:
            if name in peers.PACKAGES:
                peers.ensure(name, settings.cache)
        except RunError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        here.append(name)
    return here


def _facts(options: argparse.Namespace, names: list[str]) -> dict[str, str]:
    ours = run_now(
        "git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", check=False
    ).stdout.strip()
    cores = len(os.sched_getaffinity(0))
    known = {"eucapy": ours, **peers.versions(options.cache, names)}
    return {
        "servers": ", ".join(f"{name} {known.get(name, '')}".strip() for name in names),
        "machine": f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, {platform.system()}",
        "database": "SQLite, every commit synced" if options.database == "sqlite" else "PostgreSQL",
        "how": f"{options.rounds} rounds, interleaved, a fresh server for each; median (best). Under 1.5 × is a tie.",
    }


if __name__ == "__main__":
    sys.exit(main())
