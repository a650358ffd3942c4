"""Hypervisors: what a driver of the family promises. Knows nothing of accounts, specs, images or the database.

A domain is one virtual machine of one instance on this host. Its life:

                    start()                       shutdown(), or the guest itself
      ensure_defined ─────► RUNNING ───────────────────────────────► OFF ── undefine() ──► (not there)
        (OFF)                │   ▲  \\ destroy(), crash ─────────────►  ▲
                  host fault │   │ resume()                            │
                             ▼   │                                     │
                            PAUSED ──────────── destroy() ─────────────┘

- Every verb is idempotent: asked for what already is, it does nothing and succeeds. A domain that is not there is
  DomainNotFound, except for `undefine`, whose aim it is.
- `shutdown`, `reboot`, `detach_disk` and `detach_nic` *ask the guest*. They return when it was asked; that it obeyed is seen by
  `observe()` and told by `events()`. `destroy`, `reset` need no consent and have happened when they return.
- `observe()` is the only truth about domains. It shows only domains made by this family (they carry the instance's
  id); other machines on the same host are neither shown nor touched.
- `ensure_defined` on a running domain changes what its next start will be, never the running machine.
- Every verb has a time limit and never blocks the event loop. HypervisorUnavailable means "try again later": nothing is
  known of the outcome, and nothing needs undoing before trying again.
- Domains outlive the driver, the process that uses it and the hypervisor's own daemon.

Real: `libvirt.py`. Twin: `fake.py`. Chosen by `loader.py`. One suite for both: `tests/drivers/hypervisor/`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from enum import StrEnum

import msgspec

SERIAL_CHARS = 20
"""virtio-blk carries this many characters of a disk's serial number."""


class HypervisorError(Exception):
    """The hypervisor refused, or a domain cannot do what was asked; the message is fit for an operator."""


class DomainNotFound(HypervisorError):
    """No such domain here."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"no domain for {instance_id}")
        self.instance_id = instance_id


class HypervisorUnavailable(HypervisorError):
    """The hypervisor does not answer, or not in time. The outcome of the call is unknown; ask again later."""


class DiskConflict(HypervisorError):
    """A disk with this serial number is there already, over another source."""


class Unsupported(HypervisorError):
    """This driver or this host cannot do it; `Capabilities` would have told."""


class FileSource(msgspec.Struct, frozen=True, tag="file"):
    """A disk kept in a file on this host; a qcow2 file may stand on a backing file."""

    path: str
    format: str = "qcow2"
    """`raw` or `qcow2`; never guessed from the bytes, which the guest can write."""
    backing: FileSource | None = None
    """What the file stands on, which many guests may read and none may own; None for nothing. What the file's own header
    names is never looked at: a guest that broke out of its machine could have written it."""


class NbdSource(msgspec.Struct, frozen=True, tag="nbd"):
    """A disk behind an NBD server's unix socket on this host."""

    socket: str
    export: str = ""


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """A virtio disk. `serial` is its name within the domain and what the guest finds it by."""

    serial: str
    source: FileSource | NbdSource
    read_only: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(rf"[A-Za-z0-9_-]{{1,{SERIAL_CHARS}}}", self.serial):
            raise ValueError(f"disk serial {self.serial!r}: 1 to {SERIAL_CHARS} letters, digits, hyphens")


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """A virtio network card. The driver makes the tap `tap` (15 characters at most) for as long as the domain runs."""

    mac: str
    tap: str
    mtu: int | None = None
    """Told to the guest by the card itself; None: the guest's default."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.tap.encode()) <= 15:
            raise ValueError(f"tap name {self.tap!r}: 1 to 15 bytes")


class DomainSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A domain as it shall be at its next start. The first disk is the one to boot from."""

    instance_id: str
    uuid: str
    """Also the machine's SMBIOS uuid and serial number; must start with `ec2` (see `ec2_uuid`)."""
    vcpus: int
    memory_mib: int
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...] = ()
    console_log: str
    """Absolute path of the file that receives what the guest writes to its first serial port."""
    instance_type: str = ""
    """Shown as the machine's product name, as AWS does."""
    labels: dict[str, str] = {}
    """Kept with the domain and given back by `observe()`; for whoever uses the driver."""

    def __post_init__(self) -> None:
        if not self.uuid.startswith("ec2"):
            raise ValueError(f"uuid {self.uuid!r} does not start with ec2")
        if not self.disks:
            raise ValueError("a domain needs a disk to boot from")
        serials = [disk.serial for disk in self.disks]
        if len(set(serials)) != len(serials):
            raise ValueError("two disks have the same serial number")
        if self.vcpus < 1 or self.memory_mib < 1:
            raise ValueError("a domain needs a processor and memory")


