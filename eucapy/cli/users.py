"""`eucapy user create NAME`, `eucapy user list`, `eucapy user key NAME`: users of an account and their access keys.

`create` and `key` answer JSON with the access key; the secret is shown here and never again. A user may do everything
in its account (`--policy all`) or nothing (`--policy none`) until IAM policies say otherwise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from eucapy.cli import output
from eucapy.cli.installation import Installation
from eucapy.cli.operator import Operator

DEFAULT_ACCOUNT = "eucalyptus"


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(prog="eucapy user", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="make a user; answers JSON with its access key")
    create.add_argument("name")
    create.add_argument("--account", default=DEFAULT_ACCOUNT, help=f"default {DEFAULT_ACCOUNT}")
    create.add_argument("--policy", choices=("all", "none"), default="all", help="default all")
    key = actions.add_parser("key", help="make one more access key for a user; answers JSON")
    key.add_argument("name")
    key.add_argument("--account", default=DEFAULT_ACCOUNT, help=f"default {DEFAULT_ACCOUNT}")
    listing = actions.add_parser("list", help="the users of all accounts")
    listing.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments[1:])
    operator = Operator.of(Installation(data))
    if options.action == "create":
        body = {"account": options.account, "name": options.name, "policy": options.policy}
        output.as_json(operator.post("/admin/users", body))
    elif options.action == "key":
        output.as_json(operator.post("/admin/keys", {"account": options.account, "user": options.name}))
    else:
        output.rows(operator.get("/admin/users"), key="users", json_wanted=options.json)
    return 0
