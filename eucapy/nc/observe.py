"""What is on the host: domains, folders, disks, the cache; and how an instance looks from outside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from eucapy.drivers.hypervisor.base import Capabilities, DomainStatus, Power
from eucapy.drivers.proxies.base import ProxySeen
from eucapy.nc import disks
from eucapy.nc.config import Config
from eucapy.nc.image_cache import ImageCache
from eucapy.nc.planner import Seen, ended_by_guest, volumes
from eucapy.nc.records import Records
from eucapy.wire import node as wire
from eucapy.wire.contract import Fault
from eucapy.wire.node import CaptureStatus, HostFacts, ImageRoot, InstanceSpec, InstanceStatus

Proxies = Mapping[str, Mapping[str, ProxySeen]]
"""Of each instance, by attachment."""


def proxies_by_instance(seen: Mapping[str, ProxySeen]) -> Proxies:
    found: dict[str, dict[str, ProxySeen]] = {}
    for attachment_id, proxy in seen.items():
        found.setdefault(proxy.instance_id, {})[attachment_id] = proxy
    return found


def seen(
    spec: InstanceSpec,
    now: float,
    records: Records,
    domains: Mapping[str, DomainStatus],
    cache: ImageCache,
    proxies: Proxies,
    lost_captures: Mapping[str, Fault],
    asked: Mapping[str, float],
) -> Seen:
    """One instance, for the planner."""
    folder = records.folder(spec.instance_id)
    here = _there(folder)
    return Seen(
        now=now,
        record=records.get(spec.instance_id),
        domain=domains.get(spec.instance_id),
        folder=here,
        image_cached=isinstance(spec.root, ImageRoot) and cache.find(spec.root.source) is not None,
        root_made=here and _there(disks.root_path(folder)),
        proxies=proxies.get(spec.instance_id, {}),
        lost_captures=lost_captures,
        asked=asked,
        captures=captures(folder) if here and (spec.captures or records.get(spec.instance_id).captured) else {},
        ephemerals=frozenset(e.name for e in spec.ephemerals if _there(disks.ephemeral_path(folder, e.name))),
    )


def captures(folder: Path) -> dict[str, int]:
    """Whole copies of the root disk, by snapshot, and their sizes in bytes."""
    return {path.stem: path.stat().st_size for path in folder.glob("snap-*.capture")}


def _there(path: Path) -> bool:
    """`path.exists()` for a quarter of its price: a node asks this of every instance at every look."""
    return os.path.exists(path)  # noqa: PTH110


def instance_status(spec: InstanceSpec, view: Seen, fault: Fault | None, phase: str) -> InstanceStatus:
    """One instance, for the status that goes up."""
    power, end = _power(spec, view)
    inside = _inside(spec, view)
    cards = _cards(view)
    known_gib = view.record.disk_gib
    return InstanceStatus(
        instance_id=spec.instance_id,
        power=power,
        end=end,
        starts=view.record.starts,
        reboots=view.record.reboots,
        disks=tuple(inside),
        disk_gib={name: known_gib[name] for name in inside if name in known_gib},
        nics=tuple(nic.attachment_id for nic in spec.nics if not nic.gone and nic.tap in cards),
        released=tuple(nic.attachment_id for nic in spec.nics if nic.gone and nic.tap not in cards),
        resting=spec.rest if spec.rest and view.domain is not None and view.domain.power is Power.OFF else "",
        captures=_captures(spec, view),
        started_at=view.record.started_at if power is wire.Power.RUNNING else 0.0,
        responsive=view.domain is None or view.domain.power is not Power.PAUSED,
        phase=phase,
        fault=fault,
    )


def _inside(spec: InstanceSpec, view: Seen) -> list[str]:
    """The attachments whose volumes the domain has: also those that the spec wants out and the guest still holds. Their
    storage must not go before they have."""
    named = {**view.record.attachments, **{serial: disk.attachment_id for serial, disk in volumes(spec).items()}}
    plugged = {disk.serial for disk in view.domain.disks} if view.domain is not None else set()
    return sorted(named[serial] for serial in plugged if serial in named)


def _captures(spec: InstanceSpec, view: Seen) -> dict[str, CaptureStatus]:
    ready = {name: CaptureStatus(size_bytes=size) for name, size in view.captures.items() if name in spec.captures}
    lost = {name: CaptureStatus(fault=why) for name, why in view.lost_captures.items() if name in spec.captures}
    return {**lost, **ready}


def _cards(view: Seen) -> set[str]:
    """The taps of the network cards that the guest has; none while it is off, for its next start is as the spec says then."""
    if view.domain is None or view.domain.power is Power.OFF:
        return set()
    return {nic.tap for nic in view.domain.nics}


def _power(spec: InstanceSpec, view: Seen) -> tuple[wire.Power, wire.End]:
    on = view.domain is not None and view.domain.power is not Power.OFF
    if spec.gone:
        if view.domain is None and not view.folder and not view.proxies:
            return wire.Power.GONE, wire.End.ASKED
        return wire.Power.STOPPING, wire.End.NONE
    if not spec.run:
        return (wire.Power.STOPPING, wire.End.NONE) if on else (wire.Power.OFF, wire.End.ASKED)
    if on and view.record.starts >= spec.starts and not view.record.asked_at:
        return wire.Power.RUNNING, wire.End.NONE
    if ended_by_guest(spec, view):
        return wire.Power.OFF, wire.End.GUEST
    if spec.rest and view.record.starts >= spec.starts:
        return wire.Power.RUNNING, wire.End.NONE  # as a reboot is: down for a moment, and nothing that a state tells
    return wire.Power.PENDING, wire.End.NONE


def host_facts(capabilities: Capabilities, config: Config, sealing_key: str) -> HostFacts:
    """What this host has to give."""
    space = os.statvfs(Path(config.data))
    return HostFacts(
        cpus=capabilities.cpus,
        memory_mib=max(0, capabilities.memory_mib - config.reserve_memory_mib),
        disk_gib=space.f_blocks * space.f_frsize >> 30,
        # Whole GiB with slack, so that a status does not change with every block written.
        disk_free_gib=(space.f_bavail * space.f_frsize >> 30) // 4 * 4,
        architecture=capabilities.architectures[0] if capabilities.architectures else "x86_64",
        accelerated=capabilities.accelerated,
        cpu_model=capabilities.cpu_model,
        sealing_key=sealing_key,
    )
