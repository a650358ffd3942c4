"""QEMU storage daemons that outlive the process which started them: started, found again, watched, ordered and ended.

Each daemon has a name and a folder of its own: `nbd.sock` (where its NBD server listens, if on a socket), `qmp.sock` (we
give orders here) and `pid`. Whoever may enter the parent folder may reach the disks: it is 0700, or 0750 with the group
that QEMU runs under. A daemon runs as the user `owner`, without privileges and without ways to new ones, or else as we do;
its folder is its own, but only we give orders: the group may not write to `qmp.sock`.

After a restart `open` finds the daemons that still run; the death of one is noticed at once through its pidfd. What a
daemon serves is its user's affair: `exporter.py` (volumes), `proxies/storage_daemon.py` (volumes of other hosts).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from eucapy.drivers.block.base import BadRequest, BlockError
from eucapy.drivers.block.qmp import Qmp, QmpError, QmpGone
from eucapy.folders import Owner
from eucapy.run import RunError, daemonized

log = logging.getLogger(__name__)

PROGRAM = "qemu-storage-daemon"
LONGEST_SOCKET_PATH = 107
LONGEST_NAME = 25
START_S = 30.0
KILLED_S = 20.0
"""After SIGKILL; a process in the kernel's hands may take a while."""


class DaemonFailed(BlockError):
    """The storage daemon could not be started, ordered or ended."""

    code = "ExportFailed"


