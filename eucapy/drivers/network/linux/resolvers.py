"""DHCP and DNS of a namespace: one dnsmasq, which outlives us as the packets do.

Its files are in a folder a namespace. The configuration file carries the digest in its name, so that the command line of
the running program says which configuration it has; `loaded` carries the digest of the host files that it has been told
to read (SIGHUP). A program that runs in another incarnation of the namespace, or is not dnsmasq at all although its number
stands in the pid file, counts as none.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux.daemons import Daemon, text
from eucapy.drivers.network.model import Resolver
from eucapy.ledger import write_file
from eucapy.run import in_netns, run_now


class Resolvers:
    """The resolvers of this node, under one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def observe(self, prefix: str) -> Iterator[Resolver]:
        """A resolver whose program is gone, or was started for another incarnation, shows empty digests."""
        if not self._folder.is_dir():
            return
        for folder in sorted(self._folder.iterdir()):
            if netns.vpc_of(prefix, folder.name) and folder.is_dir():
                running = _daemon(folder).running()
                loaded = text(folder / "loaded") if running else ""
                yield Resolver(namespace=folder.name, config_digest=running[1] if running else "", hosts_digest=loaded)

    def put(self, thing: Resolver) -> None:
        """Raises RunError when dnsmasq does not start."""
        folder = self._folder / thing.namespace
        folder.mkdir(parents=True, exist_ok=True)
        for each in (self._folder, folder):
            each.chmod(0o755)  # dnsmasq reads its host files again after it has given up root
        daemon = _daemon(folder)
        running = daemon.running()
        current = running is not None and running[1] == thing.config_digest and not _contradicted(folder, thing)
        (folder / "loaded").unlink(missing_ok=True)
        write_file(folder / "hosts", thing.hosts.encode(), mode=0o644)
        write_file(folder / "leases", thing.leases.encode(), mode=0o644)
        if running is not None and current:
            daemon.signal(running[0], signal.SIGHUP)
        else:
            daemon.stop()
            _forget_contradicted(folder, thing)
            config = daemon.config(thing.config_digest)
            for stale in folder.glob("dnsmasq-*.conf"):
                stale.unlink()
            write_file(config, thing.config.replace("{folder}", str(folder)).encode(), mode=0o644)
            run_now(*in_netns(thing.namespace, ["dnsmasq", f"--conf-file={config}"]), timeout_s=20)
        write_file(folder / "loaded", thing.hosts_digest.encode(), mode=0o644)

    def drop(self, thing: Resolver) -> None:
        folder = self._folder / thing.namespace
        _daemon(folder).stop()
        shutil.rmtree(folder, ignore_errors=True)

    def process(self, namespace: str) -> int | None:
        """The number of the namespace's dnsmasq, in whichever incarnation it runs; None when it does not."""
        return _daemon(self._folder / namespace).pid()


def _daemon(folder: Path) -> Daemon:
    return Daemon(folder, "dnsmasq", "conf", "pid")


def _assigned(thing: Resolver) -> dict[str, str]:
    """Address → MAC of the DHCP host file."""
    rows = (line.split(",") for line in thing.leases.splitlines() if line)
    return {row[1]: row[0] for row in rows}


def _held(folder: Path) -> list[list[str]]:
    """dnsmasq's own lease file: expiry, MAC, address, name, client id."""
    return [row for row in (line.split() for line in text(folder / "leases.db").splitlines()) if len(row) >= 3]


def _contradicted(folder: Path, thing: Resolver) -> bool:
    """Is an address leased to one MAC and assigned to another? dnsmasq would refuse the new owner until the lease ends."""
    assigned = _assigned(thing)
    return any(assigned.get(row[2], row[1]) != row[1] for row in _held(folder))


def _forget_contradicted(folder: Path, thing: Resolver) -> None:
    assigned = _assigned(thing)
    rows = [" ".join(row) + "\n" for row in _held(folder) if assigned.get(row[2], row[1]) == row[1]]
    write_file(folder / "leases.db", "".join(rows).encode(), mode=0o644)
