"""`eucapy explain WHO ACTION [RESOURCE]`: may this principal do that, and which statement of which policy says so.

    eucapy explain alice ec2:TerminateInstances arn:aws:ec2:us-east-1:123456789012:instance/i-0abc
    eucapy explain role/backup s3:GetObject arn:aws:s3:::backups/today --account physics
    eucapy explain alice ec2:RunInstances --key ec2:InstanceType=t2.micro --key aws:SourceIp=192.0.2.7

WHO is a user's name, `role/NAME`, `root`, or an ARN. The status is 0 where it is allowed and 3 where it is not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from eucapy.cli import output
from eucapy.cli.installation import CliError, Installation
from eucapy.cli.operator import Operator

DENIED = 3


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(
        prog="eucapy explain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("who")
    parser.add_argument("action", help="service:Operation")
    parser.add_argument("resource", nargs="?", default="*", help="an ARN; default *")
    parser.add_argument("--account", default="eucalyptus", help="whose user; default eucalyptus")
    parser.add_argument(
        "--key", action="append", default=[], metavar="NAME=VALUE", help="a condition key of the request"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments[1:])
    keys: dict[str, list[str]] = {}
    for text in options.key:
        name, equals, value = text.partition("=")
        if not equals:
            raise CliError(f"{text!r} is no NAME=VALUE")
        keys.setdefault(name, []).append(value)
    answer = Operator.of(Installation(data)).post(
        "/admin/explain",
        {
            "who": options.who,
            "account": options.account,
            "action": options.action,
            "resource": options.resource,
            "keys": {name: values[0] if len(values) == 1 else values for name, values in keys.items()},
        },
    )
    if options.json:
        output.as_json(answer)
    else:
        print(f"{answer['decision']}: {answer['principal']} {answer['action']} on {answer['resource']}")
        print(f"  {answer['because']}")
        if answer["statements"]:
            print(output.table(answer["statements"]))
        print(f"policies: {', '.join(answer['policies']) or 'none'}; boundary: {answer['boundary'] or 'none'}")
        if answer["keys_asked_for"]:
            print(f"the answer depends on: {', '.join(answer['keys_asked_for'])}")
    return 0 if answer["decision"] == "allowed" else DENIED
