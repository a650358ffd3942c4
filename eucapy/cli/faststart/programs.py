"""The programs that make up a cloud on this machine, in the order in which they are started.

Each is a command line, a log and a way to end. libvirt's daemon is one of them: a daemon of our own, whose guests
outlive it (`eucapy/drivers/hypervisor/libvirtd.py`). The order is a courtesy: every program waits for its peers by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from eucapy.cli.installation import Installation
from eucapy.cli.programs import DAEMONS, command_of
from eucapy.drivers.hypervisor.libvirtd import Libvirtd


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One program: `argv` runs it in the foreground, SIGTERM ends it, `description` is what it does."""

    name: str
    description: str
    argv: list[str]
    log: str
    stop_timeout_s: float = 20.0


DESCRIPTIONS = {
    "clc": "cloud controller: the AWS endpoint and the loops that make wishes true",
    "cc": "cluster controller: one zone's nodes",
    "sc": "storage controller: one zone's volumes and snapshots",
    "walrus": "object store: S3",
    "nc": "node controller: the guests of this machine",
    "eucanetd": "the guests' networks on this machine",
}
HYPERVISOR = "libvirtd"


def programs_of(installation: Installation) -> list[Program]:
    """Every program of the cloud, first started first."""
    log = installation.folder("log")
    hypervisor = Program(
        name=HYPERVISOR,
        description="libvirt's daemon of this cloud",
        argv=[sys.executable, "-m", "eucapy.cli.faststart.hypervisor", str(installation.data)],
        log=str(log / f"{HYPERVISOR}.log"),
    )
    daemons = [
        Program(
            name=name,
            description=DESCRIPTIONS[name],
            argv=command_of(name, "--config", str(installation.folder("etc") / f"{name}.toml")),
            log=str(log / f"{name}.log"),
        )
        for name in ("walrus", "clc", "sc", "eucanetd", "nc", "cc")
    ]
    assert {daemon.name for daemon in daemons} == set(DAEMONS)
    return [hypervisor, *daemons]


def hypervisor_of(data: Path) -> Libvirtd:
    """The libvirt daemon of the cloud in `data`."""
    return Libvirtd(Installation(data).folder("nc") / "libvirt")
