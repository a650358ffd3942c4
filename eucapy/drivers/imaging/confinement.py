"""A program that handles hostile bytes, started so that it can do no harm when they get the better of it.

It runs as a user of its own who owns nothing but the files that it is given (as open descriptors, so that it needs to pass
no folder), without capabilities and without a way to new ones, in network, process and IPC namespaces of its own, which are
empty; limits on memory, processor time and the size of what it writes end it. Not being root we can give up nothing, and
only the limits hold.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

USER_ID = 64990
"""Nobody's: the number is in no range that Debian gives users from, and needs no name."""


@dataclass(frozen=True)
class Limits:
    """What the program may use. `file_bytes`: the largest file that it may write."""

    time_s: float
    file_bytes: int
    memory_bytes: int = 2 << 30
    processor_s: int = 4 * 3600
    open_files: int = 64


def confined(argv: Sequence[str], limits: Limits, user_id: int = USER_ID) -> list[str]:
    """The command line that runs `argv` so."""
    held = [
        "prlimit",
        f"--as={limits.memory_bytes}",
        f"--cpu={limits.processor_s}",
        f"--fsize={limits.file_bytes}",
        f"--nofile={limits.open_files}",
        "--core=0",
        "--",
        *argv,
    ]
    if os.geteuid() != 0:
        return held
    return [
        *("unshare", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child=KILL", "--"),
        *("setpriv", f"--reuid={user_id}", f"--regid={user_id}", "--clear-groups", "--no-new-privs"),
        *("--inh-caps=-all", "--bounding-set=-all", "--"),
        *held,
    ]


def hand_over(fd: int, user_id: int = USER_ID) -> None:
    """Let the program open the file behind an open descriptor, and nobody else."""
    if os.geteuid() == 0:
        os.fchown(fd, user_id, user_id)
        os.fchmod(fd, 0o600)
