"""The node planner: what one instance needs next. Pure: spec × seen → steps; a step has no choices left.

                        ┌──────────── the domain ────────────┐
    desired             │ none / off            │ running                 │ paused
    ────────────────────┼───────────────────────┼─────────────────────────┼──────────────────
    run                 │ fetch image, make     │ reboot if behind,       │ resume (its disk is
                        │ disks, define, start  │ plug disks and network  │ back, or will be)
                        │                       │ cards in and out, tell  │
                        │                       │ of grown disks          │
    run, guest ended it │ nothing: reported     │ –                       │ –
    stop                │ nothing               │ ask it; cut the power   │ cut the power
                        │                       │ when its grace is over  │
    gone                │ undefine, remove      │ ask, cut, undefine      │ cut, undefine, remove

A guest that is off although it shall run is judged by why it is off. It powered itself off (`Reason.SHUTDOWN`) under the
current `starts`: it stays off and is reported, and the cloud decides (EC2's instance-initiated shutdown behaviour). It
crashed, or nobody knows why (the host was rebooted): it is started again.

A volume whose storage is on another host comes through a proxy of its own: it is there before the guest has the disk and
until the guest has let go of it. One that died is brought back first of all: the guest waits for it.

Property, tested: `plan(spec, apply(plan(spec, seen), seen))` comes to `[]`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from eucapy.drivers.hypervisor.base import DomainStatus, Power, Reason, disk_serial
from eucapy.drivers.proxies.base import ProxySeen, is_elsewhere, parse
from eucapy.nc.records import Record
from eucapy.wire.contract import Fault
from eucapy.wire.node import DiskSpec, ImageRoot, InstanceSpec, NicSpec, ObjectSource, VolumeRoot


@dataclass(frozen=True)
class FetchImage:
    """Bring the image into the cache; the instance goes on when it is there."""

    image_id: str
    source: ObjectSource


@dataclass(frozen=True)
class MakeRoot:
    """Make the copy-on-write root disk over the cached image."""

    root: ImageRoot


@dataclass(frozen=True)
class MakeEphemeral:
    """Make an empty instance-store disk."""

    name: str
    size_gib: int


@dataclass(frozen=True)
class Start:
    """Define the domain as the spec says now, note the start, power on."""


@dataclass(frozen=True)
class NoteStarted:
    """Write down that the guest was seen to run."""


@dataclass(frozen=True)
class Ask:
    """Press the power button and note when."""


@dataclass(frozen=True)
class Cut:
    """Cut the power."""


@dataclass(frozen=True)
class NoteEnd:
    """Write down that the guest powered itself off under the current start."""


@dataclass(frozen=True)
class NoteStopped:
    """Write down that the stop that was asked for is over."""


@dataclass(frozen=True)
class Reboot:
    """Ask the guest to reboot, then note the counter."""

    reboots: int


@dataclass(frozen=True)
class Resume:
    """Let a domain go on that waits for a disk."""


@dataclass(frozen=True)
class Attach:
    """Plug a volume in."""

    disk: DiskSpec


@dataclass(frozen=True)
class Detach:
    """Ask the guest to let go of a volume."""

    serial: str


@dataclass(frozen=True)
class PlugNic:
    """Plug a network card in."""

    nic: NicSpec


@dataclass(frozen=True)
class UnplugNic:
    """Ask the guest to let go of a network card."""

    tap: str


@dataclass(frozen=True)
class OpenProxy:
    """Make a volume of another host reachable here."""

    disk: DiskSpec


@dataclass(frozen=True)
class CloseProxy:
    """End the proxy of an attachment that the guest has let go of."""

    attachment_id: str


@dataclass(frozen=True)
class Resize:
    """Tell the running guest that a disk has grown, then note its size."""

    disk: DiskSpec


@dataclass(frozen=True)
class NoteResting:
    """Write down that the guest is down because we want it so, and not because it ended itself."""


@dataclass(frozen=True)
class Capture:
    """Copy the root disk as it is now. `live`: out of the running guest's hands."""

    snapshot_id: str
    live: bool


@dataclass(frozen=True)
class DropCapture:
    """Remove a copy that nobody needs any more."""

    snapshot_id: str


@dataclass(frozen=True)
class EndCaptures:
    """Remove what copying left behind unfinished, and note that there is nothing left of it."""


@dataclass(frozen=True)
class Undefine:
    """Forget the domain."""


@dataclass(frozen=True)
class RemoveFiles:
    """Remove the instance's folder: disks, console log, record."""


@dataclass(frozen=True)
class Wait:
    """Nothing can be done before this many seconds have passed, or something else happens."""

    seconds: float
    why: str


