"""`eucapy status` and `./faststart status`: the programs of this machine, the cloud's components, how much
of the snapshots is in the archive, its loops.

Status 0 when all is well, 3 when something is not.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from eucapy.cli import output
from eucapy.cli.faststart import running
from eucapy.cli.installation import CliError, Installation
from eucapy.cli.operator import Operator

UNWELL = 3


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(prog="eucapy status", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the cloud controller's whole answer")
    options = parser.parse_args(arguments[1:])
    installation = Installation(data)
    if options.json:
        output.as_json(Operator.of(installation).get("/admin/status"))
        return 0
    return show(installation)


def show(installation: Installation) -> int:
    """Print how everything is; 0, or 3 when something is not well."""
    record = installation.record()
    programs = running.states(installation, record)
    print(
        output.table(
            [{"program": program.name, "state": state, "what": program.description} for program, state in programs]
        )
    )
    well = all(state.startswith(("running", "active")) for _program, state in programs)
    try:
        status: dict[str, Any] = Operator.of(installation, timeout_s=5.0).get("/admin/status")
    except CliError as error:
        print(f"\n{error}")
        return UNWELL
    print(f"\nendpoint {installation.endpoint_url}\n")
    for part in ("components", "nodes", "archives", "loops"):
        items = status.get(part)
        if items:
            print(f"{part}\n{output.table(items)}\n")
    return 0 if well and all(item.get("state") == "up" for item in status.get("components", [])) else UNWELL
