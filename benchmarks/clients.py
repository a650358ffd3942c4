"""The load: the clients `ec2bench.py` and `s3bench.py`, one JSON line for each figure.

They are kept beside the checkout, not in it, because every implementation is measured with the very same ones. A client
runs in a process of its own; its lines are read back as dicts.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.servers import Server
from eucapy.run import RunError, run_now

PROGRAMS = {"ec2": "ec2bench.py", "s3": "s3bench.py"}
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "bench"

GROUPS = {
    "ec2": {
        "calls": "sts:1,sts:16,sgs:1,azs,types,images,volume:1,tags:1,run:1",
        "groups": "sgs500",
        "many": "grow,terminate",
    },
    "s3": {
        "small": "put4k:16,get4k:16,head4k:16",
        "large": "put64m,get64m,range64m,mp256m",
        "list": "list10k,rss",
    },
}
"""Tests by group; each group gets a fresh server."""


def folder(given: Path | None) -> Path:
    """The clients' folder. Raises FileNotFoundError, saying what to do."""
    found = given or BESIDE
    missing = [name for name in PROGRAMS.values() if not (found / name).is_file()]
    if missing:
        raise FileNotFoundError(f"no {', '.join(missing)} in {found}: name their folder with --clients")
    return found


def run(
    clients: Path,
    service: str,
    group: str,
    server: Server,
    *,
    sizes: list[int],
    seconds: float,
    turn: int,
    limit_s: float,
) -> list[dict[str, Any]]:
    """The figures of one group of tests. What a client had measured before it ran out of time counts."""
    with tempfile.TemporaryDirectory(prefix="bench-client-") as scratch:
        out = Path(scratch) / "out.jsonl"
        argv = [sys.executable, str(clients / PROGRAMS[service]), "--endpoint", server.endpoint]
        argv += ["--access-key", server.access_key, "--secret-key", server.secret_key, "--label", server.name]
        argv += ["--server-pid", str(server.pid), "--tests", GROUPS[service][group], "--seconds", f"{seconds:g}"]
        argv += ["--limit", f"{min(limit_s, 60.0):g}", "--round", str(turn), "--out", str(out), "--keep"]
        if service == "ec2":
            fitting = [size for size in sizes if size <= server.largest]
            argv += ["--image-id", server.image_id, "--sizes", ",".join(map(str, fitting))]
        try:
            run_now(*argv, timeout_s=limit_s)
        except RunError as error:
            # Not the error's own words: the command line in them has the server's keys.
            why = f"more than {limit_s:.0f} s" if error.status is None else error.stderr.strip()[-500:]
            print(f"{server.name} {service} {group}: {why}", file=sys.stderr)
        lines = out.read_text().splitlines() if out.exists() else []
    return [{"service": service, **json.loads(line)} for line in lines]
