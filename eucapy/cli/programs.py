"""`eucapy dev`, `eucapy walrus`, `eucapy daemon`: hand this process over to a composition root.

A composition root is named, found and run as `python -m` would do it, in this process: signals and exit status are its
own, and `eucapy.cli` imports nothing of `eucapy_services`. The root parses its own arguments; `--help` is its own too.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

DAEMONS = ("clc", "cc", "sc", "walrus", "nc", "eucanetd")


def main(arguments: list[str], data: Path) -> int:
    command, rest = arguments[0], arguments[1:]
    if command == "daemon":
        if not rest or rest[0] not in DAEMONS:
            print(f"usage: eucapy daemon {{{','.join(DAEMONS)}}} --config FILE", file=sys.stderr)
            return 2
        command, rest = rest[0], rest[1:]
    return run_root("devcloud" if command == "dev" else command, f"eucapy {arguments[0]}", rest)


def module_of(root: str) -> str:
    """The module to run for the composition root of that name."""
    return f"eucapy_services.{root}.main"


def command_of(root: str, *arguments: str) -> list[str]:
    """The command line that starts a composition root as a process of its own."""
    return [sys.executable, "-m", module_of(root), *arguments]


def run_root(root: str, name: str, arguments: list[str]) -> int:
    """Run the root to its end; its exit status."""
    sys.argv = [name, *arguments]
    try:
        runpy.run_module(module_of(root), run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
