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
import grp
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

QEMU_USER = "libvirt-qemu"
"""The user and the group of guests' QEMU processes; libvirt's driver does not load without it, whatever qemu.conf says."""

_PLACES = {
    "run": "/run/libvirt",
    "lib": "/var/lib/libvirt",
    "etc": "/etc/libvirt",
    "log": "/var/log/libvirt",
    "cache": "/var/cache/libvirt",
}
_KVM = Path("/dev/kvm")
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
    (`QEMU_USER` is there after `prepare()`) libvirt hands over each disk's file for as long as the guest runs, and
    that user must be able to pass through the files' folders and to connect to the sockets of NBD disks.
    """

    def __init__(
        self, root: Path, *, netns: str | None = None, user: str = QEMU_USER, cache: Path | None = None
    ) -> None:
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
        ensure_qemu_user()
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


def ensure_qemu_user() -> None:
    """Make the user that guests' QEMU processes run as, with a group of its own name, and let it use KVM. Safe to repeat."""
    try:
        group_id = grp.getgrnam(QEMU_USER).gr_gid
    except KeyError:
        run_now("groupadd", "--system", QEMU_USER)
        group_id = grp.getgrnam(QEMU_USER).gr_gid
    try:
        pwd.getpwnam(QEMU_USER)
    except KeyError:
        nologin = ("--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")
        run_now("useradd", "--system", "--gid", QEMU_USER, *nologin, QEMU_USER)
    _let_use(_KVM, group_id)


def _let_use(device: Path, group_id: int) -> None:
    """Let QEMU's user open the device as its owner means it to be opened: by everybody, by a group, or, where only root
    may (no udev looks after it), by our group. libvirt asks QEMU anew before every start while the two disagree."""
    try:
        found = device.stat()
    except FileNotFoundError:
        return
    user = pwd.getpwnam(QEMU_USER)
    if found.st_mode & 0o006 == 0o006:
        return
    if found.st_gid != 0 and found.st_mode & 0o060 == 0o060:
        if found.st_gid not in os.getgrouplist(QEMU_USER, user.pw_gid):
            run_now("usermod", "--append", "--groups", _group_name(found.st_gid), QEMU_USER)
        return
    os.chown(device, -1, group_id)
    device.chmod(0o660)


def _group_name(group_id: int) -> str:
    """The group's name. In a container a device of the host's may belong to a group that has none here: it gets one."""
    try:
        return grp.getgrgid(group_id).gr_name
    except KeyError:
        name = f"device{group_id}"
        run_now("groupadd", "--system", "--gid", str(group_id), name)
        return name