Step = (
    FetchImage
    | MakeRoot
    | MakeEphemeral
    | Start
    | NoteStarted
    | Ask
    | Cut
    | NoteEnd
    | NoteStopped
    | Reboot
    | Resume
    | Attach
    | Detach
    | PlugNic
    | UnplugNic
    | OpenProxy
    | CloseProxy
    | Resize
    | NoteResting
    | Capture
    | DropCapture
    | EndCaptures
    | Undefine
    | RemoveFiles
    | Wait
)


@dataclass(frozen=True)
class Seen:
    """One instance as the host shows it at `now` (seconds since the epoch)."""

    now: float
    record: Record
    domain: DomainStatus | None = None
    folder: bool = False
    """Its folder is there."""
    image_cached: bool = False
    root_made: bool = False
    ephemerals: frozenset[str] = frozenset()
    captures: Mapping[str, int] = field(default_factory=dict)
    """Copies of the root disk that are whole, by snapshot, and their sizes in bytes."""
    lost_captures: Mapping[str, Fault] = field(default_factory=dict)
    """Copies that are given up."""
    proxies: Mapping[str, ProxySeen] = field(default_factory=dict)
    """The instance's, by attachment."""
    asked: Mapping[str, float] = field(default_factory=dict)
    """When the guest was last asked to let go of a device, by the disk's serial number or the card's tap."""


@dataclass(frozen=True)
class Graces:
    """How long a guest may take to obey, in seconds."""

    stop_s: float
    terminate_s: float


def plan(spec: InstanceSpec, seen: Seen, graces: Graces) -> list[Step]:
    """The steps that bring the instance nearer to its spec, in order."""
    if spec.gone:
        return _remove(seen, graces.terminate_s)
    if not spec.run:
        return _with_captures(_stop(seen, 0.0 if spec.force_stop else graces.stop_s), spec, seen)
    if spec.rest and seen.record.starts >= spec.starts and not ended_by_guest(spec, seen):
        return _with_captures(_rest(seen, graces.stop_s), spec, seen)
    return _with_captures(_run(spec, seen), spec, seen)


def ended_by_guest(spec: InstanceSpec, seen: Seen) -> bool:
    """The guest powered itself off under the start that the spec asks for."""
    return seen.record.ended == "guest" and seen.record.starts >= spec.starts


def volumes(spec: InstanceSpec) -> dict[str, DiskSpec]:
    """The spec's volumes by the serial number that each has in the guest."""
    return {disk_serial(disk.volume_id): disk for disk in spec.disks}


def _off(domain: DomainStatus | None) -> bool:
    return domain is None or domain.power is Power.OFF


def _run(spec: InstanceSpec, seen: Seen) -> list[Step]:
    domain = seen.domain
    if _off(domain):
        return _power_on(spec, seen)
    assert domain is not None
    if domain.power is Power.PAUSED:
        return [*_open_proxies(spec, seen), Resume()]
    if seen.record.asked_at:
        # A stop was asked for and then taken back: the guest goes down by itself and is started again, or has to be cut.
        return [Wait(5.0, "the guest is shutting down")]
    steps: list[Step] = [NoteStarted()] if seen.record.starting else []
    if seen.record.reboots < spec.reboots:
        steps.append(Reboot(spec.reboots))
    wanted = volumes(spec)
    plugged = {disk.serial for disk in domain.disks}
    local = _local_serials(spec)
    # What ends comes first: a storage that is away must not keep the guest from letting go of its volume.
    unwanted = sorted(serial for serial in plugged if serial not in wanted and serial not in local)
    steps += [_ask_for(serial, Detach(serial), seen) for serial in unwanted]
    steps += _close_proxies(spec, seen, plugged)
    steps += _open_proxies(spec, seen)
    steps += [Attach(disk) for serial, disk in wanted.items() if serial not in plugged]
    cards = {nic.tap for nic in domain.nics}
    steps += [_ask_for(nic.tap, UnplugNic(nic.tap), seen) for nic in spec.nics if nic.gone and nic.tap in cards]
    steps += [PlugNic(nic) for nic in spec.nics if not nic.gone and nic.tap not in cards]
    told = seen.record.disk_gib
    steps += [
        Resize(disk)
        for serial, disk in wanted.items()
        if serial in plugged and disk.size_gib > told.get(disk.attachment_id, 0)
    ]
    return steps


def _ask_for(device: str, step: Step, seen: Seen) -> Step:
    """A guest that does not let go is asked again, though not without end in one breath."""
    left_s = seen.asked.get(device, -ASK_AGAIN_S) + ASK_AGAIN_S - seen.now
    return Wait(left_s, "the guest is asked to let go of a device") if left_s > 0 else step