@dataclass
class _Daemon:
    pid: int
    pidfd: int
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Daemons:
    """The storage daemons of one folder."""

    def __init__(self, folder: Path, group_id: int | None = None, owner: Owner | None = None) -> None:
        """`folder` must be short: a unix socket's path has at most 107 bytes. Raises BadRequest."""
        self._folder = folder
        self._group_id = owner.group_id if owner is not None and group_id is None else group_id
        self._owner = owner
        self._daemons: dict[str, _Daemon] = {}
        self._on_end: Callable[[], None] = lambda: None
        longest = str(folder / ("v" * LONGEST_NAME) / "nbd.sock")
        if len(longest.encode()) > LONGEST_SOCKET_PATH:
            raise BadRequest(f"the run folder {folder} is too long for the path of a socket")
        if not folder.is_absolute() or any(sign in str(folder) for sign in ",?#%"):
            raise BadRequest(f"the run folder {folder} must be absolute and without , ? # or %")

    def open(self, on_end: Callable[[], None]) -> None:
        """Make the folder and find every daemon that runs; `on_end` is called when one dies."""
        self._on_end = on_end
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o750 if self._group_id is not None else 0o700)
        if self._group_id is not None:
            os.chown(self._folder, -1, self._group_id)
        for name in self.left():
            self._adopt(name)

    def close(self) -> None:
        """Stop watching. The daemons go on."""
        for daemon in self._daemons.values():
            self._forget(daemon)
        self._daemons.clear()

    def running(self) -> set[str]:
        """The names of those that run."""
        return set(self._daemons)

    def left(self) -> list[str]:
        """The names that have a folder, whether or not their daemon runs."""
        return sorted(folder.name for folder in self._folder.iterdir() if folder.is_dir())

    def folder(self, name: str) -> Path:
        return self._folder / name

    def socket(self, name: str) -> Path:
        return self._folder / name / "nbd.sock"

    async def start(self, name: str, *arguments: str) -> None:
        """Start a daemon that does not run; returns once it serves. Raises DaemonFailed."""
        folder = self._folder / name
        orders = folder / "qmp.sock"
        for leftover in (orders, self.socket(name), folder / "pid"):
            leftover.unlink(missing_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if self._owner is not None:
            os.chown(folder, self._owner.user_id, self._owner.group_id, follow_symlinks=False)
        try:
            await daemonized(
                *_as(self._owner),
                *(PROGRAM, "--daemonize", "--pidfile", str(folder / "pid")),
                *("--chardev", f"socket,id=orders,path={orders},server=on,wait=off"),
                *("--monitor", "chardev=orders"),
                *arguments,
                timeout_s=START_S,
            )
        except RunError as error:
            raise DaemonFailed(f"{name}: {error.stderr.strip()[-500:]}") from error
        if self._group_id is not None and self.socket(name).exists():
            _open_to(self._group_id, folder, 0o750)
            _open_to(self._group_id, self.socket(name), 0o660)
        if not self._adopt(name):
            raise DaemonFailed(f"{name}: the storage daemon ended at once")

    async def end(self, name: str, patience_s: float) -> None:
        """Have the daemon write everything down and end, by force after `patience_s`; its folder goes with it. Raises
        DaemonFailed when it does not die."""
        daemon = self._daemons.get(name)
        if daemon is not None:
            with contextlib.suppress(DaemonFailed):
                async with self.orders(name, timeout_s=patience_s) as order:
                    await order("quit")
            if not await _ended(daemon, patience_s):
                log.warning("storage daemon killed", extra={"data": {"daemon": name, "pid": daemon.pid}})
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(daemon.pidfd, signal.SIGKILL)
                if not await _ended(daemon, KILLED_S):
                    raise DaemonFailed(f"{name}: the storage daemon {daemon.pid} does not end")
            self._drop(name)
        shutil.rmtree(self._folder / name, ignore_errors=True)

    @contextlib.asynccontextmanager
    async def orders(self, name: str, timeout_s: float = 60.0) -> AsyncIterator[Qmp]:
        """A conversation with the daemon, which takes one at a time: short ones only. Raises DaemonFailed."""
        try:
            async with Qmp(self._folder / name / "qmp.sock", timeout_s=timeout_s) as order:
                yield order
        except (QmpError, QmpGone) as error:
            raise DaemonFailed(f"{name}: {error}") from error

    def _adopt(self, name: str) -> bool:
        """Watch the daemon whose pid file lies in the folder, if it is one of ours and alive."""
        pid_file = self._folder / name / "pid"
        try:
            pid = int(pid_file.read_text())
            pidfd = os.pidfd_open(pid)
        except (OSError, ValueError):
            return False
        # The pidfd is held before the command line is read, so the number cannot pass to another process in between.
        if not _is_ours(pid, pid_file):
            os.close(pidfd)
            return False
        daemon = _Daemon(pid, pidfd)
        self._daemons[name] = daemon
        asyncio.get_running_loop().add_reader(pidfd, self._noticed_end, name, daemon)
        return True

    def _noticed_end(self, name: str, daemon: _Daemon) -> None:
        daemon.ended.set()
        asyncio.get_running_loop().remove_reader(daemon.pidfd)
        if self._daemons.get(name) is daemon:
            self._drop(name)
            self._on_end()

    def _drop(self, name: str) -> None:
        daemon = self._daemons.pop(name, None)
        if daemon is not None:
            self._forget(daemon)

    def _forget(self, daemon: _Daemon) -> None:
        if daemon.pidfd >= 0:
            asyncio.get_running_loop().remove_reader(daemon.pidfd)
            os.close(daemon.pidfd)
            daemon.pidfd = -1


def _as(owner: Owner | None) -> list[str]:
    """What to put before a command line, so that it runs as the owner."""
    if owner is None:
        return []
    user = ("--reuid", str(owner.user_id), "--regid", str(owner.group_id), "--clear-groups")
    return ["setpriv", *user, "--no-new-privs", "--inh-caps=-all", "--"]


def _open_to(group_id: int, path: Path, mode: int) -> None:
    """Give the group its part of a file that may lie in somebody else's folder: a link there is not followed."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        if stat.S_ISLNK(os.fstat(fd).st_mode):
            raise DaemonFailed(f"{path} is a link")
        itself = Path(f"/proc/self/fd/{fd}")
        os.chown(itself, -1, group_id)
        itself.chmod(mode)
    finally:
        os.close(fd)


def _is_ours(pid: int, pid_file: Path) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return Path(arguments[0].decode(errors="replace")).name == PROGRAM and os.fsencode(pid_file) in arguments


async def _ended(daemon: _Daemon, limit_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await daemon.ended.wait()
    return daemon.ended.is_set()
