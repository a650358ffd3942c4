"""`eucapy env`: shell lines that point AWS tools at the cloud of this machine, for `eval "$(eucapy env)"`."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from eucapy.cli.installation import Installation

VARIABLES = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_CA_BUNDLE",
)
"""AWS_REGION is what SDKs other than Python's read."""


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(prog="eucapy env", description=__doc__)
    parser.add_argument("--unset", action="store_true", help="take the variables away again")
    options = parser.parse_args(arguments[1:])
    if options.unset:
        print(f"unset {' '.join(VARIABLES)}")
        return 0
    print(shell_lines(Installation(data).environment()), end="")
    return 0


def shell_lines(variables: dict[str, str]) -> str:
    """`export NAME=VALUE` a line, quoted for any POSIX shell. What would point tools elsewhere is unset."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    others = [name for name in (*VARIABLES, "AWS_SESSION_TOKEN", "AWS_PROFILE") if name not in variables]
    return "\n".join([*lines, f"unset {' '.join(others)}"]) + "\n"
