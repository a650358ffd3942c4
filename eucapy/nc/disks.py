"""A guest's local disks and network cards, and its domain's definition."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from eucapy.drivers.hypervisor.base import Disk, DomainSpec, FileSource, NbdSource, Nic, disk_serial
from eucapy.drivers.proxies.base import BadExport, is_elsewhere, parse
from eucapy.nc.planner import ROOT_SERIAL
from eucapy.wire.node import DiskSpec, ImageRoot, InstanceSpec, NicSpec, VolumeRoot

GIB = 1 << 30

Sockets = Callable[[str], Path]


@lru_cache(1 << 14)
def root_path(folder: Path) -> Path:
    return folder / "root.qcow2"


def ephemeral_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.qcow2"


def capture_path(folder: Path, snapshot_id: str) -> Path:
    return folder / f"{snapshot_id}.capture"


def console_path(folder: Path) -> Path:
    return folder / "console.log"


def occupied_bytes(path: Path) -> int:
    """What a file takes of the disk, its holes aside; 0 when there is none."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def domain(spec: InstanceSpec, folder: Path, base: Path | None, socket: Sockets, mtu: int | None = None) -> DomainSpec:
    """The domain of an instance: its root first, then its other disks, in the order of the spec. `base` is the cached
    image that a root disk of its own stands on; its suffix is its format. `socket`: `volume_disk`."""
    disks: list[Disk] = []
    if isinstance(spec.root, ImageRoot):
        backing = FileSource(str(base), base.suffix[1:]) if base is not None else None
        disks.append(Disk(serial=ROOT_SERIAL, source=FileSource(str(root_path(folder)), backing=backing)))
    else:
        disks += [volume_disk(disk, socket) for disk in spec.disks if disk.volume_id == spec.root.volume_id]
    root = spec.root.volume_id if isinstance(spec.root, VolumeRoot) else ""
    disks += [volume_disk(disk, socket) for disk in spec.disks if disk.volume_id != root]
    disks += [Disk(serial=e.name, source=FileSource(str(ephemeral_path(folder, e.name)))) for e in spec.ephemerals]
    return DomainSpec(
        instance_id=spec.instance_id,
        uuid=spec.uuid,
        vcpus=spec.vcpus,
        memory_mib=spec.memory_mib,
        disks=tuple(disks),
        nics=tuple(network_card(nic, mtu) for nic in spec.nics if not nic.gone),
        console_log=str(console_path(folder)),
        instance_type=spec.metadata.instance_type,
    )


def network_card(nic: NicSpec, mtu: int | None) -> Nic:
    """A network interface as the domain's network card."""
    return Nic(mac=nic.mac, tap=nic.tap, mtu=mtu)


def volume_disk(disk: DiskSpec, socket: Sockets) -> Disk:
    """A volume as the domain's disk; one of another host by the socket of its proxy, which `socket` tells for an
    attachment. Raises BadExport."""
    if is_elsewhere(disk.export):
        source = NbdSource(socket=str(socket(disk.attachment_id)), export=parse(disk.export).name)
    else:
        source = nbd_source(disk.export)
    return Disk(serial=disk_serial(disk.volume_id), source=source)


def nbd_source(address: str) -> NbdSource:
    """`nbd+unix:///<export>?socket=<path>` taken apart. Raises BadExport."""
    parts = urlsplit(address)
    socket = parse_qs(parts.query).get("socket", [""])[0]
    if parts.scheme != "nbd+unix" or not socket.startswith("/"):
        raise BadExport(f"not a unix socket of an NBD server: {address!r}")
    return NbdSource(socket=socket, export=parts.path.lstrip("/"))
