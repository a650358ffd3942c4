"""A program of ours that lives in a namespace and outlives us, known by the files of its folder.

Its configuration file carries a digest in its name, so that the command line of the running program says which
configuration it has. A program that runs in another incarnation of the namespace, or is not the one meant although its
number stands in the pid file, counts as none.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
from pathlib import Path

from eucapy.drivers.network import netns


class Daemon:
    """The program `name` of the namespace that `folder` is called after; its configuration is `<name>-<digest>.<suffix>`, its
    number stands in the file `pid_file`."""

    def __init__(self, folder: Path, name: str, suffix: str, pid_file: str) -> None:
        self._folder, self._name, self._suffix = folder, name, suffix
        self._pid_file = folder / pid_file
        self._config = re.compile(rf"{name}-([0-9a-f]+)\.{suffix}")

    def config(self, digest: str) -> Path:
        return self._folder / f"{self._name}-{digest}.{self._suffix}"

    def pid(self) -> int | None:
        """Its number, if it runs at all."""
        found = text(self._pid_file)
        return int(found) if found.isdigit() and self._digest(int(found)) is not None else None

    def running(self) -> tuple[int, str] | None:
        """(process number, configuration digest) of the one that serves the namespace as it is now."""
        pid = self.pid()
        if pid is None:
            return None
        try:
            here, there = Path(f"/proc/{pid}/ns/net").stat(), netns.path(self._folder.name).stat()
        except (FileNotFoundError, ProcessLookupError):
            return None
        digest = self._digest(pid)
        if digest is None or (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
            return None
        return pid, digest

    def stop(self) -> None:
        """Wherever it runs; returns when it has ended."""
        pid = self.pid()
        if pid is not None:
            self.signal(pid, signal.SIGTERM, wait_s=5.0)

    def signal(self, pid: int, number: signal.Signals, wait_s: float = 0.0) -> None:
        """Send through a pidfd, checked after it is open, so that a reused number is never hit."""
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            if self._digest(pid) is None:
                return
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, number)
                if wait_s and not select.select([fd], [], [], wait_s)[0]:
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                    select.select([fd], [], [], wait_s)
        finally:
            os.close(fd)

    def _digest(self, pid: int) -> str | None:
        """Of the configuration that the process runs with, if it is the one meant."""
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            return None
        for word in words:
            config = Path(word.removeprefix("--conf-file="))
            match = self._config.fullmatch(config.name)
            if match and config.parent == self._folder:
                return match[1]
        return None


def text(path: Path) -> str:
    """What a file says; "" when it is not there."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
