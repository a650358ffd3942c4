"""`eucapy component list`, `eucapy component register`: which programs make up the cloud, and where they answer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from eucapy.cli import output
from eucapy.cli.installation import CliError, Installation
from eucapy.cli.operator import Operator

KINDS = ("cc", "sc", "nc")


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(prog="eucapy component", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="the registered components")
    listing.add_argument("--json", action="store_true")
    register = actions.add_parser("register", help="make a component known; registering it again changes it")
    register.add_argument("kind", choices=KINDS)
    register.add_argument("name")
    register.add_argument("--zone", default="")
    register.add_argument(
        "member",
        nargs="*",
        metavar="NAME=VALUE",
        help="url=https://HOST:PORT; for a node also eucanetd_url and address",
    )
    options = parser.parse_args(arguments[1:])
    operator = Operator.of(Installation(data))
    if options.action == "list":
        output.rows(operator.get("/admin/components"), key="components", json_wanted=options.json)
        return 0
    body: dict[str, Any] = {"kind": options.kind, "name": options.name, "zone": options.zone}
    for member in options.member:
        name, equals, value = member.partition("=")
        if not equals:
            raise CliError(f"{member!r} is not of the form NAME=VALUE")
        body[name] = value
    output.as_json(operator.post("/admin/components", body))
    return 0
