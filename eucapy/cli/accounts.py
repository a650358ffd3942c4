"""`eucapy account create|list|delete|limit`: accounts, each with its user `admin`, and what an account may have at most.

`create` answers JSON with the account's number and its admin's keys; the secret is shown here and never again.

    eucapy account limit physics instances policy.json     put the account policy `instances` (`-`: from standard input)
    eucapy account limit physics instances --remove
    eucapy account limit physics                           show what limits it
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from eucapy.cli import output
from eucapy.cli.installation import CliError, Installation
from eucapy.cli.operator import Operator


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(
        prog="eucapy account", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="make an account and its user admin; answers JSON with the keys")
    create.add_argument("name")
    listing = actions.add_parser("list", help="the accounts of this cloud")
    listing.add_argument("--json", action="store_true")
    delete = actions.add_parser("delete", help="remove an account that has no instances, volumes, images … any more")
    delete.add_argument("name")
    delete.add_argument("--recursive", action="store_true", help="with its users, groups, roles and policies")
    limit = actions.add_parser("limit", help="show, put or remove a policy that limits what the account may have")
    limit.add_argument("account")
    limit.add_argument("name", nargs="?", default="")
    limit.add_argument("file", nargs="?", default="")
    limit.add_argument("--remove", action="store_true")
    options = parser.parse_args(arguments[1:])
    operator = Operator.of(Installation(data))
    if options.action == "create":
        output.as_json(operator.post("/admin/accounts", {"name": options.name}))
    elif options.action == "delete":
        body = {"name": options.name, "recursive": options.recursive}
        output.as_json(operator.post("/admin/accounts/delete", body))
    elif options.action == "limit":
        if bool(options.name) != bool(options.file or options.remove) or (options.file and options.remove):
            limit.error("give a name with a file, a name with --remove, or neither")
        body = {"account": options.account, "name": options.name, "document": _document(options.file)}
        answer = operator.post("/admin/accounts/limits", body)
        output.as_json({name: json.loads(text) for name, text in answer["policies"].items()})
    else:
        output.rows(operator.get("/admin/accounts"), key="accounts", json_wanted=options.json)
    return 0


def _document(file: str) -> str:
    if not file:
        return ""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except OSError as error:
        raise CliError(f"{file}: {error.strerror}") from error
