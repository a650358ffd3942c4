"""Router advertisements and DHCPv6 of a namespace: one `advertising.py`, which outlives us as dnsmasq does.

Its files lie beside dnsmasq's. What it is told is in `advertised`, which it reads again when it is told to (SIGHUP); the
digest in its configuration's name is that of the program itself, so that another version of it is started anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux.daemons import Daemon, text
from eucapy.drivers.network.model import Advertiser
from eucapy.ledger import write_file
from eucapy.run import in_netns, run_now

PROGRAM = Path(__file__).with_name("advertising.py")


class Advertisers:
    """Those of this node, under the resolvers' folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._version = hashlib.sha256(PROGRAM.read_bytes()).hexdigest()[:16]

    def observe(self, prefix: str) -> Iterator[Advertiser]:
        """One whose program is gone, another version, or in another incarnation of the namespace, shows an empty digest."""
        if not self._folder.is_dir():
            return
        for folder in sorted(self._folder.iterdir()):
            if netns.vpc_of(prefix, folder.name) and (folder / "advertised").exists():
                running = _daemon(folder).running()
                sound = running is not None and running[1] == self._version
                yield Advertiser(namespace=folder.name, digest=text(folder / "advertising") if sound else "")

    def put(self, thing: Advertiser) -> None:
        """Raises RunError when it does not start."""
        folder = self._folder / thing.namespace
        folder.mkdir(parents=True, exist_ok=True)
        for each in (self._folder, folder):
            each.chmod(0o755)  # it reads its file again after it has given up root
        daemon = _daemon(folder)
        running = daemon.running()
        (folder / "advertising").unlink(missing_ok=True)
        write_file(folder / "advertised", thing.config.encode(), mode=0o644)
        if running is not None and running[1] == self._version:
            daemon.signal(running[0], signal.SIGHUP)
        else:
            daemon.stop()
            config = daemon.config(self._version)
            for stale in folder.glob("advertiser-*.conf"):
                stale.unlink()
            write_file(config, f"{folder / 'advertised'}\n".encode(), mode=0o644)
            argv = [sys.executable, "-I", "-S", str(PROGRAM), f"--conf-file={config}"]
            run_now(*in_netns(thing.namespace, argv), timeout_s=20)
        write_file(folder / "advertising", thing.digest.encode(), mode=0o644)

    def drop(self, thing: Advertiser) -> None:
        folder = self._folder / thing.namespace
        _daemon(folder).stop()
        names = ("advertised", "advertising", "advertiser.pid")
        for path in (*(folder / name for name in names), *folder.glob("advertiser-*.conf")):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # dnsmasq's files are there, or it is not there at all
            folder.rmdir()


def _daemon(folder: Path) -> Daemon:
    return Daemon(folder, "advertiser", "conf", "advertiser.pid")
