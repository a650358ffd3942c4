"""This machine booted a second time: its own systemd as the first process of a container, over a copy of its file system.

The copy is an overlay: what the container writes is gone with it. Network (with a loopback alone), processes, mounts and
cgroups are its own; the host's units are not started in it. `power_off` is what a power cut is: every process ends
at once, and what lives in memory (/run, links, nftables) is lost; `boot` again, and the disk is as it was.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eucapy.run import Child, Result, RunError, run_now, spawn
from tests.harness.libvirtd import guest_folder
from tests.harness.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
INIT = Path("/lib/systemd/systemd")


class Booted:
    """`with booted() as machine`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: Child | None = None

    @property
    def root(self) -> Path:
        """Its file system, seen from outside."""
        return self._folder / "root"

    def prepare(self) -> None:
        """Lay the overlay. Skips the test where the kernel has none over this file system."""
        for name in ("root", "upper", "work"):
            (self._folder / name).mkdir()
        layers = f"lowerdir=/,upperdir={self._folder}/upper,workdir={self._folder}/work"
        try:
            run_now("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))
        except RunError as error:
            pytest.skip(f"no overlay over this machine's file system: {error.stderr.strip()}")
        units = self.root / "etc" / "systemd" / "system"
        shutil.rmtree(units, ignore_errors=True)
        units.mkdir(parents=True)
        for name in ("etc/fstab", "etc/machine-id"):
            (self.root / name).unlink(missing_ok=True)
        (self.root / "etc" / "machine-id").touch()

    def boot(self) -> None:
        """Until systemd has started all that is to be started at boot."""
        seen = sorted({str(CHECKOUT), sys.prefix, sys.base_prefix})
        # Where systemd runs already it gives the container a scope; elsewhere nobody is there to be asked.
        alone = [] if Path("/run/systemd/system").is_dir() else ["--keep-unit"]
        name = self._folder.name.replace("_", "x")  # which a machine's name may not have
        argv = [
            *("systemd-nspawn", "--quiet", "--boot", "--register=no", *alone, "--private-network", "--capability=all"),
            *(f"--directory={self.root}", f"--machine={name}", "--console=pipe", "--link-journal=no", "--timezone=off"),
            *("--resolv-conf=off", "--bind=/dev/net/tun", *(f"--bind-ro={path}" for path in seen)),
        ]
        with (self._folder / "console.log").open("ab") as console:
            self._process = spawn(argv, output=console, env={"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"})
        try:
            wait_until(self._is_up, limit_s=120, every_s=0.2)
        except TimeoutError as error:
            raise AssertionError((self._folder / "console.log").read_text(errors="replace")[-2000:]) from error
        # An address of its own, as every machine has: what it sends to guests has to come from somewhere.
        self.run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")

    def power_off(self) -> None:
        """Cut the power: its first process is killed, and with it all others."""
        if self._process is None:
            return
        with contextlib.suppress(OSError, IndexError):
            os.kill(self._init(), signal.SIGKILL)
        self._process.wait(60)
        self._process = None

    def run(self, *argv: str, check: bool = True, timeout_s: float = 300.0) -> Result:
        """A command in it. Raises RunError."""
        inside = ("nsenter", "--all", f"--target={self._init()}", "--")
        return run_now(*inside, "env", "HOME=/root", *argv, check=check, timeout_s=timeout_s)

    def _init(self) -> int:
        assert self._process is not None
        pid = self._process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "console.log").read_text(errors="replace")
        with contextlib.suppress(IndexError, RunError):
            said = self.run("systemctl", "is-system-running", check=False, timeout_s=10).stdout.strip()
            return said in ("running", "degraded")
        return False


@contextmanager
def booted() -> Iterator[Booted]:
    """A machine that is up. Skips, with the reason, where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not INIT.exists() or shutil.which("systemd-nspawn") is None:
        pytest.skip("needs systemd and systemd-nspawn (package systemd-container)")
    with guest_folder("eucapy-boot-") as folder:
        machine = Booted(folder)
        try:
            machine.prepare()
            machine.boot()
            yield machine
        finally:
            machine.power_off()
            run_now("umount", "--lazy", str(machine.root), check=False)
