"""What this machine is: plain facts, gathered without changing anything. `checks.py` judges them."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import platform
import shutil
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from eucapy.drivers.hypervisor.acceleration import detect, processor_flags

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Machine:
    """The facts that decide whether a cloud can live here."""

    root: bool
    distribution: str
    architecture: str
    processors: int
    virtualization: str
    """`vmx`, `svm`, or "" when the processor offers neither to this system."""
    kvm: bool
    """Whether a guest really ran under KVM here, and `kvm_reason` why (not)."""
    kvm_reason: str
    memory_mib: int
    available_memory_mib: int
    disk_free_gib: float
    closed_folder: str
    """A folder above the data folder that only its owner may enter; "" when there is none."""
    resolves: tuple[str, bool]
    """A name that this machine needs, and whether it resolves."""
    ports_taken: tuple[int, ...]
    tun: bool
    namespaces: bool
    default_interface: str
    systemd: bool


def gather(data: Path, ports: Iterable[int], name: str) -> Machine:
    """Look at this machine. `data` is where the cloud will live, `name` a host name that has to resolve."""
    memory = _memory_mib()
    acceleration = asyncio.run(detect())
    flags = processor_flags() & {"vmx", "svm"}
    return Machine(
        root=os.geteuid() == 0,
        distribution=_distribution(),
        architecture=platform.machine(),
        processors=len(os.sched_getaffinity(0)),
        virtualization=min(flags, default=""),
        kvm=acceleration.kvm,
        kvm_reason=acceleration.reason,
        memory_mib=memory.get("MemTotal", 0),
        available_memory_mib=memory.get("MemAvailable", 0),
        disk_free_gib=shutil.disk_usage(_existing(data)).free / 2**30,
        closed_folder=next((str(folder) for folder in data.absolute().parents if _closed(folder)), ""),
        resolves=(name, _resolves(name)),
        ports_taken=tuple(port for port in ports if _taken(port)),
        tun=Path("/dev/net/tun").exists(),
        namespaces=Path("/proc/self/ns/net").exists(),
        default_interface=_default_interface(),
        systemd=Path("/run/systemd/system").is_dir(),
    )


def package_mirror(sources: Path = Path("/etc/apt")) -> str:
    """The host name of the first package mirror in apt's own configuration, or ""."""
    files = [
        sources / "sources.list",
        *sorted((sources / "sources.list.d").glob("*.list")),
        *sorted((sources / "sources.list.d").glob("*.sources")),
    ]
    for path in files:
        if not path.is_file():
            continue
        for line in path.read_text(errors="replace").splitlines():
            if line.lstrip().startswith("#"):
                continue
            for word in line.split():
                if word.startswith(("http://", "https://")):
                    return word.split("/")[2].rpartition("@")[2].partition(":")[0]
    return ""


def local_networks(route_file: Path = Path("/proc/net/route")) -> list[tuple[str, ipaddress.IPv4Network]]:
    """(interface, network) of the IPv4 networks that this machine has a route to, without the default route."""
    found: list[tuple[str, ipaddress.IPv4Network]] = []
    for line in route_file.read_text().splitlines()[1:]:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[at]), "little") for at in (1, 7))
        if mask:
            found.append((fields[0], ipaddress.IPv4Network((address, mask.bit_count()))))
    return found


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        return "unknown"


def _memory_mib() -> dict[str, int]:
    found: dict[str, int] = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            found[name] = int(rest.split()[0]) >> 10
    return found


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _closed(folder: Path) -> bool:
    return folder.exists() and not folder.stat().st_mode & 0o001


def _resolves(name: str) -> bool:
    if not name:
        return False
    try:
        return bool(socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM))
    except OSError:
        return False


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _default_interface() -> str:
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == "00000000" and fields[7] == "00000000":
            return fields[0]
    return ""
