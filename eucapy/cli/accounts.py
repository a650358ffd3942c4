"""`eucapy account create NAME`, `eucapy account list`: accounts, each with its user `admin`.

`create` answers JSON with the account's number and its admin's keys; the secret is shown here and never again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from eucapy.cli import output
from eucapy.cli.installation import Installation
from eucapy.cli.operator import Operator


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(prog="eucapy account", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="make an account and its user admin; answers JSON with the keys")
    create.add_argument("name")
    listing = actions.add_parser("list", help="the accounts of this cloud")
    listing.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments[1:])
    operator = Operator.of(Installation(data))
    if options.action == "create":
        output.as_json(operator.post("/admin/accounts", {"name": options.name}))
        return 0
    output.rows(operator.get("/admin/accounts"), key="accounts", json_wanted=options.json)
    return 0