def _open_proxies(spec: InstanceSpec, seen: Seen) -> list[Step]:
    """Proxies that the spec's disks need and that are not there, do not run, or lead to where the volume was before."""

    def leads_there(disk: DiskSpec) -> bool:
        proxy = seen.proxies.get(disk.attachment_id)
        return proxy is not None and proxy.running and proxy.address == disk.export

    return [OpenProxy(disk) for disk in spec.disks if is_elsewhere(disk.export) and not leads_there(disk)]


def _close_proxies(spec: InstanceSpec, seen: Seen, plugged: Container[str]) -> list[Step]:
    """Proxies of disks that neither the spec nor the guest has any more."""
    wanted = {disk.attachment_id for disk in spec.disks}
    return [
        CloseProxy(attachment_id)
        for attachment_id, proxy in seen.proxies.items()
        if attachment_id not in wanted and disk_serial(parse(proxy.address).name) not in plugged
    ]


def _power_on(spec: InstanceSpec, seen: Seen) -> list[Step]:
    domain, record = seen.domain, seen.record
    if record.starts >= spec.starts and not record.starting:
        if record.ended == "guest":
            return []
        if domain is not None and domain.reason is Reason.SHUTDOWN and not record.asked_at:
            return [NoteEnd()]
    steps: list[Step] = []
    if isinstance(spec.root, ImageRoot) and not seen.root_made:
        if not seen.image_cached:
            return [FetchImage(spec.root.image_id, spec.root.source)]
        steps.append(MakeRoot(spec.root))
    steps += [MakeEphemeral(e.name, e.size_gib) for e in spec.ephemerals if e.name not in seen.ephemerals]
    if isinstance(spec.root, VolumeRoot) and spec.root.volume_id not in {disk.volume_id for disk in spec.disks}:
        return [*steps, Wait(30.0, "the root volume is not reachable yet")]
    return [*steps, *_close_proxies(spec, seen, ()), *_open_proxies(spec, seen), Start()]


def _rest(seen: Seen, grace_s: float) -> list[Step]:
    """Down like a stop, but kept from being taken for one: it is started again when the rest is over."""
    if not _off(seen.domain):
        return _power_off(seen, grace_s)
    return [] if seen.record.asked_at else [NoteResting()]


def _with_captures(others: list[Step], spec: InstanceSpec, seen: Seen) -> list[Step]:
    """The other steps, and copies to make of the root disk, and to remove. While a guest goes down or up nothing is
    copied."""
    steps: list[Step] = [*others]
    steps += [DropCapture(name) for name in seen.captures if name not in spec.captures]
    if seen.record.captured and not spec.captures:
        steps.append(EndCaptures())
    wanted = [name for name in spec.captures if name not in seen.captures and name not in seen.lost_captures]
    if not wanted or not seen.root_made or not isinstance(spec.root, ImageRoot):
        return steps
    if _off(seen.domain):
        return steps if others else steps + [Capture(name, live=False) for name in wanted]
    running = seen.domain is not None and seen.domain.power is Power.RUNNING
    if running and spec.run and not spec.rest and not seen.record.asked_at:
        steps += [Capture(name, live=True) for name in wanted]
    return steps


def _stop(seen: Seen, grace_s: float) -> list[Step]:
    if not _off(seen.domain):
        return _power_off(seen, grace_s)
    steps: list[Step] = [NoteStopped()] if seen.record.asked_at else []
    return steps + _end_proxies(seen)


def _end_proxies(seen: Seen) -> list[Step]:
    return [CloseProxy(attachment_id) for attachment_id in seen.proxies]


def _power_off(seen: Seen, grace_s: float) -> list[Step]:
    assert seen.domain is not None
    if seen.domain.power is Power.PAUSED or grace_s <= 0:
        return [Cut()]
    if not 0 < seen.record.asked_at <= seen.now:
        # Never asked; or the clock was set back since, and the grace would last as much longer: it begins anew.
        return [Ask(), Wait(grace_s, "the guest is asked to shut down")]
    left_s = seen.record.asked_at + grace_s - seen.now
    return [Wait(left_s, "the guest is asked to shut down")] if left_s > 0 else [Cut()]


def _remove(seen: Seen, grace_s: float) -> list[Step]:
    if not _off(seen.domain):
        steps = _power_off(seen, grace_s)
        return [Cut(), Undefine(), *_end_proxies(seen), RemoveFiles()] if steps == [Cut()] else steps
    if seen.domain is not None:
        return [Undefine(), *_end_proxies(seen), RemoveFiles()]
    return [*_end_proxies(seen), *([RemoveFiles()] if seen.folder else [])]


def _local_serials(spec: InstanceSpec) -> set[str]:
    return {ROOT_SERIAL, *(ephemeral.name for ephemeral in spec.ephemerals)}


ASK_AGAIN_S = 10.0

ROOT_SERIAL = "root"
"""The serial number of a root disk that lives on the node."""
