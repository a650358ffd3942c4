"""`eucapy COMMAND …`: chooses the command's module and runs it.

Modules are imported when their command is asked for, so that `eucapy env` and `eucapy dev` start at once. A failure
that a person can mend is one line on stderr and status 1; a wrong call is status 2, as argparse has it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eucapy.cli.installation import DEFAULT_DATA, CliError


@dataclass(frozen=True)
class Command:
    """A group of commands: the module whose `main(arguments, data)` does it, and its line in the help."""

    module: str
    summary: str


COMMANDS = {
    "env": Command("environment", "shell lines that point AWS tools at the cloud of this machine"),
    "status": Command("status", "what runs: components, nodes, loops"),
    "account": Command("accounts", "create, list and delete accounts; limit what they may have"),
    "user": Command("users", "create users with keys, list them, make more keys"),
    "audit": Command("audit", "who did what, from where, allowed or denied"),
    "explain": Command("explain", "may somebody do something, and which statement says so"),
    "image": Command("images", "list, build and install images"),
    "network": Command("network", "a node's network: what shall be, what is not so yet, what was dropped"),
    "component": Command("components", "register nodes and list components"),
    "pki": Command("certificates", "make the certificate authority, issue certificates, show when they end"),
    "config": Command("configuration", "sample configuration of a daemon; check a file"),
    "tour": Command("tour", "the guided tour of the cloud of this machine"),
    "dev": Command("programs", "a whole cloud with fake drivers in one process"),
    "walrus": Command("programs", "the object store alone"),
    "daemon": Command("programs", "one of the cloud's daemons, in the foreground"),
}


def usage() -> str:
    """The help of the command itself."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: eucapy [--data DIR] COMMAND [ARGUMENT ...]",
            "",
            "commands (each has --help):",
            *lines,
            "",
            f"  --data DIR   the cloud's folder; default $EUCAPY_DATA or {DEFAULT_DATA}",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    data = Path(os.environ.get("EUCAPY_DATA", DEFAULT_DATA))
    while arguments and arguments[0].startswith("-"):
        option = arguments.pop(0)
        if option in ("-h", "--help"):
            print(usage())
            return 0
        if option == "--version":
            from eucapy import __version__

            print(f"eucapy {__version__}")
            return 0
        name, equals, value = option.partition("=")
        if name == "--data" and (equals or arguments):
            data = Path(value if equals else arguments.pop(0))
            continue
        print(f"eucapy: unknown option {option}\n\n{usage()}", file=sys.stderr)
        return 2
    command = COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        what = f"eucapy: no command {arguments[0]!r}\n\n" if arguments else ""
        print(what + usage(), file=sys.stderr)
        return 2
    module = importlib.import_module(f"eucapy.cli.{command.module}")
    try:
        return int(module.main(arguments, data) or 0)
    except CliError as error:
        print(f"eucapy: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader (head, grep -q) has seen enough; keep the interpreter from complaining at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
