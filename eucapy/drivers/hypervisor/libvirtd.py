"""A libvirt daemon of our own: separate from the system's, with all of its state in one folder, any number on a host.

libvirt's paths are compiled in, so each daemon gets a mount namespace in which its folder stands in their place:

    <root>/run   → /run/libvirt            sockets, pid file
    <root>/lib   → /var/lib/libvirt        state of running domains
    <root>/etc   → /etc/libvirt            definitions, qemu.conf, libvirtd.conf
    <root>/log   → /var/log/libvirt
    <root>/cache → /var/cache/libvirt

`cache` may be a folder shared by several daemons: it holds what each emulator can do, which takes seconds to find out.
With `netns` it also lives in that network namespace, and so do the taps it makes. Domains are QEMU processes of their
own: they outlive the daemon, and the next one over the same folder finds them again. No systemd, polkit or dbus.

`argv()` is the command for a supervisor or a unit file (in a unit, `KillMode=process` lets the guests live); `start()`
and `stop()` are for those who have neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import time
import uuid
from pathlib import Path
from urllib.parse import quote

from eucapy.drivers.hypervisor.base import HypervisorError
from eucapy.run import Child, StillRunning, in_netns, run_now, spawn

PACKAGES = ("libvirt-daemon", "libvirt-daemon-driver-qemu", "qemu-system-x86", "qemu-utils", "qemu-block-extra")
"""What a host needs of Debian's packages; recommended ones are not."""

_PLACES = {
    "run": "/run/libvirt",
    "lib": "/var/lib/libvirt",
    "etc": "/etc/libvirt",
    "log": "/var/log/libvirt",
    "cache": "/var/cache/libvirt",
}
_QEMU_USER = "libvirt-qemu"  # libvirt's driver does not load without it, whatever qemu.conf says
_SOCKET_PATH_BYTES = 107  # sockaddr_un
_SCRIPT = """set -e
pid_file=$1
shift
while [ $# -ge 2 ]; do mount --bind "$1" "$2"; shift 2; done
exec libvirtd --pid-file "$pid_file"
"""
_QEMU_CONF = """user = "{user}"
group = "{user}"
dynamic_ownership = {chown}
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
stdio_handler = "file"
seccomp_sandbox = 1
"""


class Libvirtd:
    """The daemon over the folder `root`, which is made when it is not there.

    Guests' QEMU processes belong to `user`, always with seccomp and a /dev of their own. For a user other than root
    (`libvirt-qemu` is there after `prepare()`) libvirt hands over each disk's file for as long as the guest runs, and
    that user must be able to reach the files' folders and to connect to the sockets of NBD disks.
    """

    def __init__(self, root: Path, *, netns: str | None = None, user: str = "root", cache: Path | None = None) -> None:
        self.root = root.absolute()
        self.netns = netns
        self.user = user
        self._folders = {name: self.root / name for name in _PLACES}
        if cache is not None:
            self._folders["cache"] = cache.absolute()
        self._process: Child | None = None

    @property
    def socket(self) -> Path:
        """The unix socket on which it answers."""
        return self.root / "run" / "libvirt-sock"

    @property
    def uri(self) -> str:
        """The connection for `LibvirtDriver`."""
        return f"qemu+unix:///system?socket={quote(str(self.socket))}"

    def argv(self) -> list[str]:
        """The command that runs the daemon in the foreground; `prepare()` first."""
        places = [part for name, place in _PLACES.items() for part in (str(self._folders[name]), place)]
        # Propagation "slave": what is unmounted on the host (a network namespace's handle) is not kept alive here.
        alone = ["unshare", "--mount", "--propagation", "slave", "--"]
        return in_netns(self.netns, [*alone, "sh", "-c", _SCRIPT, "libvirtd", str(self._pid_file), *places])

    def prepare(self) -> None:
        """Write folders and configuration; safe to repeat. Raises HypervisorError without libvirt, QEMU or root."""
        if os.geteuid() != 0:
            raise HypervisorError("a libvirt daemon needs root")
        if len(os.fsencode(self.socket)) > _SOCKET_PATH_BYTES:
            raise HypervisorError(f"{self.socket}: too long a path for a socket, use a folder nearer to the root")
        for program in ("libvirtd", "qemu-system-x86_64"):
            if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
                raise HypervisorError(f"{program} is not installed; a host needs: {' '.join(PACKAGES)}")
        _ensure_qemu_user()
        for name, place in _PLACES.items():
            self._folders[name].mkdir(parents=True, exist_ok=True)
            Path(place).mkdir(parents=True, exist_ok=True)
        (self.root / "etc" / "qemu.conf").write_text(_QEMU_CONF.format(user=self.user, chown=int(self.user != "root")))
        (self.root / "etc" / "libvirtd.conf").write_text(self._libvirtd_conf())

    async def start(self, limit_s: float = 60.0) -> None:
        """Run the daemon beside us and wait until it answers. Raises HypervisorError with its last words."""
        self.prepare()
        with (self.root / "log" / "start.log").open("wb") as output:
            self._process = spawn(self.argv(), output=output)
        deadline = time.monotonic() + limit_s
        while not await asyncio.to_thread(self._answers):
            if self._process.poll() is not None or time.monotonic() > deadline:
                words = (self.root / "log" / "start.log").read_text(errors="replace").strip()[-1000:]
                await self.kill()
                raise HypervisorError(f"libvirtd does not start: {words or 'no answer'}")
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End the daemon started here and wait for it; its domains go on running."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """The same without giving it time to tidy up."""
        await self._end(signal.SIGKILL)

    @property
    def pid(self) -> int | None:
        """The process started here, while it runs."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process is not None else None

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            await asyncio.to_thread(process.wait, 20)
        except StillRunning:
            process.kill()
            await asyncio.to_thread(process.wait)
        self.socket.unlink(missing_ok=True)

    @property
    def _pid_file(self) -> Path:
        return self.root / "run" / "libvirtd.pid"

    def _answers(self) -> bool:
        if not self.socket.exists():
            return False
        import libvirt

        from eucapy.drivers.hypervisor.libvirt_events import silence

        silence()
        try:
            connection = libvirt.open(self.uri)
        except libvirt.libvirtError:
            return False
        connection.close()
        return True

    def _libvirtd_conf(self) -> str:
        kept = self.root / "host_uuid"
        if not kept.exists():
            kept.write_text(str(uuid.uuid4()))
        return "\n".join(
            [
                f'host_uuid = "{kept.read_text().strip()}"',
                'unix_sock_rw_perms = "0700"',
                'auth_unix_rw = "none"',
                'auth_unix_ro = "none"',
                'log_outputs = "3:file:/var/log/libvirt/libvirtd.log"',
                "",
            ]
        )


def _ensure_qemu_user() -> None:
    try:
        pwd.getpwnam(_QEMU_USER)
    except KeyError:
        run_now("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", _QEMU_USER)