class Power(StrEnum):
    """Whether the machine runs."""

    RUNNING = "running"
    PAUSED = "paused"
    OFF = "off"


class Reason(StrEnum):
    """Why a domain is off or paused, as far as the hypervisor knows."""

    NONE = ""
    SHUTDOWN = "shutdown"
    """The guest powered itself off, asked to or not."""
    DESTROYED = "destroyed"
    CRASHED = "crashed"
    """The guest's machine ended by itself, without the guest's will."""
    IO_ERROR = "io error"
    """Paused because a disk does not answer; `resume` when it does."""
    UNKNOWN = "unknown"
    """Never started, or ended while nobody watched (the host was restarted)."""


class DomainStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A domain as it is. Of a running one, what is plugged in now; else what the next start will plug in."""

    instance_id: str
    uuid: str
    power: Power
    reason: Reason = Reason.NONE
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    vcpus: int = 0
    memory_mib: int = 0
    labels: dict[str, str] = {}


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What this driver on this host can do."""

    driver: str
    version: str
    accelerated: bool
    """True: KVM. False: emulation, tens of times slower."""
    acceleration_reason: str
    """Why it is as it is, for people."""
    architectures: tuple[str, ...]
    cpus: int
    memory_mib: int
    cpu_model: str
    hot_disks: int
    """How many disks a domain can hold at once, its first included."""
    screenshots: bool


class EventKind(StrEnum):
    """What can happen to a domain, or to the way to it."""

    STARTED = "started"
    STOPPED = "stopped"
    CRASHED = "crashed"
    PAUSED = "paused"
    RESUMED = "resumed"
    REBOOTED = "rebooted"
    DEFINED = "defined"
    UNDEFINED = "undefined"
    DISK_ADDED = "disk added"
    DISK_REMOVED = "disk removed"
    DISK_REFUSED = "disk removal refused"
    NIC_ADDED = "network card added"
    NIC_REMOVED = "network card removed"
    NIC_REFUSED = "network card removal refused"
    IO_ERROR = "io error"
    CONNECTED = "connected"
    """The driver reaches the hypervisor (again); events may have been missed: observe."""
    DISCONNECTED = "disconnected"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened. A hint to observe, not a source of truth: events can be lost or come twice."""

    kind: EventKind
    instance_id: str = ""
    detail: str = ""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The guest's screen."""

    media_type: str
    content: bytes


