"""`eucapy audit`: search the audit trail of the cloud controller: who did what, on what, from where, allowed or denied.

    eucapy audit --since 2h --denied                  what was refused in the last two hours
    eucapy audit --who alice --action 'ec2:Terminate*'
    eucapy audit --resource i-0123456789abcdef0 --json

Words are compared as with shells' wildcards, letters' case aside; without one they may stand anywhere. The newest come last.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eucapy.cli import output
from eucapy.cli.installation import CliError, Installation

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MEMBERS = {"who": "principal", "account": "account", "source": "from", "request": "request", "error": "error"}


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(
        prog="eucapy audit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--who", help="the caller's ARN, or a part of it")
    parser.add_argument("--account", help="the caller's account number")
    parser.add_argument("--action", help="service:Operation")
    parser.add_argument("--resource", help="an ARN that the request named, or a part of it")
    parser.add_argument("--from", dest="source", metavar="ADDRESS", help="the address that it came from")
    parser.add_argument("--request", help="the request id")
    parser.add_argument("--error", help="the error code")
    parser.add_argument("--since", help="how long ago (90s, 10m, 2h, 7d), or a time (2026-11-22T10:00)")
    parser.add_argument("--until", help="likewise")
    parser.add_argument("--denied", action="store_true", help="only what policies refused")
    parser.add_argument("--unknown", action="store_true", help="only requests of nobody: bad keys, signatures, times")
    parser.add_argument("--writes", action="store_true", help="without Describe…, Get… and List…")
    parser.add_argument("-n", "--most", type=int, default=1000, metavar="N", help="the last N of them; default 1000")
    parser.add_argument("--json", action="store_true", help="the lines as they are kept, one JSON object each")
    options = parser.parse_args(arguments[1:])
    now = time.time()
    since = _moment(options.since, now) if options.since else 0.0
    until = _moment(options.until, now) if options.until else float("inf")
    found: deque[dict[str, Any]] = deque(maxlen=max(1, options.most))
    for line in _lines(Installation(data).folder("clc")):
        if since <= line.get("at", 0.0) <= until and _is_meant(line, options):
            found.append(line)
    if options.json:
        for line in found:
            print(json.dumps(line))
    else:
        print(output.table([_row(line) for line in found]))
    return 0


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    """All lines, the oldest first. A line that a crash cut short is left out. Raises CliError."""
    try:
        files = sorted(folder.glob("audit.jsonl*"), key=_age, reverse=True)
        for path in files:
            with path.open(encoding="utf-8", errors="replace") as stream:
                yield from _parsed(stream)
    except PermissionError as error:
        raise CliError(f"{folder} can be read by root only: use sudo") from error


def _age(path: Path) -> int:
    number = path.name.rpartition(".")[2]
    return int(number) if number.isdigit() else 0


def _parsed(stream: Iterable[str]) -> Iterator[dict[str, Any]]:
    for text in stream:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line


def _is_meant(line: dict[str, Any], options: argparse.Namespace) -> bool:
    if options.denied and line.get("outcome") != "denied":
        return False
    if options.unknown and line.get("outcome") != "unknown":
        return False
    if options.writes and str(line.get("action")).startswith(("Describe", "Get", "List")):
        return False
    for option, member in _MEMBERS.items():
        wanted = getattr(options, option)
        if wanted and not _like(str(line.get(member) or ""), wanted):
            return False
    if options.action and not _like(f"{line.get('service')}:{line.get('action')}", options.action):
        return False
    return not options.resource or any(_like(each, options.resource) for each in line.get("resources") or ())


def _like(value: str, wanted: str) -> bool:
    pattern = wanted if any(each in wanted for each in "*?") else f"*{wanted}*"
    return fnmatch.fnmatchcase(value.lower(), pattern.lower())


def _moment(text: str, now: float) -> float:
    """Seconds since the epoch. Raises CliError."""
    ago = re.fullmatch(r"(\d+)([smhdw])", text)
    if ago is not None:
        return now - int(ago[1]) * _UNITS_S[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(f"{text!r} is no time: 90s, 10m, 2h, 7d, or 2026-11-22T10:00") from None
    return (moment if moment.tzinfo else moment.astimezone()).timestamp()


def _row(line: dict[str, Any]) -> dict[str, Any]:
    resources = line.get("resources") or []
    more = f" and {len(resources) - 1} more" if len(resources) > 1 else ""
    return {
        "at": datetime.fromtimestamp(line.get("at", 0.0), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "who": line.get("principal") or line.get("key") or "nobody",
        "action": f"{line.get('service')}:{line.get('action')}",
        "resource": f"{resources[0]}{more}" if resources else "",
        "from": line.get("from"),
        "outcome": line.get("outcome"),
        "error": line.get("error"),
        "request": line.get("request"),
    }