class HypervisorDriver(ABC):
    """The verbs. All may raise HypervisorUnavailable; see the module for what they promise together."""

    @abstractmethod
    async def capabilities(self) -> Capabilities:
        """What can be done here. Asked of the host once, then remembered."""

    @abstractmethod
    async def observe(self) -> list[DomainStatus]:
        """Every domain of ours on this host."""

    @abstractmethod
    async def observe_one(self, instance_id: str) -> DomainStatus | None:
        """The instance's domain, at a price that does not grow with the others; None when there is none."""

    @abstractmethod
    async def ensure_defined(self, spec: DomainSpec) -> None:
        """Make the domain's definition `spec`, whether it is there or not, runs or not."""

    @abstractmethod
    async def start(self, instance_id: str) -> None:
        """Power on. Raises HypervisorError when the machine cannot start (a disk or tap is not usable)."""

    @abstractmethod
    async def shutdown(self, instance_id: str) -> None:
        """Press the power button; a guest may take its time, or not listen."""

    @abstractmethod
    async def destroy(self, instance_id: str) -> None:
        """Cut the power."""

    @abstractmethod
    async def reboot(self, instance_id: str) -> None:
        """Ask the guest to go down and start it again; the domain stays RUNNING. Does nothing when it is off."""

    @abstractmethod
    async def reset(self, instance_id: str) -> None:
        """Press the reset button. Does nothing when it is off."""

    @abstractmethod
    async def resume(self, instance_id: str) -> None:
        """Let a paused domain go on. Does nothing when it runs or is off."""

    @abstractmethod
    async def undefine(self, instance_id: str) -> None:
        """Cut the power and forget the domain. Its disks and console log are left to the caller."""

    @abstractmethod
    async def attach_disk(self, instance_id: str, disk: Disk) -> None:
        """Plug the disk in: now, when it runs, and for its next starts. Raises DiskConflict, HypervisorError."""

    @abstractmethod
    async def detach_disk(self, instance_id: str, serial: str) -> None:
        """Ask the guest to let go of the disk, and leave it out at the next starts. An unknown serial is no error."""

    @abstractmethod
    async def attach_nic(self, instance_id: str, nic: Nic) -> None:
        """Plug the network card in: now, when it runs, and for its next starts. One with the same tap is the same card."""

    @abstractmethod
    async def detach_nic(self, instance_id: str, tap: str) -> None:
        """Ask the guest to let go of the network card, and leave it out at the next starts. An unknown tap is no error."""

    @abstractmethod
    async def resize_disk(self, instance_id: str, serial: str, size_gib: int) -> None:
        """Tell a running guest that the disk behind an NBD server is `size_gib` large now; the server has it that large
        already, and cut our connection to it. Does nothing when the domain is off, or for an unknown serial."""

    @abstractmethod
    async def copy_disk(self, instance_id: str, serial: str, target: str) -> None:
        """Write a running guest's disk, as it is at one moment after the call, into the new qcow2 file `target`, which
        stands alone. The guest goes on meanwhile. Returns when it is written; a copy that was cut short is begun anew, and
        one whose caller is cancelled ends.
        Raises HypervisorError when the domain is off or has no such disk."""

    @abstractmethod
    async def console_output(self, instance_id: str, max_bytes: int = 65536) -> bytes:
        """The newest bytes of the serial console, over all starts of this definition."""

    @abstractmethod
    async def trim_console(self, instance_id: str, keep_bytes: int = 1 << 20) -> None:
        """Give back the disk space of what the console log holds beyond its newest `keep_bytes`."""

    @abstractmethod
    async def screenshot(self, instance_id: str) -> Picture:
        """The screen of a running domain. Raises Unsupported; HypervisorError when it is off."""

    @abstractmethod
    async def sensors(self, instance_id: str) -> dict[str, float]:
        """Counters of the domain under libvirt's names (`cpu.time` in nanoseconds, `block.0.rd.bytes`, ...)."""

    @abstractmethod
    def events(self) -> AsyncIterator[Event]:
        """What happens from now on, for as long as one listens; starts with CONNECTED when that is so."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the hypervisor; domains are not touched. Ends every `events()`."""


def ec2_uuid(uuid: str) -> str:
    """`uuid` with its first three digits replaced by `ec2`.

    Guests recognise EC2 by the SMBIOS system uuid and serial number, equal and starting with `ec2` (cloud-init's Ec2
    data source and ds-identify, which AWS documents under "Detect whether a host is an EC2 instance").
    """
    return "ec2" + uuid.lower()[3:]


def disk_serial(volume_id: str) -> str:
    """A volume's serial number in a guest: its id without the hyphen, as AWS shows it, and within virtio's limit."""
    return volume_id.replace("-", "")[:SERIAL_CHARS]
